//! A validator that lost its disk does not know what it has voted for. It follows, and is silent until nothing that it may
//! have said concerns what is still open; to the others it is one that is down, and counts among the f.
//!
//! How far that reaches: every vote of ours was for a height at most [`DEPTH_MAX`] above a block d whose certificate we
//! had. Of the q that committed d, those that are not we and not faulty have d prepared on their disks, so at most
//! [`DEPTH_MAX`] above what they know to be decided. We ask for signed marks of what is decided, with certificates, so that
//! a liar cannot name a height too high, and with a number drawn at this start, so that nobody can show an old one. Of
//! n + f + 1 − q other validators, more than f are among those q, and so one honest one at least. So the highest
//! mark and twice [`DEPTH_MAX`] is a height above which we have never voted. (The paper lets a replica that recovers estimate
//! its high watermark from 2f + 1 replies, TOCS 2002, section 4.3.2, for the same reason.)

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synod_ledger::{ChainId, Height, digest};
use synod_machine::{Bytes, Out, PeerId, Reject};

use super::choice::DEPTH_MAX;
use super::signed::{Signed, Statement};
use super::types::{Base, Proposal, Rules, ValidatorId};
use super::{Agreement, Message, Record};

/// What is decided, said to one who asked with this number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The question's number.
    pub salt: u64,
    /// What is decided, with its proof.
    pub base: Base,
}

impl Statement for Mark {
    fn digest(&self, chain: ChainId) -> Bytes<32> {
        digest("mark", &(chain, self))
    }

    fn holds(&self, _: ValidatorId, rules: &Rules) -> Result<(), Reject> {
        if self.base.holds(rules) { Ok(()) } else { Err(Reject::VoteCertificate) }
    }
}

/// A replica on its way back.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejoining {
    marks: BTreeMap<ValidatorId, Height>,
    /// It may vote when this is decided.
    until: Option<Height>,
}

impl Rejoining {
    pub(super) const fn new(until: Option<Height>) -> Self {
        Self { marks: BTreeMap::new(), until }
    }

    /// Whether it still asks.
    pub(super) const fn asks(&self) -> bool {
        self.until.is_none()
    }
}

impl<P: Proposal> Agreement<P> {
    /// The height that must be decided before this replica votes again, if it lost its disk and knows that height.
    pub fn silent_until(&self) -> Option<Height> {
        self.rejoining.as_ref().and_then(|rejoining| rejoining.until)
    }

    /// Whether it must not vote.
    pub(super) const fn is_silent(&self) -> bool {
        self.rejoining.is_some()
    }

    /// Asks a peer where the chain is.
    pub(super) fn ask_mark(&self, peer: PeerId, out: &mut Out<Self>) {
        if self.rejoining.as_ref().is_some_and(Rejoining::asks) {
            out.send(peer, Message::Recall { salt: self.salt });
        }
    }

    pub(super) fn on_recall(&self, from: PeerId, salt: u64, out: &mut Out<Self>) {
        if !self.is_silent() {
            let mark = self.sign(Mark { salt, base: self.decided.clone() });
            out.send(from, Message::Mark(mark));
        }
    }

    pub(super) fn on_mark(&mut self, from: PeerId, mark: &Signed<Mark>, out: &mut Out<Self>) {
        let is_asked = self.rejoining.as_ref().is_some_and(Rejoining::asks) && mark.body().salt == self.salt;
        if !is_asked || self.is_mine(mark.by()) {
            return;
        }
        if let Err(reason) = mark.check(&self.rules) {
            return out.reject(from, reason);
        }
        let base = mark.body().base.clone();
        let validators = &self.rules.validators;
        let enough = validators.count() + validators.honest() - validators.quorum();
        let Some(rejoining) = &mut self.rejoining else { return };
        rejoining.marks.insert(mark.by(), base.height);
        if rejoining.marks.len() >= enough {
            let highest = rejoining.marks.values().copied().max().unwrap_or_default();
            let until = Height(highest.0 + 2 * DEPTH_MAX);
            rejoining.until = Some(until);
            out.persist(Record::<P>::REJOINING, Record::Rejoining(Some(until)));
        }
        self.note_ahead(base, out);
    }

    /// Takes part again once everything that it may have voted for is decided.
    pub(super) fn rejoin(&mut self, out: &mut Out<Self>) {
        if self.silent_until().is_some_and(|until| self.decided.height >= until) {
            self.rejoining = None;
            out.forget(Record::<P>::REJOINING);
        }
    }
}
