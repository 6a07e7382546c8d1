//! Practical Byzantine fault tolerance (Castro and Liskov, OSDI '99; TOCS 20(4), 2002): replicas agree on one chain of
//! proposals as long as at most f = ⌊(n − 1) / 3⌋ of them are faulty.
//!
//! [`Agreement`] is the paper's replica without its service: a proposal is a value with a name, a parent and a height
//! ([`Proposal`]), and what it means is the owner's business, who makes proposals, judges and executes them. Names are
//! the paper's. Four things differ from it, and each is argued where it is done:
//!
//! - *The digest is the block's id, and the block names its parent.* So q COMMITs for one header are a certificate by
//!   which anybody sees that it is final, without a view or a log ([`Certificate`]).
//! - *Sequence numbers are chained.* A replica votes PREPARE for n only if the parent is decided or it has the parent
//!   prepared at n − 1 in the same view; several heights are in flight all the same, since an order may come long before
//!   its votes. What a view change leaves out was not committed, and there are no gaps for null requests
//!   (`choice::choose` has the proof).
//! - *A commit certificate is the C of a VIEW-CHANGE.* A certificate proves that q − f honest replicas at least have the
//!   block prepared on their disks, and there is one for each height, so that P is never longer than what is in flight.
//!   A *stable checkpoint* says more, that q replicas have executed: from there on nobody needs the log, and it
//!   moves the watermarks and the garbage collection, as in section 4.3.
//! - *All messages carry signatures* (as in OSDI '99, section 4; no MAC vectors), since certificates must convince others.
//!
//! *Votes outlive a crash.* Before a vote is sent, what it commits to is persisted; the host releases it after that. A
//! replica that comes back is in its view, with its orders, its votes and what it had prepared, so that it is to the
//! others one that was slow.
//!
//! *It is quiet.* In the fault-free case the messages of a height are n − 1 PRE-PREPARE, (n − 1)² PREPARE and n(n − 1)
//! COMMIT and nothing else but a CHECKPOINT every K heights. Lost messages are made up for by STATUS messages (TOCS 2002,
//! section 5.2), which only a replica sends that waits for something and sees no progress; what waits for long it has its owner
//! hand to all. When nothing waits, no timer is pending.

mod change;
mod checkpoint;
mod choice;
mod decide;
mod log;
mod message;
mod normal;
mod params;
mod propose;
mod record;
mod rejoin;
mod restore;
mod signed;
mod statement;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod types;
mod watch;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use synod_ledger::{BlockId, Certificate, Height};
use synod_machine::{Input, Key, Out, PeerId, Protocol, Time};

pub use self::choice::{DEPTH_MAX, NewView, ViewChange, choose};
use self::log::Log;
pub use self::message::{Message, PROOFS_BYTES_MAX, Status};
pub use self::params::{Params, Settings};
use self::propose::Proposing;
pub use self::record::{Record, SHELVES};
pub use self::rejoin::Mark;
use self::rejoin::Rejoining;
pub use self::signed::{Signed, Statement};
pub use self::statement::{Checkpoint, Commit, Evidence, Hello, Order, PrePrepare, Prepare, Prepared};
use self::status::Link;
pub use self::types::{
    Base, Identity, Proposal, RequestId, Rules, VALIDATORS_MAX, VALIDATORS_MIN, ValidatorId, Validators,
    ValidatorsError, View,
};
use self::watch::Watching;

/// What a replica's owner asks and answers.
#[derive(Clone, Debug)]
pub enum Command<P> {
    /// The owner has executed, and has on disk, everything up to this block of [`Event::Committed`].
    Executed {
        /// Up to where.
        height: Height,
        /// The block there.
        id: BlockId,
    },
    /// The answer to [`Event::WantProposal`]; nothing where nothing can be proposed, which is then asked again when the
    /// next [`Command::Requests`] comes. After it the owner says anew what waits.
    Propose(Option<P>),
    /// What waits, whenever it changes.
    Requests {
        /// Requests that are in no proposal of this view yet.
        pending: u32,
        /// The one that waits longest and is not executed. While it is the same one, time runs against the primary.
        oldest: Option<RequestId>,
    },
    /// The owner has executed, and has on disk, everything up to this block, which it got and verified on its own. It
    /// says so after every start too, since it may have written more than we had when we crashed.
    Synced(Base),
    /// The answer to [`Event::Validate`].
    Validated {
        /// The proposal.
        id: BlockId,
        /// Whether it may follow its parent.
        is_valid: bool,
    },
}

/// What a replica's owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<P> {
    /// Others have decided this, and what lies between is not to be had here: fetch it, and say [`Command::Synced`].
    Behind(Base),
    /// This is final: execute it, and say [`Command::Executed`]. Strictly in height order; after a restart, what was
    /// not said to be executed comes again.
    Committed {
        /// What is decided.
        proposal: P,
        /// The proof.
        certificate: Certificate,
    },
    /// A validator said two things of which an honest one says one at most.
    Evidence(Evidence),
    /// This request waits longest, and for long. Perhaps nobody else knows of it: hand it to all validators.
    Overdue(RequestId),
    /// A view has started.
    Primary {
        /// The view.
        view: View,
        /// Its primary.
        validator: ValidatorId,
    },
    /// May this follow its parent? Answer with [`Command::Validated`]. It is asked about a child after its parent.
    Validate(P),
    /// We are the primary: make a proposal, and answer with [`Command::Propose`].
    WantProposal {
        /// The view.
        view: View,
        /// Its height.
        height: Height,
        /// Its parent, which is decided, or was proposed or found valid here.
        parent: BlockId,
    },
}

/// A replica's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Requests have waited for a batch long enough.
    Batch,
    /// Nothing happened: say what we have.
    Resend,
    /// The primary is too slow.
    View,
}

/// Whether a replica takes part in its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It does.
    Active,
    /// It waits for the new view.
    Changing,
}

/// The machine. See the module's page.
#[derive(Clone, Debug)]
pub struct Agreement<P: Proposal> {
    rules: Rules,
    settings: Settings,
    /// Who we are; an observer is nobody and silent.
    me: Option<Identity>,
    view: View,
    stage: Stage,
    /// What started the view; the first view needs nothing.
    new_view: Option<Signed<NewView>>,
    /// The newest view change of each validator.
    changes: BTreeMap<ValidatorId, Signed<ViewChange>>,
    log: Log<P>,
    /// Up to where decisions were told.
    decided: Base,
    /// Up to where the owner has executed.
    executed: Height,
    /// The last stable checkpoint: the low watermark.
    stable: (Height, BlockId),
    /// The newest checkpoints of each validator.
    checkpoints: BTreeMap<ValidatorId, BTreeMap<Height, Signed<Checkpoint>>>,
    /// The highest decision that we know of and could not tell.
    ahead: Option<Base>,
    /// The last vote seen of each validator.
    seen: BTreeMap<ValidatorId, (View, Height)>,
    /// Who was caught, where: one piece of evidence for each.
    caught: BTreeSet<(Height, ValidatorId)>,
    /// Orders of the view after ours that came before it started.
    early: BTreeMap<Height, (Signed<PrePrepare>, P)>,
    links: BTreeMap<PeerId, Link>,
    /// Drawn once per start.
    salt: u64,
    /// Records that a crash left behind.
    garbage: Vec<Key>,
    /// The disk was lost, and it does not vote yet.
    rejoining: Option<Rejoining>,
    proposing: Proposing,
    watching: Watching,
}

impl<P: Proposal> Agreement<P> {
    /// The view that it is in, or moves to.
    pub const fn view(&self) -> View {
        self.view
    }

    /// Whether it takes part in its view.
    pub fn is_active(&self) -> bool {
        self.stage == Stage::Active
    }

    /// Whether it is its view's primary.
    pub fn is_primary(&self) -> bool {
        self.my_id() == Some(self.rules.validators.primary(self.view))
    }

    /// The last decision that was told, and its proof.
    pub const fn decided(&self) -> &Base {
        &self.decided
    }

    /// Up to where the owner has executed.
    pub const fn executed(&self) -> Height {
        self.executed
    }

    /// h, the low watermark: the last stable checkpoint.
    pub const fn stable(&self) -> Height {
        self.stable.0
    }

    /// H, the high watermark: orders and votes above it are not taken.
    pub const fn high(&self) -> Height {
        Height(self.stable.0.0.saturating_add(self.settings.window))
    }

    /// Who it is, if it is a validator.
    pub fn my_id(&self) -> Option<ValidatorId> {
        self.me.as_ref().map(|me| me.id)
    }

    /// The chain and its validators.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What started the view that it takes part in; the first view needs nothing.
    pub const fn new_view(&self) -> Option<&Signed<NewView>> {
        self.new_view.as_ref()
    }

    /// A proposal, decided or not, that is in the log: for an owner that serves blocks.
    pub fn proposal(&self, height: Height, id: &BlockId) -> Option<&P> {
        self.log.get(height)?.bodies.get(id).map(|body| &body.proposal)
    }

    /// What is decided at a height, as long as the log has it.
    pub fn decision(&self, height: Height) -> Option<(BlockId, &Certificate)> {
        self.log.get(height)?.decided.as_ref().map(|(id, certificate)| (*id, certificate))
    }

    /// How many heights, and votes of all of them, the log holds.
    pub fn log_size(&self) -> (usize, usize) {
        let votes = |(_, slot): (Height, &log::Slot<P>)| slot.prepares.len() + slot.commits.len();
        let genesis = self.log.get(Height::GENESIS).map(|slot| (Height::GENESIS, slot));
        (self.log.len(), self.log.above(Height::GENESIS).chain(genesis).map(votes).sum())
    }

    fn on_command(&mut self, command: Command<P>, out: &mut Out<Self>) {
        match command {
            Command::Executed { height, id } => self.on_executed(height, id, out),
            Command::Propose(proposal) => self.on_propose(proposal, out),
            Command::Requests { pending, oldest } => self.on_requests(pending, oldest),
            Command::Synced(base) => self.on_synced(base, out),
            Command::Validated { id, is_valid } => self.on_validated(id, is_valid, out),
        }
    }

    fn on_message(&mut self, from: PeerId, message: Message<P>, out: &mut Out<Self>) {
        if !self.links.contains_key(&from) {
            return; // The connection closed while the message was under way.
        }
        match message {
            Message::Checkpoint(checkpoint) => self.on_checkpoint(from, checkpoint, out),
            Message::Commit(commit) => self.on_commit(from, commit, out),
            Message::Decided { base, proposal } => self.on_decided(from, base, proposal, out),
            Message::Fetch { height, id } => self.on_fetch(from, height, &id, out),
            Message::Hello { hello, asks } => self.on_hello(from, &hello, asks, out),
            Message::Mark(mark) => self.on_mark(from, &mark, out),
            Message::NewView(new_view) => self.on_new_view(from, new_view, out),
            Message::PrePrepare { order, proposal } => self.on_preprepare(from, order, proposal, out),
            Message::Prepare(prepare) => self.on_prepare(from, prepare, out),
            Message::Proposal(proposal) => self.on_proposal(from, proposal, out),
            Message::Recall { salt } => self.on_recall(from, salt, out),
            Message::Status(status) => self.on_status(from, &status, out),
            Message::ViewChange(change) => self.on_view_change(from, change, out),
        }
    }

    fn on_timer(&mut self, now: Time, timer: Timer, out: &mut Out<Self>) {
        match timer {
            Timer::Batch => self.on_batch(),
            Timer::Resend => self.on_resend(now, out),
            Timer::View => self.on_view_timeout(out),
        }
    }
}

impl<P: Proposal> Protocol for Agreement<P> {
    type Params = Params;
    type Message = Message<P>;
    type Timer = Timer;
    type Command = Command<P>;
    type Event = Event<P>;
    type Record = Record<P>;

    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record<P>)>) -> Self {
        Self::from_disk(params, disk)
    }

    /// Tells again what was decided and not executed, and waits for connections.
    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        if self.me.is_none() {
            return;
        }
        for key in core::mem::take(&mut self.garbage) {
            out.forget(key);
        }
        if self.settings.is_rejoining && self.rejoining.is_none() {
            self.rejoining = Some(Rejoining::new(None));
            out.persist(Record::<P>::REJOINING, Record::Rejoining(None));
        }
        self.tell_again(out);
        self.advance(now, out);
        self.settle(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        if self.me.is_none() {
            return; // An observer follows by certificates, which its owner has from blocks.
        }
        match input {
            Input::Command(command) => self.on_command(command, out),
            Input::Message { from, message } => self.on_message(from, message, out),
            Input::PeerDown(peer) => {
                self.links.remove(&peer);
            }
            Input::PeerUp(peer) => self.on_peer_up(peer, out),
            Input::Timer(timer) => self.on_timer(now, timer, out),
        }
        self.advance(now, out);
        self.settle(now, out);
    }

    /// 1. What is executed was decided. 2. Nothing above what is executed is stable. 3. The log lies between the
    ///    watermarks. 4. There is one view change, one checkpoint table and one last vote for each validator at most.
    /// 5. A replica that moves to a view has no new view for it. 6. Evidence is kept for heights of the log only.
    fn check(&self) {
        assert!(self.executed <= self.decided.height, "1: only what is decided is executed");
        assert!(self.stable.0 <= self.executed, "2: only what is executed is stable");
        if let Some(range) = self.log.range() {
            assert!(*range.start() > self.stable.0, "3: nothing is kept below the low watermark");
            assert!(*range.end() <= self.high(), "3: nothing is taken above the high watermark");
        }
        let count = self.rules.validators.count();
        assert!(self.changes.len() <= count, "4: a validator has one view change");
        assert!(self.checkpoints.len() <= count, "4: a validator has one table of checkpoints");
        assert!(self.seen.len() <= count, "4: a validator has one last vote");
        let is_started = self.new_view.is_some();
        assert!(!is_started || self.stage == Stage::Active, "5: a view that has started is not waited for");
        assert!(self.caught.first().is_none_or(|(height, _)| *height > self.stable.0), "6: evidence goes with the log");
    }
}
