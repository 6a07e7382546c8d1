//! What `/metrics` says besides libp2p's own figures: the chain, the mempool, the host's counters, the store, submits.
//!
//! Most figures are kept elsewhere already and are only read at scrape time: a question to the engine gives a
//! [`Snapshot`], which is written out in the same text form as the registry that libp2p and the network fill.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use synod_ledger::SignatureCount;
use synod_machine::{Count, Counters, Traffic};

use crate::handle::{Full, Kept, View};
use crate::store::StoreSizes;

/// The content type of the text that [`encode`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Submits by what became of them: `accepted`, or the code of the refusal.
pub type Submits = Family<[(&'static str, String); 1], Counter>;

/// The engine's figures at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    counters: Counters,
    hash_rate: f64,
    hashes_total: u64,
    header_height: u64,
    height: u64,
    ledger: Option<Ledger>,
    peers: u64,
    settled: bool,
    uptime_seconds: f64,
}

/// What a peer that keeps headers alone does not know.
#[derive(Clone, Debug)]
struct Ledger {
    mempool_bytes: u64,
    mempool_conflicts: u64,
    mempool_payments: u64,
    supply: u64,
}

impl Snapshot {
    /// Reads them.
    pub fn take(view: &View<'_>) -> Self {
        let ledger = match &view.kept {
            Kept::Full(Full { mempool, state, .. }) => Some(Ledger {
                mempool_bytes: mempool.bytes() as u64,
                mempool_conflicts: mempool.conflicts().count() as u64,
                mempool_payments: mempool.len() as u64,
                supply: state.supply().0,
            }),
            Kept::Light(_) => None,
        };
        Self {
            counters: view.counters.clone(),
            hash_rate: view.node.hash_rate,
            hashes_total: view.node.hashes_total,
            header_height: view.best_header_height().0,
            height: view.height().0,
            ledger,
            peers: view.node.peers.len() as u64,
            settled: view.settled,
            uptime_seconds: view.node.started.elapsed().as_secs_f64(),
        }
    }
}

/// The whole text: what `registry` holds (libp2p's and the network's), `submits`, and the figures read now.
pub fn encode(
    registry: &Registry,
    submits: &Submits,
    snapshot: Snapshot,
    sizes: StoreSizes,
) -> Result<String, fmt::Error> {
    let mut ours = Registry::default();
    ours.register("synod_submits", "Payments handed to the API, by what became of them", submits.clone());
    ours.register_collector(Box::new(Figures { snapshot, sizes }));
    let mut page = String::new();
    text::encode_registry(&mut page, registry)?;
    text::encode_registry(&mut page, &ours)?;
    page.write_str("# EOF\n")?;
    Ok(page)
}

#[derive(Debug)]
struct Figures {
    snapshot: Snapshot,
    sizes: StoreSizes,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.encode_chain(&mut sheet)?;
        self.encode_host(&mut sheet)?;
        self.encode_process(&mut sheet)
    }
}

impl Figures {
    fn encode_chain(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let now = &self.snapshot;
        sheet.gauge("synod_chain_height", "Height of the active chain's last block", None, now.height)?;
        sheet.gauge("synod_chain_header_height", "Height of the best known header", None, now.header_height)?;
        let help = "1 where the ledger's state is that of the best known block";
        sheet.gauge("synod_chain_settled", help, None, u64::from(now.settled))?;
        let Some(ledger) = &now.ledger else { return Ok(()) };
        sheet.gauge("synod_chain_supply_units", "The sum of all coins, in units", None, ledger.supply)?;
        sheet.gauge("synod_mempool_payments", "Unconfirmed payments", None, ledger.mempool_payments)?;
        let help = "Encoded size of the unconfirmed payments";
        sheet.gauge("synod_mempool", help, Some(&Unit::Bytes), ledger.mempool_bytes)?;
        sheet.gauge("synod_mempool_conflicts", "Double spends kept as evidence", None, ledger.mempool_conflicts)
    }

    fn encode_host(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let counters = &self.snapshot.counters;
        sheet.counter("synod_steps", "Steps the peer's machine took", counters.steps)?;
        let rejects: BTreeMap<_, _> = counters.rejects.iter().map(|(reason, &count)| (reason.name(), count)).collect();
        sheet.counters("synod_rejects", "Mistakes of other peers, by reason", "reason", &rejects)?;
        let traffic = counters.traffic.by_kind();
        let directions: [(&str, Direction); 2] =
            [("sent", |traffic| traffic.sent), ("received", |traffic| traffic.received)];
        for (direction, count) in directions {
            let passed = || traffic.iter().map(|of| (of.kind, count(of))).filter(|(_, count)| count.messages > 0);
            let messages = passed().map(|(kind, count)| (kind, count.messages)).collect();
            let bytes = passed().map(|(kind, count)| (kind, count.bytes)).collect();
            let help = format!("Messages {direction}, by kind");
            sheet.counters(&format!("synod_messages_{direction}"), &help, "kind", &messages)?;
            let help = format!("Bytes of messages {direction}, by kind");
            sheet.counters(&format!("synod_messages_{direction}_bytes"), &help, "kind", &bytes)?;
        }
        Ok(())
    }

    fn encode_process(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let now = &self.snapshot;
        sheet.gauge("synod_peers", "Connected peers", None, now.peers)?;
        let signatures = SignatureCount::of_process();
        sheet.counter("synod_signatures_made", "Signatures made since the start", signatures.made)?;
        let help = "Signatures checked since the start, alone or in batches";
        sheet.counter("synod_signatures_checked", help, signatures.checked)?;
        sheet.counter("synod_hashes", "Hashes tried since the start", now.hashes_total)?;
        sheet.gauge("synod_hash_rate", "Hashes per second over the last seconds", None, now.hash_rate)?;
        let help = "Time since the start";
        sheet.gauge("synod_uptime", help, Some(&Unit::Seconds), now.uptime_seconds)?;
        sheet.gauge("synod_store_file", "Size of the store's file", Some(&Unit::Bytes), self.sizes.file_bytes)?;
        sheet.gauge("synod_store_records", "Records in the store", None, self.sizes.records)?;
        let help = "Entries in the store's index of transactions";
        sheet.gauge("synod_store_index_entries", help, None, self.sizes.index_entries)
    }
}

/// One of the two counts of a kind of message.
type Direction = fn(&Traffic) -> Count;

struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = ConstCounter::new(value);
        metric.encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &BTreeMap<&'static str, u64>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (&value, &count) in values {
            ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }

    fn gauge<N>(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric + TypedMetric,
    {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?)
    }
}
