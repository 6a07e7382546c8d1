//! The encodings of messages and records: fixed bytes, and arbitrary ones that must not hurt. Changing a fixed one is a
//! change of the protocol or the disk format.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use synod_ledger::{
    Amount, Block, BlockId, ChainId, Coin, Coinbase, CompactTarget, Evidence, Header, Height, OutPoint, Output,
    Payment, PublicKey, Seal, Signature, Status, Tx, TxId, TxInput, Undo,
};
use synod_machine::{Bytes, Rng, Time, Wire, wire};

use crate::pbft::{Signed, ValidatorId, View};
use crate::testing::{hex, name};
use crate::{Claim, Message, Record, Reply, StoredHeader};

fn header() -> Header {
    Header {
        chain: ChainId(Bytes([1; 8])),
        parent: BlockId(name(2)),
        height: Height(3),
        time: Time(4),
        root: name(5),
        seal: Seal::Work { target: CompactTarget(0x1d00_ffff), nonce: 6 },
    }
}

fn output() -> Output {
    Output::plain(Amount(7), synod_ledger::Address(Bytes([8; 20])))
}

fn tx() -> Tx {
    let input = TxInput {
        coin: OutPoint { tx: TxId(name(9)), index: 10 },
        key: PublicKey(name(11)),
        signature: Signature(Bytes([12; 64])),
    };
    Tx::from(Payment { chain: ChainId(Bytes([1; 8])), inputs: vec![input], outputs: vec![output()] })
}

fn block() -> Block {
    let coinbase = Coinbase { chain: ChainId(Bytes([1; 8])), height: Height(3), extra: 13, outputs: vec![output()] };
    Block::new(header(), coinbase, vec![tx()])
}

fn reply() -> Reply {
    Reply { view: View(4), height: Height(3), block: BlockId(name(5)), payments: vec![TxId(name(9))] }
}

fn messages() -> Vec<Message> {
    vec![
        Message::Block(block()),
        Message::GetBlocks(vec![BlockId(name(1))]),
        Message::GetHeaders(vec![BlockId(name(1)), BlockId(name(2))]),
        Message::GetPayments(vec![TxId(name(1))]),
        Message::Headers(vec![header().into()]),
        Message::Missing(vec![]),
        Message::Payments(vec![tx()]),
        Message::Pool(vec![TxId(name(1))]),
        Message::Tip(Claim { tip: BlockId(name(1)), height: Height(300), work: name(2) }),
        Message::Evidence(Box::new(Evidence { first: header(), second: header() })),
        Message::Request(tx()),
        Message::Client(PublicKey(name(11))),
        Message::Reply(Signed::from_parts(reply(), ValidatorId(2), Signature(Bytes([12; 64])))),
    ]
}

fn records() -> Vec<Record> {
    let coin = Coin { output: output(), height: Height(3), coinbase: true };
    let undo = Undo { spent: vec![(OutPoint { tx: TxId(name(9)), index: 10 }, coin)], ..Undo::default() };
    vec![
        Record::Body(block()),
        Record::Header(StoredHeader {
            header: header().into(),
            arrival: 14,
            completed: Some(15),
            status: Status::Valid,
        }),
        Record::Payment(tx()),
        Record::Undo(Arc::new(undo)),
        Record::Signed(block()),
    ]
}

const CHAIN: &str = "080101010101010101";
const TARGET: &str = "fcffff001d";

/// An id on the wire: its length and 32 equal bytes.
fn id(byte: u8) -> String {
    format!("20{}", hex(&[byte; 32]))
}

fn header_hex() -> String {
    format!("{CHAIN}{}0304{}01{TARGET}06", id(2), id(5))
}

fn output_hex() -> String {
    format!("0714{}00", hex(&[8; 20]))
}

fn tx_hex() -> String {
    format!("{CHAIN}01{}0a{}40{}01{}", id(9), id(11), hex(&[12; 64]), output_hex())
}

fn block_hex() -> String {
    format!("{}{CHAIN}030d01{}01{}00", header_hex(), output_hex(), tx_hex())
}

#[test]
fn messages_are_these_bytes() {
    let expected = [
        format!("00{}", block_hex()),
        format!("0101{}", id(1)),
        format!("0202{}{}", id(1), id(2)),
        format!("0301{}", id(1)),
        format!("0401{}", header_hex()),
        "0500".to_string(),
        format!("0601{}", tx_hex()),
        format!("0701{}", id(1)),
        format!("08{}fb2c01{}", id(1), id(2)),
        format!("0b{}{}", header_hex(), header_hex()),
        format!("0a{}", tx_hex()),
        format!("0c{}", id(11)),
        format!("0d0403{}01{}0240{}", id(5), id(9), hex(&[12; 64])),
    ];
    for (message, expected) in messages().iter().zip(expected) {
        let bytes = wire::encode(message);
        assert_eq!(hex(&bytes), expected, "{}", message.kind());
        assert_eq!(message.encoded_len(), bytes.len(), "{}", message.kind());
        assert_eq!(wire::decode::<Message>(&bytes).as_ref(), Ok(message));
    }
}

#[test]
fn records_are_these_bytes() {
    let undo = format!("0301{}0a{}03010000", id(9), output_hex());
    let expected = [
        format!("00{}", block_hex()),
        format!("01{}0e010f02", header_hex()),
        format!("02{}", tx_hex()),
        undo,
        format!("05{}", block_hex()),
    ];
    for (record, expected) in records().iter().zip(expected) {
        let bytes = wire::encode(record);
        assert_eq!(hex(&bytes), expected, "{}", record.kind());
        assert_eq!(record.encoded_len(), bytes.len());
        assert_eq!(wire::decode::<Record>(&bytes).as_ref(), Ok(record));
    }
}

#[test]
fn records_lie_on_these_shelves() {
    let keys = [
        Record::header_key(BlockId(name(1))),
        Record::payment_key(TxId(name(1))),
        Record::body_key(BlockId(name(1))),
        Record::undo_key(BlockId(name(1))),
    ];
    assert_eq!(keys.map(|key| (key.shelf, key.is_cold())), [(0, false), (1, false), (128, true), (129, true)]);
}

/// Bytes that are nearly a value: cut, flipped, lengthened, or with a hostile length in them.
fn spoil(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let place = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 => bytes.truncate(place),
            1 if place < bytes.len() => bytes[place] = rng.next_u64() as u8,
            2 if place < bytes.len() => bytes[place] ^= 1 << rng.below(8),
            3 => bytes.insert(place, rng.next_u64() as u8),
            _ => {
                let hostile = [253, 255, 255, 255, 255, 255, 255, 255, 127];
                bytes.splice(place..place, hostile);
            }
        }
    }
}

#[test]
fn no_bytes_hurt_and_what_is_read_is_written_the_same() {
    let mut rng = Rng::new(11, 0, "fuzz");
    let messages: Vec<Vec<u8>> = messages().iter().map(wire::encode).collect();
    let records: Vec<Vec<u8>> = records().iter().map(wire::encode).collect();
    let mut read = 0;
    for round in 0..30_000 {
        let mut bytes = match round % 3 {
            0 => (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect(),
            1 => rng.pick(&messages).cloned().unwrap_or_default(),
            _ => rng.pick(&records).cloned().unwrap_or_default(),
        };
        spoil(&mut rng, &mut bytes);
        if let Ok(message) = wire::decode::<Message>(&bytes) {
            assert_eq!(wire::encode(&message), bytes);
            assert_eq!(message.encoded_len(), bytes.len());
            read += 1;
        }
        if let Ok(record) = wire::decode::<Record>(&bytes) {
            assert_eq!(wire::encode(&record), bytes);
        }
    }
    assert!(read > 500, "{read} spoilt messages were still messages");
}
