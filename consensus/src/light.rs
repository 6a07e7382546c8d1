//! A light peer: it keeps headers only, and checks by them what others say is in a block (Nakamoto 2008, section 8).
//!
//! It speaks the replicas' own messages, so that replicas serve it as they are, and follows the best chain of headers as they
//! do, by the same rule, in the same tree. It claims no tip, since a claim says that its maker has the blocks: so nobody asks
//! it for any, and its neighbours, who hear no claim, tell it theirs again and again. It forwards nothing: who forwards a block
//! or a payment vouches for what only the coins can tell.
//!
//! It has no coins, and believes of them what the best headers say: that they have most work, or a quorum's votes, is what it
//! knows of the payments below them. A chain of stakes it cannot follow at all, since there a header proves something only to
//! those who know the coins.
//!
//! Its disk is that of a replica whose bodies have not come yet, so that either can be started from the other's.

mod follow;
mod hand;
mod prove;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_ledger::{BlockId, BlockTree, Height, Place, Tx, TxId};
use synod_machine::{Input, Key, Out, PeerId, Protocol, Reject, Time};

use self::hand::Handing;
pub use self::prove::{Known, LightError, Proven};
use crate::headers::Follower;
use crate::links::Links;
use crate::message::{BLOCKS_MAX, INVENTORY_MAX, LOCATOR_MAX};
use crate::replica::{find_violation, grow_tree};
use crate::{Chain, GossipId, Item, Message, Record, Rule, SubmitError, Verdict, Violation};

/// How much a light peer keeps, and of whom it asks help.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Peers that a payment is handed to at a time. On a chain of validators f + 1 of them are, if that is more.
    pub helpers: usize,
    /// Payments that are handed on at a time.
    pub payments_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // One may be faulty and one may have just lost its connections.
            helpers: 3,
            // As many as half an inventory names: a wallet has few.
            payments_max: INVENTORY_MAX / 2,
        }
    }
}

/// What a light peer is made from.
#[derive(Clone, Debug)]
pub struct Params {
    chain: Arc<Chain>,
    limits: Limits,
}

/// A chain that no light peer can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header of a chain of stakes proves nothing without the coins, so that no light peer can follow it")]
pub struct LightUnsupported;

impl Params {
    /// A light peer of a chain of work or of validators. It hands on no more payments than an inventory names, whatever the
    /// limits say.
    pub fn new(chain: Arc<Chain>, limits: Limits) -> Result<Self, LightUnsupported> {
        let limits = Limits { payments_max: limits.payments_max.min(INVENTORY_MAX), ..limits };
        match chain.rule() {
            Rule::Pbft(_) | Rule::Pow(_) => Ok(Self { chain, limits }),
            Rule::Pos(_) => Err(LightUnsupported),
        }
    }
}

/// What a light peer's owner asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// An item came by gossip; answered by [`Event::Verdict`], which is never that it be forwarded.
    Gossip {
        /// Its content hash, given back in the verdict.
        id: GossipId,
        /// Who gave it to us.
        from: PeerId,
        /// What it is.
        item: Item,
    },
    /// A payment of this peer's user; answered by [`Event::Submitted`].
    Submit {
        /// Given back in the answer.
        ticket: u64,
        /// The payment.
        tx: Tx,
    },
}

/// What a light peer's owner is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer to [`Command::Submit`]: accepted means that its form and signatures are good, and that it is handed to full
    /// peers for some minutes. It is not kept over a restart, and whether it is confirmed is for the owner to find out.
    Submitted {
        /// The command's ticket.
        ticket: u64,
        /// The payment's id, or why it is refused.
        result: Result<TxId, SubmitError>,
    },
    /// Another header is the best one. Told at the start too, if there is more than the genesis.
    Tip {
        /// The best header.
        tip: BlockId,
        /// Its height.
        height: Height,
        /// How many headers of the best chain until now are not on this one.
        depth: u64,
    },
    /// The answer to [`Command::Gossip`].
    Verdict {
        /// The item's content hash.
        id: GossipId,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Two headers of one height have certificates, so that more than f validators are faulty. This peer stops there, and says
    /// so after each start.
    Violation(Box<Violation>),
}

/// A replica tells its owner the same, and more.
impl From<Event> for crate::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::Submitted { ticket, result } => Self::Submitted { ticket, result },
            Event::Tip { tip, height, depth } => Self::Tip { tip, height, depth },
            Event::Verdict { id, verdict } => Self::Verdict { id, verdict },
            Event::Violation(violation) => Self::Violation(violation),
        }
    }
}

/// A light peer's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Hand payments on again.
    Offer,
    /// Look for requests that were not answered.
    Sync,
}

/// The machine.
#[derive(Debug)]
pub struct Light {
    chain: Arc<Chain>,
    tree: BlockTree,
    links: Links,
    handing: Handing,
    /// The best header that the owner was told of.
    told: Place,
    /// Whether [`Timer::Sync`] is set.
    is_watched: bool,
    /// What it stopped at, for good.
    violation: Option<Box<Violation>>,
}

impl Light {
    /// The chain that it follows.
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// All headers that it knows.
    pub const fn tree(&self) -> &BlockTree {
        &self.tree
    }

    /// Whom it is linked to.
    pub fn peers(&self) -> Vec<PeerId> {
        self.links.peers()
    }

    /// The best tip that a peer said it has, or that it has for having given it to us.
    pub fn claim(&self, peer: PeerId) -> Option<crate::Claim> {
        self.links.get(peer).and_then(|link| link.claim(&self.tree))
    }

    /// What it stopped at, if it did: two certified headers of one height.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_deref()
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Gossip { id, from, item } => {
                let verdict = match item {
                    Item::Block(block) => self.on_gossiped_block(now, from, &block, out),
                    Item::Payment(_) => Verdict::Ignore,
                };
                out.emit(Event::Verdict { id, verdict });
            }
            Command::Submit { ticket, tx } => {
                let result = self.submit(now, tx, out);
                out.emit(Event::Submitted { ticket, result });
            }
        }
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        if !self.links.contains(from) {
            return; // The connection closed while the message was under way.
        }
        match message {
            Message::Agreement(message) => self.on_agreement(from, message, out),
            // What it did not ask for, and never does.
            Message::Block(_) | Message::Payments(_) => out.reject(from, Reject::Unsolicited),
            // What is said to validators, of which it is none.
            Message::Client(_) | Message::Request(_) => out.reject(from, Reject::Unsolicited),
            Message::Evidence(_) => out.reject(from, Reject::BlockEvidenceOff),
            Message::GetBlocks(ids) => Self::on_get_blocks(from, ids, out),
            Message::GetHeaders(locator) => Self::on_get_headers(from, &locator, out),
            Message::GetPayments(ids) => self.on_get_payments(from, &ids, out),
            Message::Headers(headers) => {
                self.take_answer(now, from, headers, out);
            }
            Message::Missing(ids) => Self::on_list(from, ids.len(), BLOCKS_MAX, out),
            Message::Pool(ids) => Self::on_list(from, ids.len(), INVENTORY_MAX, out),
            // It says of no key that it is its own; another peer may have said it of the same key.
            Message::Reply(_) if self.chain.agreed().is_some() => {}
            Message::Reply(_) => out.reject(from, Reject::Unsolicited),
            Message::Tip(claim) => self.on_tip(now, from, claim, out),
        }
    }

    /// It has no blocks to give.
    fn on_get_blocks(from: PeerId, ids: Vec<BlockId>, out: &mut Out<Self>) {
        match ids.len() {
            0 => {}
            1..=BLOCKS_MAX => out.send(from, Message::Missing(ids)),
            _ => out.reject(from, Reject::TooMany),
        }
    }

    /// Who gives a header says that it has the block. So it gives none, which is an answer all the same.
    fn on_get_headers(from: PeerId, locator: &[BlockId], out: &mut Out<Self>) {
        match locator.len() {
            0..=LOCATOR_MAX => out.send(from, Message::Headers(Vec::new())),
            _ => out.reject(from, Reject::TooMany),
        }
    }

    /// A list that is of no use here is bounded all the same.
    fn on_list(from: PeerId, got: usize, most: usize, out: &mut Out<Self>) {
        if got > most {
            out.reject(from, Reject::TooMany);
        }
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        self.links.remove(peer);
        self.handing.forget(peer);
    }
}

impl Protocol for Light {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    /// Rebuilds the tree. What a replica wrote besides headers stays where it is.
    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        let Params { chain, limits } = params;
        let headers = disk.filter_map(|(_, record)| match record {
            Record::Header(stored) => Some(stored),
            Record::Agreement(_) | Record::Body(_) | Record::Payment(_) | Record::Signed(_) | Record::Undo(_) => None,
        });
        let tree = grow_tree(&chain, headers.collect());
        Self {
            handing: Handing::new(&chain, limits),
            violation: find_violation(&chain, &tree).map(Box::new),
            tree,
            chain,
            links: Links::default(),
            told: Place::ROOT,
            is_watched: false,
        }
    }

    fn start(&mut self, _: Time, out: &mut Out<Self>) {
        self.tell_tip(out);
        self.tell_violation(out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(peer),
            // A second connection to the same peer is the same link.
            Input::PeerUp(peer) => self.links.insert(peer),
            Input::Timer(Timer::Offer) => self.on_offer(now, out),
            Input::Timer(Timer::Sync) => self.on_sync(now, out),
        }
        self.tell_tip(out);
    }

    /// 1. The owner knows the best header.
    /// 2. An answer that is awaited is looked for.
    /// 3. The payments that are handed on are no more than allowed, and looked at again.
    fn check(&self) {
        assert!(self.tree.at(self.told).id() == self.tree.best_header().id(), "the owner knows the best header");
        assert!(self.is_watched || !self.awaits_headers(), "an answer that is awaited is looked for");
        self.handing.check();
    }
}
