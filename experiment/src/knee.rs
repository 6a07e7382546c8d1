//! The knee: the highest rate of payments that a network carries, and all figures at a share of it.
//!
//! A rate is carried if a stated share of the payments that it asks for are committed within the window. The search doubles the
//! scenario's rate until one is not carried, or halves it until one is, and then takes the geometric mean of the two until they are as near
//! as the precision asks. Every try is a whole run of the same seed that ends with the window, so that a seed determines the knee. Where
//! chance makes blocks, chance makes the knee, too: runs of other seeds say how much.

use synod_scenario::measure::About;

use crate::config::Knee;

/// The figure that is found.
pub const KNEE: About = (
    "knee",
    "1/s",
    Some(true),
    "the highest rate of payments of which the stated share is committed within the window; everything else is measured at a share of it",
);

/// Searches for the highest rate that is carried, from `first` on. `carries` says it of a rate, or nothing if somebody stops it.
pub(crate) fn search(
    knee: &Knee,
    first: f64,
    mut carries: impl FnMut(f64) -> Result<Option<bool>, String>,
) -> Result<Option<f64>, String> {
    let (mut carried, mut too_much) = (None, None);
    let mut rate = first;
    for _ in 0..=STEPS_MAX {
        let Some(is_carried) = carries(rate)? else { return Ok(None) };
        *(if is_carried { &mut carried } else { &mut too_much }) = Some(rate);
        if carried.is_some() && too_much.is_some() {
            break;
        }
        rate *= if is_carried { 2.0 } else { 0.5 };
    }
    let (mut low, mut high) = match (carried, too_much) {
        (Some(low), Some(high)) => (low, high),
        (None, Some(least)) => return Err(none(&format!("even {least} payments per second are not carried"), first)),
        (Some(_), None) | (None, None) => {
            let most = carried.unwrap_or(first);
            return Err(none(&format!("even {most} payments per second are carried"), first));
        }
    };
    while high > low * (1.0 + knee.precision) {
        let middle = (low * high).sqrt();
        let Some(is_carried) = carries(middle)? else { return Ok(None) };
        *(if is_carried { &mut low } else { &mut high }) = middle;
    }
    Ok(Some(low))
}

fn none(found: &str, first: f64) -> String {
    format!("no knee near `load.rate`, which is {first}: {found}; let the search begin elsewhere, or count for longer")
}

/// A thousand times more or less than where the search began; with more the memory would be full first.
const STEPS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where `capacity` is carried, and says what was tried.
    fn tried(capacity: f64, first: f64, precision: f64) -> (Result<Option<f64>, String>, Vec<f64>) {
        let mut rates = Vec::new();
        let found = search(&Knee { precision, ..Knee::default() }, first, |rate| {
            rates.push(rate);
            Ok(Some(rate <= capacity))
        });
        (found, rates)
    }

    #[test]
    fn it_is_found_from_below_and_from_above_as_exactly_as_is_asked_for() {
        for (capacity, first) in [(100.0, 1.0), (100.0, 90.0), (100.0, 100.0), (100.0, 3_000.0), (0.3, 1.0)] {
            for precision in [0.5, 0.1, 0.01] {
                let (found, rates) = tried(capacity, first, precision);
                let knee = found.expect("there is one").expect("nobody stops it");
                assert!(knee <= capacity && capacity < knee * (1.0 + precision), "{capacity} from {first}: {knee}");
                assert!(rates.contains(&knee), "it was tried");
                assert!(rates.len() <= 16, "{rates:?}");
            }
        }
        assert_eq!(tried(100.0, 30.0, 0.5).1, [30.0, 60.0, 120.0, 60.0 * 2.0_f64.sqrt()]);
    }

    #[test]
    fn where_there_is_none_it_says_how_far_it_looked() {
        let error = |capacity: f64| tried(capacity, 1.0, 0.1).0.expect_err("there is none");
        assert!(error(1e9).contains("even 1024 payments per second are carried"), "{}", error(1e9));
        assert!(error(0.0).contains("even 0.0009765625 payments per second are not carried"), "{}", error(0.0));
        assert_eq!(tried(1e9, 1.0, 0.1).1.len(), 11);
    }

    #[test]
    fn who_stops_it_gets_nothing_and_what_fails_is_told() {
        assert_eq!(search(&Knee::default(), 1.0, |rate| Ok(Some(true).filter(|_| rate < 4.0))), Ok(None));
        assert_eq!(search(&Knee::default(), 1.0, |_| Err("broken".to_owned())), Err("broken".to_owned()));
    }
}
