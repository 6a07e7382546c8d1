//! Every way a command can fail, with its stable code, its exit code and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use synod_ledger::{Amount, KeyFileError, PaymentError, TxId};
use synod_node::StartError;
use synod_node::api::client::ClientError;
use synod_node::config::ConfigError;
use synod_scenario::ScenarioError;

use crate::exit::Exit;
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

    /// Its stable name, in JSON.
    pub fn code(&self) -> &str {
        match self {
            Self::Adversary { .. } => "adversary",
            Self::AlreadyRunning { .. } => "already_running",
            Self::Api { source: ClientError::Api(error), .. } => &error.code,
            Self::Api { source: ClientError::Protocol { .. }, .. } => "peer_protocol",
            Self::Api { source: ClientError::Unanswered { .. }, .. } => "peer_unanswered",
            Self::Api { source: ClientError::Unreachable { .. }, .. } => "peer_unreachable",
            Self::Check { .. } => "check_failed",
            Self::Config(_) | Self::Toml { .. } => "config_invalid",
            Self::Conflicted { .. } => "payment_conflicted",
            Self::Contradiction { .. } => "contradiction",
            Self::FaultSpec(_) => "fault_spec",
            Self::FaultsNeedTcp => "faults_need_tcp",
            Self::ForeignDirectory { .. } => "foreign_directory",
            Self::Funds { .. } => "insufficient_funds",
            Self::Genesis { .. } => "genesis_invalid",
            Self::Interrupted | Self::InterruptedAfterSend { .. } => "interrupted",
            Self::Io { .. } => "io",
            Self::Key { .. } => "key",
            Self::KeyFormat { .. } => "key_format",
            Self::NetworkExists { .. } => "network_exists",
            Self::NoNetwork { .. } => "no_network",
            Self::NoPassphrase { .. } => "no_passphrase",
            Self::NoPeerAnswers { .. } => "no_peer_answers",
            Self::NoPorts { .. } => "no_ports",
            Self::NoRandomness => "no_randomness",
            Self::NoStakes { .. } => "no_stakes",
            Self::NotRunning { .. } => "not_running",
            Self::NotShared { .. } => "not_shared",
            Self::Paused { .. } => "paused",
            Self::Payment(_) => "payment",
            Self::PeerStopped { .. } => "peer_stopped",
            Self::Running { .. } => "running",
            Self::Scenario { .. } => "scenario_invalid",
            Self::Schema { .. } => "schema",
            Self::Setting { .. } => "setting",
            Self::Stake { .. } => "insufficient_stake",
            Self::Start(_) => "start",
            Self::TimedOut { .. } => "timed_out",
            Self::TooFewPeers { .. } => "too_few_peers",
            Self::UnknownPeer { .. } => "unknown_peer",
            Self::UnknownResult { .. } => "unknown_result",
            Self::UnknownWallet { .. } => "unknown_wallet",
            Self::Unreal { .. } => "unreal",
            Self::Usage { .. } => "usage",
            Self::WalletExists { .. } => "wallet_exists",
            Self::WalletName { .. } => "wallet_name",
        }
    }

    /// What the shell is told.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api { source, .. } => api_exit(source),
            Self::Check { .. } => Exit::Check,
            Self::Adversary { .. }
            | Self::Config(_)
            | Self::Contradiction { .. }
            | Self::ForeignDirectory { .. }
            | Self::Genesis { .. }
            | Self::NetworkExists { .. }
            | Self::Scenario { .. }
            | Self::NoStakes { .. }
            | Self::Schema { .. }
            | Self::Setting { .. }
            | Self::Toml { .. }
            | Self::Unreal { .. } => Exit::Config,
            Self::Conflicted { .. } | Self::Io { .. } | Self::NoRandomness | Self::NotShared { .. } => Exit::Generic,
            Self::FaultSpec(_) | Self::UnknownPeer { .. } | Self::Usage { .. } => Exit::Usage,
            Self::Funds { .. }
            | Self::Key { .. }
            | Self::KeyFormat { .. }
            | Self::NoPassphrase { .. }
            | Self::Payment(_)
            | Self::Stake { .. }
            | Self::UnknownWallet { .. }
            | Self::WalletExists { .. }
            | Self::WalletName { .. } => Exit::User,
            Self::Interrupted | Self::InterruptedAfterSend { .. } => Exit::Interrupted,
            Self::AlreadyRunning { .. }
            | Self::FaultsNeedTcp
            | Self::NoNetwork { .. }
            | Self::NoPorts { .. }
            | Self::NotRunning { .. }
            | Self::Paused { .. }
            | Self::PeerStopped { .. }
            | Self::Running { .. }
            | Self::TimedOut { .. }
            | Self::TooFewPeers { .. } => Exit::Setup,
            Self::NoPeerAnswers { .. } => Exit::Network,
            Self::Start(error) => start_exit(error),
            Self::UnknownResult { .. } => Exit::Unknown,
        }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::AlreadyRunning { .. } => "`synod status` shows it, `synod fault restart PEER` starts a single peer",
            Self::Api { source: ClientError::Api(error), .. } => return error.hint.clone(),
            Self::Api { source: ClientError::Unreachable { .. }, .. } => "`synod status` shows which peers run",
            Self::Config(ConfigError::Read { .. }) => "name a file that can be read, or put it back",
            Self::Config(_) => "correct the file; `synod node --help` says what a node's configuration may hold",
            Self::Conflicted { .. } => "`synod mempool` shows the conflicts that were seen",
            Self::Contradiction { .. } => "take another --dir for another network",
            Self::ForeignDirectory { .. } | Self::NetworkExists { .. } => "name an empty or new directory with --dir",
            Self::FaultsNeedTcp => "make the network with --transport tcp or both",
            Self::Funds { .. } => "`synod wallet balance` shows what waits for a block",
            Self::NoStakes { .. } => "`synod up --consensus pos` makes a network of stakes",
            Self::Stake { .. } => "`synod stake show` shows what is locked; what is not confirmed yet is not counted",
            Self::KeyFormat { .. } => {
                "a wallet's key file is what `synod wallet export` prints, a secret file holds 64 hexadecimal digits"
            }
            Self::NoNetwork { .. } => "`synod up` makes one; --dir or SYNOD_DIR names its directory",
            Self::NoPassphrase { .. } => "set SYNOD_PASSPHRASE or --passphrase-file",
            Self::NoPeerAnswers { .. } | Self::NotRunning { .. } => "`synod up` or `synod fault restart` starts peers",
            Self::NotShared { .. } => "`synod find HASH` shows who shares it",
            Self::TooFewPeers { .. } => "`synod fault restart PEER` starts a peer again",
            Self::Paused { peer } => return Some(format!("`synod fault resume {peer}` lets it go on")),
            Self::PeerStopped { .. } | Self::TimedOut { .. } => "`synod logs PEER` shows the whole log",
            Self::Scenario { .. } => "`synod sim schema` shows what a scenario may hold",
            Self::Schema { .. } => "use the version of synod that wrote it, or another --dir",
            Self::Start(error) => return Some(error.hint().to_string()).filter(|hint| !hint.is_empty()),
            Self::InterruptedAfterSend { id } | Self::UnknownResult { id, .. } => {
                return Some(format!(
                    "`synod tx show {id}` tells; sending the same payment again would be a second one"
                ));
            }
            Self::UnknownWallet { .. } => "`synod wallet list` shows the wallets",
            Self::Unreal { .. } => "run it without --real, or write a scenario without it",
            Self::WalletName { .. } => "letters, digits, - and _, at most 32 of them, not an address",
            Self::Adversary { .. }
            | Self::Check { .. }
            | Self::FaultSpec(_)
            | Self::Genesis { .. }
            | Self::Interrupted
            | Self::Io { .. }
            | Self::Key { .. }
            | Self::NoPorts { .. }
            | Self::NoRandomness
            | Self::Payment(_)
            | Self::Api { .. }
            | Self::Running { .. }
            | Self::Setting { .. }
            | Self::Toml { .. }
            | Self::UnknownPeer { .. }
            | Self::Usage { .. }
            | Self::WalletExists { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

fn api_exit(error: &ClientError) -> Exit {
    if matches!(error, ClientError::Api(_)) && !error.leaves_result_unknown() {
        return Exit::Generic;
    }
    Exit::Network
}

/// A node's own exit codes are a part of ours.
fn start_exit(error: &StartError) -> Exit {
    match error.exit_code() {
        3 => Exit::Config,
        4 => Exit::Setup,
        6 => Exit::Network,
        _ => Exit::Generic,
    }
}

fn tail(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!("; its log ends with:\n  {}", log.join("\n  ")) }
}
