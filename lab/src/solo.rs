//! Node processes that a measurement or an attack starts by itself, beside a network's own peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use synod_ledger::Genesis;
use synod_node::config::{Config, GossipKind, MiningConfig, NetworkConfig, OverlaysConfig, RunFile};

use crate::{LabError, process};

/// How long a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a node is told beside its chain.
#[derive(Default)]
pub(crate) struct Solo {
    /// How it behaves as a validator, if not honestly.
    pub(crate) adversary: Option<String>,
    /// Whom it looks for.
    pub(crate) bootstrap: Vec<String>,
    /// Whether it knows nobody but those.
    pub(crate) closed: bool,
    /// Whether its links may be cut.
    pub(crate) faults: bool,
    /// Who carries blocks and payments.
    pub(crate) gossip: GossipKind,
    /// Whether it mines.
    pub(crate) mining: Option<MiningConfig>,
    /// With so many it wants to be connected; as usual if fewer than that.
    pub(crate) neighbours: usize,
    /// Whether it is reached over QUIC instead of TCP.
    pub(crate) quic: bool,
}

/// Writes what a node of this chain needs into a folder.
pub(crate) fn write_config(folder: &Path, genesis: &Genesis, solo: Solo) -> Result<PathBuf, LabError> {
    fs::create_dir_all(folder.join("data")).map_err(|error| LabError::io(folder, error))?;
    let genesis = toml::to_string(genesis).expect("a genesis is TOML");
    crate::files::write(&folder.join("genesis.toml"), genesis.as_bytes())?;
    let listen = if solo.quic { "/ip4/127.0.0.1/udp/0/quic-v1" } else { "/ip4/127.0.0.1/tcp/0" };
    let usual = NetworkConfig::default();
    let config = Config {
        name: folder.file_name().map_or_else(|| "bench".into(), |name| name.to_string_lossy().into_owned()),
        data: "data".into(),
        genesis: "genesis.toml".into(),
        listen: vec![listen.parse().expect("a literal address")],
        bootstrap: solo.bootstrap.iter().filter_map(|address| address.parse().ok()).collect(),
        api: ([127, 0, 0, 1], 0).into(),
        faults: solo.faults,
        mining: solo.mining,
        adversary: solo.adversary,
        light: false,
        network: NetworkConfig {
            discover: !solo.closed,
            gossip: solo.gossip,
            neighbours_min: usual.neighbours_min.max(solo.neighbours),
            connections_max: usual.connections_max.max(2 * solo.neighbours),
            ..usual
        },
        overlays: OverlaysConfig::default(),
    };
    let path = folder.join("node.toml");
    crate::create::save_config(&path, &config)?;
    Ok(path)
}

/// A node process that ends with this value.
pub(crate) struct Node {
    child: Child,
    data: PathBuf,
}

impl Node {
    /// Call it from a thread that lives as long as the node should: the node ends with that.
    pub(crate) fn start(program: &Path, config: &Path) -> Result<Self, LabError> {
        let folder = config.parent().unwrap_or(Path::new("."));
        let log = folder.join("node.log");
        let child = process::spawn(program, config, &log, true).map_err(|error| LabError::io(program, error))?;
        Ok(Self { child, data: folder.join("data") })
    }

    pub(crate) async fn ready(&self) -> Result<RunFile, LabError> {
        let begin = Instant::now();
        loop {
            if let Ok(Some(run)) = RunFile::read(&self.data)
                && run.pid == self.child.id()
            {
                return Ok(run);
            }
            if begin.elapsed() > PATIENCE {
                let what = format!("the node in {} was not ready in time", self.data.display());
                return Err(LabError::Check { what });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
