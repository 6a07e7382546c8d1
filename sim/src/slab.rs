//! Values under short numbers that are used again.

use prefetch_index::prefetch_index;

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
        u32::try_from(self.places.len() - 1).expect("fewer than 2^32 things are under way")
    }

    /// Has memory fetch a value that is needed soon.
    pub(crate) fn fetch(&self, place: u32) {
        // A value has two lines at the most, or its end is seldom looked at.
        prefetch_index(&self.places, place as usize);
        prefetch_index(&self.places, place as usize + 1);
    }

    /// A value, if the number is in use.
    pub(crate) fn peek(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    pub(crate) fn get(&self, place: u32) -> &T {
        self.places[place as usize].as_ref().expect("the number is in use")
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> &mut T {
        self.places[place as usize].as_mut().expect("the number is in use")
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: u32) -> T {
        self.free.push(place);
        self.places[place as usize].take().expect("the number is in use")
    }
}
