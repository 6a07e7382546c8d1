//! The encodings of messages and records: their hashes, and bytes that are none. A change is a change of the protocol or
//! of the disk format.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use synod_ledger::{Certificate, Height, Signature, digest};
use synod_machine::{Bytes, Wire, WireError, wire};

use crate::pbft::testing::bench::toy;
use crate::pbft::testing::{GENESIS, Toy};
use crate::pbft::{
    Base, Checkpoint, Commit, Hello, Mark, Message, NewView, Order, PrePrepare, Prepare, Prepared, Proposal, Record,
    Signed, Statement, Status, ValidatorId, View, ViewChange,
};

fn signed<T: Statement>(body: T) -> Signed<T> {
    Signed::from_parts(body, ValidatorId(2), Signature(Bytes([9; 64])))
}

fn order() -> Order {
    let toy = toy('A', 300, GENESIS);
    Order { view: View(3), height: toy.height, id: toy.id(), parent: toy.parent }
}

fn base() -> Base {
    let votes = vec![(0, Signature(Bytes([1; 64]))), (3, Signature(Bytes([2; 64])))];
    Base { height: Height(299), id: GENESIS, certificate: Certificate::new(2, votes) }
}

fn prepared() -> Prepared {
    let votes = vec![(ValidatorId(1), Signature(Bytes([5; 64])))];
    Prepared { order: signed(PrePrepare(order())), votes: votes.into() }
}

fn change() -> Signed<ViewChange> {
    signed(ViewChange { view: View(4), base: base(), prepared: vec![prepared()] })
}

fn new_view() -> Signed<NewView> {
    signed(NewView { view: View(4), changes: vec![change()], orders: vec![signed(PrePrepare(order()))] })
}

fn messages() -> Vec<Message<Toy>> {
    let a = || toy('A', 300, GENESIS);
    let Order { view, height, id, .. } = order();
    let status = Status {
        view,
        is_active: true,
        decided: Height(2),
        stable: Height(1),
        orders: vec![true, false],
        is_reply: false,
    };
    vec![
        Message::Checkpoint(signed(Checkpoint { height, id })),
        Message::Commit(signed(Commit { view, height, id })),
        Message::Decided { base: base(), proposal: Some(a()) },
        Message::Decided { base: base(), proposal: None },
        Message::Fetch { height, id },
        Message::Hello { hello: signed(Hello { salt: 7 }), asks: true },
        Message::Mark(signed(Mark { salt: 7, base: base() })),
        Message::NewView(new_view()),
        Message::PrePrepare { order: signed(PrePrepare(order())), proposal: a() },
        Message::Prepare(signed(Prepare(order()))),
        Message::Proposal(a()),
        Message::Recall { salt: 7 },
        Message::Status(status),
        Message::ViewChange(change()),
    ]
}

fn records() -> Vec<Record<Toy>> {
    vec![
        Record::Active(new_view()),
        Record::Changing(change()),
        Record::Decided(base()),
        Record::Executed(base()),
        Record::Prepared(prepared()),
        Record::Proposal(toy('A', 300, GENESIS)),
        Record::Rejoining(Some(Height(7))),
        Record::Stable(Height(7), GENESIS),
        Record::Voted(signed(PrePrepare(order()))),
    ]
}

/// Each value's name and the first four bytes of its encoding's hash.
fn hashes<T: Wire>(values: &[T]) -> Vec<String> {
    let hash = |value: &T| digest("golden", &wire::encode(value)).to_string();
    values.iter().map(|value| std::format!("{} {}", value.kind(), &hash(value)[..8])).collect()
}

#[test]
fn encodings_of_messages_are_these() {
    let expected = [
        "checkpoint 67a97a61",
        "commit 33eb499f",
        "decided cfe4cd53",
        "decided 56d6da2f",
        "fetch ffe76102",
        "hello 897d4f9c",
        "mark 735820a1",
        "new_view d1cd7673",
        "pre_prepare b4a2e550",
        "prepare e77e69c2",
        "proposal dcaa013e",
        "recall 9a096663",
        "status 561c31dc",
        "view_change 89f9c054",
    ];
    assert_eq!(hashes(&messages()), expected);
}

#[test]
fn encodings_of_records_are_these() {
    let expected = [
        "active 13ae83c4",
        "changing 4dfcdb7a",
        "decided 04fe2875",
        "executed f14677d9",
        "prepared 5c8b79ab",
        "proposal 28ab762f",
        "rejoining 01287699",
        "stable 9f8799b1",
        "voted e77e69c2",
    ];
    assert_eq!(hashes(&records()), expected);
}

#[test]
fn messages_and_records_come_back_and_know_their_lengths_and_cut_ones_do_not() {
    fn check<T: Wire + PartialEq>(values: &[T]) {
        for value in values {
            let bytes = wire::encode(value);
            assert_eq!(value.encoded_len(), bytes.len());
            assert_eq!(wire::decode::<T>(&bytes).as_ref(), Ok(value));
            for end in 0..bytes.len() {
                assert_eq!(wire::decode::<T>(&bytes[..end]), Err(WireError::Malformed), "{value:?} cut at {end}");
            }
        }
    }
    check(&messages());
    check(&records());
}
