//! A checked genesis and what follows from it, made once and shared by all replicas of a process.

use alloc::sync::Arc;
use core::time::Duration;

use synod_ledger::{Block, BlockId, Genesis, GenesisError, Rules, State};

use crate::pbft::{self, Validators};
use crate::{Agreed, Pos, Pow, Rule};

/// What all replicas of one chain have in common.
#[derive(Debug)]
pub struct Chain {
    genesis: Genesis,
    rules: Rules,
    block: Block,
    state: State,
    rule: Rule,
}

/// A genesis that no chain can start from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// The ledger's part is wrong.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A drawn proof of work proves nothing outside of a simulation.
    #[error("the genesis allows declared seals, which only a simulation may")]
    Declared,
}

impl Chain {
    /// Checks a genesis for real peers, who must see work that was done.
    pub fn real(genesis: Genesis) -> Result<Arc<Self>, ChainError> {
        if genesis.engine.pow().is_some_and(|params| params.declared) {
            return Err(ChainError::Declared);
        }
        Self::simulated(genesis)
    }

    /// Checks a genesis for simulated peers, where the work may be drawn.
    pub fn simulated(genesis: Genesis) -> Result<Arc<Self>, ChainError> {
        genesis.check()?;
        let rule = Rule::new(&genesis.engine);
        let block = genesis.block();
        let state = State::genesis(&genesis);
        let rules = genesis.rules();
        Ok(Arc::new(Self { genesis, rules, block, state, rule }))
    }

    /// The genesis as it was read.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The ledger's rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The block at height zero.
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// The id of the block at height zero.
    pub fn id(&self) -> BlockId {
        self.block.id()
    }

    /// The coins at height zero.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The consensus rule.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The rule of proof of work, if the chain is one of it.
    pub const fn pow(&self) -> Option<&Pow> {
        match &self.rule {
            Rule::Pow(pow) => Some(pow),
            Rule::Pbft(_) | Rule::Pos(_) => None,
        }
    }

    /// The rule of agreement, if the chain has validators.
    pub const fn agreed(&self) -> Option<&Agreed> {
        match &self.rule {
            Rule::Pbft(agreed) => Some(agreed),
            Rule::Pos(_) | Rule::Pow(_) => None,
        }
    }

    /// By what the votes and statements of validators are judged, if the chain has them.
    pub(crate) fn voting(&self) -> Option<pbft::Rules> {
        let validators = Validators::new(self.agreed()?.validators());
        let validators = validators.expect("a checked genesis has so many validators");
        Some(pbft::Rules { chain: self.rules.chain, genesis: self.id(), validators })
    }

    /// The rule of proof of stake, if the chain is one of it.
    pub const fn pos(&self) -> Option<&Pos> {
        match &self.rule {
            Rule::Pos(pos) => Some(pos),
            Rule::Pbft(_) | Rule::Pow(_) => None,
        }
    }

    /// The time that a block should take.
    pub const fn block_time(&self) -> Duration {
        self.rule.block_time()
    }
}
