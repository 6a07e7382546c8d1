//! A replica from its disk: in its view, with its orders, its votes and what it had prepared.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_ledger::Height;
use synod_machine::Key;

use super::log::{Body, Log, Opinion};
use super::params::Params;
use super::propose::Proposing;
use super::rejoin::Rejoining;
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
            garbage: Vec::new(),
            rejoining: None,
        };
        if replica.me.is_some() {
            replica.read(disk);
        }
        replica
    }

    /// Shelves come in order: the view and the marks first, then what is decided, the proposals, the votes.
    fn read(&mut self, disk: impl Iterator<Item = (Key, Record<P>)>) {
        let mut votes: Vec<Signed<PrePrepare>> = Vec::new();
        let mut kept: Vec<(Height, Key)> = Vec::new();
        for (key, record) in disk {
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
                Record::Decided(base) => {
                    kept.push((base.height, key));
                    self.log.at(base.height).decided = Some((base.id, base.certificate));
                }
                Record::Executed(base) => self.decided = base,
                Record::Prepared(prepared) => {
                    let height = prepared.order().height;
                    kept.push((height, key));
                    self.log.at(height).prepared = Some(prepared);
                }
                Record::Proposal(proposal) => {
                    let (height, id) = (proposal.height(), proposal.id());
                    kept.push((height, key));
                    let body = Body { proposal, opinion: Opinion::Open, is_stored: true };
                    self.log.at(height).bodies.insert(id, body);
                }
                Record::Rejoining(until) => self.rejoining = Some(Rejoining::new(until)),
                Record::Stable(height, id) => self.stable = (height, id),
                Record::Voted(order) => {
                    kept.push((order.body().0.height, key));
                    votes.push(order);
                }
            }
        }
        self.find_marks();
        // A crash between two writes leaves what a later one would have removed.
        self.log.truncate(self.stable.0);
        let passed = kept.into_iter().filter(|(height, _)| *height <= self.stable.0);
        self.garbage = passed.map(|(_, key)| key).collect();
        self.install_orders();
        self.read_votes(votes);
        self.read_checkpoints();
        self.watching = Watching::new(self.view, self.decided.height);
    }

    /// What is executed is decided, and so is what was told after it. If the log does not reach down to the last stable
    /// checkpoint, the owner had got further on its own, and the low watermark had moved with it.
    fn find_marks(&mut self) {
        self.executed = self.decided.height;
        let executed = (self.decided.height, self.decided.id);
        let is_whole = (self.stable.0.0 + 1..=executed.0.0)
            .all(|height| self.log.get(Height(height)).is_some_and(|slot| slot.decided.is_some()));
        if !is_whole {
            self.stable = executed;
        }
        while let Some(slot) = self.log.get(self.decided.height.next())
            && let Some((id, certificate)) = slot.decided.clone()
            && slot.bodies.contains_key(&id)
        {
            self.decided = Base { height: self.decided.height.next(), id, certificate };
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
