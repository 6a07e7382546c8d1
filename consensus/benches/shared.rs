//! What a replica costs when ten thousand of them share one process, one chain and its blocks, as in the simulator.
//!
//! Blocks go to all replicas one after the other (every replica gets the first, then every one the second), which is
//! a simulator's order: by the time of a replica's turn its memory has left the caches. Times are the processor's and not
//! the clock's, since machines are shared. Arguments: replicas, blocks.
//!
//! `cargo bench -p synod-consensus --bench shared -- 10000 100`

mod common;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Claim, Command, Event, Item, Limits, Message, Params, Replica, Seen};
use synod_ledger::{Address, Block};
use synod_machine::{Bytes, Counters, Effect, Host, Input, Out, PeerId, Protocol, Time};

use self::common::{BLOCK_TIME, chain, cpu_time, resident};

/// Neighbours of a replica: Bitcoin Core's outbound connections.
const LINKS: u32 = 8;
/// What a message takes from one neighbour to the next.
const HOP: Duration = Duration::from_millis(100);

fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (replicas, blocks) = (numbers.first().copied().unwrap_or(10_000), numbers.get(1).copied().unwrap_or(100));
    let chain = chain(1);
    let before = resident();
    let mut crowd = Crowd::new(&chain, replicas);
    println!("{replicas} replicas, {LINKS} links each: {} B each", (resident() - before) / replicas);
    let mut miner = Crowd::new(&chain, 1);
    miner.hosts = vec![Host::start(Replica::restore(params(&chain, true), std::iter::empty()), Time::ZERO, |_| {})];
    let before = resident();
    let mut spent = Spent::default();
    for height in 1..=blocks as u64 {
        let now = Time::ZERO + BLOCK_TIME * height as u32;
        let block = miner.mine(now, height);
        spent.blocks += crowd.gossip(now, &block, 0);
        for from in 1..3 {
            spent.duplicates += crowd.gossip(now + HOP, &block, from);
        }
        let claim = miner.claim();
        for from in 0..LINKS {
            spent.tips += crowd.tip(now + 2 * HOP, claim, from);
        }
        spent.timers += crowd.fire(now + BLOCK_TIME / 2);
    }
    let steps = |count: usize, time: Duration| time.as_nanos() as usize / (count * replicas * blocks);
    println!("a new block       {:6} ns", steps(1, spent.blocks));
    println!("a duplicate       {:6} ns", steps(2, spent.duplicates));
    println!("a tip             {:6} ns", steps(LINKS as usize, spent.tips));
    println!("timers of a block {:6} ns, {} in all", steps(1, spent.timers), crowd.fired);
    println!("with {blocks} blocks: {} B more each", (resident() - before) / replicas);
    println!("{} messages sent, {} records written", crowd.sent, crowd.records);
    let height = crowd.hosts.iter().map(|host| host.protocol().state().height().0).min();
    assert!(height == Some(blocks as u64), "every replica has the chain");
}

#[derive(Default)]
struct Spent {
    blocks: Duration,
    duplicates: Duration,
    tips: Duration,
    timers: Duration,
}

/// Replicas that share one buffer of effects and one set of counters.
struct Crowd {
    hosts: Vec<Host<Replica>>,
    out: Out<Replica>,
    counters: Counters,
    sent: usize,
    records: usize,
    fired: usize,
}

impl Crowd {
    fn new(chain: &Arc<Chain>, replicas: usize) -> Self {
        let mut crowd =
            Self { hosts: Vec::new(), out: Out::new(), counters: Counters::default(), sent: 0, records: 0, fired: 0 };
        for _ in 0..replicas {
            let replica = Replica::restore(params(chain, true), std::iter::empty());
            crowd.hosts.push(Host::start_counting(replica, Time::ZERO, &mut crowd.out, &mut crowd.counters));
            crowd.release();
        }
        for link in 0..LINKS {
            crowd.all(Time::ZERO, |_| Input::PeerUp(PeerId(link)));
        }
        crowd
    }

    fn all(&mut self, now: Time, input: impl Fn(usize) -> Input<Replica>) -> Duration {
        let start = cpu_time();
        for place in 0..self.hosts.len() {
            self.step(place, now, input(place));
        }
        cpu_time().saturating_sub(start)
    }

    fn step(&mut self, place: usize, now: Time, input: Input<Replica>) {
        self.hosts[place].step_counting(now, input, &mut self.out, &mut self.counters);
        self.release();
    }

    fn gossip(&mut self, now: Time, block: &Block, from: u32) -> Duration {
        let id = block.fingerprint();
        let (from, item) = (PeerId(from), Item::Block(block.clone()));
        self.all(now, |_| Input::Command(Command::Gossip { id, from, item: item.clone() }))
    }

    fn tip(&mut self, now: Time, claim: Claim, from: u32) -> Duration {
        self.all(now, |_| Input::Message { from: PeerId(from), message: Message::Tip(claim) })
    }

    fn fire(&mut self, now: Time) -> Duration {
        let start = cpu_time();
        for place in 0..self.hosts.len() {
            while let Some(due) = self.hosts[place].next_deadline().filter(|due| *due <= now) {
                let timer = self.hosts[place].pop_due(due).expect("it was just seen");
                self.step(place, due, Input::Timer(timer));
                self.fired += 1;
            }
        }
        cpu_time().saturating_sub(start)
    }

    /// The next block, by the first of them.
    fn mine(&mut self, now: Time, job: u64) -> Block {
        let seen = Seen::Declared { draw: job };
        self.hosts[0].step_into(now, Input::Command(Command::Mined { job, seen }), &mut self.out);
        let published = self.out.drain().find_map(|effect| {
            let Effect::Emit(Event::Publish(Item::Block(block))) = effect else { return None };
            Some(block)
        });
        published.expect("the job is the last one")
    }

    fn claim(&self) -> Claim {
        let replica = self.hosts[0].protocol();
        let node = replica.tree().best();
        Claim { tip: node.id(), height: node.height(), work: Bytes(node.weight().to_be_bytes()) }
    }

    /// Drops the effects, as a driver does that has passed them on.
    fn release(&mut self) {
        for effect in self.out.drain() {
            match effect {
                Effect::Broadcast { to, .. } => self.sent += to.len(),
                Effect::Send { .. } => self.sent += 1,
                Effect::Persist { .. } => self.records += 1,
                Effect::Reject { reason, .. } => panic!("nothing is wrong with what is sent: {reason}"),
                Effect::Cancel(_) | Effect::Emit(_) | Effect::Forget(_) | Effect::Set { .. } => {}
            }
        }
    }
}

fn params(chain: &Arc<Chain>, mines: bool) -> Params {
    let miner = mines.then_some(Address(Bytes([7; 20])));
    Params {
        chain: chain.clone(),
        limits: Limits::default(),
        miner,
        signer: None,
        behaviour: Default::default(),
        extra: 0,
    }
}
