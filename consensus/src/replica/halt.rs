//! Two blocks of one height, each with the votes of a quorum: more than f validators are faulty, and what validators say
//! is worth nothing from here on (Castro and Liskov 1999, section 3: it is safe with f faulty ones at most).
//!
//! A replica that sees it keeps both headers, which prove it to anybody who knows the genesis, tells its owner and its
//! neighbours, and goes no further: it votes for nothing, takes nothing in, and acknowledges nothing. It answers what others
//! ask, so that they see it too. Nothing but another chain helps, so that this outlasts a restart.

use synod_ledger::{BlockTree, Height, Place, SharedHeader};
use synod_machine::Out;

use super::{Event, Replica};
use crate::{Chain, Message};

/// Two certified blocks of one height.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The height.
    pub height: Height,
    /// Their headers with the certificates: the one that was known first, and the other.
    pub headers: [SharedHeader; 2],
}

/// The violation that a tree shows, where validators agree. Until there is one, each block has one child at most.
pub(crate) fn find_violation(chain: &Chain, tree: &BlockTree) -> Option<Violation> {
    chain.agreed()?;
    tree.iter().find_map(|node| {
        let mut children = tree.children(&node.id()).map(|child| (child.arrival(), child.shared_header().clone()));
        let (one, next) = (children.next()?, children.next()?);
        let (first, second) = if one.0 < next.0 { (one.1, next.1) } else { (next.1, one.1) };
        Some(Violation { height: first.height, headers: [first, second] })
    })
}

/// The violation that a header shows which just came into the tree: it has a rival there.
pub(crate) fn rivalry(chain: &Chain, tree: &BlockTree, place: Place) -> Option<Violation> {
    chain.agreed()?;
    let node = tree.at(place);
    let rival = tree.children_of(node.parent()).find(|other| *other != place)?;
    let headers = [rival, place].map(|place| tree.at(place).shared_header().clone());
    Some(Violation { height: node.height(), headers })
}

impl Replica {
    /// What this replica stopped at, if it did: two certified blocks of one height.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_deref()
    }

    /// Goes no further.
    pub(super) fn stop(&mut self, violation: Violation, out: &mut Out<Self>) {
        self.violation = Some(violation.into());
        self.tell_violation(out);
        // Whoever has the other block does not know that it is another.
        out.broadcast(self.links.peers(), Message::Tip(self.own_claim()));
    }

    pub(super) fn tell_violation(&self, out: &mut Out<Self>) {
        if let Some(violation) = &self.violation {
            out.emit(Event::Violation(violation.clone()));
        }
    }
}
