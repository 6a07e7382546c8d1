//! Headers that many owners share, with what follows from them worked out once for all.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;

use once_cell::race::{OnceBool, OnceBox};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod_machine::Time;

use crate::{BlockId, CompactTarget, Header, U256};

/// A header that is shared, with its id, and with what the consensus engine found to follow from it. Cloning is one
/// reference count; on the wire and on disk it is the header.
///
/// Everything remembered here is a pure function of the header and its ancestry under its chain's rules. The id pins
/// all three: it covers the parent's id, and the chain's id, which is a digest of the genesis and so of the rules. So
/// ten thousand replicas that share a header compare where the first one computed.
#[derive(Clone)]
pub struct SharedHeader(Arc<Shared>);

struct Shared {
    header: Header,
    id: BlockId,
    weight: OnceBox<U256>,
    outlook: OnceBox<Outlook>,
    difficulty: OnceBox<u64>,
    sealed: OnceBool,
}

/// What a header and its ancestry ask of the block after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The median time of the last blocks, which the next one must exceed.
    pub median: Time,
    /// The next block's target.
    pub target: CompactTarget,
}

impl SharedHeader {
    /// The header's id, which is known.
    pub fn id(&self) -> BlockId {
        self.0.id
    }

    /// The block's own weight, computed at most once.
    pub fn weight(&self, compute: impl FnOnce() -> U256) -> U256 {
        *self.0.weight.get_or_init(|| Box::new(compute()))
    }

    /// What the next block is held to, computed at most once.
    pub fn outlook(&self, compute: impl FnOnce() -> Outlook) -> Outlook {
        *self.0.outlook.get_or_init(|| Box::new(compute()))
    }

    /// The difficulty that the next block is held to where stakes make them, computed at most once.
    pub fn difficulty(&self, compute: impl FnOnce() -> u64) -> u64 {
        *self.0.difficulty.get_or_init(|| Box::new(compute()))
    }

    /// Whether the seal's signatures hold, checked at most once. This belongs to the header with its seal, which may be
    /// one of several of one id.
    pub fn sealed(&self, compute: impl FnOnce() -> bool) -> bool {
        self.0.sealed.get_or_init(compute)
    }
}

impl From<Header> for SharedHeader {
    fn from(header: Header) -> Self {
        let id = header.id();
        let (weight, outlook, difficulty, sealed) = (OnceBox::new(), OnceBox::new(), OnceBox::new(), OnceBool::new());
        Self(Arc::new(Shared { header, id, weight, outlook, difficulty, sealed }))
    }
}

impl Deref for SharedHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.0.header
    }
}

impl PartialEq for SharedHeader {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.header == other.0.header
    }
}

impl Eq for SharedHeader {}

impl fmt::Debug for SharedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.header.fmt(f)
    }
}

impl Serialize for SharedHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.header.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Header::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::wire;

    use super::*;
    use crate::testing;

    #[test]
    fn a_shared_header_is_the_header_s_bytes_and_remembers_what_was_found_first() {
        let (rules, state) = testing::chain();
        let header = testing::header(&rules, &state);
        let shared = SharedHeader::from(header.clone());
        assert_eq!(wire::encode(&shared), wire::encode(&header));
        assert_eq!(shared.id(), header.id());
        let clone = shared.clone();
        assert_eq!(shared.weight(|| U256::from(3)), U256::from(3));
        assert_eq!(clone.weight(|| panic!("it is known")), U256::from(3));
        let outlook = Outlook { median: Time(5), target: CompactTarget::MAX };
        assert_eq!(shared.outlook(|| outlook), outlook);
        assert_eq!(clone.outlook(|| panic!("it is known")), outlook);
        assert_eq!(shared.difficulty(|| 7), 7);
        assert_eq!(clone.difficulty(|| panic!("it is known")), 7);
        assert!(!shared.sealed(|| false));
        assert!(!clone.sealed(|| panic!("it is known")));
    }
}
