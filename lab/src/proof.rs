//! Checks what a peer says of a transaction instead of believing it: the id, the Merkle leaf, the proof.

use synod_ledger::{ChainId, Coinbase, OutPoint, Output, Payment, Tx, TxInput, merkle};
use synod_machine::Bytes;
use synod_node::api::types::{CoinbaseInfo, OutputInfo, PaymentInfo, TransactionInfo};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A confirmed transaction comes without a proof, or without its content.
    #[error("the peer gives no proof of the transaction")]
    Missing,
    /// The content has another id.
    #[error("the transaction's content has id {got}, not {expected}")]
    Id {
        /// The id asked for.
        expected: String,
        /// The content's.
        got: String,
    },
    /// The proof is of another leaf.
    #[error("the proof is of leaf {got}, the transaction's is {expected}")]
    Leaf {
        /// The content's leaf.
        expected: Bytes<32>,
        /// The proof's.
        got: Bytes<32>,
    },
    /// The proof does not lead to the block's root.
    #[error("the Merkle proof does not lead to the block's root {root}")]
    Root {
        /// The root.
        root: Bytes<32>,
    },
}

/// Whether a transaction that a peer shows is what was asked for and, where it is confirmed, in the block with `root`.
pub fn check(info: &TransactionInfo, chain: ChainId, root: Option<Bytes<32>>) -> Result<(), ProofError> {
    let (id, leaf) = match (&info.payment, &info.coinbase) {
        (Some(payment), _) => {
            let tx = rebuild(payment, chain);
            (tx.id(), tx.leaf())
        }
        (None, Some(coinbase)) => {
            let coinbase = rebuild_coinbase(coinbase, chain);
            (coinbase.id(), coinbase.leaf())
        }
        (None, None) => return Err(ProofError::Missing),
    };
    if id != info.id {
        return Err(ProofError::Id { expected: info.id.to_string(), got: id.to_string() });
    }
    let Some(root) = root else { return Ok(()) };
    let proof = info.proof.as_ref().ok_or(ProofError::Missing)?;
    if proof.leaf != leaf {
        return Err(ProofError::Leaf { expected: leaf, got: proof.leaf });
    }
    let path = merkle::Proof { index: proof.index, leaves: proof.leaves, siblings: proof.siblings.clone() };
    if path.verify(&leaf, &root) { Ok(()) } else { Err(ProofError::Root { root }) }
}

/// The payment that its JSON describes.
pub fn rebuild(payment: &PaymentInfo, chain: ChainId) -> Tx {
    let inputs = payment.inputs.iter().map(|input| TxInput {
        coin: OutPoint { tx: input.coin.tx, index: input.coin.index },
        key: input.key,
        signature: input.signature,
    });
    Tx::from(Payment { chain, inputs: inputs.collect(), outputs: outputs(&payment.outputs) })
}

fn rebuild_coinbase(coinbase: &CoinbaseInfo, chain: ChainId) -> Coinbase {
    Coinbase { chain, height: coinbase.height, extra: coinbase.extra, outputs: outputs(&coinbase.outputs) }
}

fn outputs(infos: &[OutputInfo]) -> Vec<Output> {
    infos.iter().map(|output| Output { amount: output.amount, to: output.to, kind: output.kind }).collect()
}

#[cfg(test)]
mod tests {
    use synod_ledger::{Address, Amount, Height};
    use synod_node::api::types::{ProofInfo, TransactionStatus};

    use super::*;

    fn coinbase(extra: u64) -> Coinbase {
        let to = Address(Bytes([3; 20]));
        let outputs = vec![Output::plain(Amount(5), to)];
        Coinbase { chain: ChainId::default(), height: Height(1), extra, outputs }
    }

    /// The second of three coinbases in one tree, and the tree's root.
    fn proven() -> (TransactionInfo, Bytes<32>) {
        let leaves: Vec<Bytes<32>> = (0..3).map(|extra| coinbase(extra).leaf()).collect();
        let proof = merkle::Proof::new(&leaves, 1);
        let own = coinbase(1);
        let info = CoinbaseInfo {
            id: own.id(),
            height: own.height,
            extra: own.extra,
            outputs: own
                .outputs
                .iter()
                .map(|output| OutputInfo { amount: output.amount, to: output.to, kind: output.kind })
                .collect(),
        };
        let proof = ProofInfo { index: 1, leaves: 3, siblings: proof.siblings, leaf: leaves[1] };
        let info = TransactionInfo {
            id: own.id(),
            status: TransactionStatus::Confirmed,
            confirmations: 1,
            is_final: false,
            replies: None,
            block: None,
            height: None,
            index: Some(1),
            proof: Some(proof),
            payment: None,
            coinbase: Some(info),
            fee: None,
            bytes: 0,
        };
        (info, merkle::root(&leaves))
    }

    #[test]
    fn a_true_proof_is_accepted() {
        let (info, root) = proven();
        assert_eq!(check(&info, ChainId::default(), Some(root)), Ok(()));
        assert_eq!(check(&info, ChainId::default(), None), Ok(()), "a pending one needs no proof");
    }

    #[test]
    fn another_root_leaf_content_or_chain_is_found() {
        let (info, root) = proven();
        let chain = ChainId::default();
        let other = Bytes([9; 32]);
        assert_eq!(check(&info, chain, Some(other)), Err(ProofError::Root { root: other }));
        let mut changed = info.clone();
        changed.proof.as_mut().expect("there").leaf = other;
        assert!(matches!(check(&changed, chain, Some(root)), Err(ProofError::Leaf { .. })));
        let mut changed = info.clone();
        changed.coinbase.as_mut().expect("there").outputs[0].amount = Amount(6);
        assert!(matches!(check(&changed, chain, Some(root)), Err(ProofError::Id { .. })));
        let mut changed = info.clone();
        changed.proof = None;
        assert_eq!(check(&changed, chain, Some(root)), Err(ProofError::Missing));
        assert!(check(&info, ChainId(Bytes([1; 8])), Some(root)).is_err());
    }
}
