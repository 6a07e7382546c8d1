//! Valid values of every decoded type.

use std::sync::Arc;

use synod_consensus::{Message, Record, Reply, StoredHeader, pbft};
use synod_dht::{Contact, Identity, neighbours};
use synod_ledger::{
    Address, Amount, Block, BlockId, Coin, Coinbase, CompactTarget, Evidence, Genesis, Header, Height, OutPoint,
    Output, PaymentBuilder, Rules, Seal, SecretKey, State, Status, Tx, TxId, Undo,
};
use synod_machine::{Bytes, Time};

use crate::agreement;

/// A genesis file.
pub const GENESIS: &str = r#"name = "fuzz"
time_unix_ms = 1700000000000
[engine]
name = "pow"
target = 0x1f00ffff
block_time_ms = 2000
retarget = { rule = "lwma", window = 60 }
[ledger]
subsidy = 1000000000
halving_interval = 210000
maturity = 10
block_bytes_max = 1000000
fee_min = 1000
[[balances]]
name = "alice"
address = "ADDRESS"
amount = 100000000
coins = 4
"#;

/// A configuration file.
pub const CONFIG: &str = r#"name = "peer1"
data = "data"
genesis = "../genesis.toml"
listen = ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1"]
bootstrap = ["/ip4/127.0.0.1/tcp/4002"]
api = "127.0.0.1:8001"
faults = true
[mining]
address = "ADDRESS"
hash_rate = 50000
threads = 2
[network]
neighbours_min = 3
connections_max = 20
gossip_signed = false
kad_public = false
"#;

/// Everybody's key.
pub fn secret() -> SecretKey {
    SecretKey::from_bytes([7; 32])
}

/// `text` with the address of [`secret`] in place.
pub fn with_address(text: &str) -> String {
    text.replace("ADDRESS", &address().to_string())
}

/// The address of [`secret`].
pub fn address() -> Address {
    secret().address()
}

/// The genesis of [`GENESIS`].
pub fn genesis() -> Genesis {
    toml::from_str(&with_address(GENESIS)).expect("a valid genesis")
}

/// What a block after the genesis must keep to.
pub fn rules() -> Rules {
    genesis().rules()
}

/// The coins of the genesis.
pub fn state() -> State {
    State::genesis(&genesis())
}

/// A payment that spends two coins.
pub fn tx() -> Tx {
    let (secret, state) = (secret(), state());
    let coins = state.coins_of(&secret.address());
    let builder = PaymentBuilder::new(rules().chain).fee(Amount(2000)).pay(Address(Bytes([9; 20])), Amount(40_000_000));
    let builder = coins.iter().take(2).fold(builder, |builder, (name, coin)| builder.spend(*name, *coin, &secret));
    builder.build(secret.address()).expect("enough coins")
}

/// A header of the block after the genesis.
pub fn header() -> Header {
    block().header().clone()
}

/// The block after the genesis, with one payment.
pub fn block() -> Block {
    let (chain, height) = (rules().chain, Height(1));
    let reward = Output::plain(Amount(1_000_002_000), address());
    let coinbase = Coinbase { chain, height, extra: 5, outputs: vec![reward] };
    let payments = vec![tx()];
    let seal = Seal::Work { target: CompactTarget(0x1f00_ffff), nonce: 77 };
    let root = Block::root_of(&coinbase, &payments);
    let parent = state().tip();
    Block::new(Header { chain, parent, height, time: Time(1_000_000_000), root, seal }, coinbase, payments)
}

/// What a block spent.
pub fn undo() -> Undo {
    let name = |index| OutPoint { tx: TxId(Bytes([3; 32])), index };
    let output = Output::plain(Amount(5), address());
    let coin = |coinbase| Coin { output, height: Height(300), coinbase };
    Undo { spent: vec![(name(0), coin(false)), (name(70_000), coin(true))], ..Undo::default() }
}

/// A peer and where it is.
pub fn contact() -> Contact {
    let address = |port| neighbours::Address(vec![4, 127, 0, 0, 1, 6, 15, port]);
    Contact { identity: Identity(secret().public().0), addresses: vec![address(160), address(161)] }
}

/// One of each message between replicas.
pub fn messages() -> Vec<Message> {
    let (block, tx) = (block(), tx());
    let claim = synod_consensus::Claim { tip: block.id(), height: Height(1), work: Bytes([1; 32]) };
    let unknown = BlockId(Bytes([8; 32]));
    let evidence = Evidence { first: header(), second: Header { time: Time(1_000_000_001), ..header() } };
    let reply = Reply { view: pbft::View(2), height: Height(1), block: block.id(), payments: vec![tx.id()] };
    let mut all = vec![
        Message::Client(secret().public()),
        Message::Evidence(evidence.into()),
        Message::GetBlocks(vec![block.id(), unknown]),
        Message::GetHeaders(vec![block.id(), unknown]),
        Message::GetPayments(vec![tx.id()]),
        Message::Headers(vec![header().into(), header().into()]),
        Message::Missing(vec![unknown]),
        Message::Payments(vec![tx.clone(), tx.clone()]),
        Message::Pool(vec![tx.id()]),
        Message::Reply(agreement::signed(reply)),
        Message::Request(tx),
        Message::Tip(claim),
        Message::Block(block),
    ];
    all.extend(agreement::messages().into_iter().map(Message::Agreement));
    all
}

/// One of each record of a replica.
pub fn records() -> Vec<Record> {
    let stored = StoredHeader { header: header().into(), arrival: 9, completed: Some(300), status: Status::Valid };
    let mut all = vec![
        Record::Body(block()),
        Record::Header(stored),
        Record::Payment(tx()),
        Record::Signed(block()),
        Record::Undo(Arc::new(undo())),
    ];
    all.extend(agreement::records().into_iter().map(Record::Agreement));
    all
}
