//! The parts together: shelves, routes, timers, bytes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;

use synod_consensus::{Chain, Limits};
use synod_dht::{Contact, Identity};
use synod_ledger::{
    Amount, Balance, CompactTarget, Engine, Genesis, LedgerParams, PaymentBuilder, PowParams, Retarget, SecretKey, Tx,
};
use synod_machine::{Bytes, Effect, Host, PeerId, Reject, Rng, wire};

use super::*;

pub(crate) fn chain() -> Arc<Chain> {
    let owner = SecretKey::from_bytes([1; 32]).address();
    let pow = PowParams { target: CompactTarget::MAX, block_time_ms: 1_000, retarget: Retarget::Off, declared: true };
    let ledger = LedgerParams {
        subsidy: Amount(50),
        halving_interval: 10,
        maturity: 3,
        block_bytes_max: 20_000,
        fee_min: Amount(1),
    };
    let balances =
        vec![Balance { name: "one".to_string(), address: owner, amount: Amount(1_000), coins: 1, stake: Amount::ZERO }];
    let genesis = Genesis { name: "test".to_string(), time_unix_ms: 0, engine: Engine::Pow(pow), ledger, balances };
    Chain::simulated(genesis).expect("a chain can start like this")
}

pub(crate) fn params() -> Params {
    let own = Identity(Bytes([0; 32]));
    Params {
        behaviour: Behaviour::Honest,
        discovery: None,
        gossip: GossipParams::Host,
        neighbours: neighbours::Params {
            own,
            kept: BTreeSet::new(),
            neighbours_min: 2,
            rng: Rng::new(1, 0, "neighbours"),
        },
        keeper: KeeperParams::Full(synod_consensus::Params {
            chain: chain(),
            limits: Limits::default(),
            miner: None,
            signer: None,
            behaviour: Default::default(),
            extra: 0,
        }),
    }
}

fn contact(byte: u8) -> Contact {
    Contact { identity: Identity(Bytes([byte; 32])), addresses: vec![neighbours::Address(vec![byte; 8])] }
}

pub(crate) fn submit() -> Command {
    Command::Replica(synod_consensus::Command::Submit { ticket: 1, tx: payment() })
}

pub(crate) fn payment() -> Tx {
    let owner = SecretKey::from_bytes([1; 32]);
    let chain = chain();
    let (name, coin) = chain.state().coins()[0];
    let builder = PaymentBuilder::new(chain.rules().chain).spend(name, coin, &owner);
    let tx = builder.pay(owner.address(), Amount(10)).fee(Amount(1)).build(owner.address());
    tx.expect("the coin covers it")
}

/// The disk after these commands.
fn disk_after(commands: Vec<Command>) -> BTreeMap<Key, Vec<u8>> {
    let mut disk = BTreeMap::new();
    let mut host = Host::start(Peer::restore(params(), core::iter::empty()), Time::from_secs(1), |_| {});
    for command in commands {
        host.step(Time::from_secs(1), Input::Command(command), |effect| match effect {
            Effect::Persist { key, record } => {
                let bytes = wire::encode(&record);
                assert!(bytes.len() == record.encoded_len(), "a record knows its length");
                disk.insert(key, bytes);
            }
            Effect::Forget(key) => {
                disk.remove(&key);
            }
            Effect::Broadcast { .. } | Effect::Cancel(_) | Effect::Emit(_) => {}
            Effect::Reject { .. } | Effect::Send { .. } | Effect::Set { .. } => {}
        });
    }
    disk
}

#[test]
fn each_part_has_its_shelves_and_finds_its_records_again() {
    let connected = Command::Neighbours(neighbours::Command::Connected(contact(7)));
    let disk = disk_after(vec![connected, submit()]);
    let shelves: Vec<u8> = disk.keys().map(|key| key.shelf).collect();
    assert_eq!(shelves, [0x01, 0x10], "a payment of the replica's, a contact of the neighbours'");
    let records = disk.iter().map(|(&key, bytes)| (key, wire::decode(bytes).expect("a record comes back")));
    let peer = Peer::restore(params(), records);
    let mut dialled = Vec::new();
    let host = Host::start(peer, Time::from_secs(2), |effect| {
        if let Effect::Emit(Event::Neighbours(neighbours::Event::Dial(contact))) = effect {
            dialled.push(contact);
        }
    });
    assert_eq!(dialled, [contact(7)]);
    assert_eq!(host.protocol().replica().mempool().len(), 1);
}

#[test]
fn a_connection_and_a_message_reach_the_replica_and_its_answer_comes_out_as_ours() {
    let mut host = Host::start(Peer::restore(params(), core::iter::empty()), Time::from_secs(1), |_| {});
    let mut sent = Vec::new();
    let mut rejects = Vec::new();
    let ask = synod_consensus::Message::GetBlocks(vec![chain().id()]);
    let unasked = synod_consensus::Message::Headers(vec![]);
    let message = |message| Input::Message { from: PeerId(4), message: Message::Replica(message) };
    for input in [Input::PeerUp(PeerId(4)), message(ask), message(unasked), Input::PeerDown(PeerId(4))] {
        host.step(Time::from_secs(1), input, |effect| match effect {
            Effect::Send { to, message } => sent.push((to, message.kind())),
            Effect::Reject { peer, reason } => rejects.push((peer, reason)),
            Effect::Broadcast { .. } | Effect::Cancel(_) | Effect::Emit(_) => {}
            Effect::Forget(_) | Effect::Persist { .. } | Effect::Set { .. } => {}
        });
    }
    assert_eq!(sent, [(PeerId(4), "tip"), (PeerId(4), "missing")]);
    assert_eq!(rejects, [(PeerId(4), Reject::Unsolicited)]);
}

#[test]
fn timers_of_both_parts_are_told_apart_and_reach_their_part() {
    let mut host = Host::start(Peer::restore(params(), core::iter::empty()), Time::from_secs(1), |_| {});
    assert!(Timer::Neighbours(neighbours::Timer::Seek) < Timer::Replica(synod_consensus::Timer::Announce));
    host.step(Time::from_secs(1), Input::Command(submit()), |_| {});
    host.fire(Time::from_secs(100), |_| {});
    assert_eq!(
        host.next_deadline(),
        Some(Time::from_secs(115)),
        "the replica offers its payment until it is confirmed"
    );
}

#[test]
fn messages_and_records_are_these_bytes() {
    let message: Message = Message::Replica(synod_consensus::Message::Missing(vec![]));
    assert_eq!(wire::encode(&message), [0, 5, 0]);
    assert_eq!(message.encoded_len(), 3);
    assert_eq!(wire::decode(&[0, 5, 0]), Ok(message));
    let message: Message = Message::Gossip(synod_dht::gossip::Message::Graft);
    assert_eq!(wire::encode(&message), [1, 0]);
    assert_eq!(message.encoded_len(), 2);
    assert_eq!(wire::decode(&[1, 0]), Ok(message));
    let record = Record::Neighbours(Contact { identity: Identity(Bytes([9; 32])), addresses: vec![] });
    let mut expected = vec![0, 32];
    expected.extend([9; 32]);
    expected.push(0);
    assert_eq!(wire::encode(&record), expected);
    assert_eq!(wire::decode(&expected), Ok(record));
    let message: Message = Message::Discovery(Box::new(discovery::Message::Chord(synod_dht::chord::Message::Leave)));
    assert_eq!(wire::encode(&message), [2, 0, 5]);
    assert_eq!(message.encoded_len(), 3);
    assert_eq!(wire::decode(&[2, 0, 5]), Ok(message));
    assert!(wire::decode::<Message>(&[3, 5, 0]).is_err());
}
