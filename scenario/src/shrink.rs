//! Makes a failing scenario smaller while it fails in the same way: delta debugging (Zeller and Hildebrandt 2002,
//! "Simplifying and isolating failure-inducing input") over what is done to the peers, and plainer values for the rest.
//!
//! Nothing is random: one scenario always shrinks to the same one.

use synod_machine::PeerId;
use synod_sim::model::{Distribution, Links, Span, Topology};

use crate::Scenario;
use crate::config::{
    Action, ClientsConfig, DiskConfig, FloodConfig, GossipConfig, LimitsConfig, LoadConfig, Power, Retarget, Stretch,
    Who,
};

/// What came of shrinking.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest that was found.
    pub scenario: Scenario,
    /// How many scenarios were run.
    pub tries: usize,
}

/// Shrinks a scenario of which `fails` is true, by running no more than so many others. `fails` is asked of each candidate: it
/// answers whether the run fails in the same way, and says no of scenarios that cannot be run.
pub fn shrink(scenario: &Scenario, tries_max: usize, fails: impl FnMut(&Scenario) -> bool) -> Shrunk {
    let mut search = Search { best: scenario.clone(), tries: 0, tries_max, fails };
    loop {
        let before = search.best.clone();
        search.drop_actions();
        search.shorten();
        search.drop_peers();
        search.thin_actions();
        search.simplify();
        if search.best == before || search.is_over() {
            return Shrunk { scenario: search.best, tries: search.tries };
        }
    }
}

struct Search<F> {
    best: Scenario,
    tries: usize,
    tries_max: usize,
    fails: F,
}

impl<F: FnMut(&Scenario) -> bool> Search<F> {
    const fn is_over(&self) -> bool {
        self.tries >= self.tries_max
    }

    /// Takes a candidate if it is another one and fails as well.
    fn offer(&mut self, candidate: Scenario) -> bool {
        if candidate == self.best || self.is_over() || candidate.check().is_err() {
            return false;
        }
        self.tries += 1;
        let is_taken = (self.fails)(&candidate);
        if is_taken {
            self.best = candidate;
        }
        is_taken
    }

    /// Leaves actions out, half of them at a time, then a quarter, down to single ones. What heals the network stays.
    fn drop_actions(&mut self) {
        let mut length = self.best.actions.len().div_ceil(2);
        while length > 0 && !self.is_over() {
            let mut first = 0;
            while first < self.best.actions.len() {
                let mut candidate = self.best.clone();
                let mut place = 0;
                candidate.actions.retain(|action| {
                    place += 1;
                    let is_out = (first..first + length).contains(&(place - 1));
                    !is_out || matches!(action, Action::Heal { .. })
                });
                if !self.offer(candidate) {
                    first += length;
                }
            }
            length /= 2;
        }
    }

    /// Lets the network heal earlier, and the run end as much earlier.
    fn shorten(&mut self) {
        for (part, whole) in [(1, 2), (3, 4), (9, 10)] {
            while let Some(candidate) = shortened(&self.best, part, whole) {
                if !self.offer(candidate) {
                    break;
                }
            }
        }
    }

    /// Leaves the last peers out: half of them, then one by one.
    fn drop_peers(&mut self) {
        while self.best.peers > 1 {
            let half = fewer_peers(&self.best, self.best.peers.div_ceil(2));
            let one = fewer_peers(&self.best, self.best.peers - 1);
            // Not every graph has every number of peers.
            let complete = Scenario { topology: Topology::Complete {}, ..one.clone() };
            if !(self.offer(half) || self.offer(one) || self.offer(complete)) {
                return;
            }
        }
    }

    /// Leaves peers out of each action.
    fn thin_actions(&mut self) {
        for place in 0..self.best.actions.len() {
            while let Some(Who::Listed(stretches)) = who(&self.best.actions[place]) {
                let peers: Vec<PeerId> = each(stretches).map(PeerId).collect();
                let (first, second) = peers.split_at(peers.len() / 2);
                let with = |peers: &[PeerId]| {
                    let mut candidate = self.best.clone();
                    *who_mut(&mut candidate.actions[place])? = Who::of(peers.iter().copied());
                    Some(candidate)
                };
                let (first, second) = (with(first), with(second));
                let is_thinner = |this: &mut Self, half: Option<Scenario>| half.is_some_and(|half| this.offer(half));
                if peers.len() < 2 || !(is_thinner(self, first) || is_thinner(self, second)) {
                    break;
                }
            }
        }
    }

    /// Tries the plainest value of each part.
    fn simplify(&mut self) {
        for plainer in PLAINER {
            let mut candidate = self.best.clone();
            plainer(&mut candidate);
            self.offer(candidate);
        }
        while let Some(load) = self.best.load.as_ref().and_then(half) {
            let mut candidate = self.best.clone();
            candidate.load = Some(load);
            if !self.offer(candidate) {
                break;
            }
        }
    }
}

/// Half as many payments or clients, if they are not as few as can be.
fn half(load: &LoadConfig) -> Option<LoadConfig> {
    let rate = load.rate.map(|rate| rate / 2.0);
    let clients = load.clients.map(|clients| ClientsConfig { count: clients.count / 2, ..clients });
    let is_some = rate.is_none_or(|rate| rate > RATE_LEAST / 2.0) && clients.is_none_or(|clients| clients.count > 0);
    is_some.then(|| LoadConfig { rate, clients, ..load.clone() })
}

/// Payments are not made rarer than this, in payments per second.
const RATE_LEAST: f64 = 1e-3;

/// What makes a scenario plainer, one thing each, what matters most to a reader first.
const PLAINER: [fn(&mut Scenario); 18] = [
    |scenario| scenario.churn = None,
    |scenario| scenario.load = None,
    |scenario| scenario.absent = Who::Listed(Vec::new()),
    |scenario| scenario.links.loss = 0.0,
    |scenario| scenario.links.duplicate = 0.0,
    |scenario| scenario.links.reorder = 0.0,
    |scenario| scenario.links.jitter = None,
    |scenario| scenario.links.upload = None,
    |scenario| scenario.links = Links { delay: Some(constant_delay()), ..Links::default() },
    |scenario| scenario.topology = Topology::Complete {},
    |scenario| scenario.gossip = GossipConfig::Flood(FloodConfig {}),
    |scenario| scenario.disk = DiskConfig::default(),
    |scenario| scenario.codec = false,
    |scenario| scenario.limits = LimitsConfig::default(),
    |scenario| scenario.chain.retarget = Retarget::Off,
    |scenario| scenario.mining.power = Power::Equal {},
    |scenario| scenario.mining.hash_rate = 1.0,
    |scenario| {
        if let Some(load) = &mut scenario.load {
            (load.conflicts, load.inputs, load.outputs) = (0.0, 1, 2);
        }
    },
];

const fn constant_delay() -> Distribution {
    Distribution::constant(Span::from_millis(50))
}

/// The same, with healing at a part of its time; without healing, with the end there.
fn shortened(scenario: &Scenario, part: u64, whole: u64) -> Option<Scenario> {
    let of = |span: Span| Span::from_nanos(span.nanos() / whole * part);
    let mut candidate = scenario.clone();
    let heals = scenario.actions.iter().find(|action| matches!(action, Action::Heal { .. })).map(Action::at);
    let Some(heals) = heals else {
        candidate.stop.time = of(scenario.stop.time);
        candidate.actions.retain(|action| action.at() < candidate.stop.time);
        return (candidate.stop.time > Span::ZERO).then_some(candidate);
    };
    let heals_at = of(heals);
    let after = scenario.stop.time.nanos().checked_sub(heals.nanos())?;
    candidate.actions.retain(|action| action.at() < heals_at);
    candidate.actions.push(Action::Heal { at: heals_at });
    candidate.stop.time = Span::from_nanos(heals_at.nanos() + after);
    if let Some(churn) = &mut candidate.churn {
        churn.until = churn.until.map(|until| until.min(heals_at));
    }
    (heals_at > Span::ZERO).then_some(candidate)
}

/// The same with only the first peers.
fn fewer_peers(scenario: &Scenario, peers: u32) -> Scenario {
    let mut candidate = Scenario { peers, ..scenario.clone() };
    let cut = |who: &mut Who| {
        if let Who::Listed(stretches) = who {
            *who = Who::of(each(stretches).filter(|peer| *peer < peers).map(PeerId));
        }
    };
    cut(&mut candidate.absent);
    cut(&mut candidate.mining.miners);
    if let Some(churn) = &mut candidate.churn {
        cut(&mut churn.peers);
    }
    candidate.adversaries.iter_mut().map(|adversary| &mut adversary.peers).for_each(cut);
    candidate.actions.iter_mut().filter_map(who_mut).for_each(cut);
    let is_of_nobody = |action: &Action| who(action).is_some_and(|who| *who == Who::Listed(Vec::new()));
    candidate.actions.retain(|action| !is_of_nobody(action));
    candidate
}

fn each(stretches: &[Stretch]) -> impl Iterator<Item = u32> + '_ {
    stretches.iter().flat_map(|stretch| stretch.first..=stretch.last)
}

/// Whom an action is done to.
const fn who(action: &Action) -> Option<&Who> {
    match action {
        Action::Clock { peers, .. }
        | Action::Crash { peers, .. }
        | Action::Cut { peers, .. }
        | Action::Forge { peers, .. }
        | Action::Omit { peers, .. }
        | Action::Pause { peers, .. }
        | Action::Reap { peers, .. }
        | Action::Resume { peers, .. }
        | Action::Start { peers, .. }
        | Action::Turn { peers, .. }
        | Action::Wipe { peers, .. } => Some(peers),
        Action::Heal { .. } | Action::Reconnect { .. } => None,
    }
}

const fn who_mut(action: &mut Action) -> Option<&mut Who> {
    match action {
        Action::Clock { peers, .. }
        | Action::Crash { peers, .. }
        | Action::Cut { peers, .. }
        | Action::Forge { peers, .. }
        | Action::Omit { peers, .. }
        | Action::Pause { peers, .. }
        | Action::Reap { peers, .. }
        | Action::Resume { peers, .. }
        | Action::Start { peers, .. }
        | Action::Turn { peers, .. }
        | Action::Wipe { peers, .. } => Some(peers),
        Action::Heal { .. } | Action::Reconnect { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Swarm;

    #[test]
    fn what_matters_is_left_and_the_rest_is_plain() {
        // It fails as long as somebody crashes and peer 2 is there.
        let fails = |scenario: &Scenario| {
            let crashes = scenario.actions.iter().any(|action| matches!(action, Action::Crash { .. }));
            crashes && scenario.peers > 2
        };
        let drawn =
            (0..).map(|seed| Swarm::Pow.draw(seed)).find(|drawn| fails(drawn)).expect("one of endlessly many seeds");
        let shrunk = shrink(&drawn, 10_000, fails);
        assert_eq!(shrunk.scenario.peers, 3);
        let actions = &shrunk.scenario.actions;
        assert_eq!(actions.len(), 2, "{actions:?}");
        assert!(matches!(actions[0], Action::Crash { .. }), "{actions:?}");
        assert!(matches!(actions[1], Action::Heal { .. }), "{actions:?}");
        assert_eq!((shrunk.scenario.load, shrunk.scenario.churn), (None, None));
        assert_eq!(shrunk.scenario.topology, Topology::Complete {});
        assert_eq!(shrink(&drawn, 10_000, fails).tries, shrunk.tries, "nothing is random");
    }

    #[test]
    fn no_more_are_run_than_allowed() {
        let mut runs = 0;
        let drawn = Swarm::Pow.draw(1);
        let shrunk = shrink(&drawn, 7, |_| {
            runs += 1;
            true
        });
        assert_eq!((runs, shrunk.tries), (7, 7));
    }
}
