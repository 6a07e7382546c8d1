//! What a replica is made from.

use core::time::Duration;

use synod_ledger::SecretKey;

use super::choice::DEPTH_MAX;
use super::types::Rules;

/// How a replica works. What concerns others is the same on all of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a request waits before the primary is replaced; it doubles with each view, until one brings
    /// enough.
    pub view_timeout: Duration,
    /// How long requests wait for others to be proposed together while a proposal is in flight.
    pub batch_delay: Duration,
    /// So many requests are proposed without waiting for more.
    pub batch_max: u32,
    /// K: a checkpoint is made every so many heights.
    pub checkpoint_interval: u64,
    /// L: the high watermark lies so far above the last stable checkpoint.
    pub window: u64,
    /// Proposals that are ordered before the first of them is decided.
    pub in_flight_max: u64,
    /// The disk of a validator that has voted before is lost: it follows, and votes only when all that it may have voted
    /// for is decided. Said at the first start from the new disk, which keeps it.
    pub is_rejoining: bool,
    /// How long a replica that waits sees no progress before it says what it has; it doubles, up to 32 times.
    pub resend: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // BFT libraries of 1999 used some seconds on a LAN; four times the longest round trip between regions, and
            // room for a block of full size.
            view_timeout: Duration::from_secs(2),
            // Half the time of a round trip inside a region: what waits longer gains nothing from more company.
            batch_delay: Duration::from_millis(2),
            batch_max: 1_000,
            // TOCS 2002, section 8: K = 128, and L = 2K.
            checkpoint_interval: 128,
            window: 256,
            // Enough to fill the three message delays of a height with one proposal each, and one more that waits.
            in_flight_max: 4,
            is_rejoining: false,
            // Well above a round trip around the world, and several times within the time-out.
            resend: Duration::from_millis(500),
        }
    }
}

impl Settings {
    /// Whether they make sense: a checkpoint between the watermarks, and no more in flight than one view change can show.
    pub fn are_sound(&self) -> bool {
        let is_checkpointed = self.checkpoint_interval > 0 && self.window >= self.checkpoint_interval;
        let is_bounded = (1..=DEPTH_MAX).contains(&self.in_flight_max);
        is_checkpointed && is_bounded && !self.view_timeout.is_zero() && !self.resend.is_zero()
    }
}

/// What a replica is made from.
#[derive(Clone, Debug)]
pub struct Params {
    /// The chain and its validators.
    pub rules: Rules,
    /// How it works.
    pub settings: Settings,
    /// The key that it signs with; who has none, or no validator's, is an observer.
    pub secret: Option<SecretKey>,
    /// Drawn once per start.
    pub salt: u64,
}
