//! Stoica et al. 2001 ("Chord: a scalable peer-to-peer lookup service for Internet applications", SIGCOMM), section 6.5: look-ups while
//! nodes come and go.
//!
//! Theirs as ours: 500 nodes at first, look-ups by a Poisson process of one a second, nodes that come and nodes that fail without a word
//! by processes of the same rate, two hours, a round of stabilisation every 30 seconds on average in which all fingers are looked at, and
//! iterative look-ups by fingers. Their figure 12 is a picture; its text says what it shows. Of k nodes that fail in 30 seconds one is on
//! the way of a look-up with a probability of about 5k/500, and the graph is "in this ball-park, but slightly worse".
//!
//! Their simulator gives a look-up up that comes to a node that is down. Ours goes round it, so both are counted: look-ups that met a node
//! that is down, which are their failures, and look-ups that had no right answer in the end. They do not say how long lists of successors
//! are (ours: 20), how long messages take (50 ms) and whether rounds are drawn evenly (from 15 to 45 s). A look-up is right if it names the
//! node that owned the key when it was put or when it was answered, which is looked at every tenth of a second.

use std::time::Duration;

use synod_dht::chord::Style;
use synod_dht::overlay::{Id, Node};
use synod_machine::{PeerId, Rng};
use synod_scenario::overlay::chord::{Lab, Setting, Told, owner};
use synod_scenario::stats::probability;

use crate::{DOUBT, factor, show};

const NODES: u32 = 500;
/// Nodes that come a second, and nodes that go: the ends of the figure's axis, and one between.
const RATES: [f64; 3] = [0.01, 0.03, 0.1];
/// Networks of each rate. The paper has ten.
const NETWORKS: u64 = 3;
const SPAN: Duration = Duration::from_secs(7_200);
const TENTH: Duration = Duration::from_millis(100);

/// What became of look-ups whose askers stayed until they were answered.
#[derive(Default)]
struct Tally {
    answered: u64,
    hops: u64,
    /// The paper's failures: a node that was down was met, or the answer was wrong.
    hindered: u64,
    timeouts: u64,
    wrong: u64,
}

/// A look-up that is not answered yet: its number, its key, and who owned that when it was put.
struct Open {
    number: usize,
    key: Id,
    owner: Node,
    since: Duration,
}

/// A ring whose nodes come and go.
struct Churn {
    lab: Lab,
    rng: Rng,
    /// Peers that were started so far.
    started: u32,
    open: Vec<Open>,
    tally: Tally,
}

impl Churn {
    fn built(seed: u64, rate: f64) -> Self {
        // Far more than are expected to come.
        let spare = (1.5 * rate * SPAN.as_secs_f64()) as u32 + 50;
        let mut setting = Setting::new(seed, NODES + spare);
        setting.params.fingers_per_round = 256;
        setting.params.successors = 20;
        setting.params.shortcut = false;
        let doubling = setting.doubling;
        let after = |peer: u32| doubling.mul_f64(f64::from(peer + 1).log2());
        let mut lab = Lab::new(setting);
        (0..NODES).for_each(|peer| lab.start(PeerId(peer), after(peer)));
        lab.pass(after(NODES) + Duration::from_secs(120));
        assert_eq!(lab.disorder(), None);
        assert_eq!(lab.wrong_fingers().0, 0, "every finger is right");
        Self { lab, rng: Rng::new(seed, 0, "churn"), started: NODES, open: Vec::new(), tally: Tally::default() }
    }

    /// The time to the next event of a process with so many a second.
    fn pause(&mut self, rate: f64) -> Duration {
        let unit = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - unit).ln() / rate)
    }

    fn run(mut self, rate: f64) -> Tally {
        let (mut now, mut look) = (Duration::ZERO, Duration::ZERO);
        let (mut join, mut fail) = (self.pause(rate), self.pause(rate));
        while now < SPAN || !self.open.is_empty() {
            let then = join.min(fail).min(look).min(now + TENTH);
            self.lab.pass(then - now);
            now = then;
            self.count(now);
            if now == join {
                self.lab.start(PeerId(self.started), Duration::ZERO);
                self.started += 1;
                join += self.pause(rate);
            } else if now == fail {
                let live = self.lab.live();
                let victim = self.rng.pick(&live).expect("somebody is there");
                self.lab.crash(victim.peer);
                fail += self.pause(rate);
            } else if now == look {
                self.look_up(now);
                look = if now < SPAN { now + self.pause(1.0) } else { Duration::MAX };
            }
        }
        self.tally
    }

    fn look_up(&mut self, now: Duration) {
        let key = Id::draw(&mut self.rng);
        let owner = owner(&self.lab.live(), key);
        let number = self.lab.look_up(key, Style::Iterative).expect("somebody is there");
        self.open.push(Open { number, key, owner, since: now });
    }

    /// Takes note of the look-ups that were answered. Those whose askers failed themselves do not count.
    fn count(&mut self, now: Duration) {
        let Self { lab, open, tally, .. } = self;
        open.retain(|open| {
            let Some(answer) = lab.answer(open.number) else {
                let is_under_way = now - open.since < Duration::from_secs(60);
                let asker = lab.asker(open.number);
                let has_failed = !lab.live().iter().any(|node| node.peer == asker);
                assert!(is_under_way || has_failed, "a look-up of {asker:?} was never answered");
                return is_under_way && !has_failed;
            };
            let Told::Owner(result) = answer.what else { unreachable!("it was asked for an owner") };
            let is_right = result == Ok(open.owner) || result == Ok(owner(&lab.live(), open.key));
            tally.answered += 1;
            tally.hops += u64::from(answer.cost.hops);
            tally.timeouts += u64::from(answer.cost.timeouts);
            tally.wrong += u64::from(!is_right);
            tally.hindered += u64::from(!is_right || answer.cost.timeouts > 0);
            false
        });
    }
}

#[test]
fn look_ups_meet_failed_nodes_about_as_often_as_published_and_find_the_owner_all_the_same() {
    println!("\n| rate | look-ups | hops | published | met a node that was down | interval | time-outs each | wrong |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut least = 0.0;
    for rate in RATES {
        let mut all = Tally::default();
        for seed in 0..NETWORKS * factor() {
            let one = Churn::built(seed, rate).run(rate);
            all.answered += one.answered;
            all.hops += one.hops;
            all.hindered += one.hindered;
            all.timeouts += one.timeouts;
            all.wrong += one.wrong;
        }
        let published = 5.0 * 30.0 * rate / f64::from(NODES);
        let interval = probability(all.hindered, all.answered, DOUBT / RATES.len() as f64);
        let each = |sum: u64| sum as f64 / all.answered as f64;
        println!(
            "| {rate} | {} | {:.2} | {published:.4} | {:.4} | {} | {:.4} | {} |",
            all.answered,
            each(all.hops),
            each(all.hindered),
            show(interval),
            each(all.timeouts),
            all.wrong
        );
        assert!(interval.low > least, "the more nodes come and go the more are met: {rate}, {interval:?}");
        assert!(interval.high > published / 2.0, "{rate}: {interval:?}");
        assert!(interval.low < published * 1.5, "{rate}: {interval:?}");
        // What a failed node's time in a table comes to here: docs/published.md.
        let derived = 0.172 * rate;
        assert!(interval.high > derived * 0.9 && interval.low < derived * 1.2, "{rate}: {derived}, {interval:?}");
        assert!(all.wrong * 10_000 <= all.answered, "{rate}: {} of {} were wrong", all.wrong, all.answered);
        least = interval.high;
    }
}
