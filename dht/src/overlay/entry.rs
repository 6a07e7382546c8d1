//! What is stored under a key, by whom, and how many replicas must have a say.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use synod_machine::Wire;

use super::Id;
use crate::gossip::varint_len;

/// One publisher's value under a key. A key holds one entry of each publisher, the one with the highest version, so that a
/// publisher's writes are ordered by itself and two publishers never overwrite each other (siblings, as in DeCandia et
/// al. 2007, "Dynamo", section 4.4, with one writer for each).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The publisher's identifier.
    pub publisher: Id,
    /// Counts the publisher's writes under this key.
    pub version: u64,
    /// What is stored, [`ENTRY_BYTES_MAX`] at most. An empty value is a withdrawal.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// The longest value of an entry, in bytes: a pointer to who has a content, with its name and hash, and not the content.
pub const ENTRY_BYTES_MAX: usize = 1_024;
/// Entries under one key: so many publishers of one thing are enough to find it.
pub const ENTRIES_MAX: usize = 20; // as many as Kademlia's k nodes, of which each could be one publisher.

impl Entry {
    /// Whether it takes the place of `other`, an entry of the same publisher. Two values of one version, which only a
    /// publisher that lost its disk makes, are ordered by their bytes, so that all replicas end with the same.
    pub fn supersedes(&self, other: &Self) -> bool {
        (self.version, &self.value) > (other.version, &other.value)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}'s version {} of {} bytes", self.publisher, self.version, self.value.len())
    }
}

impl Wire for Entry {
    const BYTES_MAX: usize = 33 + 9 + 3 + ENTRY_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "entry"
    }

    fn encoded_len(&self) -> usize {
        33 + varint_len(self.version) + varint_len(self.value.len() as u64) + self.value.len()
    }
}

/// How many replicas a request is about (Dynamo, section 4.5: N, R and W): of `replicas` nodes, so many must have answered
/// before a read or a write has succeeded. R + W > N makes reads see the last write that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    replicas: u8,
    needed: u8,
}

/// A quorum that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} of {replicas} replicas: expected 1 to {replicas} of 1 to {}", Quorum::REPLICAS_MAX)]
pub struct QuorumError {
    /// N.
    pub replicas: u8,
    /// R or W.
    pub needed: u8,
}

impl Quorum {
    /// The most replicas of one key.
    pub const REPLICAS_MAX: u8 = 20; // Kademlia's k (Maymounkov and Mazieres 2002, section 2.2).

    /// `needed` of `replicas`.
    pub const fn new(needed: u8, replicas: u8) -> Result<Self, QuorumError> {
        if needed == 0 || needed > replicas || replicas > Self::REPLICAS_MAX {
            return Err(QuorumError { replicas, needed });
        }
        Ok(Self { replicas, needed })
    }

    /// N.
    pub const fn replicas(self) -> u8 {
        self.replicas
    }

    /// R or W.
    pub const fn needed(self) -> u8 {
        self.needed
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use synod_machine::wire;

    use super::*;

    fn entry(version: u64, value: &[u8]) -> Entry {
        Entry { publisher: Id::ZERO, version, value: value.to_vec() }
    }

    #[test]
    fn a_later_version_supersedes_and_equal_versions_have_one_winner() {
        assert!(entry(2, &[]).supersedes(&entry(1, &[9])));
        assert!(!entry(1, &[9]).supersedes(&entry(2, &[])));
        assert!(entry(1, &[9]).supersedes(&entry(1, &[8])));
        assert!(!entry(1, &[8]).supersedes(&entry(1, &[9])));
        assert!(!entry(1, &[8]).supersedes(&entry(1, &[8])));
    }

    #[test]
    fn an_entry_knows_its_length() {
        for (version, bytes) in [(0, 0), (300, 3), (1 << 20, 251), (u64::MAX, ENTRY_BYTES_MAX)] {
            let entry = entry(version, &vec![7; bytes]);
            assert_eq!(entry.encoded_len(), wire::encode(&entry).len());
            assert_eq!(wire::decode(&wire::encode(&entry)), Ok(entry));
        }
        assert_eq!(entry(u64::MAX, &[7; ENTRY_BYTES_MAX]).encoded_len(), Entry::BYTES_MAX);
    }

    #[test]
    fn quorums_that_cannot_be_are_refused() {
        for (needed, replicas) in [(0, 0), (0, 3), (4, 3), (1, 21)] {
            let error = Quorum::new(needed, replicas).expect_err("it cannot be");
            assert_eq!(error, QuorumError { replicas, needed });
        }
        let error = Quorum::new(4, 3).expect_err("it cannot be").to_string();
        assert_eq!(error, "4 of 3 replicas: expected 1 to 3 of 1 to 20");
        let quorum = Quorum::new(20, 20).expect("all of the most");
        assert_eq!((quorum.needed(), quorum.replicas()), (20, 20));
    }
}
