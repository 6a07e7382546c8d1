//! What a double spend is about: how the merchant is deceived, and on what terms.

use std::time::Duration;

use serde::Serialize;

/// How the merchant is deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All of the merchant's connections are the attacker's: a branch of its own is shown to it (Heilman et al. 2015).
    Eclipse,
    /// A block with the rival is mined in secret before the merchant is paid (Hal Finney, 2011).
    Finney,
    /// A whole branch is mined in secret, and released when it has more work (Nakamoto 2008, section 11; Rosenfeld 2014).
    Majority,
    /// The network is split; each side hears of one payment, and the side with more work wins.
    Partition,
    /// The merchant's peer hears of one payment and all others of its rival at once (Karame et al. 2012).
    Race,
    /// Blocks with the payment are shown to the merchant's peer alone, before it hears of the others' (vector76, 2011).
    Vector76,
}

impl Strategy {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
            Self::Finney => "finney",
            Self::Majority => "majority",
            Self::Partition => "partition",
            Self::Race => "race",
            Self::Vector76 => "vector76",
        }
    }

    /// Whether the attacker mines.
    pub(super) const fn mines(self, share: f64) -> bool {
        match self {
            Self::Eclipse | Self::Finney | Self::Majority | Self::Vector76 => true,
            Self::Partition | Self::Race => share > 0.0,
        }
    }
}

/// What an attack is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    /// The attacker's share of all hash power.
    pub share: f64,
    /// Confirmations at which the merchant hands over.
    pub confirmations: u64,
    /// The attacker gives up when its branch is so many blocks behind.
    pub give_up: u64,
    /// How often it is tried.
    pub tries: u64,
    /// How long one attack may take.
    #[serde(skip)]
    pub limit: Duration,
    /// What a hash takes, in joules.
    pub joules_per_hash: f64,
}
