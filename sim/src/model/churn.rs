//! Who comes and goes: sessions and gaps by turns, an alternating renewal process for each peer (Leonard, Rai and Loguinov
//! 2005, "On lifetime-based node failure and stochastic resilience of decentralized peer-to-peer networks").
//!
//! A run begins in the stationary state, as if the process had gone on for ever: a peer is up with a probability that is the
//! mean session's share of mean session and mean gap together, and its present period is one that an instant falls into, of
//! which a uniform part is over (Cox 1962, "Renewal theory", chapter 5). Both are drawn exactly, so no time is lost to warm up.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_machine::{Rng, Time};

use super::quantiles::{nanos, share};
use super::{Chance, Distribution, ModelError, Quantiles};

/// Peers that come and go, each by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Churn {
    /// How long a peer stays. Measured sessions have heavy tails (Stutzbach and Rejaie 2005, "Characterizing churn in
    /// peer-to-peer networks"): few peers make up most of those that are there, and the others change quickly.
    pub sessions: Distribution,
    /// How long it stays away.
    pub gaps: Distribution,
}

impl Churn {
    /// Whether both have parameters that their laws have, and means, without which there is no stationary state.
    pub fn check(&self) -> Result<(), ModelError> {
        for (part, law) in [("sessions", &self.sessions), ("gaps", &self.gaps)] {
            law.check().map_err(|error| error.within(part))?;
            let mean = law.mean_secs();
            if !mean.is_finite() {
                let expected = "a law with a mean: a shape above 1, or a greatest value in `most`";
                return Err(ModelError::value(part, expected, "one without"));
            }
            if nanos(mean) == 0 {
                return Err(ModelError::value(part, "a mean of at least a nanosecond", "less"));
            }
        }
        Ok(())
    }

    /// The compiled form, which all peers share.
    pub fn compile(&self) -> Result<ChurnModel, ModelError> {
        self.check()?;
        let (session, gap) = (self.sessions.mean_secs(), self.gaps.mean_secs());
        Ok(ChurnModel(Arc::new(Periods {
            sessions: Quantiles::new(&self.sessions)?,
            gaps: Quantiles::new(&self.gaps)?,
            up_first: Chance::new(session / (session + gap)),
        })))
    }
}

/// Churn, compiled. All peers' schedules share its tables.
#[derive(Clone, Debug)]
pub struct ChurnModel(Arc<Periods>);

#[derive(Debug)]
struct Periods {
    sessions: Quantiles,
    gaps: Quantiles,
    up_first: Chance,
}

impl ChurnModel {
    /// The comings and goings of one peer from `start` on, of its own random stream.
    pub fn schedule(&self, start: Time, mut rng: Rng) -> Schedule {
        let periods = &self.0;
        let up_first = periods.up_first.hits(rng.next_u64());
        let period = if up_first { &periods.sessions } else { &periods.gaps };
        let length = period.law().quantile_of_met_secs(share(rng.next_u64()));
        let left = nanos(length * share(rng.next_u64()));
        Schedule { periods: Arc::clone(periods), rng, up_first, up: up_first, at: Time(start.0.saturating_add(left)) }
    }
}

/// What a peer does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It goes.
    Down,
    /// It comes.
    Up,
}

/// One peer's turns, in ascending order of time, without an end.
#[derive(Clone, Debug)]
pub struct Schedule {
    periods: Arc<Periods>,
    rng: Rng,
    up_first: bool,
    up: bool,
    at: Time,
}

impl Schedule {
    /// Whether the peer is up at the start, before its first turn.
    pub const fn is_up_first(&self) -> bool {
        self.up_first
    }
}

impl Iterator for Schedule {
    type Item = (Time, Turn);

    fn next(&mut self) -> Option<(Time, Turn)> {
        let at = self.at;
        self.up = !self.up;
        let (turn, period) =
            if self.up { (Turn::Up, &self.periods.sessions) } else { (Turn::Down, &self.periods.gaps) };
        // A period of no length would let a peer come and go for ever within one instant.
        let length = period.sample(self.rng.next_u64()).max(1);
        self.at = Time(at.0.saturating_add(length));
        Some((at, turn))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Span;
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn exponential(millis: u64) -> Distribution {
        Distribution::Exponential { mean: Span::from_millis(millis) }
    }

    fn churns() -> Vec<Churn> {
        let span = Span::from_millis;
        vec![
            Churn { sessions: exponential(3 * HOUR), gaps: exponential(HOUR) },
            Churn { sessions: Distribution::constant(span(3 * HOUR)), gaps: Distribution::constant(span(HOUR)) },
            Churn {
                sessions: Distribution::Weibull { scale: span(HOUR), shape: 0.5 },
                gaps: Distribution::LogNormal { median: span(HOUR / 2), sigma: 0.5 },
            },
            Churn {
                sessions: Distribution::Pareto { scale: span(HOUR / 2), shape: 2.5, most: None },
                gaps: Distribution::Uniform { least: span(0), most: span(HOUR) },
            },
            Churn {
                sessions: Distribution::Pareto { scale: span(HOUR / 60), shape: 1.0, most: Some(span(9 * HOUR)) },
                gaps: exponential(HOUR),
            },
        ]
    }

    #[test]
    fn turns_alternate_and_repeat_by_the_seed() {
        let model = churns()[0].compile().expect("the churn is right");
        let turns = |peer| model.schedule(Time::from_secs(5), Rng::new(1, peer, "churn")).take(50).collect::<Vec<_>>();
        let first = turns(1);
        assert_eq!(first, turns(1));
        assert_ne!(first, turns(2));
        assert!(first[0].0 >= Time::from_secs(5), "nothing happens before the start");
        for pair in first.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
            assert_ne!(pair[0].1, pair[1].1, "{pair:?}");
        }
        let up = model.schedule(Time::ZERO, Rng::new(1, 1, "churn")).is_up_first();
        assert_eq!(first[0].1, if up { Turn::Down } else { Turn::Up });
    }

    #[test]
    fn as_many_are_up_at_the_start_as_at_any_later_time() {
        let peers = 20_000_u32;
        for churn in churns() {
            let model = churn.compile().expect("the churn is right");
            let (session, gap) = (churn.sessions.mean_secs(), churn.gaps.mean_secs());
            let expected = session / (session + gap) * f64::from(peers);
            let instants = [Time::ZERO, Time::from_secs(600), Time::from_secs(5_000), Time::from_secs(40_000)];
            let mut up = [0_u32; 4];
            for peer in 0..peers {
                let schedule = model.schedule(Time::ZERO, Rng::new(7, peer.into(), "churn"));
                let mut now = schedule.is_up_first();
                let mut turns = schedule.peekable();
                for (instant, count) in instants.iter().zip(&mut up) {
                    while let Some((_, turn)) = turns.next_if(|(at, _)| at <= instant) {
                        now = turn == Turn::Up;
                    }
                    *count += u32::from(now);
                }
            }
            // Five standard deviations of a binomial count of 20,000 are 354 at most.
            for (instant, count) in instants.iter().zip(up) {
                assert!((f64::from(count) - expected).abs() < 354.0, "{churn:?}: {count} of {expected} at {instant}");
            }
        }
    }

    #[test]
    fn laws_without_a_mean_have_no_stationary_state() {
        let endless = Distribution::Pareto { scale: Span::from_millis(1), shape: 1.0, most: None };
        let error = Churn { sessions: exponential(1), gaps: endless }.check().map_err(|error| error.to_string());
        let expected =
            "gaps: expected a law with a mean: a shape above 1, or a greatest value in `most`, got one without";
        assert_eq!(error, Err(expected.to_owned()));
        let nothing = Churn { sessions: Distribution::constant(Span::ZERO), gaps: exponential(1) };
        let error = nothing.check().map_err(|error| error.to_string());
        assert_eq!(error, Err("sessions: expected a mean of at least a nanosecond, got less".to_owned()));
        let wrong = Churn { sessions: exponential(0), gaps: exponential(1) }.check().map_err(|error| error.to_string());
        assert_eq!(wrong, Err("sessions.mean: expected a duration above 0, got 0s".to_owned()));
    }

    #[test]
    fn churn_is_written_as_two_laws() {
        let text = "sessions = { kind = 'weibull', scale = '1 h', shape = 0.5 }\ngaps = '10 min'";
        let churn: Churn = toml::from_str(text).expect("the text is right");
        assert_eq!(churn.gaps, Distribution::constant(Span::from_millis(600_000)));
        assert!(toml::from_str::<Churn>("sessions = '1 h'").is_err());
    }
}
