//! What a search must find, judged from outside: by the links as they are and by what everybody shares, with the plainest
//! algorithms, and never by asking the machines.

use std::collections::{BTreeSet, VecDeque};

use synod_dht::Node;
use synod_dht::search::Question;
use synod_machine::{Bytes, PeerId};
use synod_sim::NetOf;

use super::{Ask, Crowd, Mode};

/// Somebody has something.
pub(super) type Having = (PeerId, Bytes<32>);

/// Everybody within so many hops of a peer, itself not among them. `next` gives the way on.
pub(super) fn reach(from: PeerId, hops: u32, mut next: impl FnMut(PeerId) -> Vec<PeerId>) -> BTreeSet<PeerId> {
    let (mut met, mut queue) = (BTreeSet::from([from]), VecDeque::from([(from, 0)]));
    while let Some((peer, far)) = queue.pop_front() {
        if far == hops {
            continue;
        }
        for other in next(peer) {
            if met.insert(other) {
                queue.push_back((other, far + 1));
            }
        }
    }
    met.remove(&from);
    met
}

/// What these peers share that answers the question.
pub(super) fn answers<M: Mode, F: FnMut(Node) -> M::Params>(
    crowd: &Crowd<M, F>,
    peers: impl IntoIterator<Item = PeerId>,
    question: &Question,
) -> BTreeSet<Having> {
    let of = |peer| crowd.shared(peer).filter(|item| question.is_answered_by(item)).map(move |item| (peer, item.hash));
    peers.into_iter().flat_map(of).collect()
}

/// What a search found.
pub(super) fn found(ask: &Ask) -> BTreeSet<Having> {
    ask.hits.iter().map(|told| (told.holder, told.hash)).collect()
}

/// A request of a peer that was up all the time has ended, once, with as many hits as it says.
pub(super) fn ended<M: Mode, F: FnMut(Node) -> M::Params>(
    crowd: &Crowd<M, F>,
    net: &NetOf<Crowd<M, F>>,
    number: usize,
) -> Result<(), String> {
    let ask = &crowd.asks()[number];
    if ask.surplus > 0 {
        return Err(format!("search {number} of {:?} went on after its end", ask.peer));
    }
    let told = ask.hits.len();
    if found(ask).len() < told {
        return Err(format!("search {number} of {:?} told a hit twice", ask.peer));
    }
    match &ask.ended {
        Some((_, _, Ok(hits))) if usize::from(*hits) != told => {
            Err(format!("search {number} of {:?} says {hits} hits and told {told}", ask.peer))
        }
        Some((_, _, Err(failure))) if told > 0 => {
            Err(format!("search {number} of {:?} found {told} and failed: {failure}", ask.peer))
        }
        None if net.is_up(ask.peer) && crowd.lives(ask.peer) == ask.life => {
            Err(format!("search {number} of {:?} has no end", ask.peer))
        }
        None | Some(_) => Ok(()),
    }
}
