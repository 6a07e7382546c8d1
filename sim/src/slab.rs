//! Values under short numbers that are used again.

use crate::net::Due;

/// A list with holes.
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(value);
            return place;
        }
        self.places.push(Some(value));
        let place = u32::try_from(self.places.len() - 1).ok().filter(|place| *place <= Due::PLACE_MAX);
        place.expect("an entry of the queue has room for the number")
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: u32) -> T {
        self.free.push(place);
        self.places[place as usize].take().expect("the number is in use")
    }
}
