//! Amounts of money: whole units, of which a coin has a hundred million. Sums are checked, nothing wraps or rounds.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub u64);

impl Amount {
    /// The units of one coin.
    pub const COIN: u64 = 100_000_000;
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All the money there can be: 21 million coins. No sum of amounts is larger.
    pub const MAX: Self = Self(21_000_000 * Self::COIN);

    /// A number of whole coins; at most [`Amount::MAX`].
    pub const fn from_coins(coins: u64) -> Self {
        assert!(coins <= Self::MAX.0 / Self::COIN, "no more coins than there can be");
        Self(coins * Self::COIN)
    }

    /// The sum, unless it is more than there can be.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self).filter(|sum| *sum <= Self::MAX)
    }

    /// The difference, unless it is negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum of all, unless it is more than there can be.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (coins, mut units) = (self.0 / Self::COIN, self.0 % Self::COIN);
        if units == 0 {
            return write!(f, "{coins}");
        }
        let mut places = PLACES_MAX;
        while units % 10 == 0 {
            units /= 10;
            places -= 1;
        }
        write!(f, "{coins}.{units:0places$}")
    }
}

/// A text that is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Not digits, at most one point and digits after it.
    #[error("not a decimal number")]
    Malformed,
    /// More than there can be.
    #[error("more than {expected} coins", expected = Amount::MAX)]
    TooLarge,
    /// Parts of a unit.
    #[error("{got} decimal places, at most {expected} allowed")]
    TooPrecise {
        /// The decimal places of a unit.
        expected: usize,
        /// The decimal places of the text.
        got: usize,
    },
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let (coins, places) = match text.split_once('.') {
            Some((_, "")) => return Err(ParseAmountError::Malformed),
            Some((coins, places)) => (coins, places),
            None => (text, ""),
        };
        let is_decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = coins.len() > 1 && coins.starts_with('0');
        if coins.is_empty() || leading_zero || !is_decimal(coins) || !is_decimal(places) {
            return Err(ParseAmountError::Malformed);
        }
        if places.len() > PLACES_MAX {
            return Err(ParseAmountError::TooPrecise { expected: PLACES_MAX, got: places.len() });
        }
        // Only digits are left, so that a failure to parse means a number that does not fit.
        let coins: u64 = coins.parse().map_err(|_| ParseAmountError::TooLarge)?;
        let units = places.bytes().chain(core::iter::repeat(b'0')).take(PLACES_MAX);
        let units = units.fold(0, |units, digit| units * 10 + u64::from(digit - b'0'));
        let total = coins.checked_mul(Self::COIN).and_then(|whole| whole.checked_add(units));
        total.map(Self).filter(|total| *total <= Self::MAX).ok_or(ParseAmountError::TooLarge)
    }
}

/// The decimal places of a coin.
const PLACES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn amounts_are_written_without_trailing_zeroes() {
        for (units, text) in [
            (0, "0"),
            (1, "0.00000001"),
            (1_250_000_000, "12.5"),
            (100_000_000, "1"),
            (1_000_000_010, "10.0000001"),
            (2_100_000_000_000_000, "21000000"),
        ] {
            assert_eq!(Amount(units).to_string(), text);
            assert_eq!(text.parse(), Ok(Amount(units)));
        }
        assert_eq!("12.50".parse(), Ok(Amount(1_250_000_000)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", ".", "1.", ".5", "+1", "-1", "01", "1e3", "1,5", " 1", "1.2.3", "١"] {
            assert_eq!(text.parse::<Amount>(), Err(ParseAmountError::Malformed), "{text:?}");
        }
        let too_precise = ParseAmountError::TooPrecise { expected: 8, got: 9 };
        assert_eq!("0.000000001".parse::<Amount>(), Err(too_precise));
        for text in ["21000000.00000001", "99999999999999999999", "184467440737.09551616"] {
            assert_eq!(text.parse::<Amount>(), Err(ParseAmountError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn sums_stop_at_all_the_money_there_can_be() {
        assert_eq!(Amount::MAX.checked_add(Amount::ZERO), Some(Amount::MAX));
        assert_eq!(Amount::MAX.checked_add(Amount(1)), None);
        assert_eq!(Amount(u64::MAX).checked_add(Amount(1)), None);
        assert_eq!(Amount(1).checked_sub(Amount(2)), None);
        assert_eq!(Amount::checked_sum([Amount(1), Amount(2)]), Some(Amount(3)));
        assert_eq!(Amount::checked_sum([Amount::MAX, Amount(1)]), None);
    }
}
