//! Which chains end where: kept up to date with every change, so that the best one is known without a search.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{BlockTree, NEVER, Node, Place, ROOT, Status};
use crate::U256;

/// By which number the first among equals is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbering {
    /// That of the headers, as they came.
    Arrival,
    /// That of the chains of bodies, as they became complete.
    Completion,
}

/// The ends of some chains, the best one last: the most weight, and among equals the lowest number. There is one as a
/// rule, so that it stands by itself.
#[derive(Clone, Debug)]
pub(super) struct Tips {
    numbering: Numbering,
    best: Option<Place>,
    others: Vec<Place>,
}

impl Tips {
    /// Those of a new tree: its root.
    pub(super) const fn new(numbering: Numbering) -> Self {
        Self { numbering, best: Some(ROOT), others: Vec::new() }
    }

    /// Puts a node in, unless it is there.
    pub(super) fn add(&mut self, nodes: &[Node], place: Place) {
        let Some(best) = self.best else {
            self.best = Some(place);
            return;
        };
        if best == place {
            return;
        }
        let better = self.rank(nodes, place) > self.rank(nodes, best);
        self.best = Some(if better { place } else { best });
        let other = if better { best } else { place };
        if let Err(at) = self.find(nodes, other) {
            self.others.insert(at, other);
        }
    }

    /// Takes a node out, if it is there.
    pub(super) fn remove(&mut self, nodes: &[Node], place: Place) {
        if self.best == Some(place) {
            self.best = self.others.pop();
        } else if let Ok(at) = self.find(nodes, place) {
            self.others.remove(at);
        }
    }

    pub(super) fn best(&self) -> Place {
        self.best.unwrap_or(ROOT)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.best.into_iter().chain(self.others.iter().rev().copied())
    }

    /// Where it is, or else would be, among the others.
    fn find(&self, nodes: &[Node], place: Place) -> Result<usize, usize> {
        let rank = self.rank(nodes, place);
        self.others.binary_search_by_key(&rank, |&other| self.rank(nodes, other))
    }

    /// No two nodes have one number, so that no two of a list are equal.
    fn rank(&self, nodes: &[Node], place: Place) -> (U256, Reverse<u64>) {
        let node = &nodes[place.index()];
        let number = match self.numbering {
            Numbering::Arrival => node.arrival,
            Numbering::Completion => node.completed,
        };
        (node.weight, Reverse(number))
    }
}

impl BlockTree {
    /// Numbers a node whose chain of bodies became complete, and the descendants that only waited for it.
    pub(super) fn complete_from(&mut self, first: Place) {
        let (mut next, mut open) = (Some(first), Vec::new());
        while let Some(place) = next.take().or_else(|| open.pop()) {
            let node = self.at(place);
            let has_body = matches!(node.status, Status::Body | Status::Valid);
            let parent = node.parent;
            if !has_body || node.completed != NEVER || self.at(parent).completed == NEVER {
                continue;
            }
            self.nodes[place.index()].completed = self.completions;
            self.completions += 1;
            // The last one is taken first: siblings are numbered in the order they came.
            let start = open.len();
            open.extend(self.children_of(place));
            open[start..].reverse();
            self.body_tips.remove(&self.nodes, parent);
            self.body_tips.add(&self.nodes, place);
        }
    }

    /// Makes a node the end of chains again after what built on it became invalid.
    pub(super) fn expose(&mut self, place: Place) {
        let node = self.at(place);
        if node.status == Status::Invalid {
            return;
        }
        let is_complete = node.completed != NEVER;
        let (mut has_child, mut has_complete_child) = (false, false);
        for child in self.children_of(place).map(|child| self.at(child)) {
            let is_live = child.status != Status::Invalid;
            has_child |= is_live;
            has_complete_child |= is_live && child.completed != NEVER;
        }
        if !has_child {
            self.header_tips.add(&self.nodes, place);
        }
        if is_complete && !has_complete_child {
            self.body_tips.add(&self.nodes, place);
        }
    }
}
