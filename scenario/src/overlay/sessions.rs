//! Comings and goings in a swarm's networks: sessions and gaps of drawn laws. Some have heavy tails, as measured sessions do: few peers
//! stay for long, and the others come and go quickly.

use std::time::Duration;

use synod_machine::{PeerId, Rng, Time};
use synod_sim::model::{Churn, Distribution, Span, Turn};

/// Of so many networks the peers of one come and go by themselves.
const NETWORKS: u64 = 3;
/// Sessions within the span, in the mean.
const SESSIONS_MAX: u64 = 8;
/// Gaps are so many times shorter than sessions, in the mean.
const GAPS_MAX: u64 = 4;

/// What the peers of a seed's network do within a span, in order of time. Who is away when it begins goes at once. In most networks that
/// is nothing.
pub(super) fn turns(seed: u64, peers: u32, span: Duration) -> Vec<(Duration, PeerId, Turn)> {
    let mut rng = Rng::new(seed, 0, "swarm sessions");
    if rng.below(NETWORKS) > 0 {
        return Vec::new();
    }
    let mean_ms = span.as_millis() as u64 / (1 + rng.below(SESSIONS_MAX));
    let sessions = law(&mut rng, mean_ms);
    let gap_ms = mean_ms / (1 + rng.below(GAPS_MAX));
    let gaps = law(&mut rng, gap_ms);
    let model = Churn { sessions, gaps }.compile().expect("all laws have means");
    let of = |peer: u32| {
        let schedule = model.schedule(Time::ZERO, Rng::new(seed, u64::from(peer), "swarm session"));
        let first = (!schedule.is_up_first()).then_some((Time::ZERO, Turn::Down));
        let turns = first.into_iter().chain(schedule).map(|(at, turn)| (at.since(Time::ZERO), PeerId(peer), turn));
        turns.take_while(|(at, ..)| *at < span).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = (0..peers).flat_map(of).collect();
    all.sort();
    all
}

/// A law with this mean.
fn law(rng: &mut Rng, mean_ms: u64) -> Distribution {
    let share = |parts: u64| Span::from_millis((mean_ms / parts).max(1));
    match rng.below(3) {
        0 => Distribution::Exponential { mean: share(1) },
        // The mean of a Pareto law is shape / (shape - 1) scales.
        1 => Distribution::Pareto { scale: share(3), shape: 1.5, most: None },
        // The mean of a Weibull law is gamma(1 + 1 / shape) scales.
        _ => Distribution::Weibull { scale: share(2), shape: 0.5 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_have_the_mean_that_is_asked_for() {
        let mut rng = Rng::new(1, 0, "laws");
        for _ in 0..20 {
            let law = law(&mut rng, 60_000);
            assert!((law.mean_secs() - 60.0).abs() < 1e-9, "{law:?}");
        }
    }

    #[test]
    fn peers_of_a_third_of_the_networks_come_and_go_by_turns() {
        let span = Duration::from_secs(600);
        let all: Vec<_> = (0..300).map(|seed| turns(seed, 10, span)).collect();
        let with = all.iter().filter(|turns| !turns.is_empty()).count();
        assert!((70..=130).contains(&with), "{with} of 300");
        for turns in &all {
            assert!(turns.is_sorted(), "they are in order of time");
            assert!(turns.iter().all(|(at, ..)| *at < span), "they lie within the span");
            for peer in (0..10).map(PeerId) {
                let own: Vec<Turn> =
                    turns.iter().filter(|(_, other, _)| *other == peer).map(|(.., turn)| *turn).collect();
                assert!(own.first().is_none_or(|turn| *turn == Turn::Down), "a peer that is up goes first");
                assert!(own.windows(2).all(|pair| pair[0] != pair[1]), "it comes and goes by turns");
            }
        }
    }
}
