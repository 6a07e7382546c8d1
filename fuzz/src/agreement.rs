//! Valid values of what validators say and keep.

use synod_consensus::pbft::{
    Base, Checkpoint, Commit, Hello, Mark, Message, NewView, Order, PrePrepare, Prepare, Prepared, Record, Signed,
    Statement, Status, ValidatorId, View, ViewChange,
};
use synod_ledger::{Block, Certificate, Height, Signature};
use synod_machine::Bytes;

use crate::samples::{block, state};

const SIGNATURE: Signature = Signature(Bytes([12; 64]));

/// What the second validator says. A decoder does not look whether it has signed it.
pub fn signed<T: Statement>(body: T) -> Signed<T> {
    Signed::from_parts(body, ValidatorId(1), SIGNATURE)
}

fn order() -> Order {
    Order { view: View(2), height: Height(1), id: block().id(), parent: state().tip() }
}

fn base() -> Base {
    let certificate = Certificate::new(2, vec![(0, SIGNATURE), (1, SIGNATURE), (3, SIGNATURE)]);
    Base { height: Height(1), id: block().id(), certificate }
}

fn prepared() -> Prepared {
    let votes = [(ValidatorId(0), SIGNATURE), (ValidatorId(3), SIGNATURE)].into();
    Prepared { order: signed(PrePrepare(order())), votes }
}

fn change() -> Signed<ViewChange> {
    signed(ViewChange { view: View(3), base: base(), prepared: vec![prepared()] })
}

fn new_view() -> Signed<NewView> {
    let orders = vec![signed(PrePrepare(order()))];
    signed(NewView { view: View(3), changes: vec![change(), change()], orders })
}

/// One of each message between validators.
pub fn messages() -> Vec<Message<Block>> {
    let Order { view, height, id, .. } = order();
    let status = Status {
        view,
        is_active: true,
        decided: height,
        stable: Height(0),
        orders: vec![true, false, true],
        is_reply: false,
    };
    vec![
        Message::Checkpoint(signed(Checkpoint { height, id })),
        Message::Commit(signed(Commit { view, height, id })),
        Message::Decided { base: base(), proposal: Some(block()) },
        Message::Decided { base: base(), proposal: None },
        Message::Fetch { height, id },
        Message::Hello { hello: signed(Hello { salt: 1 << 40 }), asks: true },
        Message::Mark(signed(Mark { salt: 1 << 40, base: base() })),
        Message::NewView(new_view()),
        Message::PrePrepare { order: signed(PrePrepare(order())), proposal: block() },
        Message::Prepare(signed(Prepare(order()))),
        Message::Proposal(block()),
        Message::Recall { salt: 1 << 40 },
        Message::Status(status),
        Message::ViewChange(change()),
    ]
}

/// One of each record of a validator.
pub fn records() -> Vec<Record<Block>> {
    vec![
        Record::Active(new_view()),
        Record::Changing(change()),
        Record::Decided(base()),
        Record::Executed(base()),
        Record::Prepared(prepared()),
        Record::Proposal(block()),
        Record::Rejoining(Some(Height(300))),
        Record::Stable(Height(1), block().id()),
        Record::Voted(signed(PrePrepare(order()))),
    ]
}
