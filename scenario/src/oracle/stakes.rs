//! Stakes once more: who has how much, and what is lost by evidence, counted from coins.

use std::collections::BTreeMap;

use ed25519_zebra::VerificationKey;
use synod_ledger::{Evidence, Header, OutPoint, OutputKind, PosParams, Seal};
use synod_machine::Bytes;

use super::model::Money;

/// What somebody has locked.
pub(super) fn staked(coins: &BTreeMap<OutPoint, Money>, owner: Bytes<20>) -> u64 {
    let locked = coins.values().filter(|coin| coin.owner == owner && coin.kind == OutputKind::Stake);
    locked.map(|coin| coin.amount).sum()
}

/// Whose offence a piece of evidence in a block at `height` proves, and at which height that was.
pub(super) fn offender(
    params: &PosParams,
    chain: Bytes<8>,
    evidence: &Evidence,
    height: u64,
) -> Result<(Bytes<20>, u64), String> {
    let Evidence { first, second } = evidence;
    let since = first.height.max(second.height).0;
    if !params.slasher {
        return Err("stakes are not taken away here".to_string());
    }
    if since > height || height > since + params.unbonding {
        return Err(format!("the offence at height {since} cannot be punished at {height}"));
    }
    if first.chain.0 != chain || second.chain.0 != chain {
        return Err("a header is of another chain".to_string());
    }
    let (Seal::Stake { key, .. }, Seal::Stake { key: same, .. }) = (&first.seal, &second.seal) else {
        return Err("a header has no stake's seal".to_string());
    };
    let agree = first.height == second.height || first.time == second.time;
    if key != same || !agree || first.stake_digest() >= second.stake_digest() {
        return Err("the headers do not contradict each other".to_string());
    }
    if !is_signed(first) || !is_signed(second) {
        return Err("a header is not signed by its key".to_string());
    }
    Ok((key.address().0, since))
}

/// Takes away what an offender loses in a block at `height`.
pub(super) fn take(coins: &mut BTreeMap<OutPoint, Money>, params: &PosParams, owner: Bytes<20>, height: u64) -> u64 {
    let is_lost = |coin: &Money| match coin.kind {
        OutputKind::Plain => false,
        OutputKind::Stake => coin.owner == owner,
        OutputKind::Unbonding => coin.owner == owner && coin.height + params.unbonding > height,
    };
    let lost = coins.values().filter(|coin| is_lost(coin)).map(|coin| coin.amount).sum();
    coins.retain(|_, coin| !is_lost(coin));
    lost
}

/// Whether the key of a stake's header has signed it.
pub(super) fn is_signed(header: &Header) -> bool {
    let (Seal::Stake { key, signature, .. }, Some(signed)) = (&header.seal, header.stake_digest()) else {
        return false;
    };
    let signature = ed25519_zebra::Signature::from_bytes(&signature.0.0);
    VerificationKey::try_from(key.0.0).is_ok_and(|key| key.verify(&signature, signed.as_slice()).is_ok())
}
