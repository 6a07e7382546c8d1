//! Another block in the place of one: the same payments under a coinbase with another number.

use synod_ledger::{Block, Coinbase, Header};

use super::Sibling;

impl Sibling for Block {
    fn sibling(&self) -> Self {
        let mut coinbase = Coinbase::clone(self.coinbase());
        coinbase.extra ^= 1;
        let root = Self::root_with(&coinbase, self.payments(), self.evidence());
        let header = Header { root, ..self.header().clone() };
        Self::with_evidence(header, coinbase, self.payments().to_vec(), self.evidence().to_vec())
    }
}
