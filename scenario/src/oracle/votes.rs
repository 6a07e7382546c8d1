//! Certificates once more: each vote is checked by itself, and a quorum is counted by its definition. What a vote signs is
//! hashed as everybody does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ed25519_zebra::VerificationKey;
use synod_ledger::{BlockId, Certificate, ChainId, Header, PbftParams, Seal, Signature, commit_digest};
use synod_machine::wire;

/// Checks certificates of one chain, and remembers which votes are good.
pub(super) struct Votes {
    keys: Vec<VerificationKey>,
    quorum: usize,
    chain: ChainId,
    /// Good votes: who, in which view, for what. One key signs one thing in one way.
    good: BTreeSet<(u8, u64, u64, BlockId, Signature)>,
    /// The first certificate that was seen for each height, and for which block.
    first: BTreeMap<u64, (BlockId, Certificate)>,
}

impl Votes {
    pub(super) fn new(params: &PbftParams, chain: ChainId) -> Self {
        let key = |validator: &synod_ledger::Validator| VerificationKey::try_from(validator.key.0.0);
        let keys: Result<Vec<VerificationKey>, _> = params.validators.iter().map(key).collect();
        let keys = keys.expect("a simulation's validators have keys");
        let quorum = quorum(keys.len());
        Self { keys, quorum, chain, good: BTreeSet::new(), first: BTreeMap::new() }
    }

    /// Says what is wrong with a header's certificate.
    pub(super) fn check(&mut self, header: &Header) -> Result<(), String> {
        let Seal::Agreed { certificate } = &header.seal else {
            return Err(format!("a seal of the wrong kind: {:?}", header.seal));
        };
        let (view, height, id) = (certificate.view(), header.height, header.id());
        let message = commit_digest(self.chain, view, height, id);
        let mut voters = BTreeSet::new();
        for (place, signature) in certificate.votes() {
            let vote = (*place, view, height.0, id, *signature);
            if !self.good.contains(&vote) {
                let key = self.keys.get(usize::from(*place)).ok_or_else(|| format!("a vote of nobody, {place}"))?;
                let signature = ed25519_zebra::Signature::from_bytes(&signature.0.0);
                if key.verify(&signature, message.as_slice()).is_err() {
                    return Err(format!("a vote that validator {place} has not cast"));
                }
                self.good.insert(vote);
            }
            voters.insert(*place);
        }
        if voters.len() < self.quorum {
            return Err(format!("{} validators voted, and {} decide", voters.len(), self.quorum));
        }
        Ok(())
    }

    /// Whether another block was agreed on at a header's height; says which, with both proofs. The header's own is good.
    pub(super) fn contradict(&mut self, header: &Header) -> Result<(), String> {
        let Seal::Agreed { certificate } = &header.seal else { return Ok(()) };
        let id = header.id();
        let (first, proof) = self.first.entry(header.height.0).or_insert_with(|| (id, certificate.clone()));
        if *first == id {
            return Ok(());
        }
        let (one, other) = (Proof(*first, proof), Proof(id, certificate));
        Err(format!("two blocks are agreed on at height {}: {one}; and {other}", header.height))
    }
}

/// A block and its certificate, in words and in full.
struct Proof<'a>(BlockId, &'a Certificate);

impl fmt::Display for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id, certificate) = self;
        let voters: Vec<u8> = certificate.votes().iter().map(|(place, _)| *place).collect();
        write!(f, "{id} by {voters:?} in view {}, certificate ", certificate.view())?;
        wire::encode(*certificate).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How many votes decide: the fewest of which any two sets share more validators than may be faulty, and those are as many
/// as leave more than two thirds honest (Castro and Liskov, OSDI '99, section 3).
pub(crate) fn quorum(validators: usize) -> usize {
    let faulty = faulty(validators);
    (1..=validators).find(|quorum| 2 * quorum > validators + faulty).unwrap_or(validators)
}

/// The most validators that may be faulty: f, where there are more than 3f.
pub(crate) fn faulty(validators: usize) -> usize {
    (0..validators).take_while(|faulty| 3 * faulty < validators).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use synod_ledger::{Engine, Height, Validator};
    use synod_machine::{Bytes, PeerId, Time};

    use super::*;
    use crate::payer::signer;

    const CHAIN: ChainId = ChainId(Bytes([3; 8]));

    fn votes(validators: u32) -> Votes {
        let validator = |peer| Validator { name: format!("peer{peer}"), key: signer(PeerId(peer)).public() };
        let engine: Engine = toml::from_str("name = 'pbft'\nvalidators = []").expect("an engine's defaults");
        let Engine::Pbft(params) = engine else { panic!("it names pBFT") };
        let validators = (0..validators).map(validator).collect();
        Votes::new(&PbftParams { validators, ..params }, CHAIN)
    }

    fn header(root: u8, by: &[u8], view: u64, voted_in: u64) -> Header {
        let seal = Seal::Agreed { certificate: Certificate::none() };
        let (parent, root) = (BlockId(Bytes([1; 32])), Bytes([root; 32]));
        let header = Header { chain: CHAIN, parent, height: Height(5), time: Time(9), root, seal };
        let message = commit_digest(CHAIN, voted_in, header.height, header.id());
        let vote = |place: &u8| (*place, signer(PeerId(u32::from(*place))).sign(message.as_slice()));
        let certificate = Certificate::new(view, by.iter().map(vote).collect());
        Header { seal: Seal::Agreed { certificate }, ..header }
    }

    #[test]
    fn a_quorum_of_different_validators_in_one_view_is_a_certificate() {
        let mut votes = votes(4);
        assert_eq!(votes.check(&header(1, &[0, 2, 3], 1, 1)), Ok(()));
        assert_eq!(votes.check(&header(1, &[0, 2], 1, 1)), Err("2 validators voted, and 3 decide".to_string()));
        assert_eq!(votes.check(&header(1, &[0, 2, 2], 1, 1)), Err("2 validators voted, and 3 decide".to_string()));
        let other_view = votes.check(&header(1, &[0, 1, 2], 1, 2));
        assert_eq!(other_view, Err("a vote that validator 0 has not cast".to_string()));
        assert_eq!(votes.check(&header(1, &[0, 1, 4], 1, 1)), Err("a vote of nobody, 4".to_string()));
    }

    #[test]
    fn two_certificates_for_one_height_are_shown_and_two_of_one_block_are_not() {
        let mut votes = votes(4);
        assert_eq!(votes.contradict(&header(1, &[0, 2, 3], 0, 0)), Ok(()));
        assert_eq!(votes.contradict(&header(1, &[0, 1, 2], 1, 1)), Ok(()), "the same block, decided again");
        let shown = votes.contradict(&header(2, &[0, 1, 2], 0, 0)).expect_err("another block");
        assert!(shown.starts_with("two blocks are agreed on at height 5: "), "{shown}");
        assert!(shown.contains(" by [0, 2, 3] in view 0, certificate 0003"), "{shown}");
        assert!(shown.contains(" by [0, 1, 2] in view 0, certificate 0003"), "{shown}");
    }

    #[test]
    fn quorums_are_those_of_the_paper_where_it_names_them() {
        let of = |count: usize| (faulty(count), quorum(count));
        assert_eq!(
            [4, 5, 6, 7, 8, 10, 31, 64].map(of),
            [(1, 3), (1, 4), (1, 4), (2, 5), (2, 6), (3, 7), (10, 21), (21, 43)]
        );
    }
}
