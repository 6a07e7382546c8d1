//! One participant: block tree, coins, mempool, synchronisation and mining on one chain.
//!
//! Fork choice is most work, ties by first seen (Nakamoto 2008, section 5). Blocks are stored, then connected one at a
//! time towards the best tip; what is not in memory any more is asked back from disk (`Event::Load`), so that a
//! reorganisation may be of any depth and a restart is the same walk, from genesis.

mod agree;
mod announce;
mod bodies;
mod donate;
mod draft;
mod follow;
mod grow;
mod halt;
mod mine;
mod mint;
mod own;
mod params;
mod pool;
mod reply;
mod slash;
mod stall;
mod sync;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_ledger::{
    Address, Block, BlockId, BlockTree, Conflict, Evidence, Height, Mempool, Node, Orphans, Place, State, Tx, TxError,
    TxId,
};
use synod_machine::{Bytes, Input, Key, Out, Parent, PeerId, Protocol, Reject, Time};

use self::agree::Agreeing;
use self::announce::Announcing;
use self::bodies::Bodies;
use self::follow::Journey;
pub(crate) use self::follow::check_form;
pub(crate) use self::grow::grow_tree;
pub use self::halt::Violation;
pub(crate) use self::halt::{find_violation, rivalry};
use self::mine::Mining;
pub use self::mine::{Job, Seen};
use self::mint::Minting;
pub use self::own::Fate;
use self::own::Promises;
pub use self::params::{Limits, Params};
pub use self::reply::{Answer, Reply};
use self::slash::Slashing;
use self::stall::Stalls;
use self::sync::Download;
use crate::adversary::{Party, PartyTimer};
use crate::links::Links;
use crate::pbft;
use crate::{Chain, Message, Record, StoredHeader};

/// The content hash under which gossip carries an item.
pub type GossipId = Bytes<32>;

/// What is gossiped.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A block.
    Block(Block),
    /// A payment.
    Payment(Tx),
}

/// What becomes of a gossiped item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Do not forward it; nobody is to blame.
    Ignore,
    /// Do not forward it and hold it against the sender.
    Reject,
}

/// What a replica's owner asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// An item came by gossip; answered by [`Event::Verdict`].
    Gossip {
        /// Its content hash, given back in the verdict.
        id: GossipId,
        /// Who gave it to us.
        from: PeerId,
        /// What it is.
        item: Item,
    },
    /// The answer to [`Event::Load`].
    Loaded {
        /// What was asked for.
        key: Key,
        /// What lay there.
        record: Option<Record>,
    },
    /// The answer to [`Event::Mine`].
    Mined {
        /// The job's number.
        job: u64,
        /// The proof.
        seen: Seen,
    },
    /// A payment of this peer's user; answered by [`Event::Submitted`].
    Submit {
        /// Given back in the answer.
        ticket: u64,
        /// The payment.
        tx: Tx,
    },
}

/// What a replica's owner is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody tries to spend a coin twice.
    Conflict(Conflict),
    /// A validator said two things of which an honest one says one at most.
    Evidence(Box<pbft::Evidence>),
    /// Read this record and answer with [`Command::Loaded`].
    Load(Key),
    /// A payment came into the mempool.
    Pooled(TxId),
    /// Search a seal for this, instead of what was asked before; nothing: stop.
    Mine(Option<Job>),
    /// A stake's owner signed two blocks of which an honest one signs one. It is news here, and waits for a block.
    Offence(Box<Evidence>),
    /// Validators are in a view with this primary.
    Primary {
        /// The view.
        view: pbft::View,
        /// Its primary.
        validator: pbft::ValidatorId,
    },
    /// Gossip this item.
    Publish(Item),
    /// f + 1 validators say of a payment of this peer's user that they executed it, so that it is final. Its block may come later.
    Replied {
        /// The payment.
        id: TxId,
        /// Its block's height.
        height: Height,
        /// Its block.
        block: BlockId,
    },
    /// Validators agreed on something that is no block of this chain: too many of them are faulty, and this peer stops there.
    Stuck {
        /// Where.
        height: Height,
        /// Why it is no block.
        reason: Reject,
    },
    /// The answer to [`Command::Submit`]: accepted means on this peer's disk and offered again until it is confirmed
    /// or conflicts with a confirmed payment.
    Submitted {
        /// The command's ticket.
        ticket: u64,
        /// The payment's id, or why it is refused.
        result: Result<TxId, SubmitError>,
    },
    /// The chain has another tip.
    Tip {
        /// The new tip.
        tip: BlockId,
        /// Its height.
        height: Height,
        /// How many blocks were taken back.
        depth: u64,
    },
    /// The answer to [`Command::Gossip`].
    Verdict {
        /// The item's content hash.
        id: GossipId,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Two blocks of one height have certificates, so that more than f validators are faulty. This peer stops there, and
    /// says so after each start.
    Violation(Box<Violation>),
}

/// Why a user's payment is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// Validators agreed on two blocks of one height, and this peer stopped there.
    #[error("two blocks of height {height} were agreed on, so that nothing is final any more: this peer has stopped")]
    Halted {
        /// Where.
        height: Height,
    },
    /// The peer is reading its chain from disk.
    #[error("the peer is loading its chain; try again in a moment")]
    Loading,
    /// Too many acknowledged payments wait for confirmation.
    #[error("{got} acknowledged payments are not yet deep in the chain, {expected} are allowed; try again later")]
    TooMany {
        /// The bound.
        expected: usize,
        /// How many wait.
        got: usize,
    },
    /// The payment is not valid here.
    #[error(transparent)]
    Tx(#[from] TxError),
}

/// A replica's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The agreement's.
    Agreement(PartyTimer),
    /// Tell peers of a tip that they are not known to have.
    Announce,
    /// A second has come that this peer's stake wins.
    Mint,
    /// Offer this peer's own unconfirmed payments again.
    Offer,
    /// Build a fresh block to search a seal for.
    Refresh,
    /// Look for requests that were not answered.
    Sync,
}

/// The machine. What every step looks at stands first: ten thousand of them do not fit into a cache.
#[derive(Debug)]
pub struct Replica {
    chain: Arc<Chain>,
    state: State,
    /// The place of the block that the coins are those of.
    place: Place,
    links: Links,
    download: Download,
    tree: BlockTree,
    bodies: Bodies,
    journey: Journey,
    mining: Mining,
    minting: Minting,
    announcing: Announcing,
    mempool: Mempool,
    own: Promises,
    orphans: Orphans,
    slashing: Slashing,
    stalls: Stalls,
    agreeing: Option<Box<Agreeing>>,
    /// What it stopped at, for good.
    violation: Option<Box<Violation>>,
    loading: BTreeSet<Key>,
    serving: BTreeMap<BlockId, BTreeSet<PeerId>>,
    limits: Limits,
}

impl Replica {
    /// The chain that it follows.
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// All headers that it knows.
    pub const fn tree(&self) -> &BlockTree {
        &self.tree
    }

    /// The coins at [`tip`](Self::tip).
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The payments that wait for a block.
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// The last connected block.
    pub fn tip(&self) -> BlockId {
        self.state.tip()
    }

    /// A block, if it is in memory.
    pub fn block(&self, id: &BlockId) -> Option<Block> {
        if *id == self.chain.id() {
            return Some(self.chain.block().clone());
        }
        let height = self.tree.get(id)?.height();
        self.bodies.get(height, id).map(|held| held.block.clone())
    }

    /// Whether the coins are those of the best tip; not so while it reads from disk or reorganises.
    pub fn is_settled(&self) -> bool {
        self.journey.is_over() && self.tree.best().id() == self.state.tip()
    }

    /// The best tip that a peer said it has, or that it has for having given it to us.
    pub fn claim(&self, peer: PeerId) -> Option<crate::Claim> {
        self.links.get(peer).and_then(|link| link.claim(&self.tree))
    }

    /// What became of a payment that this peer acknowledged; nothing of others, and of those that are deep in the chain.
    pub fn fate(&self, id: &TxId) -> Option<Fate> {
        self.own.fate(id)
    }

    /// Who is paid for its blocks.
    pub const fn miner(&self) -> Option<Address> {
        self.mining.address()
    }

    /// The job under way: what the last [`Event::Mine`] asked for.
    pub const fn job(&self) -> Option<&Job> {
        self.mining.job()
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Gossip { id, from, item } => self.on_gossip(now, id, from, item, out),
            Command::Loaded { key, record } => self.on_loaded(now, key, record, out),
            Command::Mined { job, seen } => self.on_mined(now, job, seen, out),
            Command::Submit { ticket, tx } => self.on_submit(now, ticket, tx, out),
        }
    }

    /// The node of a block that is known.
    fn node(&self, id: &BlockId) -> Option<(Place, &Node)> {
        self.tree.find(id).map(|place| (place, self.tree.at(place)))
    }

    fn on_gossip(&mut self, now: Time, id: GossipId, from: PeerId, item: Item, out: &mut Out<Self>) {
        let verdict = match item {
            Item::Block(block) => self.on_gossiped_block(now, from, block, out),
            Item::Payment(tx) => self.on_gossiped_payment(from, tx, out),
        };
        out.emit(Event::Verdict { id, verdict });
    }

    fn on_message(&mut self, now: Time, from: PeerId, message: Message, out: &mut Out<Self>) {
        if !self.links.contains(from) {
            return; // The connection closed while the message was under way.
        }
        match message {
            Message::Agreement(message) => self.agree(now, Input::Message { from, message }, out),
            Message::Block(block) => self.on_block(now, from, block, out),
            Message::Client(key) => self.on_client(from, key, out),
            Message::Evidence(evidence) => self.on_evidence(from, *evidence, out),
            Message::GetBlocks(ids) => self.on_get_blocks(from, ids, out),
            Message::GetHeaders(locator) => self.on_get_headers(from, &locator, out),
            Message::GetPayments(ids) => self.on_get_payments(from, &ids, out),
            Message::Headers(headers) => self.on_headers(now, from, headers, out),
            Message::Missing(ids) => self.on_missing(now, from, &ids, out),
            Message::Payments(payments) => self.on_payments(from, payments, out),
            Message::Pool(ids) => self.on_pool(from, &ids, out),
            Message::Reply(reply) => self.on_reply(from, reply, out),
            Message::Request(tx) => self.on_request(from, tx, out),
            Message::Tip(claim) => self.on_tip(now, from, claim, out),
        }
    }

    fn on_peer_up(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        if self.links.contains(peer) {
            return; // A second connection to the same peer is the same link.
        }
        self.links.insert(peer);
        self.announce_to(now, peer, out);
        self.tell_evidence(peer, out);
        if self.agreeing.is_some() {
            return self.agree(now, Input::PeerUp(peer), out);
        }
        let ids = self.inventory();
        if !ids.is_empty() {
            out.send(peer, Message::Pool(ids));
        }
    }

    fn on_timer(&mut self, now: Time, timer: Timer, out: &mut Out<Self>) {
        match timer {
            Timer::Agreement(timer) => self.agree(now, Input::Timer(timer), out),
            Timer::Announce => self.on_announce(now, out),
            Timer::Mint => self.on_mint(now, out),
            Timer::Offer => self.on_offer(now, out),
            Timer::Refresh => self.on_refresh(now, out),
            Timer::Sync => self.on_sync(now, out),
        }
    }
}

impl Protocol for Replica {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Record;

    /// Rebuilds the tree and the acknowledged payments; the coins follow after [`start`](Protocol::start), block by
    /// block from disk.
    fn restore(params: Params, disk: impl Iterator<Item = (Key, Record)>) -> Self {
        let chain = params.chain;
        let mut headers: Vec<StoredHeader> = Vec::new();
        let mut own = Promises::default();
        let (mut votes, mut signed) = (Vec::new(), None);
        for (key, record) in disk {
            match record {
                Record::Agreement(record) => {
                    votes.push((Key::new(key.shelf - <Self as Parent<Party<Block>>>::SHELF, key.name), record));
                }
                Record::Header(stored) => headers.push(stored),
                Record::Payment(tx) => own.insert(tx),
                Record::Signed(block) => signed = Some(block),
                Record::Body(_) | Record::Undo(_) => {}
            }
        }
        let tree = grow_tree(&chain, headers);
        let state = chain.state().clone();
        Self {
            mempool: Mempool::new(params.limits.mempool),
            bodies: Bodies::new(params.limits.bodies_max, params.limits.bodies_bytes_max),
            agreeing: Agreeing::restore(&chain, params.signer.clone(), (params.behaviour, params.extra), votes),
            minting: Minting::restore(params.signer, signed, &tree),
            orphans: Orphans::new(params.limits.orphans_max, params.limits.bodies_bytes_max),
            slashing: Slashing::restore(&chain, &tree),
            stalls: Stalls::default(),
            limits: params.limits,
            violation: find_violation(&chain, &tree).map(Box::new),
            journey: Journey::new(&state, &tree),
            tree,
            state,
            place: Place::ROOT,
            loading: BTreeSet::new(),
            serving: BTreeMap::new(),
            links: Links::default(),
            download: Download::default(),
            own,
            mining: Mining::new(params.miner, params.extra),
            announcing: Announcing::new(),
            chain,
        }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        self.follow(now, out);
        self.send_signed(now, out);
        self.offer_soon(now, out);
        self.tell_violation(out);
        self.start_agreement(now, out);
        self.tell_agreement(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { from, message } => self.on_message(now, from, message, out),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, out),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::Timer(timer) => self.on_timer(now, timer, out),
        }
        if self.agreeing.is_some() {
            self.tell_agreement(now, out);
        }
    }

    /// Money is conserved: the supply is the genesis's and the subsidies since, no more. What else must hold is asserted
    /// where it changes, since most steps change nothing, and each look at a part of ten thousand replicas is a look at
    /// memory that is in no cache.
    fn check(&self) {
        let issued = self.chain.rules().issued(self.state.height());
        let most = self.chain.state().supply().checked_add(issued).expect("a checked genesis bounds the issue");
        assert!(self.state.supply() <= most, "no block makes more money than the schedule");
    }
}
