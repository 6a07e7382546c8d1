//! What of a run is recorded.

use synod_machine::{PeerId, Time};

use crate::model::ModelError;

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only these peers; all, where there are none. What passes through the others counts as a cause all the same.
    pub peers: Vec<PeerId>,
    /// Only happenings whose name is one of these; all, where there are none.
    pub kinds: Vec<String>,
    /// Not before.
    pub from: Time,
    /// Not after.
    pub until: Time,
    /// No more than so many; what follows is counted and dropped.
    pub happenings_max: usize,
}

impl Default for Filter {
    /// Everything, as far as there is room.
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            kinds: Vec::new(),
            from: Time::ZERO,
            until: Time::MAX,
            happenings_max: HAPPENINGS_MAX,
        }
    }
}

impl Filter {
    /// Whether a world of so many peers can be recorded with it.
    pub fn check(&self, peers: usize) -> Result<(), ModelError> {
        if let Some(stranger) = self.peers.iter().find(|peer| peer.0 as usize >= peers) {
            return Err(refused("peers", format!("numbers below {peers}"), stranger.0));
        }
        if self.peers.is_empty() && peers > PEERS_MAX {
            let expected = format!("up to {PEERS_MAX} peers, named where the world has more");
            return Err(refused("peers", expected, format!("none named and {peers} in all")));
        }
        let traced = self.traced(peers).len();
        if traced > PEERS_MAX {
            return Err(refused("peers", format!("up to {PEERS_MAX} peers"), traced));
        }
        if self.from > self.until {
            return Err(refused("from", format!("up to {}", self.until), self.from));
        }
        if self.happenings_max == 0 {
            return Err(refused("happenings-max", "at least 1", 0));
        }
        Ok(())
    }

    /// The peers whose happenings are recorded, in ascending order.
    pub(super) fn traced(&self, peers: usize) -> Vec<PeerId> {
        let mut traced = self.peers.clone();
        if traced.is_empty() {
            traced.extend((0..peers as u32).map(PeerId));
        }
        traced.sort_unstable();
        traced.dedup();
        traced
    }

    pub(super) fn passes_time(&self, at: Time) -> bool {
        (self.from..=self.until).contains(&at)
    }

    pub(super) fn passes_kind(&self, name: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == name)
    }
}

/// Peers that are traced at once: a vector clock has a component for each, and every message under way carries one. More
/// than that is more than any space-time diagram shows.
pub const PEERS_MAX: usize = 64;
/// At most three quarters of a kilobyte each (a clock of 64 components, a text of 200 characters), so 200 MB.
const HAPPENINGS_MAX: usize = 250_000;

fn refused(field: &str, expected: impl Into<String>, got: impl ToString) -> ModelError {
    ModelError::Value { field: format!("trace.{field}"), expected: expected.into(), got: got.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_peers_that_there_are_and_not_too_many() {
        let peers =
            |numbers: &[u32]| Filter { peers: numbers.iter().copied().map(PeerId).collect(), ..Filter::default() };
        let refused = |filter: Filter, peers| filter.check(peers).expect_err("it is refused").to_string();
        assert_eq!(peers(&[]).check(64), Ok(()));
        let expected =
            "trace.peers: expected up to 64 peers, named where the world has more, got none named and 65 in all";
        assert_eq!(refused(peers(&[]), 65), expected);
        assert_eq!(peers(&[9_999, 3, 3]).check(10_000), Ok(()));
        assert_eq!(refused(peers(&[10_000]), 10_000), "trace.peers: expected numbers below 10000, got 10000");
        let many: Vec<u32> = (0..65).collect();
        assert_eq!(peers(&many[1..]).check(100), Ok(()));
        assert_eq!(refused(peers(&many), 100), "trace.peers: expected up to 64 peers, got 65");
    }

    #[test]
    fn a_filter_leaves_something_to_record() {
        let refused = |filter: Filter| filter.check(3).expect_err("it is refused").to_string();
        let backwards = Filter { from: Time::from_secs(2), until: Time::from_secs(1), ..Filter::default() };
        assert_eq!(refused(backwards), "trace.from: expected up to 1.000000000s, got 2.000000000s");
        let nothing = Filter { happenings_max: 0, ..Filter::default() };
        assert_eq!(refused(nothing), "trace.happenings-max: expected at least 1, got 0");
    }
}
