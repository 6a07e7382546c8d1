//! What a replica gives of its chain to others that lack it; a lying donor (`adversary::Behaviour::LyingDonor`) spoils it.
//!
//! Three lies by turns, each of which costs the receiver something else: a certificate of which one vote is bad, other content
//! under a good header, and that it has not what it said it had. Whoever checks headers by their certificates and bodies by
//! their root finds all of them out, and asks somebody else.

use alloc::vec::Vec;

use synod_ledger::{Block, Certificate, Header, Seal, SharedHeader, Signature};
use synod_machine::{Out, PeerId};

use super::Replica;
use crate::Message;

impl Replica {
    /// Headers, in order, to one who asked for them.
    pub(super) fn give_headers(&self, to: PeerId, mut headers: Vec<SharedHeader>, out: &mut Out<Self>) {
        if self.is_lying_donor()
            && let Some(last) = headers.last_mut()
            && last.id().0.0[30].is_multiple_of(2)
        {
            *last = Header { seal: spoil(&last.seal), ..Header::clone(last) }.into();
        }
        out.send(to, Message::Headers(headers));
    }

    /// A block to one who asked for it.
    pub(super) fn give_block(&self, to: PeerId, block: &Block, out: &mut Out<Self>) {
        let message = match block.id().0.0[31] % 3 {
            _ if !self.is_lying_donor() => Message::Block(block.clone()),
            0 => Message::Block(with(block, Header { seal: spoil(&block.header().seal), ..block.header().clone() }, 0)),
            1 => Message::Block(with(block, block.header().clone(), 1)),
            _ => Message::Missing(Vec::from([block.id()])),
        };
        out.send(to, message);
    }

    fn is_lying_donor(&self) -> bool {
        self.agreeing.as_ref().is_some_and(|agreeing| agreeing.is_lying_donor)
    }
}

/// The same content under another header, with another number in the coinbase unless `extra` is zero.
fn with(block: &Block, header: Header, extra: u64) -> Block {
    let mut coinbase = block.coinbase().clone();
    coinbase.extra ^= extra;
    Block::with_evidence(header, coinbase, block.payments().to_vec(), block.evidence().to_vec())
}

/// The same votes, one of them bad.
fn spoil(seal: &Seal) -> Seal {
    let Seal::Agreed { certificate } = seal else { return seal.clone() };
    let mut votes = certificate.votes().to_vec();
    if let Some((_, signature)) = votes.last_mut() {
        *signature = Signature::NONE;
    }
    Seal::Agreed { certificate: Certificate::new(certificate.view(), votes) }
}
