//! Validators that are not honest, as a scenario names them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_consensus::adversary::Behaviour;
use synod_machine::PeerId;

use super::{EngineConfig, ScenarioError, Who};

/// Validators that are not honest, from the beginning and after each restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdversaryConfig {
    /// Which peers; validators all of them.
    pub peers: Who,
    /// How they behave.
    pub behaviour: Vice,
}

/// How a validator behaves that is not honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Vice {
    /// Votes for whatever each of the others prepares, and proposes two blocks for each height.
    Colluder,
    /// As the primary, gives each half of the others another block.
    EquivocatingPrimary,
    /// Votes for one block towards one half, and for an invented one towards the other.
    EquivocatingVoter,
    /// Both of these.
    Equivocator,
    /// Sends forged copies beside what it should.
    Forger,
    /// Hides what it has prepared when views change, and starts its own views twice.
    LyingChanger,
    /// Spoils what it gives to those that lack blocks.
    LyingDonor,
    /// Repeats old messages.
    Replayer,
    /// Sends to one half of its neighbours only.
    Selective,
    /// Sends no votes.
    Silent,
    /// As the primary, holds every proposal back for nine tenths of the time after which it would be replaced.
    Slow,
}

impl Vice {
    /// The same in the validators' words. `None` where nobody votes.
    const fn behaviour(self, engine: &EngineConfig) -> Option<Behaviour> {
        let EngineConfig::Pbft { view_timeout, .. } = engine else { return None };
        Some(match self {
            Self::Colluder => Behaviour::Colluder,
            Self::EquivocatingPrimary => Behaviour::EquivocatingPrimary,
            Self::EquivocatingVoter => Behaviour::EquivocatingVoter,
            Self::Equivocator => Behaviour::Equivocator,
            Self::Forger => Behaviour::Forger,
            Self::LyingChanger => Behaviour::LyingChanger,
            Self::LyingDonor => Behaviour::LyingDonor,
            Self::Replayer => Behaviour::Replayer,
            Self::Selective => Behaviour::Selective,
            Self::Silent => Behaviour::Silent,
            Self::Slow => Behaviour::slow(view_timeout.duration()),
        })
    }
}

/// Who behaves how, among so many peers.
pub(super) fn draw(
    adversaries: &[AdversaryConfig],
    engine: &EngineConfig,
    peers: u32,
    seed: u64,
) -> Result<BTreeMap<PeerId, Behaviour>, ScenarioError> {
    let mut drawn = BTreeMap::new();
    for (place, adversary) in adversaries.iter().enumerate() {
        let field = |name: &str| format!("adversaries[{place}].{name}");
        let Some(behaviour) = adversary.behaviour.behaviour(engine) else {
            return Err(ScenarioError::field(field("behaviour"), "a chain of validators", "another engine"));
        };
        for peer in adversary.peers.draw(peers, seed, &field("peers"))? {
            if !engine.is_validator(peer) {
                return Err(ScenarioError::field(field("peers"), "validators", format!("peer {}", peer.0)));
            }
            drawn.insert(peer, behaviour);
        }
    }
    Ok(drawn)
}
