//! The draw: a wallet wins a second on a block if a hash that nobody can choose is small enough for its stake.
//!
//! `sha256(prev_hash ‖ address ‖ timestamp) <= 2^256 · balance / difficulty`, exactly: the hash is a big-endian number as
//! a block's id is, the timestamp is in whole seconds since the genesis, as eight bytes in little endian.

use sha2::{Digest, Sha256};

use crate::{Address, Amount, BlockId, U256};

/// The number that a wallet draws for a second on a parent.
pub fn kernel(parent: &BlockId, owner: &Address, second: u64) -> U256 {
    let mut bytes = [0; 60];
    bytes[..32].copy_from_slice(parent.0.as_slice());
    bytes[32..52].copy_from_slice(owner.0.as_slice());
    bytes[52..].copy_from_slice(&second.to_le_bytes());
    U256::from_be_bytes(Sha256::digest(bytes).into())
}

/// The largest number that wins with this stake, 2^256 · balance / difficulty rounded down, or the largest there is.
/// Nothing wins without a stake, or where the difficulty is none.
///
/// The dividend has up to 320 bits. A whole number is at most a quotient exactly if it is at most the quotient rounded
/// down, so that nothing is lost.
pub fn threshold(balance: Amount, difficulty: u64) -> Option<U256> {
    if balance == Amount::ZERO || difficulty == 0 {
        return None;
    }
    if balance.0 >= difficulty {
        return Some(U256::MAX);
    }
    let quotient: Wide = (Wide::from(balance.0) << 256) / Wide::from(difficulty);
    // The stake is less than the difficulty, and so the quotient less than 2^256.
    Some(quotient.to::<U256>())
}

/// A number of 320 bits.
type Wide = ruint::Uint<320, 5>;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use synod_machine::Bytes;

    use super::*;

    /// The limbs of a product by long multiplication on bytes, the lowest first.
    fn product(hash: U256, difficulty: u64) -> Vec<u8> {
        let mut digits = alloc::vec![0_u8; 40];
        for (low, byte) in hash.to_le_bytes::<32>().into_iter().enumerate() {
            let mut carry = 0_u32;
            for (high, factor) in difficulty.to_le_bytes().into_iter().chain([0]).enumerate() {
                let Some(digit) = digits.get_mut(low + high) else { break };
                let sum = u32::from(*digit) + u32::from(byte) * u32::from(factor) + carry;
                *digit = sum as u8;
                carry = sum >> 8;
            }
            for digit in digits.iter_mut().skip(low + 9) {
                let sum = u32::from(*digit) + carry;
                *digit = sum as u8;
                carry = sum >> 8;
            }
        }
        digits
    }

    /// Whether hash · difficulty <= 2^256 · balance, digit by digit from the top.
    fn wins_slowly(hash: U256, balance: u64, difficulty: u64) -> bool {
        let mut right = alloc::vec![0_u8; 32];
        right.extend(balance.to_le_bytes());
        balance > 0 && product(hash, difficulty).iter().rev().le(right.iter().rev())
    }

    fn wins(hash: U256, balance: u64, difficulty: u64) -> bool {
        threshold(Amount(balance), difficulty).is_some_and(|threshold| hash <= threshold)
    }

    proptest! {
        #[test]
        fn a_win_is_a_product_of_320_bits_compared_exactly(
            hash in any::<[u8; 32]>(),
            balance in any::<u64>(),
            difficulty in 1_u64..,
            shift in 0_usize..64,
        ) {
            let hash = U256::from_be_bytes(hash);
            for balance in [balance, balance >> shift, difficulty.wrapping_sub(1), difficulty, 1] {
                prop_assert_eq!(wins(hash, balance, difficulty), wins_slowly(hash, balance, difficulty));
                let Some(edge) = threshold(Amount(balance), difficulty) else { continue };
                prop_assert!(wins_slowly(edge, balance, difficulty));
                if edge < U256::MAX {
                    prop_assert!(!wins_slowly(edge + U256::from(1), balance, difficulty));
                }
            }
        }
    }

    #[test]
    fn the_edges_are_these_numbers() {
        assert_eq!(threshold(Amount::ZERO, 1), None);
        assert_eq!(threshold(Amount(1), 0), None);
        assert_eq!(threshold(Amount(1), 1), Some(U256::MAX), "a stake of the difficulty wins every second");
        assert_eq!(threshold(Amount(1), 2), Some(U256::from(1) << 255));
        assert_eq!(threshold(Amount(3), 4), Some(U256::from(3) << 254));
        assert_eq!(threshold(Amount(1), 3), Some(U256::MAX / U256::from(3)));
        // 2^256 less 2^256 / (2^64 - 1), which is 2^192 + 2^128 + 2^64 + 1 and something.
        let powers = [0, 64, 128, 192].iter().fold(U256::ZERO, |sum, &power| sum + (U256::from(1) << power));
        assert_eq!(threshold(Amount(u64::MAX - 1), u64::MAX), Some(U256::MAX - powers));
    }

    #[test]
    fn a_draw_is_the_hash_of_these_60_bytes() {
        let (parent, owner) = (BlockId(Bytes([7; 32])), Address(Bytes([9; 20])));
        let bytes = [[7; 32].as_slice(), &[9; 20], &[5, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(kernel(&parent, &owner, 261), U256::from_be_bytes(Sha256::digest(&bytes).into()));
    }
}
