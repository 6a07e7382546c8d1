//! Wallets that sign on two branches are found, and those that follow the rules never are.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use synod_ledger::{
    Balance, Block, Coinbase, Engine, Evidence, EvidenceError, Genesis, Node, Rules, Signatures, State,
};
use synod_machine::{Bytes, Rng};

use super::*;

fn chain() -> Genesis {
    let mut genesis = genesis();
    genesis.engine = Engine::Pos(PosParams { difficulty: 1, ..params(Retarget::Off) });
    let staked = |person: u8| {
        let name = alloc::format!("{person}");
        Balance { name, address: key(person).address(), amount: Amount(10), coins: 1, stake: Amount(9) }
    };
    genesis.balances = (1..=6).map(staked).collect();
    genesis.check().expect("a chain can start like this");
    genesis
}

/// A header on `parent` by a wallet for a second.
fn header(pos: &Pos, parent: &Header, person: u8, second: u64, content: u8) -> Header {
    let seal = pos.unsigned(&key(person), 1);
    let (height, root) = (parent.height.next(), Bytes([content; 32]));
    let header = Header { parent: parent.id(), height, time: Time::from_secs(second), root, seal, ..parent.clone() };
    header.signed(&key(person))
}

struct World {
    pos: Pos,
    tree: BlockTree,
    rng: Rng,
    /// What each wallet has on its disk.
    signed: BTreeMap<u8, Signed>,
}

impl World {
    fn new(seed: u64) -> Self {
        let genesis = chain();
        let Engine::Pos(params) = &genesis.engine else { panic!("a chain of stakes") };
        let tree = BlockTree::new(genesis.block().header().clone(), U256::ZERO);
        Self { pos: Pos::new(params.clone()), tree, rng: Rng::new(seed, 0, "offences"), signed: BTreeMap::new() }
    }

    /// A header anywhere among the last blocks, at most five seconds after its parent.
    fn draw(&mut self, person: u8) -> Header {
        let places: Vec<BlockId> = self.tree.iter().map(Node::id).collect();
        let ago = self.rng.below(6).min(places.len() as u64 - 1) as usize;
        let parent = self.tree.get(&places[places.len() - 1 - ago]).expect("known").header().clone();
        let (second, content) = (parent.time.as_secs() + 1 + self.rng.below(5), self.rng.below(256) as u8);
        header(&self.pos, &parent, person, second, content)
    }

    /// Puts a header in; gives what evidence it makes.
    fn insert(&mut self, header: Header) -> Option<Evidence> {
        let found = self.pos.offence(&self.tree, &header);
        let weight = Pos::weight(&header);
        let _ = self.tree.insert(header, weight);
        found
    }
}

/// Honest wallets build on any branch at any time, and come back with nothing but what they had on disk.
#[test]
fn no_branches_and_no_restarts_make_evidence_against_honest_wallets() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        let mut made = 0;
        for _ in 0..200 {
            let person = 1 + world.rng.below(6) as u8;
            let header = world.draw(person);
            let signed = world.signed.entry(person).or_default();
            if !signed.allows(header.height, header.time.as_secs()) {
                continue;
            }
            *signed = Signed { height: header.height, second: header.time.as_secs() };
            made += 1;
            assert_eq!(world.insert(header), None, "seed {seed}");
        }
        assert!(made > 20, "seed {seed}: {made} blocks");
        // Nor does anybody find some by putting any two headers together.
        let headers: Vec<Header> = world.tree.iter().skip(1).map(|node| node.header().clone()).collect();
        let chain = headers[0].chain;
        for one in &headers {
            for other in &headers {
                let evidence = Evidence::new(one.clone(), other.clone());
                assert_eq!(evidence.check(chain), Err(EvidenceError::Form), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_wallet_that_mints_on_every_branch_is_found_and_nobody_else() {
    let mut worlds = 0;
    for seed in 0..30 {
        let mut world = World::new(seed);
        let mut found = Vec::new();
        for _ in 0..100 {
            let person = 1 + world.rng.below(6) as u8;
            let header = world.draw(person);
            let signed = world.signed.entry(person).or_default();
            if person != 6 && !signed.allows(header.height, header.time.as_secs()) {
                continue;
            }
            *signed = Signed { height: header.height, second: header.time.as_secs() };
            // Any header of the tree will do, on whatever branch.
            let known: Vec<Header> = world.tree.iter().skip(1).map(|node| node.header().clone()).collect();
            let is_evidence = |other: &Header| Evidence::new(other.clone(), header.clone()).check(header.chain).is_ok();
            let expected = known.iter().any(is_evidence);
            let evidence = world.insert(header);
            assert_eq!(evidence.is_some(), expected, "seed {seed}");
            found.extend(evidence);
        }
        worlds += usize::from(!found.is_empty());
        for evidence in found {
            assert_eq!(evidence.check(world.tree.genesis().header().chain), Ok(key(6).public()), "seed {seed}");
        }
    }
    assert!(worlds > 25, "in {worlds} of 30 worlds");
}

#[test]
fn an_offence_is_two_headers_that_agree_in_height_or_second() {
    let world = World::new(0);
    let (pos, genesis) = (&world.pos, world.tree.genesis().header().clone());
    let one = header(pos, &genesis, 1, 10, 1);
    let next = header(pos, &one, 2, 20, 1);
    let mut tree = world.tree.clone();
    for header in [&one, &next] {
        tree.insert(header.clone(), U256::from(1)).expect("it fits");
    }
    let offence = |header: Header| pos.offence(&tree, &header);
    assert_eq!(offence(one.clone()), None, "the same again");
    assert_eq!(offence(header(pos, &genesis, 2, 10, 1)), None, "another wallet");
    assert!(offence(header(pos, &genesis, 1, 11, 1)).is_some(), "a second one of height 1");
    assert!(offence(header(pos, &genesis, 2, 20, 1)).is_some(), "a second one of second 20, at another height");
    assert_eq!(offence(header(pos, &one, 1, 11, 1)), None, "one after the other on one branch");
}

#[test]
fn evidence_waits_once_for_each_key_and_goes_when_it_is_used() {
    let genesis = chain();
    let (rules, state) = (genesis.rules(), State::genesis(&genesis));
    let pos = World::new(0).pos;
    let first = genesis.block().header().clone();
    let proof = |person| Evidence::new(header(&pos, &first, person, 5, 1), header(&pos, &first, person, 5, 2));
    let mut pending = Pending::default();
    assert_eq!(pending.insert(&state, &rules, proof(1)), Ok(true));
    assert_eq!(pending.insert(&state, &rules, proof(1)), Ok(false), "it is no news");
    assert_eq!(pending.insert(&state, &rules, proof(2)), Ok(true));
    assert_eq!(pending.insert(&state, &rules, proof(9)), Err(EvidenceError::NoStake));
    assert_eq!(pending.len(), 2);
    let (evidence, reward) = state.usable_evidence(&rules, pending.iter());
    assert_eq!((evidence.len(), reward), (2, Amount(0)), "9 · 10 / 256 is nothing");
    let block = block(&rules, &pos, &first, evidence[..1].to_vec());
    let (after, _) = state.connect(&rules, &block, Signatures::Check).expect("it connects");
    pending.settle(&after, &rules);
    let left: Vec<&Evidence> = pending.iter().collect();
    assert_eq!(left, [&evidence[1]]);
    assert!(!pending.is_empty());
}

fn block(rules: &Rules, pos: &Pos, parent: &Header, evidence: Vec<Evidence>) -> Block {
    let coinbase = Coinbase { chain: rules.chain, height: Height(1), extra: 0, outputs: Vec::new() };
    let root = Block::root_with(&coinbase, &[], &evidence);
    let header = Header { root, ..header(pos, parent, 3, 7, 0) }.signed(&key(3));
    Block::with_evidence(header, coinbase, Vec::new(), evidence)
}
