//! What is to be had here: kept, told of, and handed out.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use synod_machine::{Bytes, Key, Out, PeerId, Reject};

use super::{AddError, CONTENT_BYTES_MAX, Content, Event, Held, LOADS_MAX, Message, PIECE_BYTES, Record, Source};
use crate::search::{HITS_MAX, ITEMS_MAX, Item, Question};

const SHELF_ITEM: u8 = 0x00;
const SHELF_PIECE: u8 = Key::COLD;

/// A piece that is being read for somebody.
#[derive(Debug)]
pub(super) struct Load {
    ticket: u32,
    to: PeerId,
    request: u32,
    /// Which piece of what is read is wanted; a piece on disk is wanted whole.
    piece: u32,
}

/// How many pieces a content of so many bytes has.
pub(super) const fn pieces(bytes: u64) -> u32 {
    bytes.div_ceil(PIECE_BYTES as u64) as u32
}

/// Where a piece lies on disk.
pub(super) fn piece_key(hash: &Bytes<32>, piece: u32) -> Key {
    let mut name = Sha256::new_with_prefix(hash);
    name.update(piece.to_be_bytes());
    Key::new(SHELF_PIECE, Bytes(name.finalize().into()))
}

impl Content {
    pub(super) fn add(&mut self, item: Item, bytes: &[u8], out: &mut Out<Self>) -> Result<(), AddError> {
        if bytes.is_empty() {
            return Err(AddError::Empty);
        }
        if bytes.len() as u64 > CONTENT_BYTES_MAX {
            return Err(AddError::TooLong);
        }
        assert!(bytes.len() as u64 == item.bytes, "an item knows its content's length");
        let hash = item.hash;
        let held = Held { item: item.clone(), is_on_disk: true };
        match self.place(&hash) {
            Ok(place) => self.held[place] = held,
            Err(_) if self.held.len() >= ITEMS_MAX => return Err(AddError::Full),
            Err(place) => self.held.insert(place, held),
        }
        for (piece, bytes) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            out.persist(piece_key(&hash, piece), Record::Piece(bytes.to_vec()));
        }
        // Last: who finds it on disk finds its pieces too.
        out.persist(Key::new(SHELF_ITEM, hash), Record::Item(item));
        Ok(())
    }

    /// What is on disk already stays there; beyond the most it is not offered.
    pub(super) fn offer(&mut self, item: Item) {
        if let Err(place) = self.place(&item.hash)
            && self.held.len() < ITEMS_MAX
        {
            self.held.insert(place, Held { item, is_on_disk: false });
        }
    }

    pub(super) fn remove(&mut self, hash: &Bytes<32>, out: &mut Out<Self>) {
        let Ok(place) = self.place(hash) else { return };
        let Held { item, is_on_disk } = self.held.remove(place);
        if is_on_disk {
            out.forget(Key::new(SHELF_ITEM, *hash));
            (0..pieces(item.bytes)).for_each(|piece| out.forget(piece_key(hash, piece)));
        }
    }

    pub(super) fn on_ask(&self, from: PeerId, request: u32, question: &Question, out: &mut Out<Self>) {
        let items = self.items().filter(|item| question.is_answered_by(item)).take(HITS_MAX).cloned().collect();
        out.send(from, Message::Have { request, items });
    }

    pub(super) fn on_get(&mut self, from: PeerId, request: u32, hash: Bytes<32>, piece: u32, out: &mut Out<Self>) {
        let place = self.place(&hash).ok().filter(|_| self.loads.len() < LOADS_MAX);
        let Some(held) = place.map(|place| &self.held[place]) else {
            return out.send(from, Message::Piece { request, bytes: Vec::new() });
        };
        if piece >= pieces(held.item.bytes) {
            return out.reject(from, Reject::QueryList);
        }
        let (source, piece) = if held.is_on_disk {
            (Source::Disk(piece_key(&hash, piece)), 0)
        } else {
            (Source::Owner(held.item.clone()), piece)
        };
        let ticket = self.number();
        self.loads.push(Load { ticket, to: from, request, piece });
        out.emit(Event::Load { ticket, source });
    }

    pub(super) fn on_loaded(&mut self, ticket: u32, bytes: Option<Vec<u8>>, out: &mut Out<Self>) {
        let Some(place) = self.loads.iter().position(|load| load.ticket == ticket) else { return };
        let Load { to, request, piece, .. } = self.loads.swap_remove(place);
        let bytes = bytes.unwrap_or_default();
        let bytes = bytes.chunks(PIECE_BYTES).nth(piece as usize).unwrap_or_default().to_vec();
        out.send(to, Message::Piece { request, bytes });
    }

    /// Nobody is there to be sent what is being read.
    pub(super) fn forget_loads(&mut self, peer: PeerId) {
        self.loads.retain(|load| load.to != peer);
    }
}
