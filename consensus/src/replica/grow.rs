//! The tree of headers that a disk holds.

use alloc::vec::Vec;

use synod_ledger::{BlockId, BlockTree, Status, U256};

use crate::{Chain, StoredHeader};

/// The tree as it was: headers come in as they came, and chains become complete in the order in which they did, so that
/// ties fall as before.
pub(crate) fn grow_tree(chain: &Chain, mut headers: Vec<StoredHeader>) -> BlockTree {
    let mut tree = BlockTree::new(chain.block().shared_header().clone(), U256::ZERO);
    headers.sort_by_key(|stored| stored.arrival);
    let mut known: Vec<(BlockId, StoredHeader)> = Vec::new();
    for stored in headers {
        let id = stored.header.id();
        let weight = chain.rule().weight(&stored.header);
        // A parent is always written before its children, so a header that does not fit was never a whole commit.
        if tree.insert_as(stored.header.clone(), weight, stored.arrival).is_ok() {
            known.push((id, stored));
        }
    }
    known.sort_by_key(|(_, stored)| (stored.completed.is_none(), stored.completed, stored.arrival));
    for (id, stored) in &known {
        match stored.status {
            Status::Header => {}
            Status::Body | Status::Valid => tree.set_status(id, stored.status),
            // It had a body, and keeps its number.
            Status::Invalid if stored.completed.is_some() => tree.set_status(id, Status::Body),
            Status::Invalid => {}
        }
    }
    for (id, _) in known.iter().filter(|(_, stored)| stored.status == Status::Invalid) {
        tree.invalidate(id);
    }
    tree
}
