//! The order of payments by what they pay per byte.

use core::cmp::Ordering;

use crate::Amount;

/// A payment's place in the fee order: the best rate sorts first, among equals the first to arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    fee: Amount,
    bytes: u64,
    arrival: u64,
}

impl Rate {
    /// `arrival` is different for each payment of a pool.
    pub(super) const fn new(fee: Amount, bytes: usize, arrival: u64) -> Self {
        Self { fee, bytes: bytes as u64, arrival }
    }

    pub(super) const fn fee(&self) -> Amount {
        self.fee
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        // Fractions are compared by cross-multiplication: nothing is rounded.
        let this = u128::from(self.fee.0) * u128::from(other.bytes);
        let that = u128::from(other.fee.0) * u128::from(self.bytes);
        that.cmp(&this).then(self.arrival.cmp(&other.arrival))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_per_byte_comes_first_then_the_earlier() {
        let rates = [
            Rate::new(Amount(30), 10, 9),
            Rate::new(Amount(2), 1, 3),
            Rate::new(Amount(4), 2, 5),
            Rate::new(Amount(3), 2, 1),
            Rate::new(Amount(0), 2, 0),
        ];
        assert!(rates.is_sorted());
        assert!(rates.windows(2).all(|pair| pair[0] != pair[1]));
        let huge = Rate::new(Amount(u64::MAX), 1, 0);
        assert!(huge < Rate::new(Amount(u64::MAX), usize::MAX, 0), "the products fit");
    }
}
