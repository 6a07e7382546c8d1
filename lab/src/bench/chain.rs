//! A valid chain of full blocks, made without peers: an easy target, payments of one input and two outputs.

use std::sync::Arc;
use std::time::Duration;

use synod_consensus::{Chain, Pow};
use synod_ledger::{
    Address, Amount, Balance, Block, BlockTree, Coin, Coinbase, CompactTarget, Engine, Genesis, Header, LedgerParams,
    OutPoint, Output, PaymentBuilder, PowParams, Retarget, Seal, SecretKey, State, Tx, U256,
};

/// The time between blocks on the chain's own clock.
const BLOCK_TIME: Duration = Duration::from_millis(100);
const FEE: Amount = Amount(1_000);

/// Makes blocks one after the other.
pub(super) struct Maker {
    pub(super) chain: Arc<Chain>,
    owner: SecretKey,
    tree: BlockTree,
    tip: Block,
    /// Coins that the next payments spend, the oldest first.
    coins: std::collections::VecDeque<(OutPoint, Coin)>,
}

impl Maker {
    /// A chain that began `age` ago, on which one owner has `coins` coins.
    pub(super) fn new(coins: u32, age: Duration) -> Self {
        let owner = SecretKey::from_bytes([7; 32]);
        let chain = Chain::real(genesis(owner.address(), coins, age)).expect("a genesis that is checked here");
        let state = chain.state().clone();
        let coins = state.coins_of(&owner.address()).into();
        let tree = BlockTree::new(chain.block().header().clone(), U256::ZERO);
        let tip = chain.block().clone();
        Self { chain, owner, tree, tip, coins }
    }

    /// The next block, with as many payments.
    pub(super) fn next(&mut self, payments: usize) -> Block {
        let rules = *self.chain.rules();
        let height = self.tip.height().next();
        let payments: Vec<Tx> = (0..payments).map(|_| self.pay(height)).collect();
        let fees = Amount(FEE.0 * payments.len() as u64);
        let reward = rules.subsidy(height).checked_add(fees).expect("a small sum");
        let outputs = vec![Output::plain(reward, self.owner.address())];
        let coinbase = Coinbase { chain: rules.chain, height, extra: 0, outputs };
        let root = Block::root_of(&coinbase, &payments);
        let parent = self.tip.id();
        let time = self.tip.header().time + BLOCK_TIME;
        let target = self.chain.pow().expect("a chain of proof of work").target_after(&self.tree, &parent);
        let goal = target.to_target().expect("the rule gives targets");
        let header =
            |nonce| Header { chain: rules.chain, parent, height, time, root, seal: Seal::Work { target, nonce } };
        let sealed = (0..).map(header).find(|header| U256::from_be_bytes(header.id().0.0) <= goal);
        let header = sealed.expect("an easy target is met soon");
        self.tree.insert(header.clone(), Pow::weight(&header)).expect("it builds on the tip");
        let block = Block::new(header, coinbase, payments);
        self.tip = block.clone();
        block
    }

    /// A payment of half the oldest coin to its owner, so that every payment leaves one coin more.
    fn pay(&mut self, height: synod_ledger::Height) -> Tx {
        let (name, coin) = self.coins.pop_front().expect("each payment leaves more coins than it takes");
        let half = Amount(coin.output.amount.0 / 2);
        let to = self.owner.address();
        let builder = PaymentBuilder::new(self.chain.rules().chain).spend(name, coin, &self.owner).pay(to, half);
        let tx = builder.fee(FEE).build(to).expect("the coin covers half of itself and the fee");
        for (index, output) in (0..).zip(&tx.outputs) {
            let coin = Coin { output: *output, height, coinbase: false };
            // The larger half again and again: amounts last for a long chain.
            if index == 0 || self.coins.len() < COINS_MAX {
                self.coins.push_back((OutPoint { tx: tx.id(), index }, coin));
            }
        }
        tx
    }
}

/// Coins in rotation; beyond that the change is left alone.
const COINS_MAX: usize = 200_000;

/// The state after `blocks`, unchecked.
pub(super) fn state_after(chain: &Chain, blocks: &[Block]) -> State {
    let mut state = chain.state().clone();
    for block in blocks {
        let (next, _) =
            state.connect(chain.rules(), block, synod_ledger::Signatures::Trust).expect("the maker's blocks are valid");
        state = next;
    }
    state
}

fn genesis(owner: Address, coins: u32, age: Duration) -> Genesis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let began = now.saturating_sub(age);
    Genesis {
        name: "bench".into(),
        time_unix_ms: u64::try_from(began.as_millis()).unwrap_or(u64::MAX),
        engine: Engine::Pow(PowParams {
            target: CompactTarget::MAX,
            block_time_ms: u64::try_from(BLOCK_TIME.as_millis()).unwrap_or(u64::MAX),
            retarget: Retarget::Off,
            declared: false,
        }),
        ledger: LedgerParams {
            subsidy: Amount(100_000_000),
            halving_interval: 200_000,
            maturity: 10,
            block_bytes_max: 1 << 20,
            fee_min: FEE,
        },
        balances: vec![Balance {
            name: "owner".into(),
            address: owner,
            amount: Amount(1_000_000 * 100_000_000),
            coins,
            stake: Amount::ZERO,
        }],
    }
}
