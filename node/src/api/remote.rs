//! What a light peer reads of others: blocks and payments, found by their ids in the tables, and believed because of its headers
//! alone (Nakamoto 2008, section 8). Whoever gives something else is passed over.

use std::time::Duration;

use axum::http::StatusCode;
use synod_consensus::Light;
use synod_consensus::light::Proven;
use synod_dht::discovery::{self, Mode, Table};
use synod_dht::overlay::Quorum;
use synod_dht::search::{Item, Name, Question};
use synod_ledger::{Block, BlockId, Seal, TxId, merkle};
use synod_machine::{Bytes, Wire, wire};
use tokio::time::timeout;

use super::error::Failure;
use super::types::{ProofInfo, TransactionInfo, TransactionStatus};
use super::{Api, lookup};
use crate::discovery::{By, FoundHit, Request};
use crate::handle::{Kept, View};
use crate::ledger_items::SharedPayment;
use crate::net::PeerId;

/// Shorter than a client waits for an answer, so that it hears why there is none.
const READ_MAX: Duration = Duration::from_secs(20);
/// Anybody can tell the tables of another thing under the same name; so many are looked at.
const ITEMS_MAX: usize = 8;
/// With so many different answers a search may end: one may be a lie.
const WANTED: u16 = 4;

/// A block of the best chain, from whoever has it.
pub(super) async fn block(api: &Api, id: BlockId) -> Result<(Block, Proven), Failure> {
    let check = move |light: &Light, block: &Block| match block.id() == id {
        true => light.check_block(block).map_err(|error| error.to_string()),
        false => Err(format!("block {} was given for it", block.id())),
    };
    read(api, &format!("block {id}"), &id.0, check).await
}

/// A payment in a block of the best chain, from whoever has it.
pub(super) async fn transaction(api: &Api, id: TxId) -> Result<TransactionInfo, Failure> {
    let check = move |light: &Light, shared: &SharedPayment| match shared.tx.id() == id {
        true => {
            let proven = light.check_payment(&shared.block, &shared.tx, &shared.proof);
            proven.map_err(|error| error.to_string())
        }
        false => Err(format!("payment {} was given for it", shared.tx.id())),
    };
    let (shared, proven) = read(api, &format!("transaction {id}"), &id.0, check).await?;
    let block = shared.block;
    let is_final = api.handle.query(move |view| {
        let header = view.tree.get(&block).map(|node| node.header());
        header.is_some_and(|header| matches!(header.seal, Seal::Agreed { .. }))
    });
    Ok(info(shared, proven, is_final.await?))
}

fn info(shared: SharedPayment, proven: Proven, is_final: bool) -> TransactionInfo {
    let SharedPayment { block, proof, tx } = shared;
    let leaf = tx.leaf();
    let merkle::Proof { index, leaves, siblings } = proof;
    TransactionInfo {
        status: TransactionStatus::Confirmed,
        confirmations: proven.confirmations,
        is_final,
        block: Some(block),
        height: Some(proven.height),
        index: u32::try_from(index).ok(),
        proof: Some(ProofInfo { index, leaves, siblings, leaf }),
        ..lookup::conflicted(&tx)
    }
}

/// Reads the thing of that name from others, by one table after the other, until one is given that `check` lets pass.
async fn read<T: Wire + Send + 'static>(
    api: &Api,
    what: &str,
    name: &Bytes<32>,
    check: impl Fn(&Light, &T) -> Result<Proven, String> + Clone + Send + 'static,
) -> Result<(T, Proven), Failure> {
    let mut reasons = Vec::new();
    match timeout(READ_MAX, search(api, what, name, check, &mut reasons)).await {
        Ok(Ok(Some(read))) => return Ok(read),
        Ok(Ok(None)) => {}
        Ok(Err(failure)) => return Err(failure),
        Err(_) => reasons.push("others did not answer in time".to_owned()),
    }
    let message = format!("nobody gave {what}: {}", reasons.join("; "));
    let failure = Failure::new(StatusCode::NOT_FOUND, "unread", message);
    Err(failure.hint("it may be too new to be found, or of no block at all; ask again in a moment, or a full peer"))
}

async fn search<T: Wire + Send + 'static>(
    api: &Api,
    what: &str,
    name: &Bytes<32>,
    check: impl Fn(&Light, &T) -> Result<Proven, String> + Clone + Send + 'static,
    reasons: &mut Vec<String>,
) -> Result<Option<(T, Proven)>, Failure> {
    let tables = api.handle.query(tables).await?;
    if tables.is_empty() {
        let message = format!("this peer keeps headers alone, and takes part in no table by which to find {what}");
        let failure = Failure::new(StatusCode::CONFLICT, "no_overlay", message);
        return Err(failure.hint("start the network with `synod up --dht kademlia`, or ask a full peer"));
    }
    let question = Question::Name(Name::new(&name.to_string())?);
    for (table, by) in tables {
        let question = question.clone();
        let found = api.handle.discover(|reply| Request::Find { by, question, wanted: WANTED, reply });
        let hits = match found.await?.result {
            Ok(hits) => hits,
            Err(reason) => {
                reasons.push(format!("{table}: {reason}"));
                continue;
            }
        };
        for (item, holders) in by_item(hits) {
            match fetch(api, item, holders, check.clone()).await? {
                Ok(read) => return Ok(Some(read)),
                Err(reason) => reasons.push(format!("{table}: {reason}")),
            }
        }
    }
    Ok(None)
}

/// The tables that it can find things by, and how each is called.
fn tables(view: &View<'_>) -> Vec<(&'static str, By)> {
    let Some(overlays) = &view.overlays else { return Vec::new() };
    let one = Quorum::new(1, discovery::QUORUM.replicas()).unwrap_or(discovery::QUORUM);
    let chord = By::Ours(Mode::Table(Table::Chord, discovery::QUORUM));
    let kademlia = By::Ours(Mode::Table(Table::Kademlia, one));
    let all = [
        ("chord", chord, overlays.machine.chord().is_some()),
        ("kademlia", By::Libp2p, overlays.libp2p),
        ("kademlia-lab", kademlia, overlays.machine.kademlia().is_some()),
    ];
    all.into_iter().filter(|(_, _, is_there)| *is_there).map(|(name, by, _)| (name, by)).collect()
}

/// The different things that were found, each with those who have it.
fn by_item(hits: Vec<FoundHit>) -> Vec<(Item, Vec<PeerId>)> {
    let mut items: Vec<(Item, Vec<PeerId>)> = Vec::new();
    for hit in hits {
        match items.iter().position(|(item, _)| item.hash == hit.item.hash) {
            Some(place) => items[place].1.push(hit.peer),
            None if items.len() < ITEMS_MAX => items.push((hit.item, vec![hit.peer])),
            None => {}
        }
    }
    items
}

/// Brings a thing here and checks it by the headers.
async fn fetch<T: Wire + Send + 'static>(
    api: &Api,
    item: Item,
    holders: Vec<PeerId>,
    check: impl Fn(&Light, &T) -> Result<Proven, String> + Send + 'static,
) -> Result<Result<(T, Proven), String>, Failure> {
    if item.bytes > T::BYTES_MAX as u64 {
        return Ok(Err(format!("{} bytes are said to be it, {} at most are", item.bytes, T::BYTES_MAX)));
    }
    let fetched = api.handle.discover(|reply| Request::Fetch { item, holders, reply }).await?;
    let content = match fetched.result {
        Ok((content, _)) => content,
        Err(failure) => return Ok(Err(failure.to_string())),
    };
    let thing: T = match wire::decode(&content) {
        Ok(thing) => thing,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let checked = api.handle.query(move |view| match &view.kept {
        Kept::Light(light) => check(light, &thing).map(|proven| (thing, proven)),
        Kept::Full(_) => Err("this peer keeps its own blocks".to_owned()),
    });
    Ok(checked.await?)
}
