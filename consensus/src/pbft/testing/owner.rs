//! A toy of an owner: it executes numbered requests, each once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use std::vec;

use synod_ledger::{BlockId, Height, digest};

use super::{GENESIS, Toy};
use crate::pbft::{Command, Proposal};

#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// What is executed; it is on disk.
    pub(crate) chain: Vec<Toy>,
    done: BTreeSet<u32>,
    /// Requests that are not executed, oldest first.
    pub(crate) waiting: VecDeque<u32>,
    /// Proposals that were made or found valid here, above the chain.
    known: BTreeMap<BlockId, Toy>,
    /// The last proposal made here in this view.
    last: Option<BlockId>,
    /// What this owner leaves out of its proposals.
    pub(crate) censored: BTreeSet<u32>,
    /// Whether its proposals are invalid.
    pub(crate) spoils: bool,
}

impl Owner {
    fn tip(&self) -> BlockId {
        self.chain.last().map_or(GENESIS, Toy::id)
    }

    pub(crate) fn has_executed(&self, request: u32) -> bool {
        self.done.contains(&request)
    }

    pub(crate) fn start(&mut self) -> Vec<Command<Toy>> {
        self.known.clear();
        self.last = None;
        self.report()
    }

    pub(crate) fn add(&mut self, request: u32) -> bool {
        let is_new = !self.done.contains(&request) && !self.waiting.contains(&request);
        if is_new {
            self.waiting.push_back(request);
        }
        is_new
    }

    pub(crate) fn enter(&mut self) -> Vec<Command<Toy>> {
        self.last = None;
        self.report()
    }

    pub(crate) fn report(&self) -> Vec<Command<Toy>> {
        let oldest = self.waiting.front().map(|request| digest("request", request));
        vec![Command::Requests { pending: self.pending(), oldest }]
    }

    pub(crate) fn pending(&self) -> u32 {
        let under_way = self.last.and_then(|last| self.under_way(last)).unwrap_or_default();
        self.open(&under_way).count() as u32
    }

    fn open<'a>(&'a self, under_way: &'a BTreeSet<u32>) -> impl Iterator<Item = u32> + 'a {
        let is_open = |request: &u32| !under_way.contains(request) && !self.censored.contains(request);
        self.waiting.iter().copied().filter(is_open)
    }

    /// The requests between the chain and a proposal, if that continues the chain.
    fn under_way(&self, mut id: BlockId) -> Option<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        while id != self.tip() {
            let toy = self.known.get(&id)?;
            found.extend(toy.requests.iter().copied());
            id = toy.parent;
        }
        Some(found)
    }

    pub(crate) fn propose(&mut self, height: Height, parent: BlockId, most: usize, salt: u32) -> Vec<Command<Toy>> {
        let Some(under_way) = self.under_way(parent) else { return vec![Command::Propose(None)] };
        let requests: Vec<u32> = self.open(&under_way).take(most).collect();
        if requests.is_empty() {
            return vec![Command::Propose(None)];
        }
        let toy = Toy { height, parent, requests, salt, is_valid: !self.spoils };
        self.known.insert(toy.id(), toy.clone());
        self.last = Some(toy.id());
        let mut commands = vec![Command::Propose(Some(toy))];
        commands.extend(self.report());
        commands
    }

    pub(crate) fn validate(&mut self, toy: &Toy) -> Vec<Command<Toy>> {
        let id = toy.id();
        let is_fresh = |under_way: BTreeSet<u32>| {
            toy.requests.iter().all(|request| !under_way.contains(request) && !self.done.contains(request))
        };
        let is_valid = toy.is_valid && self.under_way(toy.parent).is_some_and(is_fresh);
        if !is_valid && std::env::var("SYNOD_PBFT_TRACE").is_ok() {
            std::println!("invalid {toy:?} {id} tip {} {}: {:?}", self.chain.len(), self.tip(), self.known);
        }
        if is_valid {
            self.known.insert(id, toy.clone());
        }
        vec![Command::Validated { id, is_valid }]
    }

    pub(crate) fn commit(&mut self, toy: Toy) -> Vec<Command<Toy>> {
        let (height, id) = (toy.height, toy.id());
        if height.0 as usize <= self.chain.len() {
            assert_eq!(self.chain[height.0 as usize - 1].id(), id, "what is told again is what was told");
            return vec![Command::Executed { height, id }];
        }
        assert_eq!(height.0 as usize, self.chain.len() + 1, "decisions come in order");
        assert_eq!(toy.parent, self.tip(), "decisions continue each other");
        self.execute(toy);
        let mut commands = vec![Command::Executed { height, id }];
        commands.extend(self.report());
        commands
    }

    fn execute(&mut self, toy: Toy) {
        for request in &toy.requests {
            assert!(self.done.insert(*request), "request {request} is executed once");
        }
        self.waiting.retain(|request| !toy.requests.contains(request));
        self.chain.push(toy);
        let tip = Height(self.chain.len() as u64);
        self.known.retain(|_, known| known.height >= tip);
    }

    pub(crate) fn adopt(&mut self, chain: &[Toy]) -> Vec<Command<Toy>> {
        for toy in &chain[self.chain.len()..] {
            assert_eq!(toy.parent, self.tip(), "what is adopted continues what is here");
            self.execute(toy.clone());
        }
        self.report()
    }

    /// The disk is lost.
    pub(crate) fn lose(&mut self) {
        *self = Self { censored: core::mem::take(&mut self.censored), ..Self::default() };
    }
}
