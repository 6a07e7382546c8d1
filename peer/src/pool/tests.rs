use alloc::vec;

use synod_consensus::{Command as ReplicaCommand, Record as ReplicaRecord, Seen};
use synod_dht::flood;
use synod_dht::gossip::Message as Gossip;
use synod_ledger::{Address, SecretKey, SharedHeader};
use synod_machine::{Effect, Host, Input, PeerId, Protocol, Rng};

use super::*;
use crate::tests::{chain, params};
use crate::{Command, Event, GossipParams, KeeperParams, Params, Record};

/// Whom the pool's replica hears.
const NEAR: PeerId = PeerId(4);

fn address(of: u8) -> Address {
    SecretKey::from_bytes([of; 32]).address()
}

fn miner(of: u8, behaviour: Behaviour, gossip: GossipParams) -> Host<Peer> {
    let params = params();
    let KeeperParams::Full(keeper) = params.keeper else { panic!("they are a full peer's") };
    let keeper = KeeperParams::Full(synod_consensus::Params { miner: Some(address(of)), ..keeper });
    let params = Params { behaviour, gossip, keeper, ..params };
    Host::start(Peer::restore(params, core::iter::empty()), Time::from_secs(1), |_| {})
}

/// A pool and all others, who are one peer.
struct Game {
    now: Time,
    pool: Host<Peer>,
    others: Host<Peer>,
}

impl Game {
    fn new() -> Self {
        let pool = miner(7, Behaviour::Selfish, GossipParams::Host);
        let mut game = Self { now: Time::from_secs(1), pool, others: miner(8, Behaviour::Honest, GossipParams::Host) };
        step(&mut game.pool, game.now, Input::PeerUp(NEAR));
        game
    }

    /// The pool finds a block: the heights of what it publishes, which the others hear.
    fn own(&mut self) -> Vec<u64> {
        self.now = self.now + core::time::Duration::from_secs(1);
        let said = find(&mut self.pool, self.now);
        self.publish(said)
    }

    /// The others find a block, which the pool does not hear yet.
    fn other(&mut self) -> Block {
        self.now = self.now + core::time::Duration::from_secs(1);
        let said = find(&mut self.others, self.now);
        blocks(said).pop().expect("an honest peer publishes what it finds")
    }

    /// The pool hears a block: the heights of what it publishes, which the others hear.
    fn hear(&mut self, block: &Block) -> Vec<u64> {
        let said = hear(&mut self.pool, self.now, block);
        self.publish(said)
    }

    fn publish(&mut self, said: Vec<Effect<Peer>>) -> Vec<u64> {
        let blocks = blocks(said);
        for block in &blocks {
            hear(&mut self.others, self.now, block);
        }
        blocks.iter().map(|block| block.height().0).collect()
    }

    /// The pool is asked something: what it says.
    fn ask(&mut self, message: ReplicaMessage) -> Vec<ReplicaMessage> {
        let said = step(&mut self.pool, self.now, Input::Message { from: NEAR, message: Message::Replica(message) });
        said.into_iter().filter_map(said_by_replica).collect()
    }

    /// The tip that the pool's replica is on, and the height that it claims towards a new neighbour.
    fn tips(&mut self) -> (u64, u64) {
        let said = step(&mut self.pool, self.now, Input::PeerUp(PeerId(5)));
        step(&mut self.pool, self.now, Input::PeerDown(PeerId(5)));
        let mut claims = said.into_iter().filter_map(said_by_replica).filter_map(|message| match message {
            ReplicaMessage::Tip(claim) => Some(claim),
            _ => None,
        });
        let claim = claims.next().expect("a new neighbour is told of a tip");
        let tree = self.pool.protocol().replica().tree();
        let node = tree.get(&claim.tip).expect("a block of its chain");
        assert_eq!((claim.height, claim.work.0), (node.height(), node.weight().to_be_bytes()));
        (tree.best().height().0, claim.height.0)
    }

    fn headers(&mut self) -> Vec<SharedHeader> {
        match self.ask(ReplicaMessage::GetHeaders(vec![chain().id()])).pop() {
            Some(ReplicaMessage::Headers(headers)) => headers,
            other => panic!("it answers with headers: {other:?}"),
        }
    }
}

fn step(host: &mut Host<Peer>, now: Time, input: Input<Peer>) -> Vec<Effect<Peer>> {
    let mut effects = Vec::new();
    host.step(now, input, |effect| effects.push(effect));
    effects
}

fn find(host: &mut Host<Peer>, now: Time) -> Vec<Effect<Peer>> {
    let job = host.protocol().replica().job().expect("a miner is always at work").id;
    let mined = ReplicaCommand::Mined { job, seen: Seen::Declared { draw: now.as_secs() } };
    step(host, now, Input::Command(Command::Replica(mined)))
}

fn hear(host: &mut Host<Peer>, now: Time, block: &Block) -> Vec<Effect<Peer>> {
    let told = ReplicaCommand::Gossip { id: block.fingerprint(), from: NEAR, item: Item::Block(block.clone()) };
    step(host, now, Input::Command(Command::Replica(told)))
}

/// What the owner is to publish.
fn blocks(said: Vec<Effect<Peer>>) -> Vec<Block> {
    let published = said.into_iter().filter_map(|effect| match effect {
        Effect::Emit(Event::Replica(ReplicaEvent::Publish(Item::Block(block)))) => Some(block),
        _ => None,
    });
    published.collect()
}

fn said_by_replica(effect: Effect<Peer>) -> Option<ReplicaMessage> {
    match effect {
        Effect::Broadcast { message: Message::Replica(message), .. }
        | Effect::Send { message: Message::Replica(message), .. } => Some(message),
        _ => None,
    }
}

#[test]
fn it_publishes_by_algorithm_1_as_blocks_are_found() {
    // o: the pool finds a block, x: the others do, and what the pool publishes thereupon.
    let table: [(&str, &[&[u64]]); 7] = [
        ("xx", &[&[], &[]]),
        // A tie, which the pool wins; and one that the others win.
        ("oxo", &[&[], &[1], &[2]]),
        ("oxxo", &[&[], &[1], &[], &[]]),
        // Two ahead: the others' block is answered by both.
        ("ooxx", &[&[], &[], &[1, 2], &[]]),
        ("oooxx", &[&[], &[], &[], &[1], &[2, 3]]),
        ("ooooxoxxx", &[&[], &[], &[], &[], &[1], &[], &[2], &[3], &[4, 5]]),
        // After a tie that it won it begins again.
        ("oxooxx", &[&[], &[1], &[2], &[], &[3], &[]]),
    ];
    for (script, expected) in table {
        let mut game = Game::new();
        for (number, (what, published)) in script.chars().zip(expected).enumerate() {
            let got = match what {
                'o' => game.own(),
                _ => {
                    let block = game.other();
                    game.hear(&block)
                }
            };
            assert_eq!(got, *published, "{script}, step {number}");
        }
    }
}

#[test]
fn nothing_that_it_says_shows_what_it_keeps_back() {
    let mut game = Game::new();
    let public = game.other();
    game.hear(&public);
    for _ in 0..3 {
        assert_eq!(game.own(), []);
    }
    assert_eq!(game.tips(), (4, 1));
    assert_eq!(game.headers().len(), 1, "the others' block alone");
    let hidden = game.pool.protocol().replica().tip();
    assert_eq!(game.ask(ReplicaMessage::GetBlocks(vec![hidden])), [ReplicaMessage::Missing(vec![hidden])]);
    let shown = game.pool.protocol().shown(Height(4), hidden);
    assert_eq!(shown, public.id(), "its host tells nobody either");

    // A block whose parent is not known has it ask, and the question names no private block.
    game.other();
    let orphan = game.other();
    let said = hear(&mut game.pool, game.now, &orphan);
    let asked: Vec<ReplicaMessage> = said.into_iter().filter_map(said_by_replica).collect();
    assert_eq!(asked, [ReplicaMessage::GetHeaders(vec![public.id(), chain().id()])]);
}

#[test]
fn what_it_says_of_its_tip_later_ends_below_the_private_blocks_too() {
    let mut game = Game::new();
    assert_eq!([game.own(), game.own()], [[], []]);
    let mut claims = Vec::new();
    game.pool.fire(Time::from_secs(600), |effect| claims.extend(said_by_replica(effect)));
    assert!(!claims.is_empty(), "neighbours are told of the tip now and then");
    let genesis = chain().id();
    assert!(claims.iter().all(|said| matches!(said, ReplicaMessage::Tip(claim) if claim.tip == genesis)), "{claims:?}");
}

#[test]
fn several_blocks_of_others_at_once_are_answered_at_once() {
    // So many of its own, so many of others' of which it hears the first one last, what it publishes, and its height then.
    let table: [(u64, u64, &[u64], u64); 6] = [
        (1, 2, &[1], 2),
        (2, 2, &[1, 2], 2),
        (3, 2, &[1, 2, 3], 3),
        (4, 2, &[1, 2], 4),
        (4, 4, &[1, 2, 3, 4], 4),
        (2, 4, &[1, 2], 4),
    ];
    for (own, others, published, height) in table {
        let mut game = Game::new();
        for _ in 0..own {
            assert_eq!(game.own(), []);
        }
        let theirs: Vec<Block> = (0..others).map(|_| game.other()).collect();
        for block in theirs.iter().skip(1) {
            assert_eq!(game.hear(block), [], "its parent is not known yet");
        }
        assert_eq!(game.hear(&theirs[0]), published, "{own} against {others}");
        assert_eq!(game.tips().0, height, "{own} against {others}");
        // Its next block ends a tie, and is kept back otherwise.
        let next: &[u64] = if own == others { &[own + 1] } else { &[] };
        assert_eq!(game.own(), next, "{own} against {others}");
    }
}

#[test]
fn others_who_fork_among_themselves_are_no_tie_of_the_pools() {
    let mut game = Game::new();
    let mut second = miner(9, Behaviour::Honest, GossipParams::Host);
    let rival = blocks(find(&mut second, game.now)).pop().expect("a block");
    let first = game.other();
    assert_eq!(game.hear(&first), []);
    assert_eq!(game.hear(&rival), [], "of one height");
    assert_eq!(game.own(), [], "on the first of them, and kept back");
}

#[test]
fn a_block_of_others_on_a_published_one_counts_as_any() {
    let mut game = Game::new();
    for _ in 0..4 {
        game.own();
    }
    let theirs = game.other();
    assert_eq!(game.hear(&theirs), [1]);
    // A miner who follows the pool in the tie: it knows the first block of the pool and no other.
    let mut follower = miner(9, Behaviour::Honest, GossipParams::Host);
    let tree = game.pool.protocol().replica().tree();
    let first = tree.ancestor(&tree.best().id(), Height(1)).expect("its own").id();
    let block = game.pool.protocol().replica().block(&first).expect("in memory");
    hear(&mut follower, game.now, &block);
    let above = blocks(find(&mut follower, game.now)).pop().expect("a block");
    assert_eq!((above.header().parent, game.hear(&above)), (first, vec![2]));
    assert_eq!(game.tips(), (4, 2));
}

#[test]
fn a_lead_without_end_is_bounded() {
    let mut game = Game::new();
    for _ in 0..HIDDEN_MAX {
        assert_eq!(game.own(), []);
    }
    assert_eq!([game.own(), game.own()], [[1], [2]], "the first for each that it finds");
    assert_eq!(game.others.protocol().replica().state().height(), Height(2));
    let block = game.other();
    assert_eq!(game.hear(&block), [3]);
}

#[test]
fn it_publishes_all_when_it_is_honest_again() {
    let mut game = Game::new();
    for _ in 0..3 {
        game.own();
    }
    let said = step(&mut game.pool, game.now, Input::Command(Command::Behave(Behaviour::Honest)));
    assert_eq!(game.publish(said), [1, 2, 3]);
    assert_eq!(game.tips(), (3, 3));
    assert_eq!(game.own(), [4]);
    let said = step(&mut game.pool, game.now, Input::Command(Command::Behave(Behaviour::Selfish)));
    assert_eq!((game.publish(said), game.own()), (vec![], vec![]));
}

#[test]
fn a_peer_that_starts_again_says_all_that_its_disk_holds() {
    let mut disk = alloc::collections::BTreeMap::new();
    let mut pool = miner(7, Behaviour::Selfish, GossipParams::Host);
    for number in 2..4 {
        for effect in find(&mut pool, Time::from_secs(number)) {
            if let Effect::Persist { key, record } = effect {
                disk.insert(key, record);
            }
        }
    }
    let is_hot = |record: &Record| !matches!(record, Record::Replica(ReplicaRecord::Body(_) | ReplicaRecord::Undo(_)));
    let hot = disk.clone().into_iter().filter(|(_, record)| is_hot(record));
    let params = Params { behaviour: Behaviour::Selfish, ..params() };
    let now = Time::from_secs(9);
    let mut loads = Vec::new();
    let mut wanted = |effect: Effect<Peer>| {
        if let Effect::Emit(Event::Replica(ReplicaEvent::Load(key))) = effect {
            loads.push(key);
        }
    };
    let mut host = Host::start(Peer::restore(params, hot), now, &mut wanted);
    while !host.protocol().replica().is_settled() {
        let key = loads.pop().expect("it reads its chain");
        let Some(Record::Replica(record)) = disk.get(&key).cloned() else { panic!("{key:?} is on disk") };
        let loaded = ReplicaCommand::Loaded { key, record: Some(record) };
        host.step(now, Input::Command(Command::Replica(loaded)), |effect| {
            if let Effect::Emit(Event::Replica(ReplicaEvent::Load(key))) = effect {
                loads.push(key);
            }
        });
    }
    let said = step(&mut host, now, Input::PeerUp(NEAR));
    let claims: Vec<ReplicaMessage> = said.into_iter().filter_map(said_by_replica).collect();
    assert!(matches!(claims[..], [ReplicaMessage::Tip(claim)] if claim.height == Height(2)), "{claims:?}");
}

#[test]
fn our_own_carriers_spread_what_is_published_and_nothing_else() {
    let pushes = |said: Vec<Effect<Peer>>| -> Vec<u64> {
        let pushed = said.into_iter().filter_map(|effect| match effect {
            Effect::Broadcast { message: Message::Gossip(Gossip::Push(crate::Item::Block(block))), .. }
            | Effect::Send { message: Message::Gossip(Gossip::Push(crate::Item::Block(block))), .. } => {
                Some(block.height().0)
            }
            _ => None,
        });
        pushed.collect()
    };
    let gossip = GossipParams::Flood(flood::Params { rng: Rng::new(1, 0, "flood") });
    let mut pool = miner(7, Behaviour::Selfish, gossip);
    let mut others = miner(8, Behaviour::Honest, GossipParams::Host);
    for peer in [4, 5] {
        step(&mut pool, Time::from_secs(1), Input::PeerUp(PeerId(peer)));
    }
    assert_eq!(pushes(find(&mut pool, Time::from_secs(2))), [0_u64; 0]);
    assert_eq!(pushes(find(&mut pool, Time::from_secs(3))), [0_u64; 0]);
    let block = blocks(find(&mut others, Time::from_secs(4))).pop().expect("a block");
    let push = Message::Gossip(Gossip::Push(crate::Item::Block(block)));
    let said = step(&mut pool, Time::from_secs(4), Input::Message { from: NEAR, message: push });
    assert_eq!(pushes(said), [1, 1, 2], "the others' block is forwarded, both of its own follow");
}

#[test]
fn who_keeps_headers_alone_has_nothing_to_keep_back() {
    let light = synod_consensus::light::Params::new(chain(), synod_consensus::light::Limits::default());
    let keeper = KeeperParams::Light(light.expect("a chain of work"));
    let params = Params { behaviour: Behaviour::Selfish, keeper, ..params() };
    let mut host = Host::start(Peer::restore(params, core::iter::empty()), Time::from_secs(1), |_| {});
    step(&mut host, Time::from_secs(2), Input::PeerUp(NEAR));
    assert!(host.protocol().pool.is_none());
}
