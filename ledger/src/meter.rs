//! How many signatures this process made and checked: what agreement costs its peers beside messages. Nothing decides by it.

use core::sync::atomic::{AtomicU64, Ordering};

static CHECKED: AtomicU64 = AtomicU64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);

/// Signatures that a process made and checked since its start, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureCount {
    /// Those that were made.
    pub made: u64,
    /// Those that were checked, alone or in a batch. What is known to be good and is not checked again is not among them.
    pub checked: u64,
}

impl SignatureCount {
    /// Until now.
    pub fn of_process() -> Self {
        Self { made: MADE.load(Ordering::Relaxed), checked: CHECKED.load(Ordering::Relaxed) }
    }
}

pub(crate) fn made() {
    MADE.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn checked(count: usize) {
    CHECKED.fetch_add(count as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, SecretKey};

    /// Other tests of this process sign and check meanwhile, so that these are the least.
    #[test]
    fn what_is_signed_and_checked_is_counted() {
        let before = SignatureCount::of_process();
        let secret = SecretKey::from_bytes([7; 32]);
        let signature = secret.sign(b"message");
        assert!(secret.public().verify(b"message", &signature));
        let mut batch = Batch::new();
        (0..5).for_each(|_| batch.queue(secret.public(), signature, b"message"));
        assert!(batch.verify());
        let after = SignatureCount::of_process();
        assert!(after.made > before.made && after.checked >= before.checked + 6, "{before:?}, {after:?}");
    }
}
