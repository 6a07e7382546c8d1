//! What the API shows of ledger and node: functions from their values to JSON types, without I/O.

mod overlays;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use synod_consensus::{Answer, Chain, Violation};
use synod_ledger::{
    Address, Amount, Block, BlockId, Coin, Coinbase, Conflict, Evidence, Genesis, Header, Height, Mempool, Node,
    OutPoint, Output, OutputKind, Rules, Seal, SharedHeader, Signature, State, Tx, Undo, merkle,
};

pub(super) use self::overlays::{item, overlays};
use super::types::{
    AddressInfo, BlockInfo, BlockSummary, BlockTransaction, CertifiedBlock, ChainInfo, CoinInfo, CoinRef, CoinbaseInfo,
    ConflictInfo, ConnectedPeer, Direction, EvidenceInfo, InputInfo, MempoolEntry, MempoolInfo, MempoolSize,
    NodeStatus, OutputInfo, PaymentInfo, ProofInfo, RepliesInfo, SealInfo, SealKind, StakeHeader, StakeInfo, Status,
    TreeNode, ViolationInfo, VoteInfo,
};
use crate::handle::{Kept, PeerInfo, View};

pub(super) fn status(view: &View<'_>) -> Status {
    let node = view.node;
    let (tip, height) = (view.tip(), view.height());
    let (mempool, supply) = match &view.kept {
        Kept::Full(full) => (mempool_size(full.mempool), Some(full.state.supply())),
        Kept::Light(_) => (MempoolSize { payments: 0, bytes: 0, conflicts: 0 }, None),
    };
    let issued = view.chain.rules().issued(height);
    let scheduled = view.chain.state().supply().checked_add(issued).expect("a checked genesis bounds the issue");
    Status {
        name: node.name.clone(),
        peer_id: node.peer_id.clone(),
        listen: node.listen.clone(),
        chain: chain_info(view.chain),
        height,
        tip,
        work: view.tree.get(&tip).map_or_else(String::new, |node| format!("{:x}", node.weight())),
        settled: view.settled,
        syncing: view.best_header_height(),
        peers: node.peers.len() as u64,
        mempool,
        supply,
        supply_scheduled: scheduled,
        hash_rate: node.hash_rate,
        hashes_total: node.hashes_total,
        block_time_ms: view.chain.genesis().engine.block_time_ms().unwrap_or_default(),
        time_unix_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
        uptime_ms: millis(node.started.elapsed()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        refused: node.refused.clone(),
        adversary: node.adversary.clone(),
        light: matches!(view.kept, Kept::Light(_)),
        violation: view.violation.map(|found| violation(view.chain, found)),
    }
}

fn mempool_size(mempool: &Mempool) -> MempoolSize {
    MempoolSize {
        payments: mempool.len() as u64,
        bytes: mempool.bytes() as u64,
        conflicts: mempool.conflicts().count() as u64,
    }
}

fn chain_info(chain: &Chain) -> ChainInfo {
    let genesis = chain.genesis();
    let rules = chain.rules();
    ChainInfo {
        name: genesis.name.clone(),
        id: rules.chain,
        genesis: genesis.digest(),
        genesis_block: chain.id(),
        engine: genesis.engine.name().to_owned(),
        fee_min: rules.params.fee_min,
        maturity: rules.params.maturity,
    }
}

pub(super) fn peers(view: &View<'_>) -> Vec<ConnectedPeer> {
    let peer = |peer: &PeerInfo| ConnectedPeer {
        peer_id: peer.peer_id.clone(),
        address: peer.address.clone(),
        direction: if peer.outbound { Direction::Outbound } else { Direction::Inbound },
        height: peer.height,
        connected_ms: millis(peer.connected.elapsed()),
        agent: peer.agent.clone(),
        rtt_ms: peer.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        sent_bytes: peer.sent_bytes,
        received_bytes: peer.received_bytes,
        dropped_frames: peer.dropped_frames,
    };
    view.node.peers.iter().map(peer).collect()
}

/// All branches of the last `depth` heights up to the best header's, highest first.
pub(super) fn tree(view: &View<'_>, depth: u64) -> Vec<TreeNode> {
    let lowest = Height((view.best_header_height().0 + 1).saturating_sub(depth));
    let height_of = |id: &BlockId| view.tree.get(id).map(Node::height);
    let active = active_from(view, view.tip()).take_while(|id| height_of(id) >= Some(lowest));
    let active: BTreeSet<BlockId> = active.collect();
    let shown = view.tree.iter().filter(|node| node.height() >= lowest).map(|node| TreeNode {
        id: node.id(),
        parent: node.header().parent,
        height: node.height(),
        status: match node.status() {
            synod_ledger::Status::Body => NodeStatus::Body,
            synod_ledger::Status::Header => NodeStatus::Header,
            synod_ledger::Status::Invalid => NodeStatus::Invalid,
            synod_ledger::Status::Valid => NodeStatus::Valid,
        },
        active: active.contains(&node.id()),
        weight: format!("{:x}", node.weight()),
    });
    let mut nodes: Vec<TreeNode> = shown.collect();
    nodes.sort_by_key(|node| (Reverse(node.height), Reverse(node.active), node.id));
    nodes
}

/// The active chain's blocks from `first` down to genesis.
pub(super) fn active_from<'a>(view: &'a View<'_>, first: BlockId) -> impl Iterator<Item = BlockId> + 'a {
    std::iter::successors(Some(first), |id| {
        let header = view.tree.get(id)?.header();
        (header.height > Height::GENESIS).then_some(header.parent)
    })
}

pub(super) fn block_summary(genesis: &Genesis, block: &Block) -> BlockSummary {
    let header = block.header();
    BlockSummary {
        id: block.id(),
        height: header.height,
        parent: header.parent,
        time_unix_ms: genesis.time_unix_ms.saturating_add(header.time.as_millis()),
        payments: block.payments().len() as u64,
        bytes: block.len() as u64,
        // The genesis pays its balances, not a miner.
        miner: block.coinbase().outputs.first().filter(|_| header.height > Height::GENESIS).map(|output| output.to),
        seal: seal(header),
    }
}

fn seal(header: &Header) -> SealInfo {
    let (kind, nonce) = match &header.seal {
        Seal::Agreed { .. } => (SealKind::Agreed, None),
        Seal::Declared { draw, .. } => (SealKind::Declared, Some(*draw)),
        Seal::Genesis => (SealKind::Genesis, None),
        Seal::Stake { .. } => (SealKind::Stake, None),
        Seal::Work { nonce, .. } => (SealKind::Work, Some(*nonce)),
    };
    let target = header.seal.target().and_then(|target| target.to_target());
    SealInfo { kind, target: target.map(|target| format!("{target:064x}")), nonce }
}

/// `confirmations` is zero where the block is not on the active chain.
pub(super) fn block_info(genesis: &Genesis, block: &Block, confirmations: u64) -> BlockInfo {
    let transactions = (1..).zip(block.payments()).map(|(index, tx)| BlockTransaction {
        id: tx.id(),
        index,
        bytes: tx.len() as u64,
        payment: payment(tx),
    });
    BlockInfo {
        summary: block_summary(genesis, block),
        root: block.header().root,
        confirmations,
        active: confirmations > 0,
        coinbase: coinbase(block.coinbase()),
        transactions: transactions.collect(),
        evidence: block.evidence().iter().filter_map(|evidence| evidence_info(genesis, evidence)).collect(),
    }
}

fn evidence_info(genesis: &Genesis, evidence: &Evidence) -> Option<EvidenceInfo> {
    let [first, second] = [&evidence.first, &evidence.second].map(|header| match header.seal {
        Seal::Stake { signature, .. } => Some(StakeHeader {
            id: header.id(),
            height: header.height,
            parent: header.parent,
            time_unix_ms: genesis.time_unix_ms.saturating_add(header.time.as_millis()),
            root: header.root,
            signature,
        }),
        Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => None,
    });
    Some(EvidenceInfo { owner: evidence.key()?.address(), headers: vec![first?, second?] })
}

pub(super) fn coinbase(coinbase: &Coinbase) -> CoinbaseInfo {
    CoinbaseInfo {
        id: coinbase.id(),
        height: coinbase.height,
        extra: coinbase.extra,
        outputs: coinbase.outputs.iter().map(output).collect(),
    }
}

pub(super) fn payment(tx: &Tx) -> PaymentInfo {
    let inputs = tx.inputs.iter().map(|input| InputInfo {
        coin: coin_ref(&input.coin),
        key: input.key,
        signature: input.signature,
    });
    PaymentInfo { inputs: inputs.collect(), outputs: tx.outputs.iter().map(output).collect() }
}

fn output(output: &Output) -> OutputInfo {
    OutputInfo { amount: output.amount, to: output.to, kind: output.kind }
}

const fn coin_ref(coin: &OutPoint) -> CoinRef {
    CoinRef { tx: coin.tx, index: coin.index }
}

/// The proof for the leaf at `index`.
pub(super) fn proof(block: &Block, index: u32) -> Option<ProofInfo> {
    let leaves = block.leaves();
    let leaf = *leaves.get(index as usize)?;
    let merkle::Proof { index, leaves, siblings } = merkle::Proof::new(&leaves, index as usize);
    Some(ProofInfo { index, leaves, siblings, leaf })
}

/// The fee of the payment at leaf `index`, from what connecting the block destroyed: the coins of all inputs, in order.
pub(super) fn fee(block: &Block, undo: &Undo, index: u32) -> Option<Amount> {
    let place = (index as usize).checked_sub(1)?;
    let tx = block.payments().get(place)?;
    let before: usize = block.payments()[..place].iter().map(|tx| tx.inputs.len()).sum();
    let spent = undo.spent.get(before..before + tx.inputs.len())?;
    let put_in = Amount::checked_sum(spent.iter().map(|(_, coin)| coin.output.amount))?;
    let paid = Amount::checked_sum(tx.outputs.iter().map(|output| output.amount))?;
    put_in.checked_sub(paid)
}

/// What `address` owns: in `state`, and by the unconfirmed payments `pending`.
pub(super) fn address(state: &State, rules: &Rules, pending: &[Tx], address: Address, coins_max: usize) -> AddressInfo {
    let spent: BTreeSet<OutPoint> = pending.iter().flat_map(|tx| tx.inputs.iter().map(|input| input.coin)).collect();
    let next = state.height().next();
    let info = |name: &OutPoint, output: &Output, coin: Option<&Coin>| CoinInfo {
        tx: name.tx,
        index: name.index,
        amount: output.amount,
        height: coin.map(|coin| coin.height),
        coinbase: coin.is_some_and(|coin| coin.coinbase),
        // What a payment makes can be spent at once, unless it locks it.
        mature: match (output.kind, coin) {
            (OutputKind::Plain, None) => true,
            (OutputKind::Plain | OutputKind::Unbonding, Some(coin)) => coin.spendable_from(rules) <= next,
            (OutputKind::Stake, _) | (OutputKind::Unbonding, None) => false,
        },
        kind: output.kind,
        pending: coin.is_none(),
        spent_by_pending: spent.contains(name),
    };
    let confirmed = state.coins_of(&address);
    let confirmed = confirmed.iter().map(|(name, coin)| info(name, &coin.output, Some(coin)));
    let made = pending.iter().flat_map(Tx::made).filter(|(_, output)| output.to == address);
    let mut coins: Vec<CoinInfo> = confirmed.chain(made.map(|(name, output)| info(&name, &output, None))).collect();
    let sum = |keep: &dyn Fn(&CoinInfo) -> bool| {
        let amounts = coins.iter().filter(|coin| keep(coin)).map(|coin| coin.amount);
        Amount::checked_sum(amounts).expect("a chain issues no more than there can be")
    };
    let (balance, spendable, immature, pending_in, pending_out) = (
        sum(&|coin| !coin.pending),
        sum(&|coin| !coin.pending && coin.mature && !coin.spent_by_pending),
        sum(&|coin| !coin.pending && !coin.mature),
        sum(&|coin| coin.pending && !coin.spent_by_pending),
        sum(&|coin| !coin.pending && coin.spent_by_pending),
    );
    let stake = rules.stake.map(|_| StakeInfo {
        locked: state.stake_of(&address),
        counting: state.recorded_stake(&address),
        unlocking: sum(&|coin| coin.kind == OutputKind::Unbonding && !coin.pending && !coin.mature),
        total: state.stake_total(),
        lost_at: state.loss_of(&address),
    });
    coins.sort_unstable_by_key(|coin| (Reverse(coin.amount), coin.tx, coin.index));
    let coins_total = coins.len() as u64;
    coins.truncate(coins_max);
    AddressInfo { address, balance, spendable, immature, pending_in, pending_out, coins, coins_total, stake }
}

pub(super) fn mempool(mempool: &Mempool, chain: &Chain, limit: usize) -> MempoolInfo {
    let entry = |tx: &Tx| MempoolEntry {
        id: tx.id(),
        fee: mempool.fee(&tx.id()).expect("a payment that is here has a fee"),
        bytes: tx.len() as u64,
        inputs: tx.inputs.len() as u64,
        outputs: tx.outputs.len() as u64,
        pinned: mempool.is_pinned(&tx.id()),
    };
    MempoolInfo {
        payments: mempool.len() as u64,
        bytes: mempool.bytes() as u64,
        fee_min: chain.rules().params.fee_min,
        entries: mempool.iter().take(limit).map(entry).collect(),
        conflicts: mempool.conflicts().take(limit).map(conflict).collect(),
        conflicts_total: mempool.conflicts().count() as u64,
    }
}

/// What validators replied as the API shows it.
pub(super) fn replies(chain: &Chain, answer: &Answer) -> RepliesInfo {
    let validators = chain.agreed().map_or(&[][..], |agreed| &agreed.params().validators);
    let named = answer.validators.iter().filter_map(|place| validators.get(usize::from(place.0)));
    RepliesInfo {
        block: answer.block,
        height: answer.height,
        validators: named.map(|validator| validator.name.clone()).collect(),
    }
}

/// Two certified blocks of one height as the API shows them.
pub(crate) fn violation(chain: &Chain, violation: &Violation) -> ViolationInfo {
    let validators = chain.agreed().map_or(&[][..], |agreed| &agreed.params().validators);
    let vote = |(place, signature): &(u8, Signature)| VoteInfo {
        validator: validators.get(usize::from(*place)).map(|validator| validator.name.clone()).unwrap_or_default(),
        signature: *signature,
    };
    let block = |header: &SharedHeader| {
        let (view, votes) = match &header.seal {
            Seal::Agreed { certificate } => (certificate.view(), certificate.votes().iter().map(vote).collect()),
            Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => (0, Vec::new()),
        };
        CertifiedBlock { id: header.id(), parent: header.parent, view, votes }
    };
    ViolationInfo { height: violation.height, blocks: violation.headers.iter().map(block).collect() }
}

/// A double spend as the API shows it.
pub(crate) fn conflict(conflict: &Conflict) -> ConflictInfo {
    ConflictInfo { coin: coin_ref(&conflict.coin), kept: conflict.kept, seen: conflict.seen.id() }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
