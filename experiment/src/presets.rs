//! Experiments that come with the program.

/// A comparison that is made often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its text: the whole grid.
    pub text: &'static str,
    /// The values of its axes that it has where no others are asked for, so that it ends within two minutes.
    pub small: &'static [(&'static str, &'static [&'static str])],
}

/// What engines cost.
pub const CONSENSUS: Preset = Preset {
    name: "consensus",
    text: include_str!("../presets/consensus.toml"),
    small: &[("peers", &["4", "8", "16"]), ("network", &["wan"]), ("load", &["5.0"])],
};

/// What engines cost in networks that real processes can be, and simulated ones beside them.
pub const CONSENSUS_REAL: Preset =
    Preset { name: "consensus-real", text: include_str!("../presets/consensus-real.toml"), small: &[] };

/// What engines carry, and how fast they are at a share of it.
pub const LOAD: Preset = Preset {
    name: "load",
    text: include_str!("../presets/load.toml"),
    small: &[("peers", &["8"]), ("engine", &["pow", "pos", "pbft"]), ("line", &["1-Mbit"]), ("block", &["10000"])],
};

/// How engines take crashes and partitions.
pub const FAULTS: Preset = Preset { name: "faults", text: include_str!("../presets/faults.toml"), small: &[] };

/// What ways of finding things cost.
pub const SEARCH: Preset = Preset {
    name: "search",
    text: include_str!("../presets/search.toml"),
    small: &[("peers", &["100", "1000"]), ("churn", &["none"]), ("popularity", &["1.0"])],
};

/// What ways to spread blocks and payments cost.
pub const GOSSIP: Preset =
    Preset { name: "gossip", text: include_str!("../presets/gossip.toml"), small: &[("peers", &["16", "32", "64"])] };

/// The same where peers are processes.
pub const GOSSIP_REAL: Preset =
    Preset { name: "gossip-real", text: include_str!("../presets/gossip-real.toml"), small: &[] };

/// The same where peers are processes.
pub const SEARCH_REAL: Preset =
    Preset { name: "search-real", text: include_str!("../presets/search-real.toml"), small: &[("peers", &["20"])] };
