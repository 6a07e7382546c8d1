use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use synod_dht::gossip::Message as Gossip;
use synod_machine::{Effect, Host, Rng, wire};

use super::*;
use crate::Command;
use crate::tests::{chain, params, payment, submit};

const NOW: Time = Time::from_secs(1);

fn peer(gossip: GossipParams) -> Host<Peer> {
    let params = crate::Params { gossip, ..params() };
    Host::start(Peer::restore(params, core::iter::empty()), NOW, |_| {})
}

fn flood() -> GossipParams {
    GossipParams::Flood(flood::Params { rng: Rng::new(1, 0, "flood") })
}

fn step(host: &mut Host<Peer>, input: Input<Peer>) -> Vec<Effect<Peer>> {
    let mut effects = Vec::new();
    host.step(NOW, input, |effect| effects.push(effect));
    effects
}

/// An effect in a few words.
fn word(effect: &Effect<Peer>) -> String {
    match effect {
        Effect::Broadcast { to, message } => format!("{} to {to:?}", message.kind()),
        Effect::Cancel(timer) => format!("cancel {timer:?}"),
        Effect::Emit(Event::Discovery(event)) => format!("{event:?}"),
        Effect::Emit(Event::Neighbours(event)) => format!("{event:?}"),
        Effect::Emit(Event::Replica(event)) => {
            format!("{event:?}").split([' ', '(']).next().unwrap_or_default().to_string()
        }
        Effect::Forget(_) => "forget".to_string(),
        Effect::Persist { record, .. } => format!("persist {}", record.kind()),
        Effect::Reject { peer, reason } => format!("reject {peer:?}: {reason}"),
        Effect::Send { to, message } => format!("{} to {to:?}", message.kind()),
        Effect::Set { timer, at } => format!("set {timer:?} at {at}"),
    }
}

fn words(host: &mut Host<Peer>, input: Input<Peer>) -> Vec<String> {
    step(host, input).iter().map(word).collect()
}

fn push(from: u32, item: Item) -> Input<Peer> {
    Input::Message { from: PeerId(from), message: Message::Gossip(Gossip::Push(item)) }
}

/// A payment whose signature is another's.
fn forged() -> Tx {
    let mut forged = synod_ledger::Payment::clone(&payment());
    forged.inputs[0].signature.0.0[0] ^= 1;
    Tx::from(forged)
}

#[test]
fn a_published_payment_goes_to_the_links_once_it_is_on_disk_and_not_to_the_owner() {
    let mut host = peer(flood());
    for link in [4, 5] {
        assert_eq!(words(&mut host, Input::PeerUp(PeerId(link))), [format!("tip to p{link}")]);
    }
    let effects = words(&mut host, Input::Command(submit()));
    assert_eq!(effects, ["Pooled", "persist payment", "push_payment to [p4, p5]", "Submitted"]);
}

#[test]
fn what_arrives_is_judged_by_the_replica_and_forwarded_in_the_same_step() {
    let mut host = peer(flood());
    for link in [4, 5, 6] {
        step(&mut host, Input::PeerUp(PeerId(link)));
    }
    let item = Item::Payment(payment());
    assert_eq!(words(&mut host, push(5, item.clone())), ["Pooled", "push_payment to [p4, p6]"]);
    assert_eq!(words(&mut host, push(4, item)), Vec::<String>::new(), "a duplicate");
    assert_eq!(host.protocol().replica().mempool().len(), 1);
}

#[test]
fn what_the_replica_refuses_is_held_against_the_sender_and_not_forwarded() {
    let mut host = peer(flood());
    for link in [4, 5] {
        step(&mut host, Input::PeerUp(PeerId(link)));
    }
    let item = Item::Payment(forged());
    assert_eq!(words(&mut host, push(5, item.clone())), ["reject p5: tx_signature"]);
    assert_eq!(words(&mut host, push(4, item)), Vec::<String>::new(), "it is known");
    assert_eq!(
        words(&mut host, push(4, Item::Payment(payment()))),
        ["Pooled", "push_payment to [p5]"],
        "the good one is not"
    );
}

#[test]
fn where_the_owner_carries_it_is_told_what_to_publish_and_gossip_is_unsolicited() {
    let mut host = peer(GossipParams::Host);
    step(&mut host, Input::PeerUp(PeerId(4)));
    let item = Item::Payment(payment());
    assert_eq!(words(&mut host, push(4, item.clone())), ["reject p4: unsolicited"]);
    assert_eq!(words(&mut host, Input::Command(submit()))[2..], ["Publish", "Submitted"]);
    let id = item.fingerprint();
    let command = synod_consensus::Command::Gossip { id, from: PeerId(4), item: item.into() };
    assert_eq!(words(&mut host, Input::Command(Command::Replica(command))), ["Verdict"]);
}

#[test]
fn timers_of_the_carrier_reach_it() {
    let mut host = peer(GossipParams::Mesh(mesh::Params::new(Rng::new(1, 0, "mesh"))));
    assert_eq!(words(&mut host, Input::PeerUp(PeerId(4))), ["graft to p4", "tip to p4"]);
    let pruned = words(&mut host, Input::Message { from: PeerId(4), message: Message::Gossip(Gossip::Prune) });
    assert_eq!(pruned, Vec::<String>::new(), "the host keeps the timer");
    let mut effects = Vec::new();
    host.fire(Time::from_secs(63), |effect| effects.push(word(&effect)));
    assert!(effects.contains(&"graft to [p4]".to_string()), "after the back-off: {effects:?}");
}

#[test]
fn each_carrier_brings_a_payment_to_all_peers_of_a_ring() {
    let carriers: [fn(u32) -> GossipParams; 3] = [
        |_| flood(),
        |own| GossipParams::Mesh(mesh::Params::new(Rng::new(1, u64::from(own), "mesh"))),
        |own| GossipParams::Rumour(rumour::Params::new(PeerId(own), Rng::new(1, u64::from(own), "rumour"))),
    ];
    for (number, carrier) in carriers.into_iter().enumerate() {
        let mut hosts: Vec<Host<Peer>> = (0..6).map(|own| peer(carrier(own))).collect();
        let mut inputs: VecDeque<(u32, Input<Peer>)> = VecDeque::new();
        for own in 0..6 {
            inputs.push_back((own, Input::PeerUp(PeerId((own + 1) % 6))));
            inputs.push_back((own, Input::PeerUp(PeerId((own + 5) % 6))));
        }
        inputs.push_back((0, Input::Command(submit())));
        for millis in (1_000..20_000).step_by(100) {
            for (own, host) in (0..).zip(&mut hosts) {
                host.fire(Time::from_millis(millis), |effect| deliver(own, effect, &mut inputs));
            }
            while let Some((at, input)) = inputs.pop_front() {
                hosts[at as usize].step(Time::from_millis(millis), input, |effect| deliver(at, effect, &mut inputs));
            }
        }
        let pooled: Vec<usize> = hosts.iter().map(|host| host.protocol().replica().mempool().len()).collect();
        assert_eq!(pooled, [1; 6], "carrier {number}");
    }
}

fn deliver(from: u32, effect: Effect<Peer>, inputs: &mut VecDeque<(u32, Input<Peer>)>) {
    let from = PeerId(from);
    match effect {
        Effect::Broadcast { to, message } => {
            for PeerId(to) in to {
                inputs.push_back((to, Input::Message { from, message: message.clone() }));
            }
        }
        Effect::Send { to: PeerId(to), message } => inputs.push_back((to, Input::Message { from, message })),
        Effect::Reject { peer, reason } => panic!("{from:?} rejects {peer:?}: {reason}"),
        Effect::Cancel(_) | Effect::Emit(_) | Effect::Forget(_) | Effect::Persist { .. } | Effect::Set { .. } => {}
    }
}

#[test]
fn items_know_their_length_and_their_hash_covers_signatures() {
    let items = [Item::Block(chain().block().clone()), Item::Payment(payment())];
    for (tag, item) in (0..).zip(items) {
        let message: Message = Message::Gossip(Gossip::Push(item.clone()));
        let bytes = wire::encode(&message);
        assert_eq!(bytes[..3], [1, 6, tag], "the carriers' tag, the push's, the item's");
        assert_eq!(message.encoded_len(), bytes.len());
        assert_eq!(wire::decode(&bytes), Ok(message));
        assert_eq!(synod_consensus::Item::from(item.clone()), item.clone().into());
        assert_eq!(Item::from(synod_consensus::Item::from(item.clone())), item);
    }
    assert!(forged().fingerprint() != payment().fingerprint(), "a forged payment is another item");
}

#[test]
fn effects_are_small_enough_to_be_moved() {
    let sizes = vec![size_of::<Message>(), size_of::<Input<Peer>>(), size_of::<Effect<Peer>>()];
    assert!(sizes.iter().all(|&size| size <= 200), "{sizes:?}");
}
