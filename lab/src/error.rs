//! Every way a command can fail, with its stable code, its exit code and what to do about it.

mod told;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use synod_experiment::ExperimentError;
use synod_ledger::{Amount, KeyFileError, PaymentError, TxId};
use synod_node::StartError;
use synod_node::api::client::ClientError;
use synod_node::config::ConfigError;
use synod_scenario::ScenarioError;

use crate::faults::FaultSpecError;
use crate::units::show_duration;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// An adversary that there cannot be.
    #[error("adversary: expected {expected}, got {got}")]
    Adversary {
        /// What is known.
        expected: String,
        /// What was asked for.
        got: String,
    },
    /// Peers of this network run already.
    #[error("this network is running already: {running} of {total} peers")]
    AlreadyRunning {
        /// How many run.
        running: usize,
        /// How many there are.
        total: usize,
    },
    /// A peer's API failed or refused.
    #[error("{peer}: {source}")]
    Api {
        /// The peer.
        peer: String,
        /// What its client says.
        source: ClientError,
    },
    /// Something that a peer answered does not hold.
    #[error("{what}")]
    Check {
        /// What does not hold.
        what: String,
    },
    /// A node's configuration or the genesis is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A payment that cannot be confirmed: a coin of it was spent otherwise.
    #[error("payment {id} is conflicted: another payment spent one of its coins")]
    Conflicted {
        /// The payment.
        id: TxId,
    },
    /// An option against what the network was made with.
    #[error("this network was made with {option} = {expected}, not {got}")]
    Contradiction {
        /// The setting.
        option: &'static str,
        /// What the network has.
        expected: String,
        /// What was asked for.
        got: String,
    },
    /// An experiment that cannot be run or read.
    #[error("{}: {source}", file.display())]
    Experiment {
        /// Its file or folder.
        file: PathBuf,
        /// Why not.
        source: ExperimentError,
    },
    /// Nobody shares it.
    #[error("no peer that answers shares {hash}")]
    NotShared {
        /// The content's hash.
        hash: String,
    },
    /// More peers are wanted than answer.
    #[error("{wanted} peers are wanted, {running} answer")]
    TooFewPeers {
        /// How many are wanted.
        wanted: usize,
        /// How many answer.
        running: usize,
    },
    /// A directory that is somebody else's.
    #[error("{} holds something, but no network", dir.display())]
    ForeignDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// A fault for nobody, or a partition without sides.
    #[error(transparent)]
    FaultSpec(#[from] FaultSpecError),
    /// Shaping links that cannot be shaped.
    #[error("this network's transport is quic: only links over TCP can be delayed, lossy or narrow")]
    FaultsNeedTcp,
    /// Too few coins.
    #[error("{wallet} can spend {got} coins now, {expected} are needed")]
    Funds {
        /// The wallet.
        wallet: String,
        /// What is needed, the fee included.
        expected: Amount,
        /// What can be spent.
        got: Amount,
    },
    /// Nobody has a stake on this chain.
    #[error("{peer} is on a chain of {engine}: nobody has a stake there")]
    NoStakes {
        /// The peer that was asked.
        peer: String,
        /// What makes its blocks.
        engine: String,
    },
    /// Too little stake.
    #[error("{wallet} has {got} coins locked, {expected} are to be unlocked")]
    Stake {
        /// The wallet.
        wallet: String,
        /// What is to be unlocked.
        expected: Amount,
        /// What can be.
        got: Amount,
    },
    /// The settings make no valid genesis.
    #[error("these settings make no valid genesis: {reason}")]
    Genesis {
        /// Why.
        reason: String,
    },
    /// Stopped by a signal.
    #[error("interrupted")]
    Interrupted,
    /// Stopped by a signal while it waited for a payment that a peer had accepted.
    #[error("interrupted while waiting for payment {id}, which was sent and accepted")]
    InterruptedAfterSend {
        /// The payment.
        id: TxId,
    },
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A wallet's key file cannot be opened.
    #[error("wallet {wallet}: {source}")]
    Key {
        /// The wallet.
        wallet: String,
        /// Why.
        source: KeyFileError,
    },
    /// A key file that is no key file, or a secret that is no secret.
    #[error("{}: {reason}", path.display())]
    KeyFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A network where a new one was to be made.
    #[error("there is a network in {} already", dir.display())]
    NetworkExists {
        /// The directory.
        dir: PathBuf,
    },
    /// No network where one is needed.
    #[error("there is no network in {}", dir.display())]
    NoNetwork {
        /// The directory.
        dir: PathBuf,
    },
    /// None of the peers answers.
    #[error("no peer of this network answers; the last one said: {last}")]
    NoPeerAnswers {
        /// The last error.
        last: String,
    },
    /// No passphrase, and nobody to ask for one.
    #[error("wallet {wallet} needs its passphrase, and there is no terminal to ask on")]
    NoPassphrase {
        /// The wallet.
        wallet: String,
    },
    /// Too few free ports.
    #[error("found {got} free ports, {expected} are needed")]
    NoPorts {
        /// How many are needed.
        expected: usize,
        /// How many were found.
        got: usize,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// A peer that is stopped where it is, and so would never answer.
    #[error("{peer} is paused")]
    Paused {
        /// The peer.
        peer: String,
    },
    /// A coin list or a payment that cannot be made.
    #[error("cannot make the payment: {0}")]
    Payment(#[from] PaymentError),
    /// A peer ended.
    #[error("{peer} stopped{}", tail(log))]
    PeerStopped {
        /// The peer.
        peer: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// An attack leaves this machine under no circumstances.
    #[error("{peer} has the address {address}, which is not of this machine alone: no attack is mounted")]
    NotLoopback {
        /// The peer.
        peer: String,
        /// The address.
        address: String,
    },
    /// A peer that is not running.
    #[error("{peer} is not running")]
    NotRunning {
        /// The peer.
        peer: String,
    },
    /// A peer that is running.
    #[error("{peer} is running already")]
    Running {
        /// The peer.
        peer: String,
    },
    /// A scenario that cannot be run as it is written.
    #[error("{}: {source}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ScenarioError,
    },
    /// A manifest of another version.
    #[error("{} has schema {got}, this program knows {expected}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The known version.
        expected: u32,
        /// The file's.
        got: u32,
    },
    /// A setting no network can have.
    #[error("setting {name}: {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It took too long.
    #[error("{what} took longer than {}{}", show_duration(*limit), tail(log))]
    TimedOut {
        /// What did.
        what: String,
        /// How long was waited.
        limit: Duration,
        /// The last lines of the log of the peer it hung on.
        log: Vec<String>,
    },
    /// A TOML file that is wrong.
    #[error("{}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A payment was sent and not answered, or not confirmed in time.
    #[error("whether payment {id} takes effect is not known: {reason}")]
    UnknownResult {
        /// The payment.
        id: TxId,
        /// Why.
        reason: String,
    },
    /// A peer that does not exist.
    #[error("no peer is called {peer}; there are {known}")]
    UnknownPeer {
        /// The name.
        peer: String,
        /// The peers there are.
        known: String,
    },
    /// A wallet that does not exist.
    #[error("no wallet or address is called {name}")]
    UnknownWallet {
        /// The name.
        name: String,
    },
    /// A scenario that simulated peers can run and real ones cannot.
    #[error("real peers cannot honour this scenario's {field}: they can have {expected}")]
    Unreal {
        /// The field.
        field: String,
        /// What it may be.
        expected: String,
    },
    /// Options that do not go together.
    #[error("{message}")]
    Usage {
        /// What is wrong with them.
        message: String,
    },
    /// A wallet of that name exists.
    #[error("there is a wallet called {name} already")]
    WalletExists {
        /// The name.
        name: String,
    },
    /// A name that cannot be a file's.
    #[error("`{name}` cannot be a wallet's name")]
    WalletName {
        /// The name.
        name: String,
    },
}

impl LabError {
    /// An error of a file.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// An error in a TOML file.
    pub fn toml(path: &Path, error: &toml::de::Error) -> Self {
        Self::Toml { path: path.to_owned(), reason: error.to_string().trim_end().to_owned() }
    }

    /// An error of a peer's API.
    pub fn api(peer: &str, source: ClientError) -> Self {
        Self::Api { peer: peer.to_owned(), source }
    }
}

fn tail(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!("; its log ends with:\n  {}", log.join("\n  ")) }
}
