//! What the fuzz targets share: the checks, and valid values to start from.
//!
//! A target is given arbitrary bytes twice: as they are, and as edits of a valid encoding. The first finds what a
//! decoder does with noise, the second gets past the first length and tag without a corpus to begin with.

pub mod agreement;
pub mod overlays;
pub mod peers;
pub mod samples;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use synod_machine::{Wire, wire};

/// The bytes of one edit: where, and which bits.
const EDIT_BYTES: usize = 3;

/// Feeds `data` to the decoder of `T`, and edits of the samples too. What decodes must encode to the same bytes.
pub fn check_wire<T: Wire>(data: &[u8], samples: &[T], mut inspect: impl FnMut(&T)) {
    let mut check = |bytes: &[u8]| {
        let Ok(value) = wire::decode::<T>(bytes) else { return };
        assert_eq!(wire::encode(&value), bytes, "a value has one encoding");
        assert_eq!(value.encoded_len(), bytes.len(), "an encoding's length is known without making it");
        assert!(bytes.len() <= T::BYTES_MAX, "no value is longer than its type allows");
        assert!(!value.kind().is_empty(), "a value is of some kind");
        inspect(&value);
    };
    check(data);
    for sample in samples {
        let bytes = wire::encode(sample);
        assert!(wire::decode::<T>(&bytes).is_ok(), "the samples are valid");
        check(&edited(bytes, data));
    }
}

/// Feeds `data`, if it is text, to `parse`, and edits of the sample too. What is read must be written and read again.
pub fn check_text<T: PartialEq + Debug>(
    data: &[u8],
    sample: &str,
    parse: impl Fn(&str) -> Option<T>,
    write: impl Fn(&T) -> String,
) {
    let check = |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Some(value) = parse(text) else { return };
        let written = write(&value);
        assert_eq!(parse(&written).as_ref(), Some(&value), "{written:?} is read as it was written");
    };
    assert!(parse(sample).is_some(), "the sample is valid");
    check(data);
    check(&edited(sample.as_bytes().to_vec(), data));
}

/// [`check_text`] for a type that reads and writes itself.
pub fn check_display<T: PartialEq + Debug + Display + FromStr>(data: &[u8], sample: &str) {
    check_text(data, sample, |text| text.parse::<T>().ok(), ToString::to_string);
}

/// `bytes` with some bits turned over: `data` is a list of places and masks. A last, shorter edit cuts the bytes off.
fn edited(mut bytes: Vec<u8>, data: &[u8]) -> Vec<u8> {
    let edits = data.chunks_exact(EDIT_BYTES);
    let cut = edits.remainder().first().copied();
    for edit in edits {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        if place < bytes.len() {
            bytes[place] ^= edit[2];
        } else {
            bytes.push(edit[2]);
        }
    }
    if let Some(cut) = cut {
        bytes.truncate(bytes.len().saturating_sub(usize::from(cut)));
    }
    bytes
}
