//! Who a fault is for: lists of peers, and the sides of a partition.

use std::collections::BTreeMap;

/// Why a text names no peers or no sides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultSpecError {
    /// Two sides at least.
    #[error("a partition has two sides or more, as peer1,peer2|rest")]
    OneSide,
    /// A peer on no side.
    #[error("{peer} is on no side: name it, or add |rest")]
    Left {
        /// The peer's name.
        peer: String,
    },
    /// Something without a name.
    #[error("an empty name in `{text}`")]
    Empty {
        /// The text.
        text: String,
    },
    /// A peer named twice.
    #[error("{peer} is named twice")]
    Twice {
        /// The peer's name.
        peer: String,
    },
    /// A name that no peer has.
    #[error("no peer is called {peer}; there are {known}")]
    Unknown {
        /// The name.
        peer: String,
        /// The names that peers have.
        known: String,
    },
}

/// Reads `peer1,peer3` or `all` into places in `names`, in the order of `names`.
pub fn peers(text: &str, names: &[&str]) -> Result<Vec<usize>, FaultSpecError> {
    if text == "all" {
        return Ok((0..names.len()).collect());
    }
    let mut chosen = Vec::new();
    for name in text.split(',').map(str::trim) {
        let place = find(name, text, names)?;
        if chosen.contains(&place) {
            return Err(FaultSpecError::Twice { peer: name.to_owned() });
        }
        chosen.push(place);
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// Reads `peer1,peer2|peer3|rest` into the side that each peer of `names` is on.
///
/// A single list means that list against the rest. Every peer must be on a side: one on none would still talk to both
/// and carry every block across.
pub fn sides(text: &str, names: &[&str]) -> Result<Vec<usize>, FaultSpecError> {
    let mut parts: Vec<&str> = text.split('|').map(str::trim).collect();
    if parts.len() == 1 {
        parts.push(REST);
    }
    let mut sides = BTreeMap::new();
    let mut rest = None;
    for (side, part) in parts.iter().enumerate() {
        if *part == REST {
            if rest.replace(side).is_some() {
                return Err(FaultSpecError::Twice { peer: REST.to_owned() });
            }
            continue;
        }
        for place in peers(part, names)? {
            if sides.insert(place, side).is_some() {
                return Err(FaultSpecError::Twice { peer: names[place].to_owned() });
            }
        }
    }
    let found: Vec<usize> = (0..names.len())
        .map(|place| {
            let left = || FaultSpecError::Left { peer: names[place].to_owned() };
            sides.get(&place).copied().or(rest).ok_or_else(left)
        })
        .collect::<Result<_, _>>()?;
    if found.iter().all(|side| Some(side) == found.first()) {
        return Err(FaultSpecError::OneSide);
    }
    Ok(found)
}

const REST: &str = "rest";

fn find(name: &str, text: &str, names: &[&str]) -> Result<usize, FaultSpecError> {
    if name.is_empty() {
        return Err(FaultSpecError::Empty { text: text.to_owned() });
    }
    names
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| FaultSpecError::Unknown { peer: name.to_owned(), known: names.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["peer1", "peer2", "peer3", "peer4"];

    #[test]
    fn a_list_of_peers_is_read_in_their_order() {
        assert_eq!(peers("peer3,peer1", &NAMES), Ok(vec![0, 2]));
        assert_eq!(peers(" peer2 , peer4 ", &NAMES), Ok(vec![1, 3]));
        assert_eq!(peers("all", &NAMES), Ok(vec![0, 1, 2, 3]));
        assert_eq!(peers("peer1,peer1", &NAMES), Err(FaultSpecError::Twice { peer: "peer1".into() }));
        assert_eq!(peers("peer1,", &NAMES), Err(FaultSpecError::Empty { text: "peer1,".into() }));
        let known = "peer1, peer2, peer3, peer4".to_owned();
        assert_eq!(peers("peer9", &NAMES), Err(FaultSpecError::Unknown { peer: "peer9".into(), known }));
    }

    #[test]
    fn rest_is_everyone_who_is_not_named() {
        assert_eq!(sides("peer1,peer2|rest", &NAMES), Ok(vec![0, 0, 1, 1]));
        assert_eq!(sides("rest|peer4", &NAMES), Ok(vec![0, 0, 0, 1]));
        assert_eq!(sides("peer2", &NAMES), Ok(vec![1, 0, 1, 1]));
        assert_eq!(sides("peer1|peer2|rest", &NAMES), Ok(vec![0, 1, 2, 2]));
        assert_eq!(sides("peer1,peer3|peer2,peer4", &NAMES), Ok(vec![0, 1, 0, 1]));
    }

    #[test]
    fn sides_that_do_not_part_the_peers_are_refused() {
        assert_eq!(sides("peer1|peer2", &NAMES), Err(FaultSpecError::Left { peer: "peer3".into() }));
        assert_eq!(sides("all|rest", &NAMES), Err(FaultSpecError::OneSide));
        assert_eq!(sides("peer1|peer1|rest", &NAMES), Err(FaultSpecError::Twice { peer: "peer1".into() }));
        assert_eq!(sides("rest|rest", &NAMES), Err(FaultSpecError::Twice { peer: "rest".into() }));
        assert_eq!(sides("peer1|", &NAMES), Err(FaultSpecError::Empty { text: String::new() }));
    }
}
