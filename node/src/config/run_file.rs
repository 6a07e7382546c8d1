//! `run.json`: what a running node tells the tools on its machine.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Written into the data folder when a node is ready, removed when it stops. One that a killed node left behind names
/// a process that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The node's process.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where it listens, each with its peer id.
    pub listen: Vec<String>,
    /// Where its HTTP API listens.
    pub api: SocketAddr,
    /// The chain's id.
    pub chain_id: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
}

impl RunFile {
    /// The file's name in the data folder.
    pub const NAME: &'static str = "run.json";

    /// The file's path in the data folder `data`.
    pub fn path(data: &Path) -> PathBuf {
        data.join(Self::NAME)
    }

    /// Writes it into the folder `data`, whole or not at all: a reader never sees half a file.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let draft = data.join(format!(".{}.{}", Self::NAME, self.pid));
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        let renamed = written.and_then(|()| fs::rename(&draft, Self::path(data)));
        if renamed.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&draft);
        }
        renamed
    }

    /// Reads it from the folder `data`; nothing where there is none.
    pub fn read(data: &Path) -> io::Result<Option<Self>> {
        match fs::read(Self::path(data)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes it from the folder `data`, if it is there.
    pub fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(data)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
