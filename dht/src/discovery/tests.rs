use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use synod_machine::{Bytes, Effect, Host, Reject, Rng, Wire, wire};

use super::*;
use crate::Identity;
use crate::content::hash_of;
use crate::overlay::{Cost, Entry, Failure, Id, Query};
use crate::search::superpeer::{Election, Rule};
use crate::search::{Hit, Question, Sampling};
use crate::testing::step;

const START: Time = Time::from_secs(100);

fn identity(number: u32) -> Identity {
    Identity(Bytes([number as u8 + 1; 32]))
}

fn node(number: u32) -> Node {
    Node { id: identity(number).id(), peer: PeerId(number) }
}

fn contact(number: u32) -> Contact {
    Contact { identity: identity(number), addresses: vec![] }
}

fn params(number: u32, begin_after: u64) -> Params {
    let own = node(number);
    let rng = |purpose| Rng::new(1, u64::from(number), purpose);
    let sampling = || Some(Sampling { period: Duration::from_secs(1), ..Sampling::new(Vec::new()) });
    let second = Duration::from_secs(1);
    let rule = Rule { claim_wait: second, uptime_min: Duration::ZERO, ..Rule::DEFAULT };
    Params {
        begin_after: Duration::from_secs(begin_after),
        chord: Some(chord::Params { round: second, ..chord::Params::new(own, rng("chord")) }),
        contact: contact(number),
        flood: Some(flood::Params { sampling: sampling(), ..flood::Params::new(own, rng("flood")) }),
        index: Some(index::Params::new(own, vec![node(0)], rng("index"))),
        kademlia: Some(kademlia::Params::new(own, rng("kademlia"))),
        own,
        records: Quorum::new(1, 3).expect("a quorum"),
        superpeer: Some(superpeer::Params {
            beat: second,
            election: Election::ByCapacity(rule),
            sampling: sampling(),
            ..superpeer::Params::new(own, 1_000, rng("superpeer"))
        }),
    }
}

/// Machines whose messages arrive at once, and whose disks are maps.
struct World {
    hosts: Vec<Host<Discovery>>,
    sent: VecDeque<(u32, PeerId, Message)>,
    events: Vec<(u32, Event)>,
    disks: Vec<BTreeMap<Key, Record>>,
    rejects: Vec<(u32, PeerId, Reject)>,
    now: Time,
}

impl World {
    fn new(size: u32) -> Self {
        let (hosts, events) = (Vec::new(), Vec::new());
        let disks = vec![BTreeMap::new(); size as usize];
        let mut world = Self { hosts, sent: VecDeque::new(), events, disks, rejects: Vec::new(), now: START };
        for number in 0..size {
            let mut effects = Vec::new();
            let machine = Discovery::restore(params(number, 5), core::iter::empty());
            world.hosts.push(Host::start(machine, START, |effect| effects.push(effect)));
            world.release(number, effects);
        }
        for number in 0..size {
            (0..size).for_each(|other| world.command(number, Command::Met(node(other))));
        }
        world
    }

    fn command(&mut self, number: u32, command: Command) {
        self.step(number, Input::Command(command));
        self.deliver();
    }

    fn step(&mut self, number: u32, input: Input<Discovery>) {
        let mut effects = Vec::new();
        self.hosts[number as usize].step(self.now, input, |effect| effects.push(effect));
        self.release(number, effects);
    }

    fn release(&mut self, number: u32, effects: Vec<Effect<Discovery>>) {
        for effect in effects {
            match effect {
                Effect::Broadcast { to, message } => {
                    self.sent.extend(to.into_iter().map(|to| (number, to, message.clone())));
                }
                Effect::Send { to, message } => self.sent.push_back((number, to, message)),
                Effect::Persist { key, record } => drop(self.disks[number as usize].insert(key, record)),
                Effect::Forget(key) => drop(self.disks[number as usize].remove(&key)),
                Effect::Reject { peer, reason } => self.rejects.push((number, peer, reason)),
                Effect::Emit(event) => self.on_event(number, event),
                Effect::Cancel(_) | Effect::Set { .. } => {}
            }
        }
    }

    /// What a host does: it reads its disk, and knows which node a contact is.
    fn on_event(&mut self, number: u32, event: Event) {
        match event {
            Event::Load { ticket, source: Source::Disk(key) } => {
                let bytes = self.disks[number as usize].get(&key).map(|record| match record {
                    Record::Content(content::Record::Piece(bytes)) => bytes.clone(),
                    _ => panic!("a piece lies there"),
                });
                self.step(number, Input::Command(Command::Loaded { ticket, bytes }));
            }
            Event::Providers { query, contacts } => {
                let numbers = contacts.iter().map(|contact| u32::from(contact.identity.0.0[0]) - 1);
                let nodes = numbers.map(node).collect();
                self.step(number, Input::Command(Command::Providers { query, nodes }));
            }
            event => self.events.push((number, event)),
        }
    }

    fn deliver(&mut self) {
        while let Some((from, to, message)) = self.sent.pop_front() {
            self.step(to.0, Input::Message { from: PeerId(from), message });
        }
    }

    /// Lets time pass.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let next = self.hosts.iter().filter_map(Host::next_deadline).min().filter(|at| *at <= end);
            self.now = next.unwrap_or(end);
            if next.is_none() {
                return;
            }
            for number in 0..self.hosts.len() as u32 {
                let mut effects = Vec::new();
                self.hosts[number as usize].fire(self.now, |effect| effects.push(effect));
                self.release(number, effects);
            }
            self.deliver();
        }
    }

    fn find(&mut self, number: u32, mode: Mode, question: Question) -> Result<Vec<Hit>, Failure> {
        self.events.clear();
        let query = Query(self.now.0);
        self.command(number, Command::Find { query, mode, question, wanted: 1 });
        self.run(20);
        let found = self.events.iter().filter_map(|(_, event)| match event {
            Event::Found { query: of, result, .. } if *of == query => Some(result.clone()),
            _ => None,
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "a search ends once: {mode:?}");
        found[0].clone()
    }

    fn add(&mut self, number: u32, name: &str, content: &[u8]) -> Item {
        let item = Item::new(hash_of(content), name, "", content.len() as u64).expect("a short name");
        self.command(number, Command::Add { ticket: 1, item: item.clone(), bytes: content.to_vec() });
        item
    }
}

const MODES: [Mode; 5] = [
    Mode::Table(Table::Chord, QUORUM),
    Mode::Table(Table::Kademlia, QUORUM),
    Mode::Flood { ttl: 0 },
    Mode::Superpeer { ttl: 0 },
    Mode::Index,
];

fn words(text: &str) -> Question {
    Question::words(text).expect("there are words")
}

#[test]
fn what_one_shares_all_find_by_every_mode_and_fetch() {
    let mut world = World::new(8);
    world.run(30);
    let grey = world.add(3, "grey fox", &[7; 300]);
    let red = world.add(3, "red fox", &[8; 300]);
    world.run(10);
    assert!(world.hosts.iter().all(|host| host.protocol().unpublished() == 0));
    for mode in MODES {
        for question in [Question::Hash(grey.hash), Question::Name(grey.name.clone()), words("fox grey")] {
            let hits = world.find(5, mode, question.clone());
            assert_eq!(hits, Ok(vec![Hit { item: grey.clone(), holder: node(3) }]), "{mode:?} {question:?}");
        }
        assert_eq!(world.find(5, mode, words("hen")), Err(Failure::NotFound), "{mode:?}");
        let own = world.find(3, mode, words("red"));
        assert_eq!(own, Ok(vec![Hit { item: red.clone(), holder: node(3) }]), "what a peer has itself it finds");
    }
    world.events.clear();
    world.command(5, Command::Fetch { query: Query(1), item: grey.clone(), holders: vec![node(3)] });
    let [(5, Event::Fetched { result: Ok((content, holder)), .. })] = &world.events[..] else {
        panic!("{:?}", world.events)
    };
    assert_eq!((&content[..], *holder), (&[7; 300][..], node(3)));
    world.command(3, Command::Remove(grey.hash));
    world.run(30);
    for mode in MODES {
        assert_eq!(world.find(5, mode, Question::Hash(grey.hash)), Err(Failure::NotFound), "{mode:?}");
        assert!(world.find(5, mode, words("fox")).is_ok(), "the other is there: {mode:?}");
    }
    // Shuffles that cross are answered too late; that is nobody's mistake.
    world.rejects.retain(|(_, _, reason)| reason.is_fault());
    assert_eq!(world.rejects, [], "nobody makes a mistake");
}

#[test]
fn one_begins_and_the_others_join_it() {
    let mut world = World::new(4);
    world.run(3);
    for host in &world.hosts {
        let chord = host.protocol().chord().expect("it takes part");
        assert!(chord.is_member());
        assert_eq!(chord.successors().len(), 3);
        assert!(host.protocol().kademlia().expect("it takes part").is_joined());
    }
    // Nobody is there: it begins alone, when it has waited.
    let mut world = World::new(1);
    world.run(4);
    assert!(!world.hosts[0].protocol().chord().expect("it takes part").is_member());
    world.run(2);
    assert!(world.hosts[0].protocol().chord().expect("it takes part").is_member());
}

#[test]
fn what_is_shared_is_shared_again_after_a_restart() {
    let mut world = World::new(1);
    let item = world.add(0, "grey fox", &[7; 300]);
    world.run(10);
    let hot = world.disks[0].iter().filter(|(key, _)| !key.is_cold());
    let records: Vec<_> = hot.map(|(key, record)| (*key, record.clone())).collect();
    let kinds: Vec<&str> = records.iter().map(|(_, record)| record.kind()).collect();
    let keys = keys_of(&item).count();
    assert_eq!(kinds.iter().filter(|kind| **kind == "kad_publication").count(), keys);
    assert_eq!(kinds.iter().filter(|kind| **kind == "chord_entries").count(), keys);
    let mut host = Host::start(Discovery::restore(params(0, 0), records.into_iter()), world.now, |_| {});
    assert_eq!(host.protocol().content().items().cloned().collect::<Vec<_>>(), [item]);
    assert_eq!(host.protocol().unpublished(), 2 * keys, "a record for each key in each table");
    host.fire(world.now, |_| {});
    assert_eq!(host.protocol().unpublished(), 0);
}

#[test]
fn records_wait_while_nobody_is_there_however_many_they_are() {
    let mut machine = Discovery::restore(params(0, 5), core::iter::empty());
    machine.start(START, &mut Out::new());
    for number in 0..2_000_u64 {
        let item = Item::new(hash_of(&number.to_le_bytes()), &format!("item {number}"), "", 1).expect("a name");
        machine.handle(START, Input::Command(Command::Offer(item)), &mut Out::new());
    }
    machine.check();
    // The hash, the name, the word "item" and the number as a word.
    assert_eq!(machine.unpublished(), 2 * (2_000 * 3 + 1));
    let later = START + Duration::from_secs(60);
    machine.handle(later, Input::Timer(Timer::Publish), &mut Out::new());
    machine.check();
}

#[test]
fn a_record_in_anothers_name_counts_for_nothing() {
    let mut machine = Discovery::restore(params(0, 5), core::iter::empty());
    let open = |machine: &mut Discovery, query: u64| {
        let find = Command::Find { query: Query(query), mode: MODES[0], question: words("fox"), wanted: 1 };
        machine.finds = Finds::default();
        let mut out = Out::new();
        machine.handle(START, Input::Command(find), &mut out);
        // It is on no ring: asked for by hand.
        machine.open(Query(query), &words("fox"), &mut out);
    };
    let entry = |publisher: u32, value: Vec<u8>| Entry { publisher: node(publisher).id, version: 1, value };
    let told = |machine: &mut Discovery, query: u64, entries: Vec<Entry>| {
        let mut out = Out::new();
        machine.on_got(START, Query(query), Ok(entries), Cost::default(), &mut out);
        out.drain().map(|effect| format!("{effect:?}")).collect::<Vec<String>>()
    };
    open(&mut machine, 1);
    let lie = entry(2, wire::encode(&contact(1)));
    let own = entry(0, wire::encode(&contact(0)));
    let out = told(&mut machine, 1, vec![lie.clone(), own.clone(), entry(3, vec![9, 9])]);
    assert!(out[0].contains("result: Err(NotFound)"), "{out:?}");
    open(&mut machine, 2);
    let out = told(&mut machine, 2, vec![lie, own, entry(3, wire::encode(&contact(3)))]);
    assert_eq!(out, [format!("emit {:?}", Event::Providers { query: Query(2), contacts: vec![contact(3)] })]);
}

#[test]
fn what_a_peer_does_not_take_part_in_it_cannot_search_and_does_not_answer() {
    let params = Params { chord: None, flood: None, index: None, kademlia: None, superpeer: None, ..params(0, 5) };
    let mut machine = Discovery::restore(params, core::iter::empty());
    for (number, mode) in (1..).zip(MODES) {
        let find = Command::Find { query: Query(number), mode, question: words("fox"), wanted: 1 };
        let out = step(&mut machine, START, Input::Command(find));
        assert!(out[0].contains("result: Err(Apart)"), "{out:?}");
    }
    for table in [Table::Chord, Table::Kademlia] {
        let out = step(&mut machine, START, Input::Command(Command::Lookup { query: Query(9), table, key: Id::ZERO }));
        assert!(out[0].contains("result: Err(Apart)"), "{out:?}");
    }
    let messages = [
        Message::Chord(chord::Message::Leave),
        Message::Flood(flood::Message::Check { id: 1 }),
        Message::Index(index::Message::Ping),
        Message::Kademlia(kademlia::Message::Pong { request: 1 }),
        Message::Superpeer(superpeer::Message::Leave),
    ];
    for message in messages {
        assert!(step(&mut machine, START, Input::Message { from: PeerId(4), message }).is_empty());
    }
}

#[test]
fn messages_and_records_are_tagged_with_these_bytes() {
    let messages: [(Message, Vec<u8>); 6] = [
        (Message::Chord(chord::Message::Leave), vec![0, 5]),
        (Message::Content(content::Message::Piece { request: 3, bytes: vec![5] }), vec![1, 3, 3, 1, 5]),
        (Message::Flood(flood::Message::Check { id: 1 }), vec![2, 0, 1]),
        (Message::Index(index::Message::Ping), vec![3, 2]),
        (Message::Kademlia(kademlia::Message::Pong { request: 1 }), vec![4, 4, 1]),
        (Message::Superpeer(superpeer::Message::Leave), vec![5, 4]),
    ];
    for (message, bytes) in messages {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
        assert_eq!(wire::decode(&bytes), Ok(message));
    }
    for (record, bytes) in [
        (Record::Chord(chord::Record(vec![])), vec![0, 0]),
        (Record::Content(content::Record::Piece(vec![5])), vec![1, 1, 1, 5]),
    ] {
        assert_eq!(wire::encode(&record), bytes);
        assert_eq!(record.encoded_len(), bytes.len());
        assert_eq!(wire::decode(&bytes), Ok(record));
    }
}
