//! Targets in Bitcoin's short form: one byte of exponent, three of mantissa. A seal's hash must not exceed the target.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::U256;

/// A 256-bit target in 32 bits (Bitcoin's `nBits`): mantissa times 256 to the power of (exponent - 3).
///
/// Several values name one target, and some name none; [`is_canonical`](CompactTarget::is_canonical) picks one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompactTarget(pub u32);

impl CompactTarget {
    /// The largest target of the short form that fits into 256 bits: half of all hashes are below it.
    pub const MAX: Self = Self(0x207f_ffff);

    /// The target, unless this names none: zero, negative, or beyond 256 bits.
    pub fn to_target(self) -> Option<U256> {
        let exponent = self.0 >> 24;
        let mantissa = self.0 & 0x007f_ffff;
        if self.0 & SIGN != 0 {
            return None;
        }
        let target = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            let shift = 8 * (exponent as usize - 3);
            U256::from(mantissa).checked_shl(shift)?
        };
        if target.is_zero() { None } else { Some(target) }
    }

    /// The short form of the largest target that is not above `target` and has one: the low bits are cut off.
    pub fn from_target(target: U256) -> Self {
        let mut exponent = target.byte_len() as u32;
        let mut mantissa = if exponent <= 3 {
            target.to::<u32>() << (8 * (3 - exponent))
        } else {
            (target >> (8 * (exponent as usize - 3))).to::<u32>()
        };
        if mantissa & SIGN != 0 {
            mantissa >>= 8;
            exponent += 1;
        }
        Self(exponent << 24 | mantissa)
    }

    /// Whether this is the one short form of a target.
    pub fn is_canonical(self) -> bool {
        self.to_target().is_some_and(|target| Self::from_target(target) == self)
    }
}

impl fmt::Display for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// The mantissa's highest bit is its sign.
const SIGN: u32 = 0x0080_0000;
