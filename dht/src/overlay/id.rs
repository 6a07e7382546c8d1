//! The identifier space: 256 bits, seen as a circle (Chord) and as the leaves of a binary tree (Kademlia).

use core::fmt;

use ruint::aliases::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use synod_machine::{Bytes, Rng};

/// Where a node or a key stands: the SHA-256 of a public key, of a content or of a name, as a number, most significant
/// byte first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(U256);

impl Id {
    /// How many bits an identifier has.
    pub const BITS: u32 = 256;
    /// The first identifier.
    pub const ZERO: Self = Self(U256::ZERO);
    /// The last identifier.
    pub const MAX: Self = Self(U256::MAX);

    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Bytes(Sha256::digest(bytes).into()).into()
    }

    /// A uniform one.
    pub fn draw(rng: &mut Rng) -> Self {
        Self(U256::from_limbs(core::array::from_fn(|_| rng.next_u64())))
    }

    /// The identifier `2^power` further on the circle, where Chord's finger number `power + 1` begins. `power` is below
    /// [`BITS`](Self::BITS).
    pub fn after(self, power: u32) -> Self {
        assert!(power < Self::BITS, "the circle is passed once");
        Self(self.0.wrapping_add(U256::ONE << power as usize))
    }

    /// How far it is from here to `other` on the circle, clockwise.
    pub fn clockwise(self, other: Self) -> Distance {
        Distance(other.0.wrapping_sub(self.0))
    }

    /// Whether it lies in the arc after `begin`, up to and with `end`. From an identifier to itself is the whole circle, as in
    /// Chord's (n, successor] where a node is alone.
    pub fn in_arc(self, begin: Self, end: Self) -> bool {
        begin == end || (self != begin && begin.clockwise(self) <= begin.clockwise(end))
    }

    /// Whether it lies strictly between the two, clockwise. From an identifier to itself is the whole circle without it.
    pub fn is_between(self, begin: Self, end: Self) -> bool {
        self != begin && self != end && self.in_arc(begin, end)
    }

    /// Kademlia's distance: the exclusive or, as a number.
    pub fn xor(self, other: Self) -> Distance {
        Distance(self.0 ^ other.0)
    }

    /// Its most significant 64 bits.
    pub(crate) const fn leading(self) -> u64 {
        self.0.as_limbs()[3]
    }

    /// Whether it is closer to the target than another, as Kademlia's distance has it.
    #[inline]
    pub(crate) fn is_closer(self, other: Self, target: Self) -> bool {
        // The first bits decide, but for identifiers that were made to share them.
        let leading = |id: Self| id.leading() ^ target.leading();
        let (own, theirs) = (leading(self), leading(other));
        if own == theirs { self.xor(target) < other.xor(target) } else { own < theirs }
    }

    /// The bit at `place`, counted from the most significant one. `place` is below [`BITS`](Self::BITS).
    pub fn bit(self, place: u32) -> bool {
        assert!(place < Self::BITS, "an identifier has so many bits");
        self.0.bit((Self::BITS - 1 - place) as usize)
    }

    /// The identifier with the bit at `place`, counted from the most significant one, turned. `place` is below
    /// [`BITS`](Self::BITS).
    pub fn with_turned(mut self, place: u32) -> Self {
        let bit = (Self::BITS - 1 - place) as usize;
        self.0.set_bit(bit, !self.0.bit(bit));
        self
    }
}

/// How far it is from one identifier to another. Smaller is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance(U256);

impl Distance {
    /// From an identifier to itself.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Whether the bit at `place` is set, counted from the most significant one.
    pub(crate) fn bit(self, place: u32) -> bool {
        Id(self.0).bit(place)
    }

    /// The place of its highest bit, counted from the least significant one, or nothing where it is zero: finger number less one
    /// on a circle, k-bucket number in a tree.
    pub fn power(self) -> Option<u32> {
        (Id::BITS - 1).checked_sub(self.0.leading_zeros() as u32)
    }
}

impl From<Bytes<32>> for Id {
    fn from(bytes: Bytes<32>) -> Self {
        Self(U256::from_be_bytes(bytes.0))
    }
}

impl From<Id> for Bytes<32> {
    fn from(id: Id) -> Self {
        Self(id.0.to_be_bytes())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Bytes::from(*self))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Bytes::from(*self))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn id(number: u64) -> Id {
        Id(U256::from(number))
    }

    /// The identifier that is `number` before the first.
    fn before(number: u64) -> Id {
        Id(U256::ZERO.wrapping_sub(U256::from(number)))
    }

    #[test]
    fn bytes_stand_most_significant_first() {
        let mut bytes = Bytes([0; 32]);
        bytes.0[31] = 1;
        assert_eq!(Id::from(bytes), id(1));
        bytes.0[0] = 0x80;
        let high = Id::from(bytes);
        assert_eq!(Bytes::from(high), bytes);
        assert!(high > id(u64::MAX), "numbers and bytes have one order");
        assert_eq!((high.bit(0), high.bit(1), high.bit(255)), (true, false, true));
        assert_eq!(high.with_turned(0), id(1));
    }

    #[test]
    fn the_circle_closes() {
        assert_eq!(before(1), Id::MAX);
        assert_eq!(before(1).after(0), Id::ZERO);
        assert_eq!(before(2).after(3), id(6));
        assert_eq!(id(5).clockwise(id(5)), Distance::ZERO);
        assert_eq!(before(3).clockwise(id(5)), id(0).clockwise(id(8)));
    }

    #[test]
    fn arcs_hold_their_end_and_not_their_beginning() {
        // (begin, end, identifiers in the arc, identifiers out of it)
        for (begin, end, within, without) in [
            (id(2), id(5), vec![id(3), id(5)], vec![id(2), id(6), before(1)]),
            (before(2), id(5), vec![before(1), id(0), id(5)], vec![before(2), id(6)]),
            (id(5), id(2), vec![id(6), before(1), id(0), id(2)], vec![id(5), id(3)]),
            (id(4), id(4), vec![id(4), id(3), id(5), before(1)], vec![]),
        ] {
            for id in within {
                assert!(id.in_arc(begin, end), "{id:?} lies in ({begin:?}, {end:?}]");
                assert_eq!(id.is_between(begin, end), id != end && id != begin);
            }
            for id in without {
                assert!(!id.in_arc(begin, end), "{id:?} lies out of ({begin:?}, {end:?}]");
                assert!(!id.is_between(begin, end), "{id:?} lies out of ({begin:?}, {end:?})");
            }
        }
    }

    #[test]
    fn distances_in_the_tree_are_symmetric_and_know_their_bucket() {
        assert_eq!(id(5).xor(id(5)), Distance::ZERO);
        assert_eq!(Distance::ZERO.power(), None);
        assert_eq!(id(5).xor(id(4)).power(), Some(0));
        assert_eq!(id(5).xor(id(1)), id(1).xor(id(5)));
        assert_eq!(id(5).xor(id(1)).power(), Some(2));
        assert_eq!(id(0).xor(Id::MAX).power(), Some(255));
        assert!(id(0).xor(id(3)) < id(0).xor(id(4)));
    }
}
