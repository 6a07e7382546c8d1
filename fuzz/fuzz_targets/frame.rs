//! The reader of frames: whatever a peer's stream holds, the frames that come out are those that were written there.
#![no_main]

use futures::executor::block_on;
use futures::io::Cursor;
use libfuzzer_sys::fuzz_target;
use synod_node::net::frame;

/// Short enough for the fuzzer to go beyond it.
const BYTES_MAX: usize = 1_000;

fuzz_target!(|data: &[u8]| {
    let mut stream = Cursor::new(data);
    let mut written = Vec::new();
    while let Ok(Some(bytes)) = block_on(frame::read(&mut stream, BYTES_MAX)) {
        assert!(bytes.len() <= BYTES_MAX, "no frame is longer than allowed");
        written.extend((bytes.len() as u32).to_le_bytes());
        written.extend(bytes);
    }
    assert!(data.starts_with(&written), "a frame is what was written");
});
