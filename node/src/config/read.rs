//! Reads the files, and says where in them a mistake is.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::de::DeserializeOwned;
use synod_consensus::adversary::Behaviour;
use synod_ledger::{Genesis, GenesisError};
use toml::de::DeTable;

use super::{Config, MULTI_MINTER, NAME_BYTES_MAX, SELFISH_MINER, THREADS_MAX};

/// What is wrong with a configuration or genesis file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A genesis that no chain can start with.
    #[error("{}: {source}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GenesisError,
    },
    /// A line that is not TOML, or a value that is not allowed.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Config {
    /// Reads the configuration file at `path`. Its paths are made relative to where this process runs.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read(path)?, path)
    }

    /// The configuration that `text` is, as the content of the file `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = parse(text, path)?;
        if let Some((key, message)) = config.mistake() {
            return Err(invalid(text, path, place_of(text, key), message));
        }
        if let Some(folder) = path.parent() {
            config.data = folder.join(&config.data);
            config.genesis = folder.join(&config.genesis);
        }
        Ok(config)
    }

    /// The first value that is not allowed, by its keys, and why it is not.
    fn mistake(&self) -> Option<(&'static [&'static str], String)> {
        let Self { name, listen, mining, adversary, light, network, overlays, .. } = self;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Some((&["name"], format!("a name has 1 to {NAME_BYTES_MAX} bytes, this one {}", name.len())));
        }
        if name.chars().any(char::is_control) {
            return Some((&["name"], "a name has no control characters".into()));
        }
        if listen.is_empty() {
            return Some((&["listen"], "a node listens somewhere; /ip4/127.0.0.1/tcp/0 takes a free port".into()));
        }
        if let Some(address) = listen.iter().find(|address| !is_listenable(address)) {
            let message = format!(
                "a node cannot listen on {address}; write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1"
            );
            return Some((&["listen"], message));
        }
        if let Some(adversary) = adversary.as_ref().filter(|name| !adversaries().any(|known| known == name.as_str())) {
            let known: Vec<&str> = adversaries().collect();
            let message = format!("nobody behaves like {adversary}, but {}", known.join(", "));
            return Some((&["adversary"], message));
        }
        if let Some(mining) = mining
            && !(1..=THREADS_MAX).contains(&mining.threads)
        {
            let message =
                format!("1 to {THREADS_MAX} threads can mine, not {}; hash_rate = 0 mines not", mining.threads);
            return Some((&["mining", "threads"], message));
        }
        if *light && (mining.as_ref().is_some_and(|mining| mining.hash_rate > 0) || adversary.is_some()) {
            return Some((&["light"], "a light peer has no blocks to build on: it neither mines nor votes".into()));
        }
        if network.connections_max == 0 {
            return Some((&["network", "connections_max"], "a node without neighbours hears of no block".into()));
        }
        if network.neighbours_min > network.connections_max {
            let message = format!(
                "neighbours_min is {}, more than connections_max, which is {}",
                network.neighbours_min, network.connections_max
            );
            return Some((&["network", "neighbours_min"], message));
        }
        overlays.mistake()
    }
}

/// The names of all behaviours that a peer may have, honesty among them.
pub fn adversaries() -> impl Iterator<Item = &'static str> {
    Behaviour::NAMES.into_iter().chain([MULTI_MINTER, SELFISH_MINER])
}

/// Reads and checks the genesis file at `path`.
pub fn load_genesis(path: &Path) -> Result<Genesis, ConfigError> {
    parse_genesis(&read(path)?, path)
}

/// The genesis that `text` is, as the content of the file `path`.
pub fn parse_genesis(text: &str, path: &Path) -> Result<Genesis, ConfigError> {
    let genesis: Genesis = parse(text, path)?;
    genesis.check().map_err(|source| ConfigError::Genesis { path: path.to_path_buf(), source })?;
    Ok(genesis)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })
}

fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| invalid(text, path, error.span(), error.message().to_owned()))
}

fn is_listenable(address: &Multiaddr) -> bool {
    let protocols: Vec<Protocol<'_>> = address.iter().collect();
    matches!(
        protocols.as_slice(),
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
            | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1]
    )
}

/// Where the value under `keys` stands in `text`; where its section does if the value is a default.
fn place_of(text: &str, keys: &[&str]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut place = None;
    for key in keys {
        let Some(value) = table.get(*key) else { break };
        place = Some(value.span());
        let Some(inner) = value.get_ref().as_table() else { break };
        table = inner;
    }
    place
}

/// An error at `place`; at the beginning where nothing is known.
fn invalid(text: &str, path: &Path, place: Option<Range<usize>>, message: String) -> ConfigError {
    let offset = place.map_or(0, |place| place.start);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    ConfigError::Invalid { path: path.to_path_buf(), line, column, message }
}
