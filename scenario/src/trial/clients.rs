//! A closed loop: clients who pay, wait until that is committed, think, and pay again.
//!
//! Committed means what it means in [`measure`](crate::measure::measure): half of the peers have the block that makes a payment as deep
//! as the plan's confirmations ask. It is said while the run goes on, so that a client does not come back to what a deeper
//! reorganisation takes away after that; and who waits for a payment that every peer lost waits to the end.

use std::time::Duration;

use synod_ledger::TxId;
use synod_machine::PeerId;
use synod_sim::NetOf;

use super::{Alarm, START_WITHIN, Trial, body};
use crate::payer::Order;

impl Trial {
    /// Clients begin one after another, and not all in one instant.
    pub(super) fn begin_clients(&mut self, net: &mut NetOf<Self>) {
        let Some(clients) = self.plan.load.clients else { return };
        for client in 0..clients.count {
            let within = Duration::from_nanos(self.rng.below(START_WITHIN.as_nanos() as u64));
            net.alarm(self.plan.load.from + within, Alarm::Client(client));
        }
    }

    /// A client pays.
    pub(super) fn on_client(&mut self, net: &mut NetOf<Self>, client: u32) {
        let Some(clients) = self.plan.load.clients else { return };
        if net.now() > self.plan.load.until || self.is_over {
            return;
        }
        let again = net.now() + clients.retry;
        let order = self.payer.order(&self.plan.chain);
        let Some(Order { tx, .. }) = order else { return net.alarm(again, Alarm::Client(client)) };
        let id = tx.id();
        let Some(ticket) = self.submit(net, tx) else { return net.alarm(again, Alarm::Client(client)) };
        self.waiting.insert(id, client);
        net.alarm(again, Alarm::Unheard(ticket));
    }

    /// A payment was refused: its client makes another later.
    pub(super) fn try_again(&mut self, net: &mut NetOf<Self>, id: &TxId) {
        let Some(clients) = self.plan.load.clients else { return };
        if let Some(client) = self.waiting.remove(id) {
            net.alarm(net.now() + clients.retry, Alarm::Client(client));
        }
    }

    /// Whoever was asked crashed or sleeps, if it has not answered yet: its client makes another payment. What the first one spends
    /// stays spent, since nobody knows whether it is on its way.
    pub(super) fn on_unheard(&mut self, net: &mut NetOf<Self>, ticket: u64) {
        let client = self.orders.get(&ticket).and_then(|tx| self.waiting.remove(&tx.id()));
        if let Some(client) = client {
            self.on_client(net, client);
        }
    }

    /// Clients whose payments are committed since `peer`, too, has a block think, and then pay again.
    pub(super) fn tell_clients(&mut self, net: &mut NetOf<Self>, peer: PeerId) {
        let deep = self.observed.take_deep(self.plan.confirmations.max(1) - 1);
        let Some(clients) = self.plan.load.clients else { return };
        for id in deep {
            let Some(block) = body(net, peer, id) else { continue };
            for tx in block.payments() {
                let Some(client) = self.waiting.remove(&tx.id()) else { continue };
                let thinks = clients.think.mul_f64(self.spacing());
                net.alarm(net.now() + thinks, Alarm::Client(client));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::Time;
    use synod_sim::Tail;

    use super::*;
    use crate::config::Arrivals;
    use crate::measure::{Measured, Terms, measure};
    use crate::testing::plan;
    use crate::{Clients, Deed, Load, Plan, Watch};

    fn closed(seed: u64, count: u32, think: Duration) -> Plan {
        let mut plan = plan(seed, 8, u64::MAX);
        let clients = Clients { count, think, retry: Duration::from_secs(1) };
        plan.load = Load { rate: 0.0, clients: Some(clients), arrivals: Arrivals::Constant, ..plan.load };
        plan.confirmations = 2;
        (plan.load.until, plan.stop.time) = (Time::from_secs(1_300), Time::from_secs(1_600));
        plan
    }

    fn run(plan: Plan) -> (Measured, synod_sim::World<Trial>) {
        let (from, until) = (Time::from_secs(300), Time::from_secs(1_300));
        let terms = Terms { from, until, attacker_share: 0.1, risk: 0.001, joules_per_hash: 0.0 };
        measure(plan, &terms, |_| Watch::GoOn).expect("nothing breaks").expect("nobody stops it")
    }

    /// How many payments were under way at most, at any time.
    fn under_way_max(measured: &Measured) -> i32 {
        // Whoever is served pays in the same instant, and sums of floats are not exact.
        let micros = |secs: f64| (secs * 1e6).round() as u64;
        let ends = measured.payments.iter().filter_map(|paid| Some((micros(paid.at + paid.took?), -1)));
        let mut turns: Vec<(u64, i32)> =
            measured.payments.iter().map(|paid| (micros(paid.at), 1)).chain(ends).collect();
        turns.sort_unstable();
        let sums = turns.iter().scan(0, |sum, (_, step)| {
            *sum += step;
            Some(*sum)
        });
        sums.max().unwrap_or_default()
    }

    #[test]
    fn clients_pay_as_fast_as_they_are_served_and_never_more_than_one_payment_each() {
        for think in [0, 20] {
            let (measured, _) = run(closed(1, 12, Duration::from_secs(think)));
            assert_eq!(under_way_max(&measured), 12, "{think}");
            // Little's law: twelve clients are somewhere in the loop.
            let figure = |name: &str| measured.figures[name];
            let inside = figure("offered_per_second") * (figure("latency_mean") + think as f64);
            assert!((inside - 12.0).abs() < 0.6, "{think}: {inside}");
            assert_eq!(figure("unconfirmed_share"), 0.0);
        }
    }

    #[test]
    fn the_same_seed_has_the_same_clients() {
        let plan = |seed| Plan {
            load: Load { arrivals: Arrivals::Poisson, ..closed(seed, 5, Duration::from_secs(3)).load },
            ..closed(seed, 5, Duration::ZERO)
        };
        assert_eq!(run(plan(1)).0, run(plan(1)).0);
        assert_ne!(run(plan(1)).0, run(plan(2)).0);
    }

    #[test]
    fn a_client_that_is_refused_comes_again() {
        let mut plan = closed(2, 12, Duration::ZERO);
        plan.limits.mempool.payments_max = 3;
        let (measured, world) = run(plan);
        assert!(measured.figures["refused_share"] > 0.1, "{:?}", measured.figures);
        // Three in a block of ten seconds.
        assert!((measured.figures["payments_per_second"] - 0.3).abs() < 0.05, "{:?}", measured.figures);
        assert!(under_way_max(&measured) <= 12);
        assert!(world.experiment().waiting.is_empty(), "all was committed in the end");
    }

    #[test]
    fn a_client_whose_peer_dies_under_its_hands_comes_again() {
        let mut plan = closed(3, 12, Duration::ZERO);
        // What a peer says waits for its disk, and peers die before that, a few each time.
        plan.disk_sync = Duration::from_millis(200);
        for round in 0..100 {
            let peers = (0..4).map(|step| PeerId((round * 3 + step * 2) % 8)).collect::<Vec<_>>();
            let at = Time::from_secs(300 + 10 * u64::from(round));
            plan.deeds.push((at, Deed::Crash { peers: peers.clone(), tail: Tail::Lost }));
            plan.deeds.push((at + Duration::from_secs(1), Deed::Start { peers }));
        }
        let (measured, world) = run(plan);
        assert!(!world.experiment().orders.is_empty(), "some were not answered");
        let last = measured.payments.iter().rev().take(12).map(|paid| paid.at).fold(f64::MAX, f64::min);
        assert!(last > 1_150.0, "all twelve pay to the end: {last}");
    }
}
