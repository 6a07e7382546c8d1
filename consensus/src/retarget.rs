//! How targets and difficulties follow the block interval: the linearly weighted moving average, by which recent intervals
//! count most (zawy12's LWMA-1, as in Zcash forks and Bitcoin Gold).

use synod_machine::Time;

/// One interval counts for at most so many block times in the retarget, so that a network that slept is not flooded
/// with easy blocks when it wakes.
const INTERVAL_BLOCKS_MAX: u64 = 6;
/// One retarget makes the next block at most so many times harder (LWMA-1's bound), so that a few blocks in a row do not
/// stop the chain where the window is short.
const STEP_MAX: u128 = 10;

/// What the last intervals weigh together, and what they would on time: their ratio is how much too slow blocks came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intervals {
    pub(crate) weighted: u128,
    pub(crate) on_time: u128,
}

impl Intervals {
    /// Of the blocks with these times, newest first. The one after the window gives only its time; blocks before the
    /// genesis count as found on time.
    pub(crate) fn of(times: &[Time], window: u64, block_time_ms: u64) -> Self {
        let block_time = block_time_ms.saturating_mul(1_000_000);
        let longest = block_time.saturating_mul(INTERVAL_BLOCKS_MAX);
        let weighted = (0..window).map(|age| {
            let pair = times.get(age as usize).zip(times.get(age as usize + 1));
            let interval = pair.map_or(block_time, |(time, before)| time.0.saturating_sub(before.0).min(longest));
            u128::from(window - age) * u128::from(interval)
        });
        let on_time = u128::from(window) * u128::from(window + 1) / 2 * u128::from(block_time);
        Self { weighted: weighted.sum::<u128>().max(on_time / STEP_MAX), on_time }
    }
}
