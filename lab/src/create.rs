//! Making a network's directory: genesis, wallets, and each peer's key and configuration.
//!
//! ```text
//! net.toml           the manifest: settings, peers, ports
//! genesis.toml       the chain's first block
//! wallets/           key files of alice, bob, …, and of each peer's miner
//! peer1/node.toml    the peer's configuration
//! peer1/node.log     what it said
//! peer1/data/        its key, its store, and run.json while it runs
//! ```

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use synod_consensus::pow::target_for;
use synod_ledger::{
    Amount, Balance, Engine, Genesis, PbftParams, PosParams, PowParams, PublicKey, Retarget, SecretKey, Validator,
};
use synod_node::config::{Config, GossipKind, MiningConfig, NetworkConfig, OverlaysConfig, RunFile, SearchKind};
use synod_node::net::{Identity, IdentityError};

use crate::error::LabError;
use crate::files;
use crate::ports;
use crate::settings::{Consensus, MANIFEST, Manifest, PeerEntry, SCHEMA, Settings, Transport, peer_name};
use crate::wallets::{Wallets, new_key};

/// The genesis file's name.
pub const GENESIS: &str = "genesis.toml";
/// A peer's configuration file's name.
pub const CONFIG: &str = "node.toml";
/// A peer's log's name.
pub const LOG: &str = "node.log";
/// A peer's data folder's name.
pub const DATA: &str = "data";

/// Makes a network in `dir`, which must be new or empty. It appears there whole or not at all.
pub fn create(dir: &Path, settings: &Settings) -> Result<Manifest, LabError> {
    settings.check()?;
    check_empty(dir)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let draft = dir.with_file_name(format!(".{name}.{}", std::process::id()));
    files::create_dir(&draft)?;
    let made = fill(&draft, settings).and_then(|manifest| {
        // A rename replaces an empty directory and fails on any other, so nothing is ever overwritten.
        fs::rename(&draft, dir).map_err(|error| LabError::io(dir, error))?;
        Ok(manifest)
    });
    if made.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&draft);
    }
    made
}

/// The addresses a peer listens on, without its id.
pub fn listen_addresses(transport: Transport, port: u16) -> Vec<String> {
    let tcp = format!("/ip4/127.0.0.1/tcp/{port}");
    let quic = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    match transport {
        Transport::Both => vec![tcp, quic],
        Transport::Quic => vec![quic],
        Transport::Tcp => vec![tcp],
    }
}

/// The configuration of the peer at `place` in the manifest.
pub fn node_config(manifest: &Manifest, place: usize) -> Config {
    let entry = &manifest.peers[place];
    let transport = manifest.settings.transport;
    let parse = |text: String| text.parse().expect("the addresses are our own");
    let light = place >= manifest.settings.full_count();
    let validators = manifest.settings.validator_count();
    let known = match validators {
        0 => acquaintances(place, manifest.peers.len()),
        // Everybody votes with everybody, and whoever pays asks them.
        count => (0..count).filter(|other| *other != place).collect(),
    };
    let bootstrap = known.into_iter().flat_map(|other| {
        let other = &manifest.peers[other];
        let addresses = listen_addresses(transport, other.port);
        addresses.into_iter().map(|address| format!("{address}/p2p/{}", other.peer_id))
    });
    Config {
        name: entry.name.clone(),
        data: DATA.into(),
        genesis: Path::new("..").join(GENESIS),
        listen: listen_addresses(transport, entry.port).into_iter().map(parse).collect(),
        bootstrap: bootstrap.map(parse).collect(),
        api: SocketAddr::from((Ipv4Addr::LOCALHOST, entry.api_port)),
        faults: true,
        mining: (!light).then_some(MiningConfig {
            address: entry.miner,
            hash_rate: manifest.settings.hash_rate,
            threads: 1,
        }),
        adversary: manifest.settings.adversaries.get(&entry.name).cloned(),
        light,
        network: network_config(manifest.settings.gossip.kind(), validators),
        overlays: overlays_config(manifest),
    }
}

/// All peers take part in the same, and the first one serves the central index.
pub fn overlays_config(manifest: &Manifest) -> OverlaysConfig {
    let Settings { transport, dht, search, .. } = &manifest.settings;
    let server = &manifest.peers[0];
    let addresses = listen_addresses(*transport, server.port).into_iter().take(1);
    let index = addresses.map(|address| format!("{address}/p2p/{}", server.peer_id));
    let index = index.map(|text| text.parse().expect("the addresses are our own"));
    OverlaysConfig {
        dht: dht.clone(),
        index: if search.contains(&SearchKind::Index) { index.collect() } else { Vec::new() },
        search: search.clone(),
        ..OverlaysConfig::default()
    }
}

/// Validators keep links to all validators, and whoever does not vote to some of them.
fn network_config(gossip: GossipKind, validators: usize) -> NetworkConfig {
    let usual = NetworkConfig::default();
    NetworkConfig { gossip, connections_max: usual.connections_max + validators, ..usual }
}

/// Writes a peer's configuration. Its data folder lies beside it.
pub fn save_config(path: &Path, config: &Config) -> Result<(), LabError> {
    let text = toml::to_string(config).expect("a configuration can be written as TOML");
    files::write(path, text.as_bytes())
}

/// Whom a peer knows from the beginning: the next two in a ring and two across it. Enough for a connected network when
/// some peers are down, nobody is known to all, and the rest is found by asking, as in a network without a supervisor.
fn acquaintances(place: usize, count: usize) -> Vec<usize> {
    let mut known = Vec::new();
    for step in [1, 2, count / 3, count / 2] {
        let other = (place + step) % count;
        if other != place && !known.contains(&other) {
            known.push(other);
        }
    }
    known
}

fn check_empty(dir: &Path) -> Result<(), LabError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) if dir.join(MANIFEST).exists() => Err(LabError::NetworkExists { dir: dir.to_owned() }),
        Ok(false) => Err(LabError::ForeignDirectory { dir: dir.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LabError::io(dir, error)),
    }
}

fn fill(dir: &Path, settings: &Settings) -> Result<Manifest, LabError> {
    let wallets = Wallets::of(dir);
    let mut balances = Vec::new();
    for wallet in &settings.wallets {
        let address = wallets.add_shared(&wallet.name, &new_key()?)?.address;
        let balance = Balance {
            name: wallet.name.clone(),
            address,
            amount: wallet.amount,
            coins: wallet.coins,
            stake: Amount::ZERO,
        };
        balances.push(balance);
    }
    let peers = make_peers(dir, settings.nodes, &wallets)?;
    if settings.consensus == Consensus::Pos {
        balances.extend(peers.iter().map(|(entry, key)| stake_of(&entry.name, *key, settings.stake)));
    }
    let keys: Vec<Validator> =
        peers.iter().map(|(entry, key)| Validator { name: entry.name.clone(), key: *key }).collect();
    let peers = peers.into_iter().map(|(entry, _)| entry).collect();
    let genesis = make_genesis(settings, balances, keys);
    genesis.check().map_err(|error| LabError::Genesis { reason: error.to_string() })?;
    let text = toml::to_string(&genesis).expect("a genesis can be written as TOML");
    files::write(&dir.join(GENESIS), text.as_bytes())?;
    let chain_id = genesis.chain_id().to_string();
    let manifest = Manifest { schema: SCHEMA, chain_id, settings: settings.clone(), peers };
    for (place, entry) in manifest.peers.iter().enumerate() {
        save_config(&dir.join(&entry.name).join(CONFIG), &node_config(&manifest, place))?;
    }
    manifest.save(dir)?;
    Ok(manifest)
}

/// Each peer, and the key that it signs with. Whoever is paid for its blocks has the same.
fn make_peers(dir: &Path, count: usize, wallets: &Wallets) -> Result<Vec<(PeerEntry, PublicKey)>, LabError> {
    let ports = ports::free(2 * count)?;
    let mut peers = Vec::with_capacity(count);
    for (place, pair) in ports.chunks_exact(2).enumerate() {
        let name = peer_name(place);
        let data = dir.join(&name).join(DATA);
        files::create_dir(&data)?;
        let identity = load_identity(&data)?;
        let key = SecretKey::from_bytes(*identity.secret());
        let miner = wallets.add_shared(&miner_wallet(&name), &key)?.address;
        let (peer_id, [port, api_port]) = (identity.peer().to_string(), [pair[0], pair[1]]);
        peers.push((PeerEntry { name, peer_id, miner, port, api_port }, key.public()));
    }
    Ok(peers)
}

/// The identity in a data folder, made where there is none.
pub fn load_identity(data: &Path) -> Result<Identity, LabError> {
    let path = data.join(IDENTITY);
    Identity::load_or_create(&path).map_err(|error| match error {
        IdentityError::File { path, source } => LabError::Io { path, source },
        other => LabError::KeyFormat { path, reason: other.to_string() },
    })
}

/// The name of the wallet that is paid for a peer's blocks.
pub fn miner_wallet(peer: &str) -> String {
    format!("miner-{peer}")
}

/// Whether a data folder's run file is there; it may be a killed node's.
pub fn run_file(data: &Path) -> Option<RunFile> {
    RunFile::read(data).ok().flatten()
}

/// A peer's stake. Its wallet is the one that is paid for the peer's blocks.
fn stake_of(peer: &str, key: PublicKey, amount: Amount) -> Balance {
    Balance { name: miner_wallet(peer), address: key.address(), amount, stake: amount, coins: 1 }
}

fn make_genesis(settings: &Settings, balances: Vec<Balance>, mut validators: Vec<Validator>) -> Genesis {
    let block_time_ms = u64::try_from(settings.block_time.as_millis()).expect("at most a day, as checked");
    let retarget = match settings.retarget_window {
        0 => Retarget::Off,
        window => Retarget::Lwma { window },
    };
    let engine = match settings.consensus {
        Consensus::Pbft => {
            validators.truncate(settings.validator_count());
            Engine::Pbft(PbftParams {
                validators,
                // A genesis's own defaults, which say where they come from.
                view_timeout_ms: 2_000,
                batch_delay_ms: 10,
                batch_max: 1_000,
                checkpoint_interval: 100,
                watermark_window: 200,
            })
        }
        Consensus::Pos => Engine::Pos(PosParams {
            // All stakes together win once in a block time.
            difficulty: settings.stake.0.saturating_mul(settings.nodes as u64).saturating_mul(block_time_ms) / 1_000,
            block_time_ms,
            retarget,
            // As for pBFT.
            stake_depth: 32,
            unbonding: 256,
            future_max_ms: 500,
            slasher: settings.slasher,
            finder_share: 10,
        }),
        Consensus::Pow => Engine::Pow(PowParams {
            target: target_for(settings.hash_rate.saturating_mul(settings.full_count() as u64), settings.block_time),
            block_time_ms,
            retarget,
            declared: false,
        }),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    Genesis {
        name: settings.name.clone(),
        time_unix_ms: u64::try_from(now.as_millis()).expect("the clock is in this age"),
        engine,
        ledger: settings.ledger.params(),
        balances,
    }
}

/// The name of a node's key in its data folder.
const IDENTITY: &str = "identity.key";

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Settings {
        Settings { nodes: 4, ..Settings::default() }
    }

    #[test]
    fn a_made_network_is_read_back_with_valid_configs_and_genesis() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("net");
        let manifest = create(&dir, &small()).expect("made");
        assert_eq!(Manifest::load(&dir).expect("read").as_ref(), Some(&manifest));
        let genesis = synod_node::config::load_genesis(&dir.join(GENESIS)).expect("a valid genesis");
        assert_eq!(genesis.chain_id().to_string(), manifest.chain_id);
        for entry in &manifest.peers {
            let config = Config::load(&dir.join(&entry.name).join(CONFIG)).expect("a valid configuration");
            assert_eq!(config.api.port(), entry.api_port);
            assert!(config.bootstrap.len() >= 2, "{config:?}");
            assert_eq!(
                load_identity(&dir.join(&entry.name).join(DATA)).expect("kept").peer().to_string(),
                entry.peer_id
            );
        }
        assert_eq!(Wallets::of(&dir).names().expect("listed").len(), 5 + 4);
        assert_eq!(fs::read_dir(base.path()).expect("read").count(), 1, "no draft is left");
    }

    #[test]
    fn an_empty_directory_is_taken_and_a_full_one_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("net");
        fs::create_dir(&dir).expect("made");
        create(&dir, &small()).expect("made in the empty directory");
        let other = base.path().join("other");
        fs::create_dir(&other).expect("made");
        fs::write(other.join("thesis.tex"), "years of work").expect("written");
        assert!(matches!(create(&other, &small()), Err(LabError::ForeignDirectory { .. })));
        assert!(other.join("thesis.tex").exists());
    }

    #[test]
    fn everybody_knows_a_few_others() {
        assert_eq!(acquaintances(0, 1), Vec::<usize>::new());
        assert_eq!(acquaintances(1, 2), [0]);
        assert_eq!(acquaintances(0, 5), [1, 2]);
        assert_eq!(acquaintances(3, 5), [4, 0]);
        assert_eq!(acquaintances(20, 25), [21, 22, 3, 7]);
    }
}
