//! A peer that is far behind catches up over loopback from another real process.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use synod_consensus::{Command as ReplicaCommand, Item};
use synod_dht::{Identity as PublicIdentity, neighbours};
use synod_ledger::{Block, Signatures};
use synod_machine::{Bytes, Effect, Host, Input, PeerId, Protocol, Rng, Time};
use synod_node::api::client::Client;
use synod_node::driver::writes;
use synod_node::net::{Identity, public_key_of};
use synod_node::store::{Store, StoreIdentity};
use synod_peer::{KeeperParams, Peer, Record};

use super::Report;
use super::chain::Maker;
use crate::LabError;
use crate::solo::{Node, Solo, write_config};

/// How far behind the peer is.
#[derive(Clone, Copy, Debug)]
pub struct SyncSize {
    /// Blocks with nothing but a coinbase, of which the header is most.
    pub empty: usize,
    /// Full blocks after them.
    pub full: usize,
    /// Payments in each of those.
    pub payments: usize,
}

impl Default for SyncSize {
    fn default() -> Self {
        // Issue 2, benchmarks: 10,000 headers and 1,000 blocks behind.
        Self { empty: 9_000, full: 1_000, payments: 400 }
    }
}

const PATIENCE: Duration = Duration::from_secs(300);

/// Payments per second while a fresh peer catches up with a full one, against connecting the same blocks in memory.
pub async fn sync(size: SyncSize, folder: &Path, program: &Path) -> Result<Report, LabError> {
    let blocks_total = size.empty + size.full;
    let age = Duration::from_millis(100) * u32::try_from(blocks_total + 100).unwrap_or(u32::MAX);
    let mut maker = Maker::new(50_000, age);
    let mut blocks: Vec<Block> = (0..size.empty).map(|_| maker.next(0)).collect();
    blocks.extend((0..size.full).map(|_| maker.next(size.payments)));

    let source = folder.join("source");
    let config = write_config(&source, maker.chain.genesis(), Solo::default())?;
    fill(&source, &maker, &blocks);
    let connect_time = connect_time(&maker, &blocks);
    drop(blocks);

    let full = Node::start(program, &config)?;
    let from = full.ready().await?;
    let bootstrap = from.listen.clone();
    let target = folder.join("target");
    let late =
        Node::start(program, &write_config(&target, maker.chain.genesis(), Solo { bootstrap, ..Solo::default() })?)?;
    let run = late.ready().await?;
    let client = Client::new(&run.api.to_string());
    let begin = Instant::now();
    let goal = blocks_total as u64;
    loop {
        let status = client.status().await.map_err(|source| LabError::Api { peer: "late".into(), source })?;
        if status.height.0 >= goal {
            break;
        }
        if begin.elapsed() > PATIENCE {
            return Err(LabError::Check { what: format!("the late peer is at {} of {goal}", status.height.0) });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begin.elapsed();
    let payments = (size.full * size.payments) as f64;
    let (value, reference) = (payments / took.as_secs_f64(), payments / connect_time.as_secs_f64());
    Ok(Report {
        name: "sync",
        value,
        unit: "payments/s",
        reference,
        reference_name: "connecting the same blocks in memory, one core",
        ratio: value / reference,
        promised: 0.50,
        at_most: false,
        note: format!(
            "{blocks_total} headers, {} blocks of {} payments, caught up in {:.1} s",
            size.full,
            size.payments,
            took.as_secs_f64()
        ),
    })
}

/// The time to connect fresh values of the blocks, signatures checked.
fn connect_time(maker: &Maker, blocks: &[Block]) -> Duration {
    let mut state = maker.chain.state().clone();
    let mut total = Duration::ZERO;
    for block in blocks {
        let fresh: Block = synod_machine::wire::decode(&synod_machine::wire::encode(block)).expect("our own block");
        let begin = Instant::now();
        let (next, _) =
            state.connect(maker.chain.rules(), &fresh, Signatures::Check).expect("the maker's blocks are valid");
        total += begin.elapsed();
        state = next;
    }
    total
}

/// Writes the blocks into a node's store as a node would have: through a peer.
fn fill(folder: &Path, maker: &Maker, blocks: &[Block]) {
    let data = folder.join("data");
    let identity = Identity::load_or_create(&data.join("identity.key")).expect("a writable folder");
    let key = Bytes(public_key_of(&identity.peer()).expect("an ed25519 key"));
    let genesis = maker.chain.genesis();
    let owner = StoreIdentity { chain: genesis.name.clone(), genesis: genesis.digest(), peer: key };
    let store = Store::open(&data.join("store.redb"), &owner).expect("a new store");
    let params = synod_peer::Params {
        behaviour: synod_peer::Behaviour::Honest,
        discovery: None,
        gossip: synod_peer::GossipParams::Host,
        neighbours: neighbours::Params {
            own: PublicIdentity(key),
            kept: BTreeSet::new(),
            neighbours_min: 0,
            rng: Rng::new(0, 0, "bench"),
        },
        keeper: KeeperParams::Full(synod_consensus::Params {
            chain: Arc::clone(&maker.chain),
            limits: synod_consensus::Limits::default(),
            miner: None,
            signer: None,
            behaviour: Default::default(),
            extra: 0,
        }),
    };
    let disk = std::iter::empty::<(synod_machine::Key, Record)>();
    let mut effects: Vec<Effect<Peer>> = Vec::new();
    let mut host = Host::start(Peer::restore(params, disk), Time::ZERO, |effect| effects.push(effect));
    for batch in blocks.chunks(100) {
        for block in batch {
            let item = Item::Block(block.clone());
            let command = ReplicaCommand::Gossip { id: block.id().0, from: PeerId(0), item };
            let input = Input::Command(synod_peer::Command::Replica(command));
            host.step(block.header().time, input, |effect| effects.push(effect));
        }
        let writes: Vec<_> = effects.drain(..).flat_map(|effect| writes(&effect)).collect();
        store.commit(&writes).expect("a writable store");
    }
}
