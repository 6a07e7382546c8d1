//! Comings and goings of one peer within a span of time: before it and after it the peer is there.

use synod_machine::Time;
use synod_sim::model::{Schedule, Turn};

/// A peer's turns, in ascending order of time.
#[derive(Clone, Debug)]
pub struct Comings {
    schedule: Schedule,
    from: Time,
    until: Time,
    /// Whether the peer is there after the last turn that was told.
    is_up: bool,
    /// Whether the first turn is still to be told: away from `from` on.
    is_late: bool,
    is_over: bool,
}

impl Comings {
    /// Turns of `schedule`, which begins at `from`, before `until`.
    pub const fn new(schedule: Schedule, from: Time, until: Time) -> Self {
        let goes_first = !schedule.is_up_first();
        let is_late = goes_first && from.0 > 0;
        Self { schedule, from, until, is_up: !goes_first || is_late, is_late, is_over: false }
    }

    /// Whether the peer is there at the beginning of the run.
    pub const fn is_up_first(&self) -> bool {
        self.from.0 > 0 || self.schedule.is_up_first()
    }
}

impl Iterator for Comings {
    type Item = (Time, Turn);

    fn next(&mut self) -> Option<(Time, Turn)> {
        if self.is_over {
            return None;
        }
        if self.is_late {
            (self.is_late, self.is_up) = (false, false);
            return Some((self.from, Turn::Down));
        }
        if let Some((at, turn)) = self.schedule.next().filter(|(at, _)| *at < self.until) {
            self.is_up = turn == Turn::Up;
            return Some((at, turn));
        }
        self.is_over = true;
        (!self.is_up).then_some((self.until, Turn::Up))
    }
}

#[cfg(test)]
mod tests {
    use synod_machine::Rng;
    use synod_sim::model::{Churn, Distribution, Span};

    use super::*;

    fn comings(peer: u64, from: Time, until: Time) -> Comings {
        let span = |secs: u64| Distribution::Exponential { mean: Span::from_millis(secs * 1_000) };
        let model = Churn { sessions: span(30), gaps: span(30) }.compile().expect("the churn is right");
        Comings::new(model.schedule(from, Rng::new(1, peer, "churn")), from, until)
    }

    #[test]
    fn turns_alternate_within_their_time_and_end_with_the_peer_there() {
        let (from, until) = (Time::from_secs(100), Time::from_secs(400));
        let mut late = 0;
        for peer in 0..50 {
            let comings = comings(peer, from, until);
            assert!(comings.is_up_first(), "before its time nobody is away");
            let turns: Vec<(Time, Turn)> = comings.collect();
            late += u32::from(turns.first().is_some_and(|(at, _)| *at == from));
            for (number, (at, turn)) in turns.iter().enumerate() {
                assert!((from..=until).contains(at), "{at:?}");
                assert_eq!(*turn, if number % 2 == 0 { Turn::Down } else { Turn::Up });
            }
            assert!(turns.len().is_multiple_of(2), "whoever went came back: {turns:?}");
        }
        assert!((15..35).contains(&late), "half are away at first: {late}");
    }

    #[test]
    fn churn_from_the_beginning_has_its_stationary_state_there() {
        let until = Time::from_secs(400);
        let up = (0..100).filter(|peer| comings(*peer, Time::ZERO, until).is_up_first()).count();
        assert!((35..65).contains(&up), "{up}");
        for peer in 0..20 {
            let comings = comings(peer, Time::ZERO, until);
            let first = if comings.is_up_first() { Turn::Down } else { Turn::Up };
            assert_eq!(comings.clone().next().map(|(_, turn)| turn), Some(first));
            let last = comings.last();
            assert!(last.is_none_or(|(at, turn)| at <= until && turn == Turn::Up), "{last:?}");
        }
    }
}
