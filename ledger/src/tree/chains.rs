//! Which chains end where: kept up to date with every change, so that the best one is known without a search.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;

use super::{BlockTree, Node, Place, ROOT, Status};
use crate::U256;

/// The ends of some chains, best first: the most weight, and among equals the lowest number.
#[derive(Clone, Debug, Default)]
pub(super) struct Tips(BTreeSet<(Reverse<U256>, u64, Place)>);

impl Tips {
    pub(super) fn add(&mut self, weight: U256, number: u64, place: Place) {
        self.0.insert((Reverse(weight), number, place));
    }

    /// Takes a node out, if it is there; `number` is what it was added with.
    pub(super) fn remove(&mut self, node: &Node, place: Place, number: impl Fn(&Node) -> Option<u64>) {
        if let Some(number) = number(node) {
            self.0.remove(&(Reverse(node.weight), number, place));
        }
    }

    pub(super) fn best(&self) -> Place {
        self.0.first().map_or(ROOT, |&(_, _, place)| place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.iter().map(|&(_, _, place)| place)
    }
}

impl BlockTree {
    /// Numbers a node whose chain of bodies became complete, and the descendants that only waited for it.
    pub(super) fn complete_from(&mut self, first: Place) {
        let mut open = alloc::vec![first];
        while let Some(place) = open.pop() {
            let node = self.node(place);
            let has_body = matches!(node.status, Status::Body | Status::Valid);
            let parent = node.parent;
            if !has_body || node.completed.is_some() || self.node(parent).completed.is_none() {
                continue;
            }
            let number = self.completions;
            self.completions += 1;
            let node = &mut self.nodes[place as usize];
            node.completed = Some(number);
            let weight = node.weight;
            // The last one is taken first: siblings are numbered in the order they came.
            open.extend(node.children.iter().rev());
            self.body_tips.remove(&self.nodes[parent as usize], parent, |node| node.completed);
            self.body_tips.add(weight, number, place);
        }
    }

    /// Makes a node the end of chains again after what built on it became invalid.
    pub(super) fn expose(&mut self, place: Place) {
        let node = self.node(place);
        if node.status == Status::Invalid {
            return;
        }
        let (weight, arrival, completed) = (node.weight, node.arrival, node.completed);
        let mut live =
            node.children.iter().map(|&child| self.node(child)).filter(|child| child.status != Status::Invalid);
        let (mut has_child, mut has_complete_child) = (false, false);
        for child in live.by_ref() {
            has_child = true;
            has_complete_child |= child.completed.is_some();
        }
        if !has_child {
            self.header_tips.add(weight, arrival, place);
        }
        if let Some(number) = completed.filter(|_| !has_complete_child) {
            self.body_tips.add(weight, number, place);
        }
    }
}
