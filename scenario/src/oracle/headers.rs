//! The rules of headers once more, slowly and by the book: nothing here is shared with the code under test but the
//! encoding of a header.
//!
//! Targets are Bitcoin's short form; the retarget is the linearly weighted moving average as its documentation states
//! it ([`Pow::target_after`](synod_consensus::Pow::target_after)), in 512 bits, so that no order of operations has to be
//! thought about. The draw of a stake is compared as the product that it is defined by, and not as a quotient.

use sha2::{Digest, Sha256};
use synod_ledger::{Header, PosParams, PowParams, Retarget, Seal};
use synod_machine::Time;

use super::stakes::is_signed;

/// A number that holds the product of any two of the ledger's.
pub(super) type Wide = ruint::Uint<512, 8>;

/// What is known of a block on a chain, newest first in lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) time: Time,
    /// The short form that it states; the genesis states none.
    target: Option<u32>,
    /// The difficulty that it states; the genesis states none.
    difficulty: Option<u64>,
}

impl Mark {
    /// What a header says.
    pub(crate) fn of(header: &Header) -> Self {
        let difficulty = match header.seal {
            Seal::Stake { difficulty, .. } => Some(difficulty),
            Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => None,
        };
        Self { time: header.time, target: header.seal.target().map(|target| target.0), difficulty }
    }
}

/// A block must be later than the median of so many before it (Bitcoin's rule).
const MEDIAN_OF: usize = 11;
/// An interval counts for at most so many block times …
const LONGEST: u64 = 6;
/// … and a block is at most so many times harder than those before it.
const HARDER_MAX: u64 = 10;
/// The easiest target there is, in its short form.
const EASIEST: u32 = 0x207f_ffff;

/// Says what is wrong with a header on top of `chain`, newest first. Its height and parent are the caller's to check.
pub(super) fn check(params: &PowParams, header: &Header, chain: &[Mark]) -> Result<(), String> {
    let target = match header.seal {
        Seal::Declared { target, .. } if params.declared => target.0,
        Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => {
            return Err(format!("a seal of the wrong kind: {:?}", header.seal));
        }
    };
    let expected = target_after(params, chain);
    if target != expected {
        return Err(format!("the target {target:#010x}, where the rule gives {expected:#010x}"));
    }
    let median = median(chain);
    if header.time <= median {
        return Err(format!("the time {}, not after the median {median}", header.time));
    }
    Ok(())
}

/// Says what is wrong with a header of somebody whose stake counts so much on top of `chain`, newest first.
pub(super) fn check_stake(params: &PosParams, header: &Header, chain: &[Mark], stake: u64) -> Result<(), String> {
    let Seal::Stake { key, difficulty, .. } = &header.seal else {
        return Err(format!("a seal of the wrong kind: {:?}", header.seal));
    };
    let expected = difficulty_after(params, chain);
    if *difficulty != expected {
        return Err(format!("the difficulty {difficulty}, where the rule gives {expected}"));
    }
    let second = header.time.0 / NANOS_PER_SEC;
    if header.time.0 != second * NANOS_PER_SEC || header.time <= chain[0].time {
        return Err(format!("the time {}, no whole second after {}", header.time, chain[0].time));
    }
    let owner = key.address();
    let drawn = Sha256::digest([header.parent.0.as_slice(), owner.0.as_slice(), &second.to_le_bytes()].concat());
    if Wide::from_be_slice(&drawn) * Wide::from(*difficulty) > Wide::from(stake) << 256 {
        return Err(format!("a stake of {stake} did not win the second {second} at difficulty {difficulty}"));
    }
    if is_signed(header) { Ok(()) } else { Err("it is not signed by its key".to_string()) }
}

/// The target, in its short form, of a block on top of `chain`.
pub(super) fn target_after(params: &PowParams, chain: &[Mark]) -> u32 {
    let window = match params.retarget {
        Retarget::Lwma { window } => window as usize,
        Retarget::Off => return params.target.0,
    };
    let first = params.target.0;
    let targets = (0..window).map(|age| expand(chain.get(age).and_then(|mark| mark.target).unwrap_or(first)));
    let targets = targets.sum::<Wide>();
    let (weighted, on_time) = intervals(window, params.block_time_ms, chain);
    let next = targets / Wide::from(window) * weighted / on_time;
    shorten(next.clamp(Wide::from(1), expand(EASIEST)))
}

/// The difficulty of a block on top of `chain`.
fn difficulty_after(params: &PosParams, chain: &[Mark]) -> u64 {
    let window = match params.retarget {
        Retarget::Lwma { window } => window as usize,
        Retarget::Off => return params.difficulty,
    };
    let first = params.difficulty;
    let sum: Wide =
        (0..window).map(|age| Wide::from(chain.get(age).and_then(|mark| mark.difficulty).unwrap_or(first))).sum();
    let (weighted, on_time) = intervals(window, params.block_time_ms, chain);
    let next = sum * on_time / (weighted * Wide::from(window));
    u64::try_from(next).unwrap_or(u64::MAX).max(1)
}

/// What the last intervals weigh together, the newest most, and what they would on time. Blocks before the genesis count
/// as found on time; so does the genesis itself.
fn intervals(window: usize, block_time_ms: u64, chain: &[Mark]) -> (Wide, Wide) {
    let block_time = block_time_ms * 1_000_000;
    let interval = |age: usize| match (chain.get(age), chain.get(age + 1)) {
        (Some(block), Some(before)) => block.time.0.saturating_sub(before.time.0).min(LONGEST * block_time),
        (Some(_) | None, None) | (None, Some(_)) => block_time,
    };
    let weigh = |age: usize| Wide::from(window - age) * Wide::from(interval(age));
    let weighted = (0..window).map(weigh).sum::<Wide>();
    let on_time = (1..=window).map(|weight| Wide::from(weight) * Wide::from(block_time)).sum::<Wide>();
    (weighted.max(on_time / Wide::from(HARDER_MAX)), on_time)
}

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// The hashes that a target asks for on average: 2^256 / (target + 1).
pub(super) fn work(target: u32) -> Wide {
    (Wide::from(1) << 256) / (expand(target) + Wide::from(1))
}

/// The middle one of the last times; the later one of two.
pub(crate) fn median(chain: &[Mark]) -> Time {
    let mut times: Vec<Time> = chain.iter().take(MEDIAN_OF).map(|mark| mark.time).collect();
    times.sort();
    times[times.len() / 2]
}

/// The target that a short form stands for: three bytes, shifted by the first byte less three.
fn expand(short: u32) -> Wide {
    let (bytes, digits) = (short >> 24, Wide::from(short & 0x00ff_ffff));
    if bytes >= 3 { digits << (8 * (bytes as usize - 3)) } else { digits >> (8 * (3 - bytes as usize)) }
}

/// The short form of a target: the smallest number of bytes whose first bit is free, and the three highest of them.
fn shorten(target: Wide) -> u32 {
    let bytes = (1..=33_usize).find(|bytes| target < Wide::from(1) << (8 * bytes - 1)).unwrap_or(33);
    let digits = if bytes >= 3 { target >> (8 * (bytes - 3)) } else { target << (8 * (3 - bytes)) };
    (bytes as u32) << 24 | digits.to::<u32>()
}

#[cfg(test)]
mod tests {
    use synod_consensus::pow;
    use synod_ledger::CompactTarget;

    use super::*;

    #[test]
    fn short_forms_come_back_and_weigh_what_the_ledger_says() {
        for short in [0x207f_ffff, 0x1d00_ffff, 0x1f00_ffff, 0x1b04_04cb, 0x0101_0000, 0x0200_8000, 0x0312_3456] {
            assert_eq!(shorten(expand(short)), short, "{short:#x}");
            assert!(CompactTarget(short).is_canonical(), "{short:#x}");
            assert_eq!(work(short).to_string(), pow::work(CompactTarget(short)).to_string());
        }
    }

    #[test]
    fn blocks_on_time_keep_the_target_and_fast_ones_make_it_smaller() {
        let params = PowParams {
            target: CompactTarget(0x1f00_ffff),
            block_time_ms: 1_000,
            retarget: Retarget::Lwma { window: 4 },
            declared: true,
        };
        let chain = |interval: u64| -> Vec<Mark> {
            let mark =
                |age: u64| Mark { time: Time(interval * (10 - age)), target: Some(0x1f00_ffff), difficulty: None };
            (0..10).map(mark).collect()
        };
        assert_eq!(target_after(&params, &chain(1_000_000_000)), 0x1f00_ffff);
        assert_eq!(target_after(&params, &chain(500_000_000)), 0x1e7f_ff80);
        // No faster than ten times, and no slower than six.
        assert_eq!(target_after(&params, &chain(1)), shorten(expand(0x1f00_ffff) / Wide::from(10)));
        assert_eq!(target_after(&params, &chain(60_000_000_000)), shorten(expand(0x1f00_ffff) * Wide::from(6)));
    }
}
