//! What an error tells programs and people beside its message: a code, an exit code, and what to do.

use synod_experiment::ExperimentError;
use synod_node::StartError;
use synod_node::api::client::ClientError;
use synod_node::config::ConfigError;

use super::LabError;
use crate::exit::Exit;

impl LabError {
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
            Self::NotLoopback { .. } => "not_loopback",
            Self::NotRunning { .. } => "not_running",
            Self::NotShared { .. } => "not_shared",
            Self::Paused { .. } => "paused",
            Self::Payment(_) => "payment",
            Self::PeerStopped { .. } => "peer_stopped",
            Self::Running { .. } => "running",
            Self::Experiment { source: ExperimentError::Slurm(_), .. } => "cluster_failed",
            Self::Experiment { .. } => "experiment_invalid",
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
            Self::Experiment { source: ExperimentError::Slurm(_), .. } => Exit::Setup,
            Self::Check { .. } => Exit::Check,
            Self::Adversary { .. }
            | Self::Config(_)
            | Self::Contradiction { .. }
            | Self::ForeignDirectory { .. }
            | Self::Genesis { .. }
            | Self::NetworkExists { .. }
            | Self::Experiment { .. }
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
            | Self::NotLoopback { .. }
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
            Self::NotLoopback { .. } => "attacks are for networks that `synod up` made and that listen on 127.0.0.1",
            Self::NoPeerAnswers { .. } | Self::NotRunning { .. } => "`synod up` or `synod fault restart` starts peers",
            Self::NotShared { .. } => "`synod find HASH` shows who shares it",
            Self::TooFewPeers { .. } => "`synod fault restart PEER` starts a peer again",
            Self::Paused { peer } => return Some(format!("`synod fault resume {peer}` lets it go on")),
            Self::PeerStopped { .. } | Self::TimedOut { .. } => "`synod logs PEER` shows the whole log",
            Self::Experiment { source: ExperimentError::Slurm(_), .. } => {
                "`sinfo` shows whether the cluster answers; nothing that was kept is lost: synod run --resume DIR --on slurm goes on"
            }
            Self::Experiment { .. } => {
                "`synod compare consensus --print` shows an experiment that can be run; docs/experiments.md says what each field is"
            }
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
