//! Signatures: a batch accepts what each check alone accepts, for any key, message and signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use synod_fuzz::samples;
use synod_ledger::{Batch, PublicKey, Signature};
use synod_machine::Bytes;

fuzz_target!(|data: &[u8]| {
    let secret = samples::secret();
    let (mut key, mut signature) = (secret.public().0.0, secret.sign(b"message").0.0);
    // Edits of a good signature: noise alone would never be close to one.
    for edit in data.chunks_exact(2) {
        let place = usize::from(edit[0]);
        match place {
            0..32 => key[place] ^= edit[1],
            32..96 => signature[place - 32] ^= edit[1],
            _ => {}
        }
    }
    let (key, signature) = (PublicKey(Bytes(key)), Signature(Bytes(signature)));
    let alone = key.verify(b"message", &signature);
    let mut batch = Batch::new();
    batch.queue(secret.public(), secret.sign(b"another"), b"another");
    batch.queue(key, signature, b"message");
    assert_eq!(batch.verify(), alone, "alone and in a batch a signature counts the same");
});
