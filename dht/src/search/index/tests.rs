use alloc::format;
use alloc::string::String;
use alloc::vec;

use synod_machine::{Wire, wire};

use super::*;
use crate::search::testing::{item, node, words};
use crate::testing::step;

const NOW: Time = Time::from_secs(100);

fn machine(own: u32, servers: &[u32]) -> Index {
    let servers = servers.iter().map(|&server| node(server)).collect();
    Index::restore(Params::new(node(own), servers, Rng::new(1, u64::from(own), "index")), core::iter::empty())
}

fn says(from: u32, message: Message) -> Input<Index> {
    Input::Message { from: PeerId(from), message }
}

fn find(query: u64) -> Input<Index> {
    Input::Command(Command::Find { query: Query(query), question: words("fox"), wanted: 1, options: () })
}

fn register(number: u32, is_first: bool, items: Vec<Item>) -> Message {
    Message::Register { node: node(number), is_first, items }
}

fn ended(query: u64, cost: &str, result: &str) -> [String; 2] {
    let ended = format!("emit Ended {{ query: Query({query}), cost: Cost {{ {cost} }}, result: {result} }}");
    [format!("cancel Search(Query({query}))"), ended]
}

#[test]
fn a_client_registers_with_every_server_when_it_starts_free_riders_too() {
    let mut machine = machine(0, &[8, 9]);
    let mut out = Out::new();
    machine.start(NOW, &mut out);
    let out: Vec<String> = out.drain().map(|effect| format!("{effect:?}")).collect();
    let page = "Register { node: 00000000…@p0, is_first: true, items: [] }";
    assert_eq!(out[1..], [format!("send to p8: {page}"), format!("send to p9: {page}")]);
}

#[test]
fn what_is_shared_is_told_to_servers_and_what_is_not_any_more_is_withdrawn() {
    let mut machine = machine(0, &[8, 9]);
    let out = step(&mut machine, NOW, Input::Command(Command::Share(item(7, "fox"))));
    assert_eq!(out.len(), 1);
    assert!(out[0].starts_with("broadcast to [p8, p9]: Register { node: 00000000…@p0, is_first: false"), "{out:?}");
    let unshare = || Input::Command(Command::Unshare(Bytes([7; 32])));
    assert_eq!(step(&mut machine, NOW, unshare()), ["broadcast to [p8, p9]: Withdraw([07070707…])"]);
    assert!(step(&mut machine, NOW, unshare()).is_empty());
}

#[test]
fn a_server_answers_with_whoever_registered_and_not_with_whoever_withdrew() {
    let mut server = machine(8, &[8]);
    assert!(server.is_server());
    step(&mut server, NOW, Input::Command(Command::Share(item(1, "grey fox"))));
    let digest = u64::from_le_bytes([7; 8]);
    let out = step(&mut server, NOW, says(2, register(2, true, vec![item(7, "red fox")])));
    assert_eq!(out, [format!("send to p2: Registered {{ digest: Some({digest}) }}")]);
    let holders = |server: &mut Index| {
        let mut holders = vec![];
        for effect in crate::testing::effects(server, NOW, says(3, Message::Ask { request: 4, question: words("fox") }))
        {
            let synod_machine::Effect::Send { message: Message::Answer { request: 4, hits }, .. } = effect else {
                panic!("{effect:?}")
            };
            holders.extend(hits.into_iter().map(|hit| hit.holder.peer.0));
        }
        holders
    };
    assert_eq!(holders(&mut server), [8, 2]);
    assert!(step(&mut server, NOW, says(2, Message::Withdraw(vec![Bytes([7; 32]); PAGE_MAX]))).is_empty());
    assert_eq!(holders(&mut server), [8]);
}

#[test]
fn a_client_that_is_not_heard_for_three_beats_is_forgotten() {
    let mut server = machine(8, &[8]);
    step(&mut server, NOW, says(2, register(2, true, vec![item(7, "fox")])));
    step(&mut server, NOW + Duration::from_secs(90), Input::Timer(Timer::Beat));
    assert_eq!(server.items(), 1);
    step(&mut server, NOW + Duration::from_secs(91), Input::Timer(Timer::Beat));
    assert_eq!(server.items(), 0);
    let out = step(&mut server, NOW, says(2, Message::Ping));
    assert_eq!(out, ["send to p2: Registered { digest: None }"]);
}

#[test]
fn a_search_is_answered_by_the_first_server_or_else_by_the_second_or_fails() {
    let mut client = machine(0, &[8, 9]);
    let ask = |server: u32, request: u32| {
        format!(r#"send to p{server}: Ask {{ request: {request}, question: Words(Words("fox")) }}"#)
    };
    let set = "set Search(Query(1)) at 102.000000000s";
    assert_eq!(step(&mut client, NOW, find(1)), [ask(8, 1), set.into()]);
    assert_eq!(step(&mut client, NOW, Input::Timer(Timer::Search(Query(1)))), [ask(9, 1), set.into()]);
    let late = || Message::Answer { request: 1, hits: vec![] };
    assert_eq!(step(&mut client, NOW, says(8, late())), ["reject p8: unsolicited"]);
    let hits = vec![Hit { item: item(7, "fox"), holder: node(2) }];
    let out = step(&mut client, NOW, says(9, Message::Answer { request: 1, hits }));
    assert!(out[0].starts_with("emit Hit { query: Query(1)"), "{out:?}");
    assert_eq!(out[1..], ended(1, "hops: 1, messages: 2, asked: 2, timeouts: 1", "Ok(1)"));
    step(&mut client, NOW, find(2));
    assert_eq!(step(&mut client, NOW, Input::PeerDown(PeerId(8)))[0], ask(9, 2), "it is known to be dead");
    let out = step(&mut client, NOW, Input::PeerDown(PeerId(9)));
    assert_eq!(out, ended(2, "hops: 0, messages: 2, asked: 2, timeouts: 2", "Err(Silence)"));
    step(&mut client, NOW, find(3));
    let out = step(&mut client, NOW, says(8, Message::Answer { request: 3, hits: vec![] }));
    assert_eq!(out, ended(3, "hops: 0, messages: 1, asked: 1, timeouts: 0", "Err(NotFound)"));
    let out = step(&mut machine(0, &[]), NOW, find(1));
    assert_eq!(out, ended(1, "hops: 0, messages: 0, asked: 0, timeouts: 0", "Err(Apart)"));
}

#[test]
fn a_client_registers_again_with_a_server_that_came_back_empty_or_lacks_something() {
    let mut client = machine(0, &[8]);
    step(&mut client, NOW, Input::Command(Command::Share(item(7, "fox"))));
    let digest = Some(u64::from_le_bytes([7; 8]));
    assert!(step(&mut client, NOW, says(8, Message::Registered { digest })).is_empty());
    assert_eq!(client.registrations(), 1);
    assert_eq!(step(&mut client, NOW, Input::Timer(Timer::Beat))[1..], ["send to p8: Ping"]);
    let out = step(&mut client, NOW, says(8, Message::Registered { digest: None }));
    assert!(out[0].starts_with("send to p8: Register { node: 00000000…@p0, is_first: true, items: [Item"), "{out:?}");
    assert!(step(&mut client, NOW, says(8, Message::Registered { digest: Some(1) })).is_empty());
    assert_eq!(client.registrations(), 0);
    let out = step(&mut client, NOW, Input::Timer(Timer::Beat));
    assert!(out[1].starts_with("send to p8: Register { node: 00000000…@p0, is_first: true, items: [Item"), "{out:?}");
}

#[test]
fn much_is_registered_in_pages_of_which_the_first_begins_anew() {
    let mut client = machine(0, &[8]);
    for number in 0..=PAGE_MAX as u8 {
        step(&mut client, NOW, Input::Command(Command::Share(item(number, "fox"))));
    }
    let mut server = machine(8, &[8]);
    step(&mut server, NOW, says(0, register(0, true, vec![item(99, "old")])));
    let mut firsts = vec![];
    for effect in crate::testing::effects(&mut client, NOW, says(8, Message::Registered { digest: None })) {
        let synod_machine::Effect::Send { message, .. } = effect else { panic!("{effect:?}") };
        let Message::Register { is_first, ref items, .. } = message else { panic!("{message:?}") };
        firsts.push((is_first, items.len()));
        step(&mut server, NOW, says(0, message));
    }
    assert_eq!(firsts, [(true, PAGE_MAX), (false, 1)]);
    assert_eq!(server.items(), PAGE_MAX + 1);
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let hit = Hit { item: item(7, "fox"), holder: node(1) };
    let to_server = [
        (register(2, true, vec![]), "node_foreign"),
        (register(1, true, vec![item(7, "fox"); PAGE_MAX + 1]), "query_list"),
        (Message::Withdraw(vec![Bytes::ZERO; PAGE_MAX + 1]), "query_list"),
        (Message::Answer { request: 0, hits: vec![] }, "unsolicited"),
        (Message::Registered { digest: None }, "unsolicited"),
    ];
    let to_client = [
        (register(1, true, vec![]), "unsolicited"),
        (Message::Ask { request: 1, question: words("fox") }, "unsolicited"),
        (Message::Ping, "unsolicited"),
        (Message::Withdraw(vec![]), "unsolicited"),
        (Message::Registered { digest: None }, "unsolicited"),
        (Message::Answer { request: 1, hits: vec![] }, "unsolicited"),
        (Message::Answer { request: 1, hits: vec![hit; HITS_MAX + 1] }, "query_list"),
    ];
    for (message, reason) in to_server {
        let out = step(&mut machine(8, &[8]), NOW, says(1, message.clone()));
        assert_eq!(out, [format!("reject p1: {reason}")], "{message:?}");
    }
    for (message, reason) in to_client {
        let mut client = machine(0, &[8]);
        step(&mut client, NOW, find(1));
        let out = step(&mut client, NOW, says(1, message.clone()));
        assert_eq!(out, [format!("reject p1: {reason}")], "{message:?}");
    }
}

#[test]
fn a_server_that_answers_another_question_is_refused_and_the_search_ends() {
    let mut client = machine(0, &[8]);
    step(&mut client, NOW, find(1));
    let hits = vec![Hit { item: item(7, "hen"), holder: node(2) }];
    let out = step(&mut client, NOW, says(8, Message::Answer { request: 1, hits }));
    assert_eq!(out[0], "reject p8: unsolicited");
    assert!(out[2].ends_with("result: Err(NotFound) }"), "{out:?}");
}

#[test]
fn a_server_registers_what_it_shares_with_the_others() {
    let mut server = machine(8, &[8, 9]);
    let out = step(&mut server, NOW, Input::Command(Command::Share(item(7, "fox"))));
    assert!(out[0].starts_with("broadcast to [p9]: Register { node: 08080808…@p8, is_first: false"), "{out:?}");
    assert_eq!(server.items(), 1);
    let digest = Some(u64::from_le_bytes([7; 8]));
    assert!(step(&mut server, NOW, says(9, Message::Registered { digest })).is_empty());
    assert_eq!(step(&mut server, NOW, Input::Timer(Timer::Beat))[1..], ["send to p9: Ping"]);
}

#[test]
fn one_client_too_many_is_refused() {
    let params = Params { clients_max: 2, ..Params::new(node(8), vec![node(8)], Rng::new(1, 8, "index")) };
    let mut server = Index::restore(params, core::iter::empty());
    for client in 1..=2 {
        assert_eq!(step(&mut server, NOW, says(client, register(client, true, vec![]))).len(), 1);
    }
    assert_eq!(step(&mut server, NOW, says(3, register(3, true, vec![]))), ["reject p3: too_many"]);
    assert_eq!(step(&mut server, NOW, says(2, register(2, true, vec![item(7, "fox")]))).len(), 1);
}

#[test]
fn messages_are_these_bytes_and_know_their_length() {
    let long = |number: u8| [vec![32], vec![number; 32]].concat();
    let item_bytes = [long(7), b"\x03fox\x03fox\x64".to_vec()].concat();
    let hits = vec![Hit { item: item(7, "fox"), holder: node(8) }];
    let table = [
        (Message::Answer { request: 5, hits }, [vec![0, 5, 1], item_bytes.clone(), long(8), vec![8]].concat()),
        (Message::Ask { request: 5, question: words("fox") }, b"\x01\x05\x02\x03fox".to_vec()),
        (Message::Ping, vec![2]),
        (register(8, true, vec![item(7, "fox")]), [vec![3], long(8), vec![8, 1, 1], item_bytes].concat()),
        (Message::Registered { digest: Some(300) }, vec![4, 1, 251, 44, 1]),
        (Message::Withdraw(vec![Bytes([7; 32])]), [vec![5, 1], long(7)].concat()),
    ];
    let kinds = ["answer", "ask", "ping", "register", "registered", "withdraw"];
    for ((message, bytes), kind) in table.into_iter().zip(kinds) {
        assert_eq!(wire::encode(&message), bytes, "{message:?}");
        assert_eq!(message.encoded_len(), bytes.len(), "{message:?}");
        assert_eq!(message.kind(), format!("index_{kind}"));
        assert_eq!(message.clone().map(&mut |node| node), message);
        assert_eq!(wire::decode(&bytes), Ok(message));
    }
}
