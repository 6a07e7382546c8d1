//! A replica from its disk: in its view, with its orders, its votes and what it had prepared.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_ledger::Height;
use synod_machine::Key;

use super::log::{Body, Log, Opinion};
use super::params::Params;
use super::propose::Proposing;
use super::statement::{Checkpoint, Commit, PrePrepare, Prepare};
use super::types::{Base, Identity, Proposal, View};
use super::watch::Watching;
use super::{Agreement, Record, Signed, Stage};

impl<P: Proposal> Agreement<P> {
    pub(super) fn from_disk(params: Params, disk: impl Iterator<Item = (Key, Record<P>)>) -> Self {
        let Params { rules, settings, secret, salt } = params;
        assert!(settings.are_sound(), "settings are checked with the genesis");
        let genesis = Base::genesis(rules.genesis);
        let mut replica = Self {
            me: secret.and_then(|secret| Identity::of(&secret, &rules.validators)),
            view: View::FIRST,
            stage: Stage::Active,
            new_view: None,
            changes: BTreeMap::new(),
            log: Log::new(),
            stable: (Height::GENESIS, genesis.id),
            executed: Height::GENESIS,
            decided: genesis,
            checkpoints: BTreeMap::new(),
            ahead: None,
            seen: BTreeMap::new(),
            caught: BTreeSet::new(),
            early: BTreeMap::new(),
            links: BTreeMap::new(),
            proposing: Proposing::default(),
            watching: Watching::new(View::FIRST, Height::GENESIS),
            rules,
            settings,
            salt,
        };
        if replica.me.is_some() {
            replica.read(disk);
        }
        replica
    }

    /// Shelves come in order: the view and the marks first, then what is decided, the proposals, the votes.
    fn read(&mut self, disk: impl Iterator<Item = (Key, Record<P>)>) {
        let mut votes: Vec<Signed<PrePrepare>> = Vec::new();
        for (_, record) in disk {
            match record {
                Record::Active(new_view) => {
                    self.view = new_view.body().view;
                    self.new_view = Some(new_view);
                }
                Record::Changing(change) => {
                    self.view = change.body().view;
                    self.stage = Stage::Changing;
                    self.changes.insert(change.by(), change);
                }
                Record::Decided(base) => self.read_decided(base),
                Record::Executed(height, _) => self.executed = height,
                Record::Prepared(prepared) => {
                    let height = prepared.order().height;
                    self.log.at(height).prepared = Some(prepared);
                }
                Record::Proposal(proposal) => {
                    let (height, id) = (proposal.height(), proposal.id());
                    let body = Body { proposal, opinion: Opinion::Open, is_stored: true };
                    self.log.at(height).bodies.insert(id, body);
                }
                Record::Stable(height, id) => self.stable = (height, id),
                Record::Voted(order) => votes.push(order),
            }
        }
        // A crash between two writes leaves what a later one would have removed.
        self.log.truncate(self.stable.0);
        self.install_orders();
        self.read_votes(votes);
        self.read_checkpoints();
        self.watching = Watching::new(self.view, self.decided.height);
    }

    fn read_decided(&mut self, base: Base) {
        let is_last = base.height > self.decided.height;
        self.log.at(base.height).decided = Some((base.id, base.certificate.clone()));
        if is_last {
            self.decided = base;
        }
    }

    /// The same key and statement give the same signature: votes of the current view come back as they were sent.
    fn read_votes(&mut self, votes: Vec<Signed<PrePrepare>>) {
        let is_primary = self.is_primary();
        for order in votes {
            let said = order.body().0;
            let is_current = said.view == self.view && self.stage == Stage::Active;
            if !is_current || said.height <= self.decided.height {
                continue;
            }
            let prepare = (!is_primary).then(|| self.sign(Prepare(said)));
            let slot = self.log.at(said.height);
            slot.order = Some(order);
            slot.is_voted = true;
            if let Some(body) = slot.bodies.get_mut(&said.id) {
                body.opinion = Opinion::Open; // The owner judges it again, to know what its children build on.
            }
            if let Some(prepare) = prepare {
                slot.prepares.insert(prepare.by(), prepare);
            }
        }
        let prepared = self.log.above(self.decided.height).filter_map(|(_, slot)| slot.prepared.clone());
        for prepared in prepared.collect::<Vec<_>>() {
            let order = *prepared.order();
            if order.view == self.view {
                let commit = self.sign(Commit { view: order.view, height: order.height, id: order.id });
                self.log.at(order.height).commits.insert(commit.by(), commit);
            }
        }
    }

    fn read_checkpoints(&mut self) {
        let interval = self.settings.checkpoint_interval;
        let executed = self.executed;
        let above = self.log.above(self.stable.0).filter(|(height, _)| *height <= executed && height.0 % interval == 0);
        let decided = above.filter_map(|(height, slot)| slot.decided.as_ref().map(|(id, _)| (height, *id)));
        let mut made: Vec<_> = decided.collect();
        if self.stable.0 > Height::GENESIS {
            made.push(self.stable);
        }
        for (height, id) in made {
            let checkpoint = self.sign(Checkpoint { height, id });
            self.checkpoints.entry(checkpoint.by()).or_default().insert(height, checkpoint);
        }
    }
}
