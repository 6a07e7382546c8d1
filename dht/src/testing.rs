//! What the machines' tests share: a tiny item, and a host that shows what came out as text.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Effect, Input, Out, Protocol, Time, Wire};

use crate::gossip::{Id, Parcel};

/// An item: its number is its content and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note(pub(crate) u8);

impl Wire for Note {
    const BYTES_MAX: usize = 1;

    fn kind(&self) -> &'static str {
        "note"
    }

    fn encoded_len(&self) -> usize {
        1
    }
}

impl Parcel for Note {
    fn fingerprint(&self) -> Id {
        id(self.0)
    }
}

/// The hash of the note with that number.
pub(crate) const fn id(number: u8) -> Id {
    Bytes([number; 32])
}

/// One step; what came out, in words.
pub(crate) fn step<P: Protocol>(machine: &mut P, now: Time, input: Input<P>) -> Vec<String> {
    effects(machine, now, input).into_iter().map(|effect| format!("{effect:?}")).collect()
}

/// One step; what came out.
pub(crate) fn effects<P: Protocol>(machine: &mut P, now: Time, input: Input<P>) -> Vec<Effect<P>> {
    let mut out = Out::new();
    machine.handle(now, input, &mut out);
    machine.check();
    out.drain().collect()
}
