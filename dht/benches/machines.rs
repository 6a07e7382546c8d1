//! What a step of a gossip machine costs when ten thousand of them share one process, as in the simulator: a duplicate
//! that comes to a mesh whose memory has left the caches, and an exchange of averaging. Arguments: machines, items.
//!
//! `cargo bench -p synod-dht --bench machines -- 10000 100`

use std::env;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_dht::gossip::{Command, Id, Message, Verdict};
use synod_dht::{Averaging, Mesh, Parcel, averaging, mesh};
use synod_machine::{Bytes, Effect, Input, Out, PeerId, Protocol, Rng, Time, Wire};

/// An item that is its hash.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Item(Id);

impl Wire for Item {
    const BYTES_MAX: usize = 33;

    fn kind(&self) -> &'static str {
        "item"
    }

    fn encoded_len(&self) -> usize {
        33
    }
}

impl Parcel for Item {
    fn fingerprint(&self) -> Id {
        self.0
    }
}

fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let machines = numbers.first().copied().unwrap_or(10_000);
    mesh(machines, numbers.get(1).copied().unwrap_or(100));
    average(machines);
}

/// Each item comes to all machines before the next does, and then twice more.
fn mesh(machines: usize, items: usize) {
    let rng = |peer| Rng::new(1, peer as u64, "mesh");
    let new = |peer| Mesh::<Item>::restore(mesh::Params::new(rng(peer)), std::iter::empty());
    let mut crowd: Vec<Mesh<Item>> = (0..machines).map(new).collect();
    let mut out = Out::new();
    for machine in &mut crowd {
        for link in 0..8 {
            machine.handle(Time::ZERO, Input::PeerUp(PeerId(link)), &mut out);
        }
        out.drain().for_each(drop);
    }
    let mut rng = Rng::new(2, 0, "items");
    let (mut new, mut duplicate) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..items {
        let mut hash = [0; 32];
        hash.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next_u64().to_le_bytes()));
        let id = Bytes(hash);
        let push = |from| Input::Message { from: PeerId(from), message: Message::Push(Item(id)) };
        let start = spent();
        for machine in &mut crowd {
            machine.handle(Time::ZERO, push(0), &mut out);
            let accept = Command::Verdict { id, verdict: Verdict::Accept };
            machine.handle(Time::ZERO, Input::Command(accept), &mut out);
            machine.check();
            out.drain().for_each(drop);
        }
        new += spent() - start;
        let start = spent();
        for from in 1..3 {
            for machine in &mut crowd {
                machine.handle(Time::ZERO, push(from), &mut out);
                machine.check();
                assert!(out.is_empty(), "a duplicate has no effect");
            }
        }
        duplicate += spent() - start;
    }
    let per = |time: Duration, steps: usize| time.as_nanos() as usize / steps;
    println!("mesh, {machines} machines, {items} items, {} B each", size_of::<Mesh<Item>>());
    println!("  a new item and its verdict {:6} ns", per(new, machines * items));
    println!("  a duplicate                {:6} ns", per(duplicate, 2 * machines * items));
}

/// Exchanges in the order of the peers, messages delivered a thousand steps late.
fn average(machines: usize) {
    let new = |peer: usize| {
        let partners = averaging::Partners::World { own: PeerId(peer as u32), peers: machines as u32 };
        let (value, period) = (peer as i64 * 1_000_000, Duration::from_secs(1));
        Averaging::restore(
            averaging::Params { value, partners, period, rng: Rng::new(1, peer as u64, "averaging") },
            std::iter::empty(),
        )
    };
    let mut crowd: Vec<Averaging> = (0..machines).map(new).collect();
    let mut waiting: std::collections::VecDeque<(u32, u32, averaging::Message)> = std::collections::VecDeque::new();
    let mut out = Out::new();
    let sum = |crowd: &[Averaging]| crowd.iter().map(|machine| i128::from(machine.value())).sum::<i128>();
    let before = sum(&crowd);
    let start = spent();
    let mut delivered = 0_usize;
    for round in 0..30 {
        for own in 0..machines as u32 {
            let now = Time::from_secs(round);
            crowd[own as usize].handle(now, Input::Timer(averaging::Timer::Exchange), &mut out);
            gather(own, &mut out, &mut waiting);
            while waiting.len() > 1_000 || (own as usize == machines - 1 && !waiting.is_empty()) {
                let (to, from, message) = waiting.pop_front().expect("one waits");
                crowd[to as usize].handle(now, Input::Message { from: PeerId(from), message }, &mut out);
                gather(to, &mut out, &mut waiting);
                delivered += 1;
            }
        }
    }
    let rate = delivered as u128 * 1_000 / (spent() - start).as_micros().max(1);
    let values: Vec<i64> = crowd.iter().map(Averaging::value).collect();
    let spread = values.iter().max().zip(values.iter().min()).map_or(0, |(max, min)| max - min);
    println!("averaging, {machines} machines, {} B each", size_of::<Averaging>());
    println!("  {delivered} messages, {rate} thousand a second, without a host or a world");
    println!("  values {spread} apart after 30 rounds, of {}", machines * 1_000_000);
    assert!(sum(&crowd) == before, "the sum is what it was");
}

fn gather(
    from: u32,
    out: &mut Out<Averaging>,
    waiting: &mut std::collections::VecDeque<(u32, u32, averaging::Message)>,
) {
    for effect in out.drain() {
        if let Effect::Send { to, message } = effect {
            waiting.push_back((to.0, from, message));
        }
    }
}

/// The time that this process has had a processor for; what else the machine does counts less.
fn spent() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}
