//! A bare averaging gossip: what the simulator itself costs, with as little protocol as there can be.

use std::time::{Duration, Instant};

use synod_dht::averaging::{Averaging, Params, Partners};
use synod_machine::{PeerId, Rng, Time};
use synod_sim::model::{Graph, LinkModel};
use synod_sim::{Experiment, NetOf, Setup, World};

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct Averaged {
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages and timers.
    pub events: u64,
    /// Wall time of the loop, without making the peers.
    pub wall: Duration,
    /// The variance of the peers' numbers at the end over that at the beginning.
    pub variance: f64,
}

/// Peers that average, each with its own number, the partner drawn among all.
struct Crowd {
    seed: u64,
    peers: u32,
    period: Duration,
}

impl Experiment for Crowd {
    type Protocol = Averaging;
    type Alarm = ();

    fn params(&mut self, _: &NetOf<Self>, peer: PeerId) -> Params {
        Params {
            value: i64::from(peer.0) << 24,
            partners: Partners::World { own: peer, peers: self.peers },
            period: self.period,
            rng: Rng::new(self.seed, u64::from(peer.0), "averaging"),
        }
    }

    fn on_alarm(&mut self, _: &mut NetOf<Self>, (): ()) {}

    fn on_event(&mut self, _: &mut NetOf<Self>, _: PeerId, event: synod_dht::averaging::Event) {
        match event {}
    }
}

/// Runs so many rounds among so many peers, over the links given.
pub fn average(seed: u64, peers: u32, rounds: u32, links: LinkModel) -> Averaged {
    let period = Duration::from_secs(1);
    let setup = Setup { seed, graph: Graph::empty(peers), links, disk_sync: Duration::ZERO, codec: false };
    let mut world = World::new(setup, Crowd { seed, peers, period });
    for peer in world.net().peers() {
        world.net_mut().start(Time::ZERO, peer);
    }
    world.run(Time::ZERO, u64::MAX);
    let before = variance(&world);
    let begun = Instant::now();
    world.run(Time::ZERO + period * rounds, u64::MAX);
    let wall = begun.elapsed();
    let tally = world.net().tally();
    Averaged { delivered: tally.delivered, events: tally.events, wall, variance: variance(&world) / before }
}

fn variance(world: &World<Crowd>) -> f64 {
    let net = world.net();
    let values: Vec<f64> = net.peers().filter_map(|peer| net.protocol(peer)).map(|peer| peer.value() as f64).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}
