//! The ledger's blocks and payments as items that a peer shares: found by their ids and by words, and checked by whoever fetches
//! them against a header.

use serde::{Deserialize, Serialize};
use synod_dht::content::hash_of;
use synod_dht::search::{Item, Question};
use synod_ledger::{Block, BlockId, TX_BYTES_MAX, Tx, TxId, merkle};
use synod_machine::{Bytes, Wire, wire};

use crate::handle::Archive;
use crate::store::StoreError;

/// The word that every shared block has, beside its height.
const BLOCK: &str = "block";
/// The word that every shared payment has, beside its block's height.
const PAYMENT: &str = "payment";

/// A payment with the proof that it is in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPayment {
    /// The block.
    pub block: BlockId,
    /// Where in the block it stands.
    pub proof: merkle::Proof,
    /// The payment.
    pub tx: Tx,
}

impl Wire for SharedPayment {
    // A block's id, two numbers, a hash for each level of a tree of 2^32 leaves, and the payment.
    const BYTES_MAX: usize = 33 + 2 * 9 + 1 + 32 * 33 + TX_BYTES_MAX;

    fn kind(&self) -> &'static str {
        "shared_payment"
    }
}

impl SharedPayment {
    /// The payment at `position` of a block, its coinbase not counted; nothing where the block has no such.
    pub fn of(block: &Block, position: usize) -> Option<Self> {
        let tx = block.payments().get(position)?.clone();
        let leaves = block.leaves();
        Some(Self { block: block.id(), proof: merkle::Proof::new(&leaves, position + 1), tx })
    }
}

/// A block as an item: its name is its id.
pub fn block_item(block: &Block) -> Option<Item> {
    item(&block.id().0, BLOCK, block, &wire::encode(block))
}

/// A payment of a block as an item: its name is its id.
pub fn payment_item(block: &Block, shared: &SharedPayment) -> Option<Item> {
    item(&shared.tx.id().0, PAYMENT, block, &wire::encode(shared))
}

fn item(id: &Bytes<32>, word: &str, block: &Block, content: &[u8]) -> Option<Item> {
    let keywords = format!("{word} {}", block.header().height.0);
    Item::new(hash_of(content), &id.to_string(), &keywords, content.len() as u64).ok()
}

/// The content of an item of the ledger, if it still is what was offered.
pub(crate) fn content(archive: &dyn Archive, item: &Item) -> Result<Option<Vec<u8>>, StoreError> {
    let Ok(id) = item.name.as_str().parse::<Bytes<32>>() else { return Ok(None) };
    let has = |word: &str| Question::words(word).is_ok_and(|question| question.is_answered_by(item));
    let mut contents = Vec::new();
    if has(BLOCK) {
        contents.extend(archive.block(&BlockId(id))?.map(|block| wire::encode(&block)));
    }
    if has(PAYMENT) {
        for (block, position) in archive.tx_blocks(&TxId(id))? {
            // The coinbase has the first place.
            let place = (position as usize).checked_sub(1);
            let shared = place.zip(archive.block(&block)?).and_then(|(place, block)| SharedPayment::of(&block, place));
            contents.extend(shared.map(|shared| wire::encode(&shared)));
        }
    }
    Ok(contents.into_iter().find(|content| hash_of(content) == item.hash))
}
