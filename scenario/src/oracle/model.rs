//! The ledger once more, as a plain map of coins per block: slow, and shared with the code under test only in how
//! values are hashed and encoded.
//!
//! A block is judged by its whole content and its ancestry alone. Signatures are checked one by one, each once.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_zebra::VerificationKey;
use sha2::{Digest, Sha256};
use synod_consensus::Chain;
use synod_ledger::{
    Block, BlockId, Engine, Header, LedgerParams, OutPoint, OutputKind, Payment, PosParams, PowParams, Seal, Tx, TxId,
};
use synod_machine::{Bytes, wire};

use super::headers::{self, Mark, Wide};
use super::votes::Votes;
use super::{Oracle, stakes};

/// A coin, as the model keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Money {
    pub(super) amount: u64,
    pub(super) owner: Bytes<20>,
    pub(super) kind: OutputKind,
    pub(super) height: u64,
    pub(super) is_reward: bool,
}

/// A block that was found good, and what follows from it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) block: Block,
    pub(super) parent: usize,
    pub(super) height: u64,
    mark: Mark,
    /// All work up to here.
    pub(super) work: Wide,
    pub(super) coins: BTreeMap<OutPoint, Money>,
    pub(super) supply: u64,
    /// Who lost a stake in this block.
    pub(super) losers: Vec<Bytes<20>>,
}

/// What a header must show.
pub(super) enum Rule {
    /// Votes of a quorum.
    Agreed(Votes),
    /// A stake that won its second.
    Stake(PosParams),
    /// Declared work.
    Work(PowParams),
}

/// All blocks that were found good, the genesis first.
pub(super) struct Model {
    ledger: LedgerParams,
    rule: Rule,
    pub(super) chain: Bytes<8>,
    judged: Vec<Judged>,
    index: BTreeMap<BlockId, usize>,
    /// In which blocks a payment is.
    holders: BTreeMap<TxId, Vec<usize>>,
    /// Payments whose signatures are good, by all of their content.
    signed: BTreeSet<Bytes<32>>,
}

/// What is wrong with a block, and who says so.
pub(super) type Fault = (Oracle, String);

impl Model {
    pub(super) fn new(chain: &Chain) -> Self {
        let genesis = chain.genesis();
        let rule = match &genesis.engine {
            Engine::Pbft(params) => Rule::Agreed(Votes::new(params, genesis.chain_id())),
            Engine::Pos(params) => Rule::Stake(params.clone()),
            Engine::Pow(params) => Rule::Work(params.clone()),
        };
        let block = chain.block().clone();
        let made = made(coinbase_id(&block), &block.coinbase().outputs, 0, false);
        let coins: BTreeMap<OutPoint, Money> = made.collect();
        let supply = coins.values().map(|coin| coin.amount).sum();
        let mark = Mark::of(block.header());
        let index = BTreeMap::from([(block.id(), 0)]);
        let losers = Vec::new();
        let first = Judged { block, parent: 0, height: 0, mark, work: Wide::ZERO, coins, supply, losers };
        Self {
            ledger: genesis.ledger,
            rule,
            chain: genesis.chain_id().0,
            judged: vec![first],
            index,
            holders: BTreeMap::new(),
            signed: BTreeSet::new(),
        }
    }

    pub(super) fn find(&self, id: &BlockId) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(super) fn at(&self, place: usize) -> &Judged {
        &self.judged[place]
    }

    /// The blocks below a block and itself, newest first.
    pub(super) fn chain_of(&self, place: usize) -> impl Iterator<Item = usize> + '_ {
        let below = |&at: &usize| (at > 0).then(|| self.judged[at].parent);
        std::iter::successors(Some(place), below)
    }

    /// The chain that ends there, by height.
    pub(super) fn path(&self, tip: usize) -> Vec<usize> {
        let mut path: Vec<usize> = self.chain_of(tip).collect();
        path.reverse();
        path
    }

    /// Whether a chain has a payment.
    pub(super) fn has(&self, path: &[usize], payment: &TxId) -> bool {
        let holders = self.holders.get(payment).map_or(&[][..], Vec::as_slice);
        holders.iter().any(|at| path.get(self.judged[*at].height as usize) == Some(at))
    }

    /// Who lost a stake, and at which height.
    pub(super) fn losses(&self) -> impl Iterator<Item = (Bytes<20>, u64)> + '_ {
        self.judged.iter().flat_map(|judged| judged.losers.iter().map(|owner| (*owner, judged.height)))
    }

    /// How many payments are in blocks.
    pub(super) fn payments(&self) -> usize {
        self.holders.len()
    }

    /// Judges a block whose parent was found good, and keeps it if it is good too.
    pub(super) fn judge(&mut self, block: &Block) -> Result<usize, Fault> {
        let id = block.id();
        if let Some(place) = self.find(&id) {
            return Ok(place);
        }
        let header = block.header();
        let parent = self.find(&header.parent);
        let parent = parent.ok_or_else(|| (Oracle::Header, "it builds on a block that is not good".to_string()))?;
        let marks: Vec<Mark> = self.chain_of(parent).map(|at| self.judged[at].mark).collect();
        let wrong = |reason: String| (Oracle::Header, reason);
        if header.chain.0 != self.chain {
            return Err(wrong("it is of another chain".to_string()));
        }
        let height = self.judged[parent].height + 1;
        if header.height.0 != height {
            return Err(wrong(format!("the height {}, where the parent asks for {height}", header.height)));
        }
        match &mut self.rule {
            Rule::Agreed(votes) => votes.check(header).and_then(|()| check_later(header, &marks)),
            Rule::Stake(params) => {
                let depth = params.stake_depth as usize;
                headers::check_stake(params, header, &marks, recorded(&self.judged, parent, depth, header))
            }
            Rule::Work(params) => headers::check(params, header, &marks),
        }
        .map_err(wrong)?;
        if header.root != root_of(block) {
            return Err((Oracle::Block, "the root is not that of what is in it".to_string()));
        }
        // Votes come when the block is made; a chain with validators leaves room for them.
        let bytes = wire::encode(block).len() - votes_len(header);
        if bytes > self.ledger.block_bytes_max as usize {
            return Err((Oracle::Block, format!("{bytes} bytes, of {} allowed", self.ledger.block_bytes_max)));
        }
        let (coins, supply, losers) = self.settle(parent, block, height)?;
        let (work, mark) = (self.judged[parent].work + weight(header), Mark::of(header));
        self.judged.push(Judged { block: block.clone(), parent, height, mark, work, coins, supply, losers });
        let place = self.judged.len() - 1;
        self.index.insert(id, place);
        for tx in block.payments() {
            self.holders.entry(tx.digest()).or_default().push(place);
        }
        Ok(place)
    }

    /// Checks the proof of a block that need not be new, since each peer may have another one; and that it contradicts
    /// none that was seen.
    pub(super) fn check_proof(&mut self, header: &Header) -> Result<(), Fault> {
        match &mut self.rule {
            Rule::Agreed(votes) => {
                votes.check(header).map_err(|reason| (Oracle::Header, reason))?;
                votes.contradict(header).map_err(|reason| (Oracle::Agreement, reason))
            }
            Rule::Stake(_) | Rule::Work(_) => Ok(()),
        }
    }

    /// The coins after a block.
    fn settle(&mut self, parent: usize, block: &Block, height: u64) -> Result<Settled, Fault> {
        let mut coins = self.judged[parent].coins.clone();
        let mut fees = 0;
        for (place, tx) in block.payments().iter().enumerate() {
            let wrong = |reason: String| (Oracle::Block, format!("payment {place}: {reason}"));
            let fee = spend(&mut coins, &self.ledger, self.chain, tx, height).map_err(wrong)?;
            if !self.is_signed(tx) {
                return Err(wrong("a signature is not its key's".to_string()));
            }
            coins.extend(made(tx.digest(), &tx.outputs, height, false));
            fees += fee;
        }
        let coinbase = block.coinbase();
        if coinbase.chain.0 != self.chain || coinbase.height.0 != height {
            return Err((Oracle::Block, "the coinbase is of another block".to_string()));
        }
        if coinbase.outputs.iter().any(|output| output.amount.0 == 0) {
            return Err((Oracle::Block, "the coinbase has an output of nothing".to_string()));
        }
        let claimed = coinbase.outputs.iter().map(|output| u128::from(output.amount.0)).sum::<u128>();
        let subsidy = subsidy(&self.ledger, height);
        coins.extend(made(coinbase_id(block), &coinbase.outputs, height, true));
        let (losers, lost, reward) = self.punish(parent, block, height, &mut coins)?;
        // All miners of a simulation claim what they may; a block that claims less was miscounted.
        if claimed != u128::from(subsidy) + u128::from(fees) + u128::from(reward) {
            let reason =
                format!("it claims {claimed}; the subsidy is {subsidy}, the fees {fees}, the finder's share {reward}");
            return Err((Oracle::Emission, reason));
        }
        let supply = self.judged[parent].supply + subsidy + reward - lost;
        let sum: u128 = coins.values().map(|coin| u128::from(coin.amount)).sum();
        if sum != u128::from(supply) {
            return Err((Oracle::Emission, format!("all coins are worth {sum}, where {supply} were issued")));
        }
        Ok((coins, supply, losers))
    }

    /// Takes the stakes of those away against whom a block has evidence: who they are, what they lose, and what the
    /// block's maker may claim of it.
    fn punish(
        &self,
        parent: usize,
        block: &Block,
        height: u64,
        coins: &mut BTreeMap<OutPoint, Money>,
    ) -> Result<(Vec<Bytes<20>>, u64, u64), Fault> {
        let (mut losers, mut all, mut reward) = (Vec::new(), 0, 0);
        for (place, evidence) in block.evidence().iter().enumerate() {
            let wrong = |reason: String| (Oracle::Block, format!("evidence {place}: {reason}"));
            let Rule::Stake(params) = &self.rule else {
                return Err(wrong("stakes make no blocks here".to_string()));
            };
            let (owner, since) = stakes::offender(params, self.chain, evidence, height).map_err(wrong)?;
            let before = self.chain_of(parent).find(|at| self.judged[*at].losers.contains(&owner));
            if losers.contains(&owner) || before.is_some_and(|at| self.judged[at].height >= since) {
                return Err(wrong("the owner was punished for it".to_string()));
            }
            let lost = stakes::take(coins, params, owner, height);
            if lost == 0 {
                return Err(wrong("the owner has nothing to lose".to_string()));
            }
            losers.push(owner);
            all += lost;
            reward += (u128::from(lost) * u128::from(params.finder_share) / 256) as u64;
        }
        Ok((losers, all, reward))
    }

    fn is_signed(&mut self, tx: &Tx) -> bool {
        let content = Bytes(Sha256::digest(wire::encode(tx)).into());
        if self.signed.contains(&content) {
            return true;
        }
        let id = tx.digest();
        let is_good = |input: &synod_ledger::TxInput| {
            let signature = ed25519_zebra::Signature::from_bytes(&input.signature.0.0);
            VerificationKey::try_from(input.key.0.0).is_ok_and(|key| key.verify(&signature, id.0.as_slice()).is_ok())
        };
        let is_signed = tx.inputs.iter().all(is_good);
        if is_signed {
            self.signed.insert(content);
        }
        is_signed
    }
}

/// Coins, what they are worth, and who lost a stake.
type Settled = (BTreeMap<OutPoint, Money>, u64, Vec<Bytes<20>>);

/// What a header adds to the weight of its branch.
pub(super) fn weight(header: &Header) -> Wide {
    match &header.seal {
        Seal::Agreed { .. } => Wide::from(1),
        Seal::Declared { target, .. } | Seal::Work { target, .. } => headers::work(target.0),
        Seal::Genesis => Wide::ZERO,
        Seal::Stake { difficulty, .. } => Wide::from(*difficulty),
    }
}

fn check_later(header: &Header, chain: &[Mark]) -> Result<(), String> {
    if header.time > chain[0].time { Ok(()) } else { Err(format!("the time {}, not after the parent's", header.time)) }
}

/// How many bytes of a block are votes.
fn votes_len(header: &Header) -> usize {
    match &header.seal {
        Seal::Agreed { certificate } => wire::encode(certificate).len(),
        Seal::Declared { .. } | Seal::Genesis | Seal::Stake { .. } | Seal::Work { .. } => 0,
    }
}

/// What the maker of a header has staked all the time from so many blocks below its parent on.
fn recorded(judged: &[Judged], parent: usize, depth: usize, header: &Header) -> u64 {
    let Seal::Stake { key, .. } = &header.seal else { return 0 };
    let owner = key.address().0;
    let below = std::iter::successors(Some(parent), |at| (*at > 0).then(|| judged[*at].parent));
    below.take(depth + 1).map(|at| stakes::staked(&judged[at].coins, owner)).min().unwrap_or(0)
}

/// Takes what a payment spends out of the coins, and gives its fee.
fn spend(
    coins: &mut BTreeMap<OutPoint, Money>,
    ledger: &LedgerParams,
    chain: Bytes<8>,
    tx: &Payment,
    height: u64,
) -> Result<u64, String> {
    if tx.chain.0 != chain {
        return Err("it is of another chain".to_string());
    }
    if tx.inputs.is_empty() || tx.outputs.is_empty() {
        return Err("nothing goes in, or nothing comes out".to_string());
    }
    let mut available: u128 = 0;
    for input in &tx.inputs {
        let coin = coins.remove(&input.coin).ok_or_else(|| format!("the coin {} is not there", input.coin))?;
        if coin.is_reward && height < coin.height + ledger.maturity {
            return Err(format!("the coin {} of height {} is not mature at {height}", input.coin, coin.height));
        }
        if input.key.address().0 != coin.owner {
            return Err(format!("the coin {} is somebody else's", input.coin));
        }
        if coin.kind != OutputKind::Plain {
            return Err(format!("the coin {} is locked, and nobody here unlocks one", input.coin));
        }
        available += u128::from(coin.amount);
    }
    if tx.outputs.iter().any(|output| output.amount.0 == 0) {
        return Err("an output of nothing".to_string());
    }
    let paid: u128 = tx.outputs.iter().map(|output| u128::from(output.amount.0)).sum();
    let fee = available.checked_sub(paid).ok_or_else(|| format!("{paid} come out of {available}"))?;
    u64::try_from(fee).map_err(|_| "a fee that no chain has".to_string())
}

fn made(
    tx: TxId,
    outputs: &[synod_ledger::Output],
    height: u64,
    is_reward: bool,
) -> impl Iterator<Item = (OutPoint, Money)> + '_ {
    (0..).zip(outputs).map(move |(index, output)| {
        let money = Money { amount: output.amount.0, owner: output.to.0, kind: output.kind, height, is_reward };
        (OutPoint { tx, index }, money)
    })
}

fn coinbase_id(block: &Block) -> TxId {
    TxId(synod_ledger::digest("coinbase", block.coinbase()))
}

/// What the block at a height may claim beside its fees: the first subsidy, halved once for each full interval before.
fn subsidy(ledger: &LedgerParams, height: u64) -> u64 {
    let mut subsidy = ledger.subsidy.0;
    let mut before = height - 1;
    while before >= ledger.halving_interval && subsidy > 0 {
        before -= ledger.halving_interval;
        subsidy /= 2;
    }
    subsidy
}

/// The Merkle root: pairs from the leaves up, an odd one promoted, the number of leaves at the top.
fn root_of(block: &Block) -> Bytes<32> {
    let hash = |parts: &[&[u8]]| -> Bytes<32> { Bytes(Sha256::digest(parts.concat()).into()) };
    let payment = |tx: &Tx| synod_ledger::digest("payment leaf", &**tx);
    let coinbase = synod_ledger::digest("coinbase leaf", block.coinbase());
    let evidence = block.evidence().iter().map(|evidence| synod_ledger::digest("evidence leaf", evidence));
    let payments = block.payments().iter().map(payment);
    let mut row: Vec<Bytes<32>> = std::iter::once(coinbase).chain(payments).chain(evidence).collect();
    let leaves = (row.len() as u64).to_le_bytes();
    while row.len() > 1 {
        let mut above = Vec::new();
        for pair in row.chunks(2) {
            match pair {
                [left, right] => above.push(hash(&[b"\x0bmerkle node", left.as_slice(), right.as_slice()])),
                _ => above.extend_from_slice(pair),
            }
        }
        row = above;
    }
    hash(&[b"\x0bmerkle root", &leaves, row[0].as_slice()])
}
