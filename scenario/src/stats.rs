//! What a sample says of the law that it came from: intervals and tests that are exact or nearly so at any size.
//!
//! Everywhere `doubt` is the probability with which the statement is wrong though all is well, as 0.01 for 99 per cent. Who
//! makes many statements divides it by their number (Bonferroni), so that all of them hold together.

use serde::Serialize;
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, StudentsT};

/// From where to where a figure lies, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a figure lies in it.
    pub fn contains(&self, figure: f64) -> bool {
        (self.low..=self.high).contains(&figure)
    }

    /// Whether two have a figure in common: a printed figure is an interval itself, as wide as its last digit.
    pub fn meets(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// The probability of an outcome that came `times` out of `trials`: Clopper and Pearson's interval (1934), which is never too
/// narrow, not even where an outcome is rare.
pub fn probability(times: u64, trials: u64, doubt: f64) -> Interval {
    assert!(times <= trials, "nothing comes more often than it is tried");
    let (came, failed) = (times as f64, (trials - times) as f64);
    let quantile = |a: f64, b: f64, share: f64| Beta::new(a, b).expect("both shapes are above 0").inverse_cdf(share);
    let low = if times == 0 { 0.0 } else { quantile(came, failed + 1.0, doubt / 2.0) };
    let high = if times == trials { 1.0 } else { quantile(came + 1.0, failed, 1.0 - doubt / 2.0) };
    Interval { low, high }
}

/// The mean of independent figures: Student's interval.
pub fn mean(figures: &[f64], doubt: f64) -> Interval {
    let (mean, variance) = moments(figures);
    let count = figures.len() as f64;
    let law = StudentsT::new(0.0, 1.0, count - 1.0).expect("two figures or more have a variance");
    let half = law.inverse_cdf(1.0 - doubt / 2.0) * (variance / count).sqrt();
    Interval { low: mean - half, high: mean + half }
}

/// The ratio of the means of two figures of independent runs: the residual of each run from the line through the origin has a
/// mean of 0, and Student's interval of that mean, over the mean of the second figure, is the ratio's (Cochran 1977, "Sampling
/// techniques", section 6.3; good where the second figure hardly varies or the runs are many).
pub fn ratio(pairs: &[(f64, f64)], doubt: f64) -> Interval {
    let (of, to) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    let ratio = of / to;
    let residuals: Vec<f64> = pairs.iter().map(|pair| pair.0 - ratio * pair.1).collect();
    let off = mean(&residuals, doubt);
    let scale = to / pairs.len() as f64;
    Interval { low: ratio + off.low / scale, high: ratio + off.high / scale }
}

/// The mean of an exponential law that these came from: twice their sum over the mean has chi-square's law with two degrees
/// of freedom for each.
pub fn exponential_mean(spans: &[f64], doubt: f64) -> Interval {
    let law = ChiSquared::new(2.0 * spans.len() as f64).expect("there is a figure");
    let twice = 2.0 * spans.iter().sum::<f64>();
    Interval { low: twice / law.inverse_cdf(1.0 - doubt / 2.0), high: twice / law.inverse_cdf(doubt / 2.0) }
}

/// The mean and the variance, the latter without bias.
pub fn moments(figures: &[f64]) -> (f64, f64) {
    assert!(figures.len() > 1, "one figure has no variance");
    let count = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / count;
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    (mean, squares / (count - 1.0))
}

/// The slope of a line through points by least squares, and Student's interval of it. Nothing, where there are fewer than three
/// points or all have one place.
pub fn slope(points: &[(f64, f64)], doubt: f64) -> Option<(f64, Interval)> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if points.len() < 3 || spread <= 0.0 {
        return None;
    }
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    let off: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    let law = StudentsT::new(0.0, 1.0, count - 2.0).expect("three points or more have a deviation");
    let half = law.inverse_cdf(1.0 - doubt / 2.0) * (off / (count - 2.0) / spread).sqrt();
    Some((slope, Interval { low: slope - half, high: slope + half }))
}

/// The probability that two samples differ as much as these or more in their means, where the means of what they come from are the
/// same: Welch's test (1947), which asks for no equal variances. Nothing, where one of them has fewer than two figures, or where
/// neither varies and they differ: what varies so seldom was not seen to often enough to say how seldom.
pub fn welch(one: &[f64], other: &[f64]) -> Option<f64> {
    if one.len() < 2 || other.len() < 2 {
        return None;
    }
    let ((mean_one, variance_one), (mean_other, variance_other)) = (moments(one), moments(other));
    let (share_one, share_other) = (variance_one / one.len() as f64, variance_other / other.len() as f64);
    let error = share_one + share_other;
    let distance = (mean_one - mean_other).abs();
    if error <= 0.0 {
        return (distance == 0.0).then_some(1.0);
    }
    let freedom = error.powi(2)
        / (share_one.powi(2) / (one.len() as f64 - 1.0) + share_other.powi(2) / (other.len() as f64 - 1.0));
    let law = StudentsT::new(0.0, 1.0, freedom).expect("two figures or more have a freedom above 0");
    Some(2.0 * law.sf(distance / error.sqrt()))
}

/// Which of many tests show something, so that with the probability `doubt` at most any of them does by chance: Holm's
/// procedure (1979).
pub fn holm(chances: &[f64], doubt: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|one, other| chances[*one].total_cmp(&chances[*other]));
    let mut shows = vec![false; chances.len()];
    for (place, test) in order.iter().enumerate() {
        if chances[*test] > doubt / (chances.len() - place) as f64 {
            break;
        }
        shows[*test] = true;
    }
    shows
}

/// Kolmogorov and Smirnov's test of figures against a law that is known in full: the largest distance between the two, and
/// the probability that it is so large where the law is the right one (Stephens 1970, good to two digits from eight figures
/// on).
pub fn kolmogorov(figures: &[f64], below: impl Fn(f64) -> f64) -> (f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let gap = |(place, figure): (usize, &f64)| {
        let expected = below(*figure);
        ((place + 1) as f64 / count - expected).max(expected - place as f64 / count)
    };
    let distance = sorted.iter().enumerate().map(gap).fold(0.0, f64::max);
    let scaled = (count.sqrt() + 0.12 + 0.11 / count.sqrt()) * distance;
    if scaled < SCALED_MIN {
        return (distance, 1.0);
    }
    let term = |j: i32| (-1_f64).powi(j - 1) * (-2.0 * f64::from(j * j) * scaled * scaled).exp();
    let chance = 2.0 * (1..=TERMS).map(term).sum::<f64>();
    (distance, chance.clamp(0.0, 1.0))
}

/// Below this scaled distance the chance is 1 to ten digits, and the series converges slowly …
const SCALED_MIN: f64 = 0.2;
/// … and above, after so many terms what is left out is below e^-32.
const TERMS: i32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(interval: Interval, low: f64, high: f64) {
        assert!((interval.low - low).abs() < 0.000_06, "{interval:?}, not from {low}");
        assert!((interval.high - high).abs() < 0.000_06, "{interval:?}, not to {high}");
    }

    /// From R: `binom.test(times, trials, conf.level = 1 - doubt)`; the ends for none and all are 1 − (doubt/2)^(1/trials).
    #[test]
    fn probabilities_are_clopper_and_pearsons() {
        close(probability(10, 100, 0.05), 0.0490, 0.1762);
        close(probability(0, 10, 0.05), 0.0, 0.3085);
        close(probability(10, 10, 0.05), 0.6915, 1.0);
        close(probability(50, 100, 0.05), 0.3983, 0.6017);
    }

    #[test]
    fn means_are_students() {
        // The quantile 0.975 with two degrees of freedom is 4.3027, and the deviation of 1, 2, 3 is 1.
        close(mean(&[1.0, 2.0, 3.0], 0.05), 2.0 - 4.30265 / 3_f64.sqrt(), 2.0 + 4.30265 / 3_f64.sqrt());
    }

    #[test]
    fn ratios_are_as_sure_as_their_residuals() {
        close(ratio(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)], 0.01), 0.5, 0.5);
        // Over one and the same figure it is the mean over that.
        close(
            ratio(&[(1.0, 10.0), (2.0, 10.0), (3.0, 10.0)], 0.05),
            0.2 - 0.430265 / 3_f64.sqrt(),
            0.2 + 0.430265 / 3_f64.sqrt(),
        );
        // By hand: 3 over 9, residuals −1/3 and 1/3, and the quantile 0.975 with one degree of freedom is 12.7062.
        let half = 12.7062 * (2.0 / 9.0 / 2.0_f64).sqrt() / 4.5;
        close(ratio(&[(1.0, 4.0), (2.0, 5.0)], 0.05), 1.0 / 3.0 - half, 1.0 / 3.0 + half);
    }

    #[test]
    fn exponential_means_are_from_chi_squares_quantiles() {
        // The quantiles 0.025 and 0.975 with 20 degrees of freedom are 9.59078 and 34.16961.
        close(exponential_mean(&[1.0; 10], 0.05), 20.0 / 34.16961, 20.0 / 9.59078);
    }

    #[test]
    fn slopes_are_by_least_squares() {
        let (exact, interval) = slope(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)], 0.05).expect("three points");
        assert!((exact - 2.0).abs() < 1e-12 && interval.high - interval.low < 1e-9, "{interval:?}");
        // By hand: slope 1.5, residuals 1/6, -1/3, 1/6, and the quantile 0.975 with one degree of freedom is 12.7062.
        let (fitted, interval) = slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 3.0)], 0.05).expect("three points");
        let half = 12.7062 * (1.0 / 6.0 / 2.0_f64).sqrt();
        assert!((fitted - 1.5).abs() < 1e-12);
        close(interval, 1.5 - half, 1.5 + half);
        assert_eq!(slope(&[(1.0, 1.0), (2.0, 2.0)], 0.05), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], 0.05), None);
    }

    /// From R: `t.test(c(1, 2, 3, 4), c(2, 4, 6, 8))$p.value`, t = -1.7321 with 4.4118 degrees of freedom.
    #[test]
    fn two_samples_are_told_apart_by_welchs_test() {
        let chance = welch(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0, 6.0, 8.0]).expect("four figures each");
        assert!((chance - 0.1515).abs() < 0.002, "{chance}");
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), Some(1.0));
        assert_eq!(welch(&[1.0, 1.0], &[1.1, 1.1]), None);
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn of_many_tests_few_show_something_by_chance() {
        assert_eq!(holm(&[0.01, 0.04, 0.03], 0.05), [true, false, false]);
        assert_eq!(holm(&[0.01, 0.02, 0.03], 0.05), [true, true, true]);
        assert_eq!(holm(&[0.04], 0.05), [true]);
    }

    #[test]
    fn a_fair_sample_passes_kolmogorovs_test_and_a_wrong_law_does_not() {
        let figures: Vec<f64> = (0..1_000).map(|place| (f64::from(place) + 0.5) / 1_000.0).collect();
        let (distance, chance) = kolmogorov(&figures, |figure| figure);
        assert!((distance - 0.0005).abs() < 1e-9, "{distance}");
        assert!(chance > 0.99, "{chance}");
        // The asymptotic critical value at 1 per cent is 1.628 over the root of the count.
        let (distance, chance) = kolmogorov(&figures, |figure| (figure + 0.051).min(1.0));
        assert!((distance - 0.0515).abs() < 1e-9, "{distance}");
        assert!((0.005..0.011).contains(&chance), "{chance}");
        assert!(kolmogorov(&figures, |figure| figure * figure).1 < 1e-9);
    }
}
