//! What the fuzz targets begin with, which are a workspace of their own and are built rarely: every variant of what peers say and keep has
//! a sample, so that a decoder of a new one is fuzzed from the day on which it is written.

#![expect(unreachable_pub, reason = "the fuzz targets share these modules")]

#[path = "../../fuzz/src/agreement.rs"]
mod agreement;
#[path = "../../fuzz/src/overlays.rs"]
mod overlays;
#[path = "../../fuzz/src/peers.rs"]
mod peers;
#[path = "../../fuzz/src/samples.rs"]
#[expect(dead_code, reason = "some samples are of what a peer does not send or keep")]
mod samples;

use std::any::type_name;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::de::value::Error;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use synod_machine::{Wire, wire};

/// A decoder that only notes the variants' names of what it is to decode.
struct Names<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("it is no enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(variants);
        Err(Error::custom("its variants' names are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn variants<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let names = Cell::new([].as_slice());
    assert!(T::deserialize(Names(&names)).is_err(), "nothing is decoded");
    names.get()
}

/// Every variant has a sample, and every sample is decoded to itself.
fn assert_whole<T: Wire + DeserializeOwned + PartialEq + Debug>(samples: &[T]) {
    let name = type_name::<T>();
    let all = variants::<T>();
    assert!(!all.is_empty() && all.len() < 251, "{name} is an enum whose tag is one byte");
    let mut sampled = BTreeSet::new();
    for sample in samples {
        let bytes = wire::encode(sample);
        assert_eq!(wire::decode::<T>(&bytes).as_ref(), Ok(sample), "{name}");
        sampled.insert(usize::from(bytes[0]));
    }
    let missing: Vec<&str> = (0..all.len()).filter(|tag| !sampled.contains(tag)).map(|tag| all[tag]).collect();
    assert!(missing.is_empty(), "{name} has variants without a sample in fuzz/src: {missing:?}");
}

#[test]
fn every_message_has_a_sample_for_the_fuzzer() {
    assert_whole(&agreement::messages());
    assert_whole(&overlays::chord());
    assert_whole(&overlays::content());
    assert_whole(&overlays::flood());
    assert_whole(&overlays::gossip());
    assert_whole(&overlays::index());
    assert_whole(&overlays::kademlia());
    assert_whole(&overlays::messages());
    assert_whole(&overlays::superpeer());
    assert_whole(&peers::messages());
    assert_whole(&samples::messages());
}

#[test]
fn every_record_has_a_sample_for_the_fuzzer() {
    assert_whole(&agreement::records());
    assert_whole(&overlays::contents());
    assert_whole(&overlays::records());
    assert_whole(&peers::records());
    assert_whole(&samples::records());
}
