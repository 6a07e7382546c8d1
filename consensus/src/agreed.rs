//! What a header must show on a chain of known validators: the votes of a quorum, which make it final at once.
//!
//! How validators come to vote is the business of the agreement (Castro and Liskov, OSDI '99); whoever follows the chain needs
//! their keys alone. A header is worth one: branches of the same height can only be told apart by who was first, and there
//! are none while fewer than 2q - n validators are faulty, since two quorums share an honest one.

use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{BlockTree, Header, PbftParams, PublicKey, Seal, SharedHeader, U256};
use synod_machine::Time;

use crate::HeaderError;
use crate::pow::FUTURE_MIN;
use crate::rule::check_place;

/// The rule, with a chain's parameters.
#[derive(Clone, Debug)]
pub struct Agreed {
    params: PbftParams,
    validators: Vec<PublicKey>,
}

impl Agreed {
    /// The rule of a checked genesis.
    pub fn new(params: PbftParams) -> Self {
        let validators = params.validators.iter().map(|validator| validator.key).collect();
        Self { params, validators }
    }

    /// The chain's parameters.
    pub const fn params(&self) -> &PbftParams {
        &self.params
    }

    /// Who votes, in the order of their numbers.
    pub fn validators(&self) -> &[PublicKey] {
        &self.validators
    }

    /// How many votes decide.
    pub fn quorum(&self) -> usize {
        self.params.quorum()
    }

    /// Checks a header whose parent is in the tree. That a quorum took it says that its time was good when they did.
    pub fn check(&self, tree: &BlockTree, header: &SharedHeader) -> Result<(), HeaderError> {
        let parent = tree.get(&header.parent).expect("the caller looked the parent up").header();
        check_child(parent, header)?;
        let Seal::Agreed { certificate } = &header.seal else { return Err(HeaderError::Seal) };
        let is_signed = certificate.verify(&self.validators, self.quorum(), header.chain, header.height, header.id());
        if is_signed { Ok(()) } else { Err(HeaderError::Seal) }
    }

    /// Checks the header of a proposal, which has no votes yet, as the next one after `parent`.
    pub fn check_proposal(parent: &Header, header: &Header, now: Time) -> Result<(), HeaderError> {
        check_child(parent, header)?;
        match &header.seal {
            Seal::Agreed { certificate } if certificate.is_empty() => {}
            _ => return Err(HeaderError::Seal),
        }
        let latest = now + FUTURE_MIN;
        if header.time > latest {
            return Err(HeaderError::Future { expected: latest, got: header.time });
        }
        Ok(())
    }

    /// The earliest time that a block on `parent` may carry.
    pub fn earliest(parent: &Header) -> Time {
        parent.time + Duration::from_nanos(1)
    }

    /// What every header but the genesis weighs.
    pub fn weight() -> U256 {
        U256::from(1)
    }
}

fn check_child(parent: &Header, header: &Header) -> Result<(), HeaderError> {
    check_place(parent, header)?;
    if header.time <= parent.time {
        return Err(HeaderError::Past { expected: parent.time, got: header.time });
    }
    Ok(())
}
