//! A replica of proof of work that is handed by hand what others say: no net, no disk, a miner who is told when it has found.
//!
//! Duels and pools are made of these. What happens between two blocks takes no time there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Command, Event, Item, Limits, Message, Params, Replica, Seen, pow};
use synod_ledger::{
    Address, Amount, Block, BlockId, Engine, Genesis, LedgerParams, PowParams, Retarget, SecretKey, Tx,
};
use synod_machine::{Effect, Host, Input, PeerId, Protocol, Time};

use crate::payer::{balances, miner};
use crate::race::Race;

/// Bitcoin's.
pub(crate) const BLOCK_TIME: Duration = Duration::from_secs(600);

/// Blocks of one side, at most.
pub(crate) const BLOCKS_MAX: usize = 1 << 16;

/// A chain of Bitcoin's block time and without a retarget, whose seals are declared.
pub(crate) fn chain(name: &str) -> Arc<Chain> {
    let target = pow::target_for(1_000, BLOCK_TIME);
    let pow =
        PowParams { target, block_time_ms: BLOCK_TIME.as_millis() as u64, retarget: Retarget::Off, declared: true };
    let balances = balances(1, Amount(100 * Amount::COIN));
    let genesis = Genesis { name: name.into(), time_unix_ms: 0, engine: Engine::Pow(pow), ledger: LEDGER, balances };
    Chain::simulated(genesis).expect("a chain can start like this")
}

/// Rules of payments, as on Bitcoin.
pub(crate) const LEDGER: LedgerParams = LedgerParams {
    subsidy: Amount(50 * Amount::COIN),
    halving_interval: 100_000,
    maturity: 100,
    block_bytes_max: 1_000_000,
    fee_min: Amount(1),
};

/// The race for such a chain's blocks. All replicas are always on a job of the same target, so that every tick counts.
pub(crate) fn race(chain: &Chain, seed: u64, power: &[u64]) -> Race {
    let target = chain.pow().expect("a chain of proof of work").params().target;
    Race::new(seed, power, 1.0 / BLOCK_TIME.as_secs_f64(), target)
}

/// A replica and what it said.
pub(crate) struct Party {
    pub(crate) own: PeerId,
    host: Host<Replica>,
    /// What it said and the others have not heard.
    said: VecDeque<Message>,
    /// The deepest that it took blocks back.
    pub(crate) depth: u64,
    /// The block that it published last.
    published: Option<Block>,
}

impl Party {
    /// A miner.
    pub(crate) fn new(chain: &Arc<Chain>, own: PeerId) -> Self {
        Self::start(chain, own, None, Time::ZERO)
    }

    /// A wallet that mints from then on, whoever else has the same key.
    pub(crate) fn minter(chain: &Arc<Chain>, own: PeerId, signer: SecretKey, now: Time) -> Self {
        Self::start(chain, own, Some(signer), now)
    }

    fn start(chain: &Arc<Chain>, own: PeerId, signer: Option<SecretKey>, now: Time) -> Self {
        // Blocks are not read back from a disk: a chain so long is not made.
        let limits = Limits { bodies_max: BLOCKS_MAX, bodies_bytes_max: usize::MAX, ..Limits::default() };
        let params = Params {
            chain: chain.clone(),
            limits,
            miner: Some(miner(own.0)),
            signer,
            behaviour: Default::default(),
            extra: u64::from(own.0),
        };
        let replica = Replica::restore(params, std::iter::empty());
        let host = Host::start(replica, now, |_| {});
        Self { own, host, said: VecDeque::new(), depth: 0, published: None }
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.host.protocol()
    }

    pub(crate) fn height(&self) -> u64 {
        self.replica().state().height().0
    }

    pub(crate) fn tip(&self) -> BlockId {
        self.replica().tip()
    }

    fn step(&mut self, now: Time, input: Input<Replica>) {
        let Self { host, said, depth, published, .. } = self;
        host.step(now, input, |effect| take(effect, said, depth, published));
    }

    /// When it does something by itself.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.host.next_deadline()
    }

    /// It does what it does by itself at that time. The block that it minted, if it did.
    pub(crate) fn fire(&mut self, now: Time) -> Option<Block> {
        let Self { host, said, depth, published, .. } = self;
        host.fire(now, |effect| take(effect, said, depth, published));
        published.take()
    }

    pub(crate) fn submit(&mut self, now: Time, tx: &Tx) {
        self.step(now, Input::Command(Command::Submit { ticket: 0, tx: tx.clone() }));
        assert!(self.replica().mempool().contains(&tx.id()), "the coin is there and not spent");
    }

    /// Seals a block on its own tip.
    pub(crate) fn mine(&mut self, now: Time, draw: u64) -> Block {
        let height = self.height();
        let job = self.replica().job().expect("a miner is always at work").id;
        self.step(now, Input::Command(Command::Mined { job, seen: Seen::Declared { draw } }));
        assert_eq!(self.height(), height + 1, "a block of one's own is taken");
        self.published.take().expect("a block of one's own is published")
    }

    /// Hears a block by gossip.
    pub(crate) fn hear(&mut self, now: Time, from: PeerId, block: &Block) {
        let id = block.id().0;
        self.step(now, Input::Command(Command::Gossip { id, from, item: Item::Block(block.clone()) }));
    }

    /// Whether a payment is in its chain; what it makes is spent by nobody.
    pub(crate) fn has_confirmed(&self, tx: &Tx) -> bool {
        let state = self.replica().state();
        tx.made().any(|(name, _)| state.coin(&name).is_some())
    }

    /// Who is paid for each block of its chain, from the last one down.
    pub(crate) fn miners(&self) -> impl Iterator<Item = Address> + '_ {
        let replica = self.replica();
        let headers = replica.tree().ancestry(&replica.tip()).take(self.height() as usize);
        let ids: Vec<BlockId> = headers.map(|header| header.id()).collect();
        let blocks = ids.into_iter().map(|id| replica.block(&id).expect("all blocks are in memory"));
        blocks.filter_map(|block| block.coinbase().outputs.first().map(|output| output.to))
    }
}

/// Two who heard nothing of each other say what they have, until there is nothing more to say.
pub(crate) fn meet(now: Time, one: &mut Party, other: &mut Party) {
    one.step(now, Input::PeerUp(other.own));
    other.step(now, Input::PeerUp(one.own));
    for _ in 0..MESSAGES_MAX {
        if let Some(message) = one.said.pop_front() {
            other.step(now, Input::Message { from: one.own, message });
        } else if let Some(message) = other.said.pop_front() {
            one.step(now, Input::Message { from: other.own, message });
        } else {
            break;
        }
    }
}

/// Messages until both are on one tip, at most: headers, and each block asked for and given.
const MESSAGES_MAX: usize = 4 * BLOCKS_MAX;

fn take(effect: Effect<Replica>, said: &mut VecDeque<Message>, depth: &mut u64, published: &mut Option<Block>) {
    match effect {
        Effect::Broadcast { message, .. } | Effect::Send { message, .. } => said.push_back(message),
        Effect::Emit(event) => note(event, depth, published),
        // None crashes, so what is written need not be kept.
        Effect::Forget(_) | Effect::Persist { .. } => {}
        Effect::Reject { peer, reason } => panic!("all are honest in what they say, but {peer:?}: {reason}"),
        Effect::Cancel(_) | Effect::Set { .. } => unreachable!("the host keeps timers to itself"),
    }
}

fn note(event: Event, taken_back: &mut u64, published: &mut Option<Block>) {
    match event {
        Event::Tip { depth, .. } => *taken_back = (*taken_back).max(depth),
        Event::Publish(Item::Block(block)) => *published = Some(block),
        Event::Load(key) => panic!("all blocks are in memory: {key:?}"),
        Event::Conflict(_)
        | Event::Evidence(_)
        | Event::Offence(_)
        | Event::Mine(_)
        | Event::Pooled(_)
        | Event::Primary { .. }
        | Event::Publish(Item::Payment(_))
        | Event::Replied { .. }
        | Event::Stuck { .. }
        | Event::Violation(_)
        | Event::Submitted { .. }
        | Event::Verdict { .. } => {}
    }
}
