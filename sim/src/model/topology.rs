//! The graphs that a scenario names: complete, ring, random regular, scale-free, or listed in a file.

mod file;
mod regular;

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_machine::Rng;

use super::graph::check_links;
use super::{Graph, ModelError};

/// Who has a link to whom when a run begins. Every topology is connected and has one link at most between two peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Topology {
    /// Everybody with everybody: committees, and networks of up to ten thousand peers.
    Complete {},
    /// The links that a text file lists: two peers' numbers a line, from 0, as `0 17`; `#` begins a comment.
    File {
        /// The file, relative to the scenario's own folder.
        path: String,
    },
    /// Peers drawn at random, each with exactly `degree` links: the overlay of peers that choose their neighbours without a
    /// preference.
    RandomRegular {
        /// Links of each peer: at least 2 (or 1 with two peers), less than the number of peers; one of the two is even.
        degree: u32,
    },
    /// Peers in a circle, each with links to its nearest on both sides.
    Ring {
        /// How many on each side, at least 1. Twice as many links per peer, all of them different.
        neighbours: u32,
    },
    /// Preferential attachment (Barabási and Albert 1999, "Emergence of scaling in random networks"): each new peer links to
    /// older ones with a chance proportional to the links they have, so that few have very many.
    ScaleFree {
        /// Links that each new peer makes, at least 1. The first peers, one more than this, are all linked with each other.
        links: u32,
    },
}

impl Topology {
    /// The graph of `peers` peers. `read` gives the text of a file that the topology names, and is called for no other kind.
    pub fn build(
        &self,
        peers: u32,
        rng: &mut Rng,
        read: impl FnOnce(&str) -> io::Result<String>,
    ) -> Result<Graph, ModelError> {
        if peers == 0 {
            return Err(ModelError::value("peers", "at least 1", peers));
        }
        match self {
            Self::Complete {} => {
                check_links(u64::from(peers) * u64::from(peers - 1) / 2, "peers")?;
                Ok(complete(peers))
            }
            Self::File { path } => {
                let text = read(path).map_err(|error| file_error(path, &error))?;
                file::parse(&text, peers).map_err(|error| file_error(path, &error))
            }
            &Self::RandomRegular { degree } => regular::build(peers, degree, rng),
            &Self::Ring { neighbours } => ring(peers, neighbours),
            &Self::ScaleFree { links } => scale_free(peers, links, rng),
        }
    }
}

pub(super) fn file_error(path: &str, reason: &impl ToString) -> ModelError {
    ModelError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn complete(peers: u32) -> Graph {
    let links: Vec<_> = (0..peers).flat_map(|a| (a + 1..peers).map(move |b| (a, b))).collect();
    Graph::new(peers, &links)
}

fn ring(peers: u32, neighbours: u32) -> Result<Graph, ModelError> {
    let most = (peers - 1) / 2;
    if !(1..=most).contains(&neighbours) {
        let expected = format!("from 1 to {most} on each side of {peers} peers");
        return Err(ModelError::value("neighbours", expected, neighbours));
    }
    check_links(u64::from(peers) * u64::from(neighbours), "neighbours")?;
    let next = |peer: u32, step: u32| ((u64::from(peer) + u64::from(step)) % u64::from(peers)) as u32;
    let links: Vec<_> = (0..peers).flat_map(|a| (1..=neighbours).map(move |step| (a, next(a, step)))).collect();
    Ok(Graph::new(peers, &links))
}

fn scale_free(peers: u32, fresh: u32, rng: &mut Rng) -> Result<Graph, ModelError> {
    if !(1..peers).contains(&fresh) {
        let expected = format!("at least 1 and fewer than the {peers} peers");
        return Err(ModelError::value("links", expected, fresh));
    }
    check_links(u64::from(peers) * u64::from(fresh), "links")?;
    let mut links: Vec<_> = (0..=fresh).flat_map(|a| (a + 1..=fresh).map(move |b| (a, b))).collect();
    // Every link has two ends, so that a random end is a peer with a chance proportional to its links.
    let mut ends: Vec<u32> = links.iter().flat_map(|&(a, b)| [a, b]).collect();
    let mut chosen = Vec::new();
    for peer in fresh + 1..peers {
        chosen.clear();
        while chosen.len() < fresh as usize {
            let other = *rng.pick(&ends).expect("the first peers are linked");
            if !chosen.contains(&other) {
                chosen.push(other);
            }
        }
        for &other in &chosen {
            links.push((peer, other));
            ends.extend([peer, other]);
        }
    }
    Ok(Graph::new(peers, &links))
}

#[cfg(test)]
mod tests;
