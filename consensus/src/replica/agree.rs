//! Blocks by agreement. The replica owns an [`Agreement`] over blocks: it makes proposals out of what waits, judges those of
//! others on top of blocks that are not decided yet, and takes decided ones in with their certificates, as it takes in any
//! block.
//!
//! Payments are the paper's requests (Castro and Liskov 1999, section 4.1). A peer sends its own to the primary, and to all
//! validators when that brings nothing; they are never gossiped. They are proposed in the order in which they came, so that none
//! waits for ever.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use synod_ledger::{
    Address, Block, BlockId, Certificate, Header, Height, OutPoint, Outcome, Place, Seal, SecretKey, Signatures, State,
    Tx, TxId,
};
use synod_machine::{Input, Key, Out, Parent, PeerId, Protocol, Time};

use super::follow::check_form;
use super::reply::{Clients, Replies};
use super::{Event, Replica};
use crate::adversary::{Behaviour, Party, PartyParams, PartyTimer};
use crate::headers::Follower;
use crate::pbft::{self, Agreement, Base, Command, Identity, Proposal, RequestId, Settings, ValidatorId, View};
use crate::{Agreed, Chain, Message, Record, Timer};

/// What a replica of a chain of validators has besides.
#[derive(Debug)]
pub(super) struct Agreeing {
    pub(super) party: Party<Block>,
    /// Proposals above the coins' tip that connect, and what they leave.
    open: BTreeMap<BlockId, Open>,
    /// Proposals to be judged when the coins are where they should be.
    unjudged: Vec<Block>,
    /// Neighbours that are validators.
    pub(super) validators: BTreeMap<PeerId, ValidatorId>,
    /// The key that it signs replies with, if it votes.
    pub(super) identity: Option<Identity>,
    /// To whom it replies.
    pub(super) clients: Clients,
    /// What it is replied.
    pub(super) replies: Replies,
    /// Whether it spoils what it gives to those that lack it.
    pub(super) is_lying_donor: bool,
    requests: Requests,
    /// The tip that the agreement was last told of.
    told: Place,
    /// Who is paid for blocks that are proposed here.
    address: Option<Address>,
}

/// A proposal that connects.
#[derive(Debug)]
struct Open {
    block: Block,
    outcome: Arc<Outcome>,
}

/// The payments that wait here, in the order in which they came.
#[derive(Debug, Default)]
struct Requests {
    by_arrival: BTreeMap<u64, TxId>,
    arrivals: BTreeMap<TxId, u64>,
    count: u64,
    /// What the agreement was last told: how many are in no proposal, and which one waits longest. Nothing, where it must be
    /// told in any case.
    told: Option<(u32, Option<RequestId>)>,
}

impl Requests {
    fn insert(&mut self, id: TxId) {
        if self.arrivals.contains_key(&id) {
            return;
        }
        self.by_arrival.insert(self.count, id);
        self.arrivals.insert(id, self.count);
        self.count += 1;
    }

    fn retain(&mut self, is_waiting: impl Fn(&TxId) -> bool) {
        while let Some(entry) = self.by_arrival.first_entry() {
            if is_waiting(entry.get()) {
                return;
            }
            self.arrivals.remove(&entry.remove());
        }
    }
}

impl Proposal for Block {
    fn id(&self) -> BlockId {
        Self::id(self)
    }

    fn parent(&self) -> BlockId {
        self.header().parent
    }

    fn height(&self) -> Height {
        Self::height(self)
    }

    /// The id covers the root, and the root what is in the block. Votes are in neither; a proposal has none.
    fn is_whole(&self) -> bool {
        let is_open = matches!(&self.header().seal, Seal::Agreed { certificate } if certificate.is_empty());
        is_open && self.merkle_root() == self.header().root
    }
}

impl Agreeing {
    /// The agreement of a chain that has validators.
    pub(super) fn restore(
        chain: &Chain,
        signer: Option<SecretKey>,
        (behaviour, salt): (Behaviour, u64),
        disk: Vec<(Key, pbft::Record<Block>)>,
    ) -> Option<Box<Self>> {
        let agreed = chain.agreed()?;
        let (params, rules) = (agreed.params(), chain.voting()?);
        let settings = Settings {
            view_timeout: core::time::Duration::from_millis(params.view_timeout_ms),
            batch_delay: core::time::Duration::from_millis(params.batch_delay_ms),
            batch_max: params.batch_max,
            checkpoint_interval: params.checkpoint_interval,
            window: params.watermark_window,
            ..Settings::default()
        };
        let address = signer.as_ref().map(SecretKey::address);
        let identity = signer.and_then(|secret| Identity::of(&secret, &rules.validators));
        let secret = identity.as_ref().map(|identity| identity.secret.clone());
        let agreement = pbft::Params { rules, settings, secret, salt };
        let params = PartyParams { agreement, behaviour, seed: salt };
        Some(Box::new(Self {
            party: Party::restore(params, disk.into_iter()),
            open: BTreeMap::new(),
            unjudged: Vec::new(),
            validators: BTreeMap::new(),
            identity,
            is_lying_donor: behaviour == Behaviour::LyingDonor,
            clients: Clients::default(),
            replies: Replies::default(),
            requests: Requests::default(),
            told: Place::ROOT,
            address,
        }))
    }

    /// The payments that are in proposals of this view. What was proposed in a view that was given up waits again.
    fn proposed(&self) -> impl Iterator<Item = &Tx> {
        let last = self.party.agreement().tail().and_then(|id| self.open.get(&id));
        let proposals = core::iter::successors(last, |open| self.open.get(&open.block.header().parent));
        proposals.flat_map(|open| open.block.payments())
    }
}

impl Parent<Party<Block>> for Replica {
    const SHELF: u8 = 0x02;

    fn message(message: pbft::Message<Block>) -> Message {
        Message::Agreement(message)
    }

    fn timer(timer: PartyTimer) -> Timer {
        Timer::Agreement(timer)
    }

    fn record(record: pbft::Record<Block>) -> Record {
        Record::Agreement(record)
    }
}

impl Replica {
    /// The agreement, on a chain of validators.
    pub fn agreement(&self) -> Option<&Agreement<Block>> {
        self.agreeing.as_ref().map(|agreeing| agreeing.party.agreement())
    }

    pub(super) fn start_agreement(&mut self, now: Time, out: &mut Out<Self>) {
        let Some(agreeing) = self.agreeing.as_mut().filter(|_| self.violation.is_none()) else { return };
        let mut effects = Out::new();
        agreeing.party.start(now, &mut effects);
        self.take_over(now, &mut effects, out);
    }

    /// A step of the agreement's, and of what comes of it.
    pub(super) fn agree(&mut self, now: Time, input: Input<Party<Block>>, out: &mut Out<Self>) {
        let Some(agreeing) = self.agreeing.as_mut().filter(|_| self.violation.is_none()) else { return };
        if let Input::Message { from, message: pbft::Message::Hello { hello, .. } } = &input
            && hello.check(agreeing.party.agreement().rules()).is_ok()
            && agreeing.validators.insert(*from, hello.by()).is_none()
        {
            self.own.hurry();
        }
        if let Input::PeerDown(peer) = &input {
            agreeing.validators.remove(peer);
            agreeing.clients.remove(*peer);
            agreeing.replies.remove(*peer);
        }
        let mut effects = Out::new();
        agreeing.party.handle(now, input, &mut effects);
        self.take_over(now, &mut effects, out);
    }

    /// Hands effects on and answers events, until the agreement asks nothing more.
    fn take_over(&mut self, now: Time, effects: &mut Out<Party<Block>>, out: &mut Out<Self>) {
        let mut events = VecDeque::new();
        out.adopt(effects, |event, _| events.push_back(event));
        while let Some(event) = events.pop_front() {
            let Some(command) = self.on_agreement(now, event, out) else { continue };
            let Some(agreeing) = &mut self.agreeing else { return };
            let mut effects = Out::new();
            agreeing.party.handle(now, Input::Command(command), &mut effects);
            out.adopt(&mut effects, |event, _| events.push_back(event));
        }
    }

    fn on_agreement(&mut self, now: Time, event: pbft::Event<Block>, out: &mut Out<Self>) -> Option<Command<Block>> {
        match event {
            pbft::Event::Behind(_) => {
                for peer in self.links.peers() {
                    self.ask_headers(now, peer, out);
                }
                None
            }
            pbft::Event::Committed { proposal, certificate } => {
                self.commit(now, &proposal, certificate, out);
                None
            }
            pbft::Event::Evidence(evidence) => {
                out.emit(Event::Evidence(Box::new(evidence)));
                None
            }
            pbft::Event::Overdue(request) => {
                self.hand_on(TxId(request), out);
                None
            }
            pbft::Event::Primary { view, validator } => {
                self.turn_to_primary(out);
                out.emit(Event::Primary { view, validator });
                None
            }
            pbft::Event::Validate(block) => self.judge(now, block),
            pbft::Event::WantProposal { parent, .. } => {
                let proposal = self.proposal_on(now, parent);
                // It takes an answer for the end of what waits, and is told anew. Where nothing could be proposed, that waits
                // until something changes, or it would ask again at once.
                if let Some(agreeing) = self.agreeing.as_mut().filter(|_| proposal.is_some()) {
                    agreeing.requests.told = None;
                }
                Some(Command::Propose(proposal))
            }
        }
    }

    /// A view has started: what could not be proposed before may be possible now, proposals of the views before are of no use, and
    /// its primary may lack what waits here.
    fn turn_to_primary(&mut self, out: &mut Out<Self>) {
        let Some(agreeing) = &mut self.agreeing else { return };
        agreeing.requests.told = None;
        let agreement = agreeing.party.agreement();
        agreeing.open.retain(|id, open| agreement.proposal(open.block.height(), id).is_some());
        let waiting = agreeing.requests.by_arrival.values().filter_map(|id| self.mempool.get(id));
        for tx in waiting.take(HANDED_MAX).cloned().collect::<Vec<_>>() {
            self.request(&tx, out);
        }
    }

    /// Hands a payment that waits for long, after those that it depends on, to all validators; not if it is proposed, since then
    /// they have it. Where nothing gets on, it is handed on again and again, ever more rarely, as status messages are.
    fn hand_on(&self, id: TxId, out: &mut Out<Self>) {
        if self.agreeing.as_ref().is_none_or(|agreeing| agreeing.proposed().any(|tx| tx.id() == id)) {
            return;
        }
        let ids = self.with_parents(self.mempool.get(&id).into_iter());
        let payments: Vec<Tx> = ids.iter().filter_map(|id| self.mempool.get(id).cloned()).collect();
        self.request_of_all(&payments, out);
    }

    /// Takes a decided block in. Its proposer spreads it, for those who do not vote.
    fn commit(&mut self, now: Time, proposal: &Block, certificate: Certificate, out: &mut Out<Self>) {
        let block = proposal.certified(certificate);
        let is_ours = proposal.coinbase().extra == self.mining.extra();
        match self.take_block(now, block.clone(), None, out) {
            Ok(_) => {
                if is_ours {
                    self.publish_block(block.clone(), out);
                }
                self.reply(&block, out);
            }
            // More than f validators are faulty: what they agreed on is no block. It is seen from outside that we stop here.
            Err(fault) => out.emit(Event::Stuck { height: block.height(), reason: fault.reason() }),
        }
    }

    /// Says whether a proposal may follow its parent, if that can be said now.
    fn judge(&mut self, now: Time, block: Block) -> Option<Command<Block>> {
        if !self.is_settled() {
            let agreeing = self.agreeing.as_mut()?;
            agreeing.unjudged.push(block);
            return None;
        }
        if block.height() <= self.state.height() {
            return None; // Its height came in by another way, with a proof, and the agreement is told so next.
        }
        if self.agreeing.as_ref().is_some_and(|agreeing| agreeing.open.len() >= OPEN_MAX) {
            return None; // Views came and went without a decision, each with a faulty primary's proposals.
        }
        let id = block.id();
        let is_valid = self.connect_open(now, block);
        Some(Command::Validated { id, is_valid })
    }

    /// Connects a proposal to its parent, which is the tip or open itself.
    fn connect_open(&mut self, now: Time, block: Block) -> bool {
        let Some(agreeing) = &mut self.agreeing else { return false };
        let parent = block.header().parent;
        let (state, header) = if parent == self.state.tip() {
            (&self.state, self.tree.at(self.place).header())
        } else if let Some(open) = agreeing.open.get(&parent) {
            (&open.outcome.state, open.block.header())
        } else {
            return false;
        };
        let is_good = Agreed::check_proposal(header, block.header(), now).is_ok()
            && check_form(&block, self.chain.rules()).is_ok();
        self.mempool.vouch(block.payments());
        let outcome = is_good.then(|| block.connect(state, self.chain.rules(), Signatures::Check));
        let Some(Ok(outcome)) = outcome else { return false };
        agreeing.open.insert(block.id(), Open { block, outcome });
        true
    }

    /// A block of what waits longest, on a parent that is the tip or an open proposal; none if there is nothing to propose.
    fn proposal_on(&mut self, now: Time, parent: BlockId) -> Option<Block> {
        let agreeing = self.agreeing.as_ref()?;
        if !self.is_settled() {
            return None;
        }
        let (header, state): (&Header, &State) = match agreeing.open.get(&parent) {
            Some(open) => (open.block.header(), &open.outcome.state),
            None if parent == self.state.tip() => (self.tree.at(self.place).header(), &self.state),
            None => return None,
        };
        let payments = self.requests_on(agreeing, state);
        if payments.is_empty() {
            return None;
        }
        let time = now.max(Agreed::earliest(header));
        let seal = Seal::Agreed { certificate: Certificate::none() };
        let block = self.assemble((parent, header.height), time, payments, agreeing.address, seal).into_block();
        self.connect_open(now, block.clone()).then_some(block)
    }

    /// What waits longest and can follow a parent that left this state, as much as fits. What is in a proposal before has its
    /// coins spent there, and so has what contradicts one.
    fn requests_on(&self, agreeing: &Agreeing, state: &State) -> Vec<Tx> {
        let count_max = self.chain.agreed().map_or(0, |agreed| agreed.params().batch_max as usize);
        let mut bytes_left = self.payments_bytes_max();
        let (mut payments, mut chosen): (Vec<Tx>, BTreeSet<TxId>) = (Vec::new(), BTreeSet::new());
        for tx in agreeing.requests.by_arrival.values().filter_map(|id| self.mempool.get(id)) {
            let is_there = |coin: &OutPoint| chosen.contains(&coin.tx) || state.coin(coin).is_some();
            if !tx.inputs.iter().all(|input| is_there(&input.coin)) {
                continue;
            }
            let Some(left) = bytes_left.checked_sub(tx.len()) else { break };
            bytes_left = left;
            chosen.insert(tx.id());
            payments.push(tx.clone());
            if payments.len() >= count_max {
                break;
            }
        }
        payments
    }

    /// Tells the agreement what changed since it was last told: the tip, and what waits.
    pub(super) fn tell_agreement(&mut self, now: Time, out: &mut Out<Self>) {
        while let Some(command) = self.news(now) {
            self.agree(now, Input::Command(command), out);
        }
    }

    fn news(&mut self, now: Time) -> Option<Command<Block>> {
        let is_settled = self.is_settled();
        let agreeing = self.agreeing.as_mut().filter(|_| is_settled)?;
        if agreeing.told != self.place {
            agreeing.told = self.place;
            agreeing.requests.told = None;
            let height = self.state.height();
            agreeing.open.retain(|_, open| open.block.height() > height);
            return tip_news(self.tree.at(self.place).header(), self.state.tip());
        }
        while let Some(block) = self.agreeing.as_mut().and_then(|agreeing| agreeing.unjudged.pop()) {
            let judged = self.judge(now, block);
            if judged.is_some() {
                return judged;
            }
        }
        let agreeing = self.agreeing.as_mut()?;
        agreeing.requests.retain(|id| self.mempool.contains(id));
        let pending = agreeing.requests.arrivals.len().saturating_sub(agreeing.proposed().count());
        let oldest = agreeing.requests.by_arrival.values().next().map(|id| id.0);
        let news = (u32::try_from(pending).unwrap_or(u32::MAX), oldest);
        if agreeing.requests.told == Some(news) {
            return None;
        }
        agreeing.requests.told = Some(news);
        Some(Command::Requests { pending: news.0, oldest })
    }

    /// A payment came into the mempool that is to be agreed on: a validator watches over it.
    pub(super) fn watch_request(&mut self, id: TxId) {
        if let Some(agreeing) = &mut self.agreeing
            && agreeing.party.agreement().my_id().is_some()
        {
            agreeing.requests.insert(id);
        }
    }

    /// Hands a payment to the primary, or where we have no link to it, to some validator, who hands it on.
    pub(super) fn request(&self, tx: &Tx, out: &mut Out<Self>) {
        let Some(agreeing) = &self.agreeing else { return };
        if agreeing.party.agreement().is_primary() {
            return;
        }
        let primary = agreeing.party.agreement().rules().validators.primary(self.view());
        let mut known = agreeing.validators.iter();
        let to: Vec<PeerId> = known.clone().filter(|(_, id)| **id == primary).map(|(peer, _)| *peer).collect();
        match to.is_empty() {
            false => out.broadcast(to, Message::Request(tx.clone())),
            true => {
                if let Some((&peer, _)) = known.next() {
                    out.send(peer, Message::Request(tx.clone()));
                }
            }
        }
    }

    /// Hands payments to all validators: the primary may be faulty (section 4.1).
    pub(super) fn request_of_all(&self, payments: &[Tx], out: &mut Out<Self>) {
        let Some(agreeing) = &self.agreeing else { return };
        for tx in payments {
            out.broadcast(agreeing.validators.keys().copied().collect(), Message::Request(tx.clone()));
        }
    }

    /// The view that the last block was agreed on in, or that we are in as a validator.
    pub fn view(&self) -> View {
        let certified = match &self.tree.at(self.place).header().seal {
            Seal::Agreed { certificate } => View(certificate.view()),
            Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => View::FIRST,
        };
        self.agreement().map_or(certified, |agreement| agreement.view().max(certified))
    }

    /// A payment that somebody wants agreed on.
    pub(super) fn on_request(&mut self, from: PeerId, tx: Tx, out: &mut Out<Self>) {
        let is_validator = self.agreement().is_some_and(|agreement| agreement.my_id().is_some());
        if !is_validator {
            return out.reject(from, synod_machine::Reject::Unsolicited);
        }
        if !self.is_settled()
            || self.is_halted()
            || self.mempool.contains(&tx.id())
            || self.reply_again(from, tx.id(), out)
        {
            return; // It is executed once.
        }
        match self.pool(tx.clone(), false, out) {
            Ok(()) => self.request(&tx, out),
            Err(error) => out.reject(from, error.reason()),
        }
    }
}

/// What the agreement is told of a tip: it executed what it decided, or it got there by itself.
fn tip_news(header: &Header, id: BlockId) -> Option<Command<Block>> {
    match &header.seal {
        Seal::Agreed { certificate } => {
            Some(Command::Synced(Base { height: header.height, id, certificate: certificate.clone() }))
        }
        Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => None,
    }
}

/// So many of the payments that wait longest are handed to a new primary: those that it knows cost a message each.
const HANDED_MAX: usize = 16;
/// More proposals than this are not open at a time: many views' worth of what may be in flight.
const OPEN_MAX: usize = 256;
