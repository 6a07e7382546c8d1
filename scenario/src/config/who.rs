//! Which peers something is done to, as a scenario names them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use synod_machine::{PeerId, Rng};

use super::ScenarioError;

/// Peers: `"all"`; a list of numbers from 0 and of ranges, as `[3, "10-19"]`; or some that the seed draws, as
/// `{ share = 0.3 }` or `{ count = 5 }`.
///
/// Peers that are drawn are the first of an order which the seed and the name of a group determine, so that a later action
/// with the same words means the same peers, a smaller share is part of a larger one, and `{ share = 0.3, group = "b" }` are
/// others.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// Everybody.
    All,
    /// So many.
    Count {
        /// How many.
        count: u32,
        /// Which order they are the first of.
        group: String,
    },
    /// These.
    Listed(Vec<Stretch>),
    /// A share of all, from 0 to 1, rounded to the nearest number of peers.
    Share {
        /// The share.
        share: f64,
        /// Which order they are the first of.
        group: String,
    },
}

/// Peers with neighbouring numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// The first.
    pub first: u32,
    /// The last, not before the first.
    pub last: u32,
}

impl Who {
    /// Everybody.
    pub(super) const fn everybody() -> Self {
        Self::All
    }

    /// Nobody.
    pub(super) const fn nobody() -> Self {
        Self::Listed(Vec::new())
    }

    /// These peers.
    pub fn of(peers: impl IntoIterator<Item = PeerId>) -> Self {
        let peers: BTreeSet<u32> = peers.into_iter().map(|peer| peer.0).collect();
        let mut stretches: Vec<Stretch> = Vec::new();
        for peer in peers {
            match stretches.last_mut() {
                Some(stretch) if stretch.last + 1 == peer => stretch.last = peer,
                Some(_) | None => stretches.push(Stretch { first: peer, last: peer }),
            }
        }
        Self::Listed(stretches)
    }

    /// The peers that are meant among `peers`, in ascending order.
    pub(super) fn draw(&self, peers: u32, seed: u64, field: &str) -> Result<Vec<PeerId>, ScenarioError> {
        match self {
            Self::All => Ok((0..peers).map(PeerId).collect()),
            Self::Count { count, group } => {
                if *count > peers {
                    return Err(ScenarioError::field(
                        field,
                        format!("at most the {peers} peers that there are"),
                        count,
                    ));
                }
                Ok(first_of(peers, *count, seed, group))
            }
            Self::Listed(stretches) => {
                if let Some(wrong) = stretches.iter().find(|stretch| stretch.last >= peers) {
                    let expected = format!("peers from 0 to {}, as there are {peers}", peers.saturating_sub(1));
                    return Err(ScenarioError::field(field, expected, wrong));
                }
                let all: BTreeSet<u32> = stretches.iter().flat_map(|stretch| stretch.first..=stretch.last).collect();
                Ok(all.into_iter().map(PeerId).collect())
            }
            Self::Share { share, group } => {
                if !(0.0..=1.0).contains(share) {
                    return Err(ScenarioError::field(field, "a share from 0 to 1", share));
                }
                Ok(first_of(peers, (f64::from(peers) * share).round() as u32, seed, group))
            }
        }
    }
}

/// The first of an order of all peers, in ascending order of their numbers.
fn first_of(peers: u32, count: u32, seed: u64, group: &str) -> Vec<PeerId> {
    let mut order: Vec<PeerId> = (0..peers).map(PeerId).collect();
    Rng::new(seed, 0, &format!("group {group}")).shuffle(&mut order);
    order.truncate(count as usize);
    order.sort_unstable();
    order
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What the seed draws: one of `count` and `share`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Drawn {
    /// How many peers; either this or `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// Which share of all peers, from 0 to 1; either this or `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    /// Draws with one name of a group are the first of one order of all peers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
}

struct Form;

const FORM: &str =
    "\"all\", a list of peers as [3, \"10-19\"], or a draw as { share = 0.3 } or { count = 5, group = \"b\" }";

impl<'de> de::Visitor<'de> for Form {
    type Value = Who;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Who, E> {
        if text == "all" { Ok(Who::All) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Who, A::Error> {
        let mut stretches = Vec::new();
        while let Some(stretch) = list.next_element()? {
            stretches.push(stretch);
        }
        Ok(Who::Listed(stretches))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Who, A::Error> {
        let Drawn { count, share, group } = Drawn::deserialize(MapAccessDeserializer::new(map))?;
        match (count, share) {
            (Some(count), None) => Ok(Who::Count { count, group }),
            (None, Some(share)) => Ok(Who::Share { share, group }),
            (None, None) | (Some(_), Some(_)) => Err(de::Error::custom("expected either `count` or `share`")),
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Count { count, group } => {
                Drawn { count: Some(*count), share: None, group: group.clone() }.serialize(serializer)
            }
            Self::Listed(stretches) => stretches.serialize(serializer),
            Self::Share { share, group } => {
                Drawn { count: None, share: Some(*share), group: group.clone() }.serialize(serializer)
            }
        }
    }
}

struct StretchForm;

impl de::Visitor<'_> for StretchForm {
    type Value = Stretch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a peer's number as 3, or a range as \"10-19\"")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Stretch, E> {
        let wrong = || E::invalid_value(de::Unexpected::Signed(number), &self);
        let peer = u32::try_from(number).map_err(|_| wrong())?;
        Ok(Stretch { first: peer, last: peer })
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Stretch, E> {
        let wrong = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
        let peer = u32::try_from(number).map_err(|_| wrong())?;
        Ok(Stretch { first: peer, last: peer })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Stretch, E> {
        let ends = text.split_once('-').and_then(|(first, last)| {
            Some(Stretch { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        let right = ends.filter(|stretch| stretch.first <= stretch.last);
        right.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StretchForm)
    }
}

impl Serialize for Stretch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last { serializer.serialize_u32(self.first) } else { serializer.collect_str(self) }
    }
}

impl JsonSchema for Who {
    fn schema_name() -> Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let drawn = generator.subschema_for::<Drawn>();
        json_schema!({
            "description": "Everybody, a list, or a draw. Drawn peers are the first of an order that the seed and \
                the name of a group determine, so that the same words mean the same peers in all actions.",
            "oneOf": [
                { "const": "all", "description": "Everybody." },
                {
                    "type": "array",
                    "description": "Numbers from 0, and ranges.",
                    "items": { "oneOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^\\d+-\\d+$" }] },
                },
                drawn,
            ],
            "examples": ["all", [3, "10-19"], { "share": 0.3 }, { "count": 5, "group": "b" }],
        })
    }
}
