//! Wallets that do not keep to one branch, and peers that accuse those who do.
//!
//! Neither can be a change of what an honest replica sends: one makes blocks that no honest one makes, the other says what
//! nobody asked for. Both look at a replica and say what to send besides.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_ledger::{
    Amount, Block, BlockId, Coinbase, Evidence, Header, Height, Output, PublicKey, Seal, SecretKey, Signature,
    Signatures, State, Status,
};
use synod_machine::Time;

use crate::Replica;

/// A wallet with nothing at stake: it signs a block for each second that it wins on each block that may still become a part
/// of the chain, on whatever branch, its own siblings among them, so that it is paid whichever branch wins. Minting costs
/// nothing, and so this is what pays where nothing punishes it (Buterin, "Slasher: A Punitive Proof-of-Stake Algorithm", 2014;
/// Houy, "It Will Cost You Nothing to 'Kill' a Proof-of-Stake Crypto-Currency", 2014). It puts no payments and no evidence into
/// its blocks.
#[derive(Clone, Debug, Default)]
pub struct MultiMinter {
    /// Up to which second each parent was tried.
    tried: BTreeMap<BlockId, u64>,
}

/// It mints on blocks so far below the best one: what is deeper is lost.
const DEPTH: u64 = 2;
/// Branches are connected so far from the coins of the best one, at most.
const WALK_MAX: usize = 16;

impl MultiMinter {
    /// Every block that the key wins until now and that was not made yet.
    pub fn blocks(&mut self, now: Time, replica: &Replica, secret: &SecretKey) -> Vec<Block> {
        let Some(pos) = replica.chain().pos() else { return Vec::new() };
        let (tree, address) = (replica.tree(), secret.address());
        let lowest = Height(tree.best().height().0.saturating_sub(DEPTH));
        let is_recent = |id: &BlockId| tree.get(id).is_some_and(|node| node.height() >= lowest);
        self.tried.retain(|id, _| is_recent(id));
        let tips = tree.iter().filter(|node| node.height() >= lowest && node.completed().is_some());
        let mut blocks = Vec::new();
        for parent in tips.filter(|node| node.status() != Status::Invalid) {
            let id = parent.id();
            let from = self.tried.get(&id).map_or(parent.header().time.as_secs(), |second| *second) + 1;
            let until = now.as_secs() + 1;
            if from >= until {
                continue;
            }
            let Some(state) = state_after(replica, id, WALK_MAX) else { continue };
            self.tried.insert(id, until - 1);
            let difficulty = pos.difficulty_after(tree, &id);
            let stake = state.recorded_stake(&address);
            let seconds = (from..until)
                .filter(|second| pos.first_win(&id, &address, stake, difficulty, *second, second + 1).is_some());
            let is_made = |second: &u64| {
                let key = secret.public();
                let mut made = tree.children(&id).map(|child| child.header());
                made.any(|header| is_by(header, key) && header.time.as_secs() == *second)
            };
            let minted = seconds.filter(|second| !is_made(second));
            blocks.extend(minted.map(|second| mint(replica, parent.header(), secret, difficulty, second)));
        }
        blocks
    }
}

fn is_by(header: &Header, owner: PublicKey) -> bool {
    match &header.seal {
        Seal::Stake { key, .. } => *key == owner,
        Seal::Agreed { .. } | Seal::Declared { .. } | Seal::Genesis | Seal::Work { .. } => false,
    }
}

/// An empty block.
fn mint(replica: &Replica, parent: &Header, secret: &SecretKey, difficulty: u64, second: u64) -> Block {
    let rules = replica.chain().rules();
    let height = parent.height.next();
    // There may be nothing to be had any more, and an output of nothing is none.
    let subsidy = Some(rules.subsidy(height)).filter(|subsidy| *subsidy > Amount(0));
    let outputs = subsidy.map(|subsidy| Output::plain(subsidy, secret.address())).into_iter().collect();
    let coinbase = Coinbase { chain: rules.chain, height, extra: second, outputs };
    let header = Header {
        chain: rules.chain,
        parent: parent.id(),
        height,
        time: Time::from_secs(second),
        root: Block::root_of(&coinbase, &[]),
        seal: Seal::Stake { key: secret.public(), difficulty, signature: Signature::NONE },
    };
    Block::new(header.signed(secret), coinbase, Vec::new())
}

/// The coins after a block of whatever branch, if it connects and is at hand.
fn state_after(replica: &Replica, id: BlockId, walk_max: usize) -> Option<State> {
    if id == replica.tip() {
        return Some(replica.state().clone());
    }
    if id == replica.chain().id() {
        return Some(replica.chain().state().clone());
    }
    let block = replica.block(&id)?;
    if let Some(outcome) = block.connected() {
        return Some(outcome.state.clone());
    }
    let before = state_after(replica, block.header().parent, walk_max.checked_sub(1)?)?;
    let outcome = block.connect(&before, replica.chain().rules(), Signatures::Check).ok()?;
    Some(outcome.state.clone())
}

/// What a forger makes out of the last header: that it contradicts itself, the one below it of the same wallet, a copy with
/// another content or another height under the same signature. None of it is an offence, since a forger cannot sign for
/// others: what honest wallets sign contradicts nothing (Buterin, "Slasher", 2014, asks for two signatures of one height; his
/// "Minimal Slashing Conditions", 2017, states as the aim that nobody is punished who follows the protocol).
pub fn accusations(replica: &Replica) -> Vec<Evidence> {
    let mut headers = replica.tree().ancestry(&replica.tip()).map(|header| &**header);
    let Some(last) = headers.next() else { return Vec::new() };
    let Seal::Stake { key, .. } = last.seal else { return Vec::new() };
    let before = headers.take(WALK_MAX).find(|header| is_by(header, key));
    let mut content = last.clone();
    content.root.0[0] ^= 1;
    let height = Header { height: last.height.next(), ..last.clone() };
    let others = [last.clone(), content, height].into_iter().chain(before.cloned());
    others.map(|other| Evidence::new(last.clone(), other)).collect()
}
