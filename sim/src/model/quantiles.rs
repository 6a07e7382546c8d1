//! A distribution compiled into a table, so that a draw becomes a duration in a few nanoseconds.
//!
//! Inversion (Devroye 1986, "Non-uniform random variate generation", chapter II.2): between knots at equal shares the
//! quantile function is taken as straight; in the outermost bins, where it is not, it is computed.

use super::{Distribution, ModelError};

/// Durations drawn from one law: a pure function of the draw, which never falls as the draw rises.
#[derive(Clone, Debug)]
pub struct Quantiles {
    law: Distribution,
    knots: Box<[u64; BINS + 1]>,
}

impl Quantiles {
    /// The table of a law.
    pub fn new(law: &Distribution) -> Result<Self, ModelError> {
        law.check()?;
        let mut knots = Box::new([0; BINS + 1]);
        for (bin, knot) in knots.iter_mut().enumerate() {
            *knot = nanos(law.quantile_secs((bin as f64 / BINS as f64).min(SHARE_MAX)));
        }
        Ok(Self { law: law.clone(), knots })
    }

    /// The duration of a uniform draw, in nanoseconds.
    #[inline]
    pub fn sample(&self, draw: u64) -> u64 {
        // Where all are one, the table need not be in a cache.
        if let Distribution::Constant { .. } = self.law {
            return self.knots[0];
        }
        let bin = (draw >> (64 - BITS)) as usize;
        if !(EDGE..BINS - EDGE).contains(&bin) {
            return self.exact(draw);
        }
        let (low, high) = (self.knots[bin], self.knots[bin + 1]);
        // What is left of the draw is how far it lies into the bin, of 2^64.
        let into = u128::from(high - low) * u128::from(draw << BITS);
        low + (into >> 64) as u64
    }

    /// The law.
    pub const fn law(&self) -> &Distribution {
        &self.law
    }

    #[cold]
    fn exact(&self, draw: u64) -> u64 {
        nanos(self.law.quantile_secs(share(draw)))
    }
}

/// The share of draws below this one: at the middle of its step of 2^-52, so that it is never 0 and never 1.
pub(super) fn share(draw: u64) -> f64 {
    ((draw >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Whole nanoseconds, and at most [`NANOS_MAX`].
pub(super) fn nanos(secs: f64) -> u64 {
    ((secs * 1e9).round() as u64).min(NANOS_MAX)
}

/// The number of bins is 2^BITS: 16 KiB of knots, half of a first-level cache.
const BITS: u32 = 11;
const BINS: usize = 1 << BITS;
/// How many bins at either end are computed. By the k-th bin from the end a straight line misses an exponential quantile by
/// 1/(8 k^2) means, which is 0.05 % here; and 1.6 % of all draws pay for it.
const EDGE: usize = 16;
/// The greatest share below 1.
const SHARE_MAX: f64 = 1.0 - f64::EPSILON / 2.0;
/// 146 years: two of them still add up in 64 bits.
pub(super) const NANOS_MAX: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::super::distribution::tests::laws;
    use super::super::{Draw, Span};
    use super::*;

    #[test]
    fn the_table_is_the_inverse_of_the_law_to_half_a_percent() {
        for law in laws() {
            let table = Quantiles::new(&law).expect("the law is one");
            let mean = law.mean_secs().min(law.quantile_secs(0.9)) * 1e9;
            for n in 0..20_000 {
                let draw = Draw::at(1, 2, n);
                let exact = law.quantile_secs(share(draw)) * 1e9;
                let miss = (table.sample(draw) as f64 - exact).abs();
                assert!(miss <= 0.005 * exact.max(mean) + 1.0, "{law:?}: {draw} gives {miss} besides {exact}");
            }
        }
    }

    #[test]
    fn a_greater_draw_never_takes_less() {
        for law in laws() {
            let table = Quantiles::new(&law).expect("the law is one");
            let mut before = 0;
            for n in 0..=0xffff_u64 {
                for low in [0, 1, u64::MAX >> 16] {
                    let now = table.sample(n << 48 | low);
                    assert!(before <= now, "{law:?}: {n} gives {now} after {before}");
                    before = now;
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_draws_are_finite() {
        for law in laws() {
            let table = Quantiles::new(&law).expect("the law is one");
            assert!(table.sample(0) <= table.sample(u64::MAX), "{law:?}");
            assert!(table.sample(u64::MAX) <= NANOS_MAX, "{law:?}");
        }
    }

    #[test]
    fn a_constant_is_the_same_for_every_draw() {
        let table = Quantiles::new(&Distribution::constant(Span::from_millis(50))).expect("the law is one");
        assert!((0..2_000).all(|n| table.sample(Draw::at(0, 0, n)) == 50_000_000));
    }

    #[test]
    fn means_of_samples_are_the_means_of_the_laws() {
        for law in laws() {
            let table = Quantiles::new(&law).expect("the law is one");
            // The mean of a tail without a variance does not settle.
            if !law.mean_secs().is_finite() || matches!(law, Distribution::Pareto { most: None, .. }) {
                continue;
            }
            let count = 200_000;
            let sum: u128 = (0..count).map(|n| u128::from(table.sample(Draw::at(3, 0, n)))).sum();
            let mean = sum as f64 / 1e9 / count as f64;
            let off = mean / law.mean_secs() - 1.0;
            assert!(off.abs() < 0.03, "{law:?}: {mean} s for {} s", law.mean_secs());
        }
    }
}
