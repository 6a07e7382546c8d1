//! The names of the double spends: which of them are mounted on real networks, and which are played in virtual time.

use synod_scenario::attack::strategy;

use crate::attack::Strategy;

/// How the merchant is deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Named {
    /// All of the merchant's connections are the attacker's: a branch of its own is shown to it (Heilman et al. 2015)
    Eclipse,
    /// A block with the rival is mined in secret before the merchant is paid (Hal Finney, 2011); not with --sim
    Finney,
    /// A whole branch is mined in secret, and released when it has more work (Nakamoto 2008, section 11; Rosenfeld 2014)
    Majority,
    /// The network is split; each side hears of one payment, and the side with more work wins
    Partition,
    /// The merchant's peer hears of one payment and all others of its rival at once (Karame et al. 2012)
    Race,
    /// A block with the payment is shown to the merchant alone when the others find theirs (vector76, 2011)
    Vector76,
}

/// What plays a double spend in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Played {
    /// Two replicas that race.
    Duel,
    /// Nothing.
    Nowhere,
    /// A network in two parts, and how deep what is taken back lies.
    Split,
    /// Replicas around a merchant.
    Strategy(strategy::Strategy),
}

impl Named {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
            Self::Finney => "finney",
            Self::Majority => "majority",
            Self::Partition => "partition",
            Self::Race => "race",
            Self::Vector76 => "vector76",
        }
    }

    /// As it is mounted on a real network.
    pub(super) const fn mounted(self) -> Strategy {
        match self {
            Self::Eclipse => Strategy::Eclipse,
            Self::Finney => Strategy::Finney,
            Self::Majority => Strategy::Majority,
            Self::Partition => Strategy::Partition,
            Self::Race => Strategy::Race,
            Self::Vector76 => Strategy::Vector76,
        }
    }

    /// As it is played in virtual time.
    pub(super) const fn played(self) -> Played {
        match self {
            Self::Eclipse => Played::Strategy(strategy::Strategy::Eclipse),
            Self::Finney => Played::Nowhere,
            Self::Majority => Played::Duel,
            Self::Partition => Played::Split,
            Self::Race => Played::Strategy(strategy::Strategy::Race),
            Self::Vector76 => Played::Strategy(strategy::Strategy::Vector76),
        }
    }
}
