//! What is seen from outside: who found which block, when it reached whom, forks, reorganisations.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;
use synod_consensus::Replica;
use synod_consensus::pbft::{ValidatorId, View};
use synod_ledger::{BlockId, Height, PublicKey, Seal};
use synod_machine::{PeerId, Reject, Time};

use crate::Plan;
use crate::payer::signer;

/// A block, from outside.
#[derive(Clone, Debug)]
pub struct Found {
    /// The block.
    pub id: BlockId,
    /// What it builds on; nothing for the genesis.
    pub parent: Option<usize>,
    /// Its height.
    pub height: Height,
    /// When its finder had it.
    pub at: Time,
    /// Who found it.
    pub by: PeerId,
    /// Its encoded length, in bytes.
    pub bytes: usize,
    /// The payments in it.
    pub payments: usize,
    /// How many peers have had it on their chain.
    pub reached: u32,
    /// The time from its finding until a peer had it, over all that have: the sum. Over the peers, once all have it, it is the
    /// integral over time of the share that had not.
    pub waited: Duration,
    /// When half of the peers had it, nine tenths, 99 in 100, all.
    pub reached_at: [Option<Time>; 4],
    /// A bit for each peer that has had it.
    had: Vec<u64>,
}

/// The shares of [`Found::reached_at`], in percent.
pub const REACHES: [u64; 4] = [50, 90, 99, 100];

/// What was seen.
#[derive(Debug)]
pub struct Observed {
    peers: u32,
    /// Whose key signs blocks. Who has a wallet's block first may be another: a wallet need not follow its own block.
    signers: HashMap<PublicKey, PeerId>,
    /// All blocks, parents before children; the genesis first.
    found: Vec<Found>,
    index: HashMap<BlockId, usize>,
    /// Each peer's tip; nothing while it is down.
    tips: Vec<Option<u32>>,
    /// Blocks that came to half of the peers since these were last taken.
    halved: Vec<usize>,
    /// How many peers have each block as their tip.
    on_tip: Vec<u32>,
    up: u32,
    highest: usize,
    /// How long after its finding a block came to a peer, in microseconds, over all blocks and peers.
    pub delays: Histogram<u64>,
    /// How many blocks were taken back at a time, and how often.
    pub reorganisations: BTreeMap<u64, u64>,
    /// Double spends that peers told of.
    pub conflicts: u64,
    /// Offences of stakes that peers held evidence of; each peer tells of each.
    pub offences: u64,
    /// Of which validators peers told that they said two things, and how often.
    pub caught: BTreeMap<ValidatorId, u64>,
    /// The highest view that a validator started.
    pub view: View,
    /// What validators agreed on and a peer could not take in: who, where, why.
    pub stuck: Vec<(PeerId, Height, Reject)>,
}

impl Observed {
    pub(crate) fn new(plan: &Plan) -> Self {
        let peers = plan.graph.peers();
        let genesis = Found {
            id: plan.chain.id(),
            parent: None,
            height: Height::GENESIS,
            at: Time::ZERO,
            by: PeerId(u32::MAX),
            bytes: plan.chain.block().len(),
            payments: 0,
            reached: peers,
            waited: Duration::ZERO,
            reached_at: [Some(Time::ZERO); 4],
            had: vec![u64::MAX; peers.div_ceil(64) as usize],
        };
        let minters = plan.chain.pos().map_or(0, |_| peers);
        Self {
            peers,
            signers: (0..minters).map(|peer| (signer(PeerId(peer)).public(), PeerId(peer))).collect(),
            index: HashMap::from([(genesis.id, 0)]),
            found: vec![genesis],
            tips: vec![None; peers as usize],
            halved: Vec::new(),
            on_tip: vec![0],
            up: 0,
            highest: 0,
            delays: Histogram::new(3).expect("three digits are possible"),
            reorganisations: BTreeMap::new(),
            conflicts: 0,
            offences: 0,
            caught: BTreeMap::new(),
            view: View::FIRST,
            stuck: Vec::new(),
        }
    }

    /// All blocks, the genesis first.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// The height of the highest block.
    pub fn height(&self) -> u64 {
        self.found[self.highest].height.0
    }

    /// Whether all peers that are up have the same tip.
    pub fn is_agreed(&self) -> bool {
        self.up > 0 && self.on_tip.contains(&self.up)
    }

    /// The tip that most peers have.
    pub fn common_tip(&self) -> &Found {
        let best = (0..self.found.len()).max_by_key(|place| (self.on_tip[*place], *place)).unwrap_or_default();
        &self.found[best]
    }

    /// The chain that most peers have, the genesis first.
    pub fn main_chain(&self) -> Vec<&Found> {
        let mut chain: Vec<&Found> =
            std::iter::successors(Some(self.common_tip()), |block| block.parent.map(|place| &self.found[place]))
                .collect();
        chain.reverse();
        chain
    }

    /// A peer is up, on whichever tip its disk holds: it is told of as the genesis until the peer says otherwise.
    pub(crate) fn started(&mut self, peer: PeerId) {
        let tip = &mut self.tips[peer.0 as usize];
        if tip.is_none() {
            *tip = Some(0);
            self.on_tip[0] += 1;
            self.up += 1;
        }
    }

    pub(crate) fn stopped(&mut self, peer: PeerId) {
        if let Some(tip) = self.tips[peer.0 as usize].take() {
            self.on_tip[tip as usize] -= 1;
            self.up -= 1;
        }
    }

    /// A peer has another tip.
    pub(crate) fn tip(&mut self, now: Time, peer: PeerId, replica: &Replica, tip: BlockId, height: Height, depth: u64) {
        if depth > 0 {
            *self.reorganisations.entry(depth).or_default() += 1;
        }
        let place = match self.index.get(&tip) {
            Some(place) => *place,
            None => self.add(now, peer, replica, tip),
        };
        if height > self.found[self.highest].height {
            self.highest = place;
        }
        self.started(peer);
        if let Some(before) = self.tips[peer.0 as usize].replace(place as u32) {
            self.on_tip[before as usize] -= 1;
        }
        self.on_tip[place] += 1;
        self.mark(now, peer, place);
    }

    /// A tip nobody had before was found by whoever has it first.
    fn add(&mut self, now: Time, peer: PeerId, replica: &Replica, tip: BlockId) -> usize {
        let header = replica.tree().get(&tip).expect("a tip is in the tree").header();
        let (parent, height) = (header.parent, header.height);
        let by = match &header.seal {
            Seal::Stake { key, .. } => self.signers.get(key).copied().unwrap_or(peer),
            Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => peer,
        };
        let parent = match self.index.get(&parent) {
            Some(place) => *place,
            None => self.add(now, peer, replica, parent),
        };
        let block = replica.block(&tip);
        self.found.push(Found {
            id: tip,
            parent: Some(parent),
            height,
            at: now,
            by,
            bytes: block.as_ref().map_or(0, synod_ledger::Block::len),
            payments: block.map_or(0, |block| block.payments().len()),
            reached: 0,
            waited: Duration::ZERO,
            reached_at: [None; 4],
            had: vec![0; self.peers.div_ceil(64) as usize],
        });
        self.on_tip.push(0);
        self.index.insert(tip, self.found.len() - 1);
        self.found.len() - 1
    }

    /// A peer has a block and all below it.
    fn mark(&mut self, now: Time, peer: PeerId, mut place: usize) {
        let (word, bit) = (peer.0 as usize / 64, 1 << (peer.0 % 64));
        loop {
            let block = &mut self.found[place];
            if block.had[word] & bit != 0 {
                return;
            }
            block.had[word] |= bit;
            block.reached += 1;
            let delay = now.since(block.at);
            block.waited += delay;
            self.delays.record(delay.as_micros() as u64).expect("the histogram grows with what it is given");
            let is_new = block.reached_at[0].is_none();
            for (at, share) in block.reached_at.iter_mut().zip(REACHES) {
                if at.is_none() && u64::from(block.reached) * 100 >= u64::from(self.peers) * share {
                    *at = Some(now);
                }
            }
            if is_new && block.reached_at[0].is_some() {
                self.halved.push(place);
            }
            let Some(parent) = block.parent else { return };
            place = parent;
        }
    }

    /// The blocks so far below those that came to half of the peers since the last call.
    pub(crate) fn take_deep(&mut self, below: u64) -> Vec<BlockId> {
        let halved = std::mem::take(&mut self.halved);
        let deep = |place: &usize| {
            let above = (0..below).try_fold(*place, |place, _| self.found[place].parent)?;
            self.found[above].parent.map(|_| self.found[above].id)
        };
        halved.iter().filter_map(deep).collect()
    }
}
