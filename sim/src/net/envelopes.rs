//! Messages under way, under short numbers that are used again.

use std::cell::Cell;

use prefetch_index::prefetch_index;

use super::Due;

/// A list with holes.
pub(crate) struct Envelopes<M> {
    places: Vec<Envelope<M>>,
    free: Vec<u32>,
}

/// A message to one or several receivers.
struct Envelope<M> {
    /// None in a hole. The cell hides the message's unused values from the option, which would take one of them to stand for none: then a
    /// message would be moved as the byte that says what it is, and the rest, and not as a whole.
    message: Option<Cell<M>>,
    head: Head,
}

/// What is known of a message from outside.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) from: u32,
    /// Encoded, in bytes.
    pub(super) len: u32,
    /// Arrivals that are still to come, and one while it is sent.
    left: u32,
}

impl<M> Envelopes<M> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Keeps a message until its last receiver has it.
    #[inline]
    pub(super) fn insert(&mut self, message: M, from: u32, len: u32) -> u32 {
        let head = Head { from, len, left: 1 };
        let Some(place) = self.free.pop() else {
            self.places.push(Envelope { message: Some(Cell::new(message)), head });
            let place = u32::try_from(self.places.len() - 1).ok().filter(|place| *place <= Due::PLACE_MAX);
            return place.expect("an entry of the queue has room for the number");
        };
        // One after the other: an envelope that is put together and moved is read by larger words than it was just written by.
        let envelope = &mut self.places[place as usize];
        envelope.head = head;
        envelope.message = Some(Cell::new(message));
        place
    }

    /// Has memory fetch an envelope that is opened soon.
    pub(super) fn fetch(&self, place: u32) {
        // It has two lines at the most, or its end is seldom looked at.
        prefetch_index(&self.places, place as usize);
        prefetch_index(&self.places, place as usize + 1);
    }

    /// The message, if the number is in use.
    pub(super) fn peek(&mut self, place: u32) -> Option<&M> {
        Some(self.places.get_mut(place as usize)?.message.as_mut()?.get_mut())
    }

    pub(super) fn message(&mut self, place: u32) -> &M {
        self.peek(place).expect("the number is in use")
    }

    pub(super) fn head(&self, place: u32) -> &Head {
        &self.places[place as usize].head
    }

    /// One receiver more.
    pub(super) fn add_one(&mut self, place: u32) {
        self.places[place as usize].head.left += 1;
    }

    /// One receiver less. Whether nobody is left, so that the message can be taken out.
    pub(super) fn drop_one(&mut self, place: u32) -> bool {
        let left = &mut self.places[place as usize].head.left;
        *left -= 1;
        *left == 0
    }

    /// Takes the message out; the number is used again.
    #[inline]
    pub(super) fn remove(&mut self, place: u32) -> M {
        self.free.push(place);
        self.places[place as usize].message.take().expect("the number is in use").into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_until_its_last_receiver_has_it_and_its_number_is_used_again() {
        let mut envelopes = Envelopes::new();
        let first = envelopes.insert("first", 7, 50);
        let other = envelopes.insert("other", 8, 60);
        envelopes.add_one(first);
        assert!(!envelopes.drop_one(first), "one is left");
        assert_eq!((envelopes.head(first).from, envelopes.head(first).len), (7, 50));
        assert_eq!(envelopes.peek(first), Some(&"first"));
        assert!(envelopes.drop_one(first));
        assert_eq!(envelopes.remove(first), "first");
        assert_eq!(envelopes.peek(first), None);
        assert_eq!(envelopes.insert("second", 9, 70), first);
        assert_eq!((envelopes.head(first).from, envelopes.head(first).len), (9, 70));
        assert_eq!(envelopes.peek(first), Some(&"second"));
        assert!(envelopes.drop_one(first), "it begins with one");
        assert_eq!(envelopes.message(other), &"other");
        assert_eq!(envelopes.peek(99), None);
    }
}
