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
pub(super) fn find_violation(chain: &Chain, tree: &BlockTree) -> Option<Violation> {
    chain.agreed()?;
    tree.iter().find_map(|node| {
        let mut children = tree.children(&node.id()).map(|child| (child.arrival(), child.shared_header().clone()));
        let (one, next) = (children.next()?, children.next()?);
        let (first, second) = if one.0 < next.0 { (one.1, next.1) } else { (next.1, one.1) };
        Some(Violation { height: first.height, headers: [first, second] })
    })
}

impl Replica {
    /// What this replica stopped at, if it did: two certified blocks of one height.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_deref()
    }

    /// Whether it goes no further.
    pub(super) const fn is_halted(&self) -> bool {
        self.violation.is_some()
    }

    /// Looks whether a header that just came into the tree has a rival there.
    pub(super) fn look_for_rival(&mut self, place: Place, out: &mut Out<Self>) {
        let node = self.tree.at(place);
        let rival = self.tree.children_of(node.parent()).find(|other| *other != place);
        let Some(rival) = rival.filter(|_| self.chain.agreed().is_some()) else { return };
        let headers = [rival, place].map(|place| self.tree.at(place).shared_header().clone());
        self.violation = Some(Violation { height: node.height(), headers }.into());
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
