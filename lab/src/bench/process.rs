//! Node processes that a measurement starts by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use synod_ledger::Genesis;
use synod_node::config::{Config, NetworkConfig, OverlaysConfig, RunFile};

use crate::LabError;

/// How long a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(300);

/// Writes what a node of this chain needs into a folder.
pub(super) fn write_config(
    folder: &Path,
    genesis: &Genesis,
    bootstrap: Vec<String>,
    adversary: Option<&str>,
) -> Result<PathBuf, LabError> {
    fs::create_dir_all(folder.join("data")).map_err(|error| LabError::io(folder, error))?;
    let genesis = toml::to_string(genesis).expect("a genesis is TOML");
    crate::files::write(&folder.join("genesis.toml"), genesis.as_bytes())?;
    let config = Config {
        name: folder.file_name().map_or_else(|| "bench".into(), |name| name.to_string_lossy().into_owned()),
        data: "data".into(),
        genesis: "genesis.toml".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a literal address")],
        bootstrap: bootstrap.iter().filter_map(|address| address.parse().ok()).collect(),
        api: ([127, 0, 0, 1], 0).into(),
        faults: false,
        mining: None,
        adversary: adversary.map(Into::into),
        light: false,
        network: NetworkConfig::default(),
        overlays: OverlaysConfig::default(),
    };
    let path = folder.join("node.toml");
    crate::create::save_config(&path, &config)?;
    Ok(path)
}

/// A node process that ends with this value.
pub(super) struct Node {
    child: Child,
    data: PathBuf,
}

impl Node {
    pub(super) fn start(program: &Path, config: &Path) -> Result<Self, LabError> {
        let folder = config.parent().unwrap_or(Path::new("."));
        let log = fs::File::create(folder.join("node.log")).map_err(|error| LabError::io(folder, error))?;
        let child = Command::new(program)
            .arg("node")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| LabError::io(program, error))?;
        Ok(Self { child, data: folder.join("data") })
    }

    pub(super) async fn ready(&self) -> Result<RunFile, LabError> {
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
