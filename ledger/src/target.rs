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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_short_forms_name_these_targets() {
        let target = |compact| CompactTarget(compact).to_target();
        // Bitcoin's first target.
        assert_eq!(target(0x1d00_ffff), Some(U256::from(0xffff) << 208));
        assert_eq!(target(0x1b04_04cb), Some(U256::from(0x0404cb) << 192));
        assert_eq!(target(0x0300_0001), Some(U256::from(1)));
        assert_eq!(target(0x0100_3456), None, "all digits are cut off");
        assert_eq!(target(0x0112_3456), Some(U256::from(0x12)));
        assert_eq!(target(0x0212_3456), Some(U256::from(0x1234)));
        assert_eq!(target(0), None);
        assert_eq!(target(0x0492_3456), None, "negative");
        assert_eq!(target(0xff12_3456), None, "too large");
        assert_eq!(target(0x2100_ffff), Some(U256::from(0xffff) << 240));
        assert_eq!(target(0x2101_0000), None, "2^256");
    }

    #[test]
    fn one_short_form_of_a_target_is_canonical() {
        assert!(CompactTarget(0x1d00_ffff).is_canonical());
        assert!(CompactTarget::MAX.is_canonical());
        assert!(CompactTarget(0x2100_ffff).is_canonical());
        assert_eq!(CompactTarget::from_target(U256::MAX), CompactTarget(0x2100_ffff));
        for other in [0x1e00_00ff, 0x0300_0001, 0x0212_3456, 0, 0x0492_3456, 0xff12_3456] {
            assert!(!CompactTarget(other).is_canonical(), "{other:#x}");
        }
        assert!(CompactTarget(0x0101_0000).is_canonical(), "one");
        assert!(CompactTarget(0x0200_8000).is_canonical(), "128 does not fit into one byte with a sign");
    }

    proptest! {
        #[test]
        fn a_target_is_rounded_down_by_less_than_one_part_in_two_to_the_15(limbs in any::<[u64; 4]>(), shift in 0_usize..256) {
            let target = (U256::from_limbs(limbs) >> shift).max(U256::from(1));
            let compact = CompactTarget::from_target(target);
            let back = compact.to_target().expect("a target");
            prop_assert!(back <= target);
            prop_assert!(target - back <= target >> 15);
            prop_assert!(compact.is_canonical());
        }

        #[test]
        fn any_two_canonical_forms_name_different_targets(compact in any::<u32>()) {
            let compact = CompactTarget(compact);
            if let Some(target) = compact.to_target() {
                let canonical = CompactTarget::from_target(target);
                prop_assert!(canonical.is_canonical());
                prop_assert_eq!(canonical.to_target(), Some(target));
            }
        }
    }
}
