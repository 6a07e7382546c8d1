//! A network in a folder that goes away, and waiting for its states.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use synod_lab::network::Network;
use synod_lab::settings::Settings;
use synod_ledger::TxId;
use synod_node::api::client::Client;
use synod_node::api::types::{Status, TransactionStatus};
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(50);

/// The `synod` under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_synod"))
}

/// A running network; its processes end with it.
pub(crate) struct Net {
    pub(crate) network: Network,
    pub(crate) folder: TempDir,
}

impl Net {
    /// Makes a network of `nodes` peers without starting any.
    pub(crate) fn create(nodes: usize, tune: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut settings = Settings { nodes, block_time: Duration::from_secs(1), ..Settings::default() };
        tune(&mut settings);
        let dir = folder.path().join("net");
        let network = Network::create(&dir, &settings, program()).expect("a new network");
        Self { network, folder }
    }

    /// Makes a network and waits until its peers know each other.
    pub(crate) async fn up(nodes: usize, tune: impl FnOnce(&mut Settings)) -> Self {
        let mut net = Self::create(nodes, tune);
        let places: Vec<usize> = (0..nodes).collect();
        net.start(&places).await;
        let wanted = (nodes as u64 - 1).min(3);
        wait("peers to find each other", async || {
            let statuses = net.statuses().await;
            statuses.iter().all(|status| status.as_ref().is_some_and(|status| status.peers >= wanted))
        })
        .await;
        net
    }

    pub(crate) async fn start(&mut self, places: &[usize]) {
        for &place in places {
            self.network.start(place, true).expect("a peer starts");
        }
        self.network.wait_ready(places, PATIENCE, |_| {}).await.expect("the peers become ready");
    }

    pub(crate) fn client(&self, place: usize) -> Client {
        self.network.client(place)
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        (0..self.network.peers().len()).map(|place| self.client(place)).collect()
    }

    /// Each peer's status; nothing of one that does not answer.
    pub(crate) async fn statuses(&self) -> Vec<Option<Status>> {
        let mut statuses = Vec::new();
        for client in self.clients() {
            statuses.push(client.status().await.ok());
        }
        statuses
    }

    pub(crate) async fn status(&self, place: usize) -> Status {
        self.client(place).status().await.expect("the peer answers")
    }

    /// Waits until all peers have one tip at `height` or above, and gives it.
    pub(crate) async fn wait_one_tip(&self, height: u64) -> Status {
        let mut common = None;
        wait("all peers to have one tip", async || {
            let statuses = self.statuses().await;
            let Some(Some(first)) = statuses.first() else { return false };
            let same = statuses.iter().all(|status| status.as_ref().is_some_and(|status| status.tip == first.tip));
            common = Some(first.clone());
            same && first.height.0 >= height
        })
        .await;
        common.expect("just seen")
    }

    /// Waits until every peer has the payment confirmed, or at least pending where that is enough.
    pub(crate) async fn wait_known(&self, id: TxId, confirmations: u64) {
        for client in self.clients() {
            wait(&format!("payment {id} to have {confirmations} confirmations"), async || {
                let Ok(info) = client.transaction(id).await else { return false };
                info.confirmations >= confirmations && info.status != TransactionStatus::Conflicted
            })
            .await;
        }
    }

    /// Runs `synod --dir …` with these words.
    pub(crate) fn synod(&self, words: &[&str]) -> Output {
        synod_in(self.network.dir(), words)
    }

    /// The same, with `--json`; it must succeed and print one JSON value.
    pub(crate) fn synod_json(&self, words: &[&str]) -> Value {
        let output = self.synod(&[words, &["--json"]].concat());
        json(words, &output)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in 0..self.network.peers().len() {
            // Those that were killed already are no error.
            let _ = self.network.signal(place, nix::sys::signal::Signal::SIGKILL);
        }
        if std::thread::panicking() {
            for place in 0..self.network.peers().len() {
                let log = self.network.log_tail(place).join("\n  ");
                eprintln!("{}:\n  {log}", self.network.peers()[place].name);
            }
        }
    }
}

/// Runs `synod` on the network in `dir`.
pub(crate) fn synod_in(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(words).env("SYNOD_DIR", dir).env("NO_COLOR", "1");
    command.output().expect("the program runs")
}

/// What a successful command printed.
pub(crate) fn json(words: &[&str], output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?} failed: {text}\n{errors}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?} printed no JSON ({error}): {text}"))
}

/// Polls until `holds`.
pub(crate) async fn wait(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// The sum of one kind of counter on a peer's metrics page, whose lines hold `label` too.
pub(crate) async fn metric(client_url: &str, name: &str, label: &str) -> f64 {
    let page = reqwest::get(format!("{client_url}/metrics")).await.expect("the peer answers");
    let page = page.text().await.expect("a text");
    let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

impl Net {
    /// Where a peer's API listens.
    pub(crate) fn client_address(&self, place: usize) -> String {
        format!("127.0.0.1:{}", self.network.peers()[place].api_port)
    }
}
