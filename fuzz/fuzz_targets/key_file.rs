//! An encrypted key file, and opening it: a changed one opens no key, or the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use synod_fuzz::{check_text, samples};
use synod_ledger::{KdfCost, KeyFile, seal};

/// The cheapest there is: a fuzzer makes thousands of guesses a second.
const COST: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };

static SAMPLE: LazyLock<String> = LazyLock::new(|| {
    let file = seal(&samples::secret(), "alice", b"passphrase", [1; 16], [2; 24], COST);
    serde_json::to_string(&file).expect("a key file can be written")
});

fuzz_target!(|data: &[u8]| check_text(data, &SAMPLE, parse, write));

fn parse(text: &str) -> Option<KeyFile> {
    let file: KeyFile = serde_json::from_str(text).ok()?;
    // A file that asks for the most work allowed would take a second; one beyond is refused before any.
    if (file.kdf == COST || !file.kdf.is_acceptable())
        && let Ok(secret) = file.open(b"passphrase")
    {
        assert_eq!(secret.address(), file.address, "a key is that of the file's address");
    }
    Some(file)
}

fn write(file: &KeyFile) -> String {
    serde_json::to_string(file).expect("a key file can be written")
}
