//! A network's directory while its peers run: starting, finding, stopping and killing their processes.
//!
//! Nothing but the directory connects one `synod` command with the next: a peer's process is found through the run file
//! that it writes when it is ready, or through the process id that is noted when it is started.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use synod_node::api::client::Client;
use synod_node::config::{Config, RunFile, load_genesis};

use crate::create::{self, CONFIG, DATA, GENESIS, LOG};
use crate::error::LabError;
use crate::process::{self, Activity};
use crate::settings::{Manifest, PeerEntry, Settings};

/// What a peer's process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Stopped by SIGSTOP.
    Paused {
        /// Its process.
        pid: u32,
    },
    /// Ready: its API answers.
    Ready(RunFile),
    /// Started, and not ready yet.
    Starting {
        /// Its process.
        pid: u32,
    },
    /// No process.
    Stopped,
}

impl PeerState {
    /// The peer's process, if it has one.
    pub const fn pid(&self) -> Option<u32> {
        match self {
            Self::Paused { pid } | Self::Starting { pid } => Some(*pid),
            Self::Ready(run) => Some(run.pid),
            Self::Stopped => None,
        }
    }

    /// Its name in tables and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Paused { .. } => "paused",
            Self::Ready(_) => "ready",
            Self::Starting { .. } => "starting",
            Self::Stopped => "stopped",
        }
    }
}

/// A network in a directory.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
    manifest: Manifest,
    program: PathBuf,
    /// The peers that this process started, by their place: they must be waited for when they end.
    children: BTreeMap<usize, Child>,
    /// Where in their logs the peers that this process started began to speak.
    log_starts: BTreeMap<usize, u64>,
}

impl Network {
    /// Makes a network in `dir`. `program` is the `synod` whose `node` command runs its peers.
    pub fn create(dir: &Path, settings: &Settings, program: &Path) -> Result<Self, LabError> {
        let absolute = std::path::absolute(dir).map_err(|error| LabError::io(dir, error))?;
        if let Some(parent) = absolute.parent() {
            crate::files::create_dir(parent)?;
        }
        create::create(&absolute, settings)?;
        Self::open(dir, program)
    }

    /// The network in `dir`.
    pub fn open(dir: &Path, program: &Path) -> Result<Self, LabError> {
        let missing = || LabError::NoNetwork { dir: dir.to_owned() };
        // One spelling of the path, since processes are recognised by it.
        let canonical = match fs::canonicalize(dir) {
            Ok(canonical) => canonical,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(LabError::io(dir, error)),
        };
        let manifest = Manifest::load(&canonical)?.ok_or_else(missing)?;
        Ok(Self {
            dir: canonical,
            manifest,
            program: program.to_owned(),
            children: BTreeMap::new(),
            log_starts: BTreeMap::new(),
        })
    }

    /// Its directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it was made of.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its peers.
    pub fn peers(&self) -> &[PeerEntry] {
        &self.manifest.peers
    }

    /// Its peers' names.
    pub fn names(&self) -> Vec<&str> {
        self.peers().iter().map(|entry| entry.name.as_str()).collect()
    }

    /// The place of the peer called `name`.
    pub fn find(&self, name: &str) -> Result<usize, LabError> {
        let place = self.peers().iter().position(|entry| entry.name == name);
        place.ok_or_else(|| LabError::UnknownPeer { peer: name.to_owned(), known: self.names().join(", ") })
    }

    /// A client of a peer's API, whether the peer runs or not.
    pub fn client(&self, place: usize) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.peers()[place].api_port))
    }

    /// A peer's configuration file.
    pub fn config_path(&self, place: usize) -> PathBuf {
        self.peer_dir(place).join(CONFIG)
    }

    /// A peer's log.
    pub fn log_path(&self, place: usize) -> PathBuf {
        self.peer_dir(place).join(LOG)
    }

    /// A peer's data folder.
    pub fn data_path(&self, place: usize) -> PathBuf {
        self.peer_dir(place).join(DATA)
    }

    /// The genesis file.
    pub fn genesis_path(&self) -> PathBuf {
        self.dir.join(GENESIS)
    }

    /// The last lines of a peer's log; of one that this process started, nothing from before.
    pub fn log_tail(&self, place: usize) -> Vec<String> {
        let start = self.log_starts.get(&place).copied().unwrap_or(0);
        process::log_tail(&self.log_path(place), start, LOG_TAIL_LINES)
    }

    /// What a peer's process does.
    pub fn state(&self, place: usize) -> PeerState {
        let config = self.config_path(place);
        let run = create::run_file(&self.data_path(place));
        if let Some(run) = run {
            match process::activity(run.pid, &config) {
                Some(Activity::Paused) => return PeerState::Paused { pid: run.pid },
                Some(Activity::Running) => return PeerState::Ready(run),
                None => {}
            }
        }
        let noted = fs::read_to_string(self.pid_path(place)).ok().and_then(|text| text.trim().parse().ok());
        let Some(pid) = noted else { return PeerState::Stopped };
        match process::activity(pid, &config) {
            Some(Activity::Paused) => PeerState::Paused { pid },
            Some(Activity::Running) => PeerState::Starting { pid },
            None => PeerState::Stopped,
        }
    }

    /// How many peers have a process.
    pub fn running_count(&self) -> usize {
        (0..self.peers().len()).filter(|place| self.state(*place) != PeerState::Stopped).count()
    }

    /// Keeps other `synod up` commands from this directory for as long as the returned file lives.
    pub fn lock(&self) -> Result<File, LabError> {
        let path = self.dir.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| LabError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(LabError::AlreadyRunning { running: self.running_count(), total: self.peers().len() })
            }
            Err(TryLockError::Error(error)) => Err(LabError::io(&path, error)),
        }
    }

    /// Reads the genesis and the configurations of the peers at `places` as those will. What is wrong with a file is
    /// said better before anything starts than by the log of a peer that ended.
    pub fn check_files(&self, places: &[usize]) -> Result<(), LabError> {
        let chain_id = load_genesis(&self.genesis_path())?.chain_id().to_string();
        if chain_id != self.manifest.chain_id {
            let expected = self.manifest.chain_id.clone();
            return Err(LabError::Contradiction { option: "genesis.toml of chain", expected, got: chain_id });
        }
        for &place in places {
            Config::load(&self.config_path(place))?;
        }
        Ok(())
    }

    /// Starts a peer's process. See [`process::spawn`] for what `attached` does.
    pub fn start(&mut self, place: usize, attached: bool) -> Result<(), LabError> {
        if self.state(place) != PeerState::Stopped {
            return Err(LabError::Running { peer: self.peers()[place].name.clone() });
        }
        let data = self.data_path(place);
        // A killed peer leaves its run file behind; the new process is ready when it has written its own.
        RunFile::remove(&data).map_err(|error| LabError::io(&data, error))?;
        let (config, log) = (self.config_path(place), self.log_path(place));
        self.log_starts.insert(place, fs::metadata(&log).map_or(0, |metadata| metadata.len()));
        let child = process::spawn(&self.program, &config, &log, attached);
        let child = child.map_err(|error| LabError::io(&self.program, error))?;
        let pid = child.id();
        self.children.insert(place, child);
        crate::files::write(&self.pid_path(place), format!("{pid}\n").as_bytes())
    }

    /// Collects what this process's children that ended leave behind. Whether the peer at `place` was one of them.
    pub fn has_ended(&mut self, place: usize) -> bool {
        self.children.retain(|_, child| !matches!(child.try_wait(), Ok(Some(_))));
        !self.children.contains_key(&place) && self.state(place) == PeerState::Stopped
    }

    /// Waits until the peers at `places` are ready. `on_ready` hears how many are.
    pub async fn wait_ready(
        &mut self,
        places: &[usize],
        limit: Duration,
        mut on_ready: impl FnMut(usize),
    ) -> Result<(), LabError> {
        let deadline = Instant::now() + limit;
        let mut waiting = places.to_vec();
        loop {
            waiting.retain(|place| !matches!(self.state(*place), PeerState::Ready(_)));
            on_ready(places.len() - waiting.len());
            let Some(&first) = waiting.first() else { return Ok(()) };
            for &place in &waiting {
                if self.has_ended(place) {
                    return Err(LabError::PeerStopped {
                        peer: self.peers()[place].name.clone(),
                        log: self.log_tail(place),
                    });
                }
            }
            if Instant::now() >= deadline {
                let what = format!("starting {}", self.peers()[first].name);
                return Err(LabError::TimedOut { what, limit, log: self.log_tail(first) });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to a peer's process. False where it has none.
    pub fn signal(&self, place: usize, signal: Signal) -> Result<bool, LabError> {
        let Some(pid) = self.state(place).pid() else { return Ok(false) };
        let config = self.config_path(place);
        process::send(pid, &config, signal).map_err(|error| LabError::io(&config, error))
    }

    /// Stops peers in order: SIGTERM, then SIGKILL for those that take longer than `grace`. The places of those that
    /// had to be killed.
    pub async fn stop(&mut self, places: &[usize], grace: Duration) -> Result<Vec<usize>, LabError> {
        for &place in places {
            if self.signal(place, Signal::SIGTERM)? {
                // A paused process acts on SIGTERM only when it goes on.
                self.signal(place, Signal::SIGCONT)?;
            }
        }
        let slow = self.wait_ended(places, grace).await;
        for &place in &slow {
            self.signal(place, Signal::SIGKILL)?;
        }
        let left = self.wait_ended(&slow, KILL_LIMIT).await;
        match left.first() {
            None => Ok(slow),
            Some(&place) => {
                let what = format!("killing {}", self.peers()[place].name);
                Err(LabError::TimedOut { what, limit: KILL_LIMIT, log: Vec::new() })
            }
        }
    }

    /// Kills a peer with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self, place: usize) -> Result<(), LabError> {
        if !self.signal(place, Signal::SIGKILL)? {
            return Err(LabError::NotRunning { peer: self.peers()[place].name.clone() });
        }
        let left = self.wait_ended(&[place], KILL_LIMIT).await;
        if left.is_empty() {
            return Ok(());
        }
        let what = format!("killing {}", self.peers()[place].name);
        Err(LabError::TimedOut { what, limit: KILL_LIMIT, log: Vec::new() })
    }

    /// Stops the peers that run, starts all of `places`, and waits until they are ready.
    pub async fn restart(&mut self, places: &[usize], limit: Duration) -> Result<(), LabError> {
        self.check_files(places)?;
        self.stop(places, STOP_GRACE).await?;
        for &place in places {
            self.start(place, false)?;
        }
        self.wait_ready(places, limit, |_| {}).await
    }

    /// Takes over settings that do not touch the chain and writes them into the peers' configurations. Those that run go on as they
    /// were until they are started again.
    pub fn reconfigure(&mut self, settings: Settings) -> Result<(), LabError> {
        if settings == self.manifest.settings {
            return Ok(());
        }
        self.manifest.settings = settings;
        for place in 0..self.peers().len() {
            let path = self.config_path(place);
            let mut config: Config =
                toml::from_str(&crate::files::read(&path)?).map_err(|error| LabError::toml(&path, &error))?;
            let fresh = create::node_config(&self.manifest, place);
            (config.listen, config.bootstrap, config.mining) = (fresh.listen, fresh.bootstrap, fresh.mining);
            config.network.gossip = fresh.network.gossip;
            (config.adversary, config.light) = (fresh.adversary, fresh.light);
            let overlays = &mut config.overlays;
            (overlays.dht, overlays.index) = (fresh.overlays.dht, fresh.overlays.index);
            overlays.search = fresh.overlays.search;
            create::save_config(&path, &config)?;
        }
        self.manifest.save(&self.dir)
    }

    /// Those of `places` that still have a process after `limit`.
    async fn wait_ended(&mut self, places: &[usize], limit: Duration) -> Vec<usize> {
        let deadline = Instant::now() + limit;
        let mut left = places.to_vec();
        loop {
            left.retain(|place| !self.has_ended(*place));
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn peer_dir(&self, place: usize) -> PathBuf {
        self.dir.join(&self.peers()[place].name)
    }

    fn pid_path(&self, place: usize) -> PathBuf {
        self.peer_dir(place).join("node.pid")
    }
}

/// How long peers get to end by themselves: they close their stores, which takes milliseconds on a quiet machine.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// A killed process is gone at once, unless the system hangs.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How often files and processes are looked at.
const POLL: Duration = Duration::from_millis(50);
/// How much of a log an error shows.
const LOG_TAIL_LINES: usize = 10;
/// The file that `synod up` locks.
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    fn network(program: &str) -> (tempfile::TempDir, Network) {
        let base = tempfile::tempdir().expect("a directory");
        let settings = Settings { nodes: 2, ..Settings::default() };
        let network = Network::create(&base.path().join("net"), &settings, Path::new(program)).expect("made");
        (base, network)
    }

    /// A program that takes `node --config FILE` and then waits, in place of a node.
    fn waiting_program(dir: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join("waits");
        fs::write(&path, "#!/bin/sh\nwhile :; do read line < /dev/tty || sleep 1; done\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
        path
    }

    #[test]
    fn damaged_files_are_found_before_anything_starts() {
        let (_base, network) = network("unused");
        network.check_files(&[0, 1]).expect("as made");
        fs::write(network.config_path(1), "x = 1").expect("written");
        network.check_files(&[0]).expect("the other peer's file is whole");
        let error = network.check_files(&[0, 1]).expect_err("damaged");
        assert_eq!(error.exit(), crate::exit::Exit::Config, "{error}");
        fs::write(network.genesis_path(), "x = 1").expect("written");
        let error = network.check_files(&[0]).expect_err("damaged");
        assert_eq!(error.exit(), crate::exit::Exit::Config, "{error}");
    }

    #[tokio::test]
    async fn a_started_peer_is_found_by_another_command_paused_and_killed() {
        let (base, mut network) = network("unused");
        network.program = waiting_program(base.path());
        network.start(0, false).expect("started");
        let other = Network::open(&base.path().join("net"), Path::new("unused")).expect("opened");
        let state = other.state(0);
        assert!(matches!(state, PeerState::Starting { .. }), "{state:?}");
        assert_eq!(other.state(1), PeerState::Stopped);
        assert!(matches!(network.start(0, false), Err(LabError::Running { .. })));
        assert!(other.signal(0, Signal::SIGSTOP).expect("sent"));
        while !matches!(other.state(0), PeerState::Paused { .. }) {
            tokio::task::yield_now().await;
        }
        assert!(!other.signal(1, Signal::SIGSTOP).expect("nobody to send to"));
        network.kill(0).await.expect("killed");
        assert_eq!(other.state(0), PeerState::Stopped);
        assert!(matches!(network.kill(0).await, Err(LabError::NotRunning { .. })));
    }

    #[tokio::test]
    async fn a_peer_that_ends_at_once_is_named_with_its_log() {
        let (_base, mut network) = network("/bin/false");
        network.start(1, false).expect("started");
        fs::write(network.log_path(1), "port in use\n").expect("written");
        let error = network.wait_ready(&[1], Duration::from_secs(60), |_| {}).await.expect_err("it ended");
        assert_eq!(error.to_string(), "peer2 stopped; its log ends with:\n  port in use");
        assert_eq!(error.exit(), crate::exit::Exit::Setup);
    }

    #[tokio::test]
    async fn a_peer_that_never_gets_ready_is_given_up() {
        let (base, mut network) = network("unused");
        network.program = waiting_program(base.path());
        network.start(0, false).expect("started");
        let error = network.wait_ready(&[0], Duration::ZERO, |_| {}).await.expect_err("it is never ready");
        assert!(matches!(error, LabError::TimedOut { .. }), "{error}");
        assert_eq!(network.stop(&[0, 1], STOP_GRACE).await.expect("stopped"), Vec::<usize>::new());
    }

    #[test]
    fn only_one_command_holds_the_lock() {
        let (base, network) = network("unused");
        let held = network.lock().expect("free");
        let other = Network::open(&base.path().join("net"), Path::new("unused")).expect("opened");
        assert!(matches!(other.lock(), Err(LabError::AlreadyRunning { .. })));
        drop(held);
        // A process that another test starts in this moment has the file too, until it becomes another program.
        let begin = Instant::now();
        while other.lock().is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the lock becomes free");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_new_hash_rate_reaches_every_peer_and_keeps_the_chain() {
        let (base, mut network) = network("unused");
        let chain = network.manifest().chain_id.clone();
        let settings = Settings { hash_rate: 7_000, ..network.manifest().settings.clone() };
        network.reconfigure(settings).expect("taken over");
        let again = Network::open(&base.path().join("net"), Path::new("unused")).expect("opened");
        assert_eq!(again.manifest().settings.hash_rate, 7_000);
        assert_eq!(again.manifest().chain_id, chain);
        let config = synod_node::config::Config::load(&again.config_path(1)).expect("valid");
        assert_eq!(config.mining.map(|mining| mining.hash_rate), Some(7_000));
    }
}
