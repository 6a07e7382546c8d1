//! What a block costs a network of peers in one process, carrier by carrier, without a simulator: messages are delivered
//! in the order in which they were sent, a wave at a time. Arguments: peers, blocks.
//!
//! `cargo bench -p synod-peer --bench carriers -- 10000 20`

use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Command as ReplicaCommand, Limits, Seen};
use synod_dht::{Identity, flood, mesh, neighbours};
use synod_ledger::{Address, Amount, Balance, CompactTarget, Engine, Genesis, LedgerParams, PowParams, Retarget};
use synod_machine::{Bytes, Counters, Effect, Host, Input, Out, PeerId, Protocol, Rng, Time};
use synod_peer::{Command, GossipParams, KeeperParams, Message, Params, Peer};

/// Links that each peer makes, and as many are made to it.
const LINKS: u32 = 4;
const BLOCK_TIME: u64 = 600;

fn main() {
    let numbers: Vec<u32> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let peers = numbers.first().copied().unwrap_or(10_000);
    let blocks = numbers.get(1).copied().unwrap_or(20);
    println!(
        "{} B a peer, {} B an effect, {peers} peers, {blocks} blocks",
        size_of::<Peer>(),
        size_of::<Effect<Peer>>()
    );
    let rng = |own, role| Rng::new(1, u64::from(own), role);
    run("flood", peers, blocks, |own| GossipParams::Flood(flood::Params { rng: rng(own, "flood") }));
    run("mesh", peers, blocks, |own| GossipParams::Mesh(mesh::Params::new(rng(own, "mesh"))));
}

fn run(name: &str, peers: u32, blocks: u32, gossip: impl Fn(u32) -> GossipParams) {
    let chain = chain();
    let before = resident();
    let mut world =
        World { hosts: Vec::new(), waiting: VecDeque::new(), out: Out::new(), counters: Counters::default() };
    for own in 0..peers {
        let peer = Peer::restore(params(&chain, own, gossip(own)), std::iter::empty());
        world.hosts.push(Host::start_counting(peer, Time::ZERO, &mut world.out, &mut world.counters));
        world.gather(own);
    }
    let mut rng = Rng::new(2, 0, "graph");
    for own in 0..peers {
        for _ in 0..LINKS {
            let other = (own + 1 + rng.below(u64::from(peers) - 1) as u32) % peers;
            world.step(own, Time::ZERO, Input::PeerUp(PeerId(other)));
            world.step(other, Time::ZERO, Input::PeerUp(PeerId(own)));
        }
    }
    world.settle(Time::ZERO);
    println!("{name}: {} B each at rest", (resident() - before) / peers as usize);
    let (mut wave, mut timers, mut steps, mut fired) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for block in 1..=u64::from(blocks) {
        let seen = Seen::Declared { draw: block };
        let mined = Command::Replica(ReplicaCommand::Mined { job: block, seen });
        let now = Time::from_secs(block * BLOCK_TIME);
        let start = spent();
        world.step(0, now, Input::Command(mined));
        steps += world.settle(now);
        wave += spent() - start;
        let start = spent();
        for half in 0..20 {
            fired += world.fire(now + Duration::from_millis(half * 500));
        }
        fired += world.fire(now + Duration::from_secs(BLOCK_TIME / 2));
        timers += spent() - start;
    }
    let per = |time: Duration, count: usize| time.as_nanos() as usize / count.max(1);
    println!("  {steps} messages in the waves of blocks, {} ns each", per(wave, steps));
    println!("  {fired} steps of timers and what they send, {} ns each", per(timers, fired));
    println!("  {} B each in the end", (resident() - before) / peers as usize);
    for traffic in world.counters.traffic.by_kind() {
        let each = traffic.sent.messages as f64 / f64::from(peers * blocks);
        println!("  {:>12} {each:8.2} a peer and block", traffic.kind);
    }
    let height = world.hosts.iter().map(|host| host.protocol().replica().state().height().0).min();
    assert!(height == Some(u64::from(blocks)), "every peer has the chain");
}

struct World {
    hosts: Vec<Host<Peer>>,
    waiting: VecDeque<(u32, PeerId, Message)>,
    out: Out<Peer>,
    counters: Counters,
}

impl World {
    fn step(&mut self, own: u32, now: Time, input: Input<Peer>) {
        self.hosts[own as usize].step_counting(now, input, &mut self.out, &mut self.counters);
        self.gather(own);
    }

    fn settle(&mut self, now: Time) -> usize {
        let mut steps = 0;
        while let Some((to, from, message)) = self.waiting.pop_front() {
            self.step(to, now, Input::Message { from, message });
            steps += 1;
        }
        steps
    }

    fn fire(&mut self, now: Time) -> usize {
        let mut steps = 0;
        for own in 0..self.hosts.len() {
            while let Some(due) = self.hosts[own].next_deadline().filter(|due| *due <= now) {
                let timer = self.hosts[own].pop_due(due).expect("it was just seen");
                self.step(own as u32, due, Input::Timer(timer));
                steps += 1;
            }
        }
        steps + self.settle(now)
    }

    fn gather(&mut self, own: u32) {
        let from = PeerId(own);
        for effect in self.out.drain() {
            match effect {
                Effect::Broadcast { to, message } => {
                    self.waiting.extend(to.into_iter().map(|to| (to.0, from, message.clone())));
                }
                Effect::Send { to, message } => self.waiting.push_back((to.0, from, message)),
                Effect::Reject { peer, reason } => panic!("{from:?} rejects {peer:?}: {reason}"),
                Effect::Cancel(_) | Effect::Emit(_) | Effect::Forget(_) => {}
                Effect::Persist { .. } | Effect::Set { .. } => {}
            }
        }
    }
}

fn params(chain: &Arc<Chain>, own: u32, gossip: GossipParams) -> Params {
    let mut identity = [0; 32];
    identity[..4].copy_from_slice(&own.to_le_bytes());
    let miner = (own == 0).then_some(Address(Bytes([7; 20])));
    let rng = Rng::new(1, u64::from(own), "neighbours");
    Params {
        behaviour: synod_peer::Behaviour::Honest,
        discovery: None,
        gossip,
        neighbours: neighbours::Params {
            own: Identity(Bytes(identity)),
            kept: BTreeSet::new(),
            neighbours_min: 0,
            rng,
        },
        keeper: KeeperParams::Full(synod_consensus::Params {
            chain: chain.clone(),
            limits: Limits::default(),
            miner,
            signer: None,
            behaviour: Default::default(),
            extra: 0,
        }),
    }
}

fn chain() -> Arc<Chain> {
    let block_time_ms = BLOCK_TIME * 1_000;
    let pow = PowParams { target: CompactTarget::MAX, block_time_ms, retarget: Retarget::Off, declared: true };
    let ledger = LedgerParams {
        subsidy: Amount(50 * Amount::COIN),
        halving_interval: 210_000,
        maturity: 100,
        block_bytes_max: 1_000_000,
        fee_min: Amount(1),
    };
    let owner = Balance {
        name: "one".to_string(),
        address: Address(Bytes([1; 20])),
        amount: Amount(1_000),
        coins: 1,
        stake: Amount::ZERO,
    };
    let engine = Engine::Pow(pow);
    let genesis = Genesis { name: "bench".to_string(), time_unix_ms: 0, engine, ledger, balances: vec![owner] };
    Chain::simulated(genesis).expect("a chain can start like this")
}

/// The time that this process has had a processor for; what else the machine does counts less.
fn spent() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// The bytes of memory that this process has.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1_024)
}
