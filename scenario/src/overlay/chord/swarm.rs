//! Small rings, each drawn by a seed, each with its own troubles, each judged from outside: crashes with and without a partition,
//! lossy peers, leaves, in some of them sessions that end and begin; then all is healed, and the ring must be one, in order, and
//! have everything that it said it keeps.

use std::panic::catch_unwind;
use std::time::Duration;

use synod_dht::chord::Style;
use synod_dht::overlay::{Entry, Id, Quorum};
use synod_machine::{PeerId, Rng};
use synod_sim::Direction;
use synod_sim::model::{Distribution, Span, Turn};

use super::super::sessions::turns;
use super::{Lab, Setting, Told, Verdict, owner};
use crate::run::reason_of;

/// Runs the network of a seed. The same seed gives the same verdict.
pub fn swarm(seed: u64) -> Verdict {
    let run = || Swarm::draw(seed).run().err().unwrap_or(Verdict::Pass);
    catch_unwind(run).unwrap_or_else(|panic| Verdict::Broken(reason_of(&*panic)))
}

/// A network and what it has promised.
struct Swarm {
    seed: u64,
    rng: Rng,
    lab: Lab,
    peers: u32,
    /// Entries that were asked to be stored, with their requests.
    written: Vec<(Id, Entry, usize)>,
    /// Those that were asked to leave.
    left: Vec<PeerId>,
}

/// Rounds in which a ring that is whole again is to be in order: peers join again within one, what fell silent is asked every fourth,
/// and each of the nodes that are remembered may be asked before the one that matters.
const CALM_ROUNDS: u32 = 80;
const ROUND: Duration = Duration::from_secs(5);
/// How long peers come and go by themselves: some twenty rounds.
const COMINGS: Duration = Duration::from_secs(100);
const REPLICAS: u8 = 3;
const LOOKUPS: usize = 20;

impl Swarm {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0, "chord swarm");
        let peers = 2 + rng.below(23) as u32;
        let mut setting = Setting::new(seed, peers);
        setting.codec = true;
        setting.doubling = Duration::from_millis(rng.below(5_000));
        setting.params.round = ROUND;
        setting.params.repair = ROUND * 2;
        setting.params.fingers_per_round = 1 + rng.below(4) as u16;
        setting.params.successors = 3 + rng.below(6) as usize;
        setting.params.shortcut = rng.below(4) > 0;
        setting.params.replicas = REPLICAS;
        let (least, most) = (1 + rng.below(20), 21 + rng.below(80));
        // Bounded, so that in a quiet network no request takes longer than its time.
        setting.links.jitter = Some(Distribution::Uniform { least: Span::ZERO, most: Span::from_millis(least) });
        setting.links.delay =
            Some(Distribution::Uniform { least: Span::from_millis(least), most: Span::from_millis(most) });
        setting.links.duplicate = rng.below(3) as f64 * 0.01;
        setting.links.reorder = rng.below(3) as f64 * 0.1;
        let lab = Lab::built(setting, ROUND * CALM_ROUNDS);
        Self { seed, rng, lab, peers, written: Vec::new(), left: Vec::new() }
    }

    fn run(mut self) -> Result<(), Verdict> {
        self.judge("before any trouble")?;
        self.write(10);
        self.lab.pass(ROUND);
        for _ in 0..2 + self.rng.below(5) {
            self.trouble();
            self.write(3);
            let pause = ROUND * self.rng.below(12) as u32;
            self.lab.pass(pause);
        }
        self.come_and_go();
        self.heal();
        self.lab.pass(ROUND * CALM_ROUNDS);
        self.judge("after healing")?;
        self.read_back()
    }

    fn peer(&mut self) -> PeerId {
        PeerId(self.rng.below(u64::from(self.peers)) as u32)
    }

    fn write(&mut self, count: u64) {
        for _ in 0..count {
            let key = Id::draw(&mut self.rng);
            let entry = Entry { publisher: Id::draw(&mut self.rng), version: 1, value: vec![7; 20] };
            let quorum = Quorum::new(1 + self.rng.below(2) as u8, REPLICAS).expect("one or two of three");
            if let Some(number) = self.lab.put(key, entry.clone(), quorum) {
                self.written.push((key, entry, number));
            }
        }
    }

    /// Something happens to some peers. What crashes keeps its disk.
    fn trouble(&mut self) {
        let (one, other) = (self.peer(), self.peer());
        match self.rng.below(6) {
            0 => {
                self.left.push(one);
                self.lab.leave(one);
            }
            1 => {
                let group: Vec<PeerId> = (0..self.peers).map(PeerId).filter(|_| self.rng.below(2) == 0).collect();
                self.lab.net_mut().cut(&group, Direction::Both, None);
            }
            2 => self.lab.net_mut().heal_all(),
            3 => self.lab.net_mut().omit(one, 0.2, 0.2),
            4 => {
                // A third of all at once.
                for peer in (0..self.peers).map(PeerId) {
                    if self.rng.below(3) == 0 {
                        self.lab.crash(peer);
                    }
                }
            }
            _ => {
                self.lab.crash(one);
                self.lab.start(other, Duration::ZERO);
            }
        }
    }

    /// Peers come and go by themselves for a while, and entries are stored meanwhile. Who comes back has its disk.
    fn come_and_go(&mut self) {
        let mut now = Duration::ZERO;
        for (number, (at, peer, turn)) in turns(self.seed, self.peers, COMINGS).into_iter().enumerate() {
            self.lab.pass(at - now);
            now = at;
            match turn {
                Turn::Down => self.lab.crash(peer),
                Turn::Up => self.lab.start(peer, Duration::ZERO),
            }
            if number % 8 == 0 {
                self.write(1);
            }
        }
    }

    fn heal(&mut self) {
        self.lab.net_mut().heal_all();
        for peer in (0..self.peers).map(PeerId) {
            self.lab.net_mut().omit(peer, 0.0, 0.0);
            // Whoever left comes back as well.
            let is_on = self.lab.net().protocol(peer).is_some_and(synod_dht::Chord::is_member);
            if !is_on || self.left.contains(&peer) {
                self.lab.crash(peer);
                self.lab.start(peer, Duration::from_millis(self.rng.below(1_000)));
            }
        }
        // Who started anew while it was cut off has never heard of the others: a host knows more addresses and names some.
        self.lab.pass(ROUND * 2);
        for peer in (0..self.peers).map(PeerId) {
            self.lab.introduce(peer);
        }
    }

    fn judge(&mut self, when: &str) -> Result<(), Verdict> {
        if let Some(disorder) = self.lab.disorder() {
            return Err(Verdict::Diverged(format!("{when}: {disorder}")));
        }
        let live = self.lab.live();
        for place in 0..LOOKUPS {
            let key = Id::draw(&mut self.rng);
            let style = if place % 2 == 0 { Style::Iterative } else { Style::Recursive };
            let number = self.lab.look_up(key, style).expect("somebody is there");
            self.lab.pass(ROUND);
            let Some(answer) = self.lab.answer(number) else {
                return Err(Verdict::NoProgress(format!("{when}: a look-up of {key:?}")));
            };
            let right = Told::Owner(Ok(owner(&live, key)));
            if answer.what != right {
                return Err(Verdict::Unsafe(format!("{when}: {key:?} is {right:?}, not {:?}", answer.what)));
            }
        }
        Ok(())
    }

    /// What was acknowledged must be there.
    fn read_back(&mut self) -> Result<(), Verdict> {
        for (key, entry, number) in std::mem::take(&mut self.written) {
            // The peer that was asked may have crashed, with its answer.
            let is_kept = self.lab.answer(number).is_some_and(|answer| matches!(answer.what, Told::Taken(Ok(_))));
            if !is_kept {
                continue;
            }
            let quorum = Quorum::new(1, REPLICAS).expect("one of three");
            let number = self.lab.get(key, quorum).expect("somebody is there");
            self.lab.pass(ROUND);
            let Some(answer) = self.lab.answer(number) else {
                return Err(Verdict::NoProgress(format!("a reading of {key:?}")));
            };
            if answer.what != Told::Entries(Ok(vec![entry])) {
                return Err(Verdict::Unsafe(format!("what was stored under {key:?} is {:?}", answer.what)));
            }
        }
        Ok(())
    }
}
