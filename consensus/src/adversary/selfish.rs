//! A pool that keeps its blocks back and publishes them when that costs others most: selfish mining (Eyal and Sirer 2014,
//! "Majority is not enough: Bitcoin mining is vulnerable", Algorithm 1).
//!
//! This is the pool's decision alone. Its replica mines on the longest chain that it knows, which is the private one while
//! that is longer, and in a tie the one that it knew first, which is its own; so all that there is to decide is what others hear
//! and when. Branches are measured in blocks: without a retarget all have the same work.

/// What a pool does after a block was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// The private branch is lost, if there is one: mine on the public one.
    Adopt,
    /// Keep what is private to oneself.
    Hold,
    /// Publish all that is private. It is longer than the public branch, which everybody leaves.
    PublishAll,
    /// Publish the first block that is private.
    PublishFirst,
}

/// A pool's private branch and the public one, both from the last block on which everybody was agreed.
///
/// | private, public | the pool finds a block | others find a block |
/// |---|---|---|
/// | 0, 0 | hold | adopt |
/// | 1, 0 | hold | publish it: a tie, 1, 1 |
/// | 1, 1 | publish all, 0, 0 | adopt, 0, 0 |
/// | 2 ahead | hold | publish all, 0, 0 |
/// | more ahead | hold | publish the first |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selfish {
    private: u64,
    public: u64,
}

impl Selfish {
    /// A private branch of so many blocks against a public one of so many. One that is behind is given up, and is none.
    pub const fn at(private: u64, public: u64) -> Self {
        assert!(public <= private, "a branch that is behind is given up");
        Self { private, public }
    }

    /// By how many blocks the private branch is longer.
    pub const fn lead(&self) -> u64 {
        self.private - self.public
    }

    /// Whether everybody is on one chain, and the pool keeps nothing to itself.
    pub const fn is_even(&self) -> bool {
        self.private == 0
    }

    /// Whether there are two branches of one length, and others choose between them.
    pub const fn is_tie(&self) -> bool {
        self.private > 0 && self.private == self.public
    }

    /// The pool found a block on its private branch (Algorithm 1, "on My pool found a block").
    pub const fn on_own(&mut self) -> Move {
        // Algorithm 1: a lead of nothing and a branch of two, so that it was a tie.
        if self.is_tie() {
            *self = Self { private: 0, public: 0 };
            return Move::PublishAll;
        }
        self.private += 1;
        Move::Hold
    }

    /// Others made the public chain longer by one block, on whichever of the branches that are public (Algorithm 1, "on Others
    /// found a block").
    pub const fn on_others(&mut self) -> Move {
        match self.lead() {
            0 => {
                *self = Self { private: 0, public: 0 };
                Move::Adopt
            }
            2 => {
                *self = Self { private: 0, public: 0 };
                Move::PublishAll
            }
            // With a lead of one: the last block, "try our luck". With more than two: "publish first unpublished block".
            _ => {
                self.public += 1;
                Move::PublishFirst
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Selfish = at(0, 0);

    const fn at(private: u64, public: u64) -> Selfish {
        Selfish::at(private, public)
    }

    #[test]
    fn every_case_of_algorithm_1_is_decided_as_written_there() {
        // Before, what the pool's own block leads to, and what one of others does.
        let table = [
            (EVEN, (at(1, 0), Move::Hold), (EVEN, Move::Adopt)),
            (at(1, 0), (at(2, 0), Move::Hold), (at(1, 1), Move::PublishFirst)),
            (at(1, 1), (EVEN, Move::PublishAll), (EVEN, Move::Adopt)),
            (at(2, 0), (at(3, 0), Move::Hold), (EVEN, Move::PublishAll)),
            (at(3, 0), (at(4, 0), Move::Hold), (at(3, 1), Move::PublishFirst)),
            (at(3, 1), (at(4, 1), Move::Hold), (EVEN, Move::PublishAll)),
            (at(7, 2), (at(8, 2), Move::Hold), (at(7, 3), Move::PublishFirst)),
            (at(7, 5), (at(8, 5), Move::Hold), (EVEN, Move::PublishAll)),
        ];
        for (before, own, others) in table {
            let mut pool = before;
            assert_eq!((pool.on_own(), pool), (own.1, own.0), "{before:?}, its own block");
            let mut pool = before;
            assert_eq!((pool.on_others(), pool), (others.1, others.0), "{before:?}, a block of others");
        }
    }

    #[test]
    fn it_publishes_as_many_blocks_as_it_found_or_gives_them_up() {
        // Whatever comes: the bits of a number, lowest first, 1 for a block of its own.
        for number in 0_u32..1 << 14 {
            let (mut pool, mut private) = (Selfish::default(), 0_u64);
            for place in 0..14 {
                let is_own = number >> place & 1 == 1;
                private += u64::from(is_own);
                let then = if is_own { pool.on_own() } else { pool.on_others() };
                private = match then {
                    Move::Adopt | Move::PublishAll => 0,
                    Move::Hold => private,
                    Move::PublishFirst => private.checked_sub(1).expect("there is a block to publish"),
                };
                assert_eq!(private, pool.lead(), "what is not public is what it is ahead by");
                assert_eq!(pool.is_even(), private == 0 && !pool.is_tie());
            }
        }
    }

    #[test]
    fn with_a_lead_it_never_lets_others_win() {
        let mut pool = at(9, 0);
        let then: [Move; 8] = core::array::from_fn(|_| pool.on_others());
        assert_eq!(then[..7], [Move::PublishFirst; 7]);
        assert_eq!((then[7], pool), (Move::PublishAll, EVEN));
    }
}
