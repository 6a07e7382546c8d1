//! `synod stake`: coins that make blocks.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use synod_ledger::{
    Address, Amount, BlockId, Coin, Height, OutPoint, Output, OutputKind, PaymentError, Tx, TxId, lock_stake,
    unlock_stake,
};
use synod_node::api::types::{AddressQuery, CoinInfo, StakeInfo};

use super::context::{Context, PeerArg, Reached};
use super::tx::{COINS_MAX, HandInArgs, hand_in};
use super::{interrupted, unless_interrupted};
use crate::error::LabError;
use crate::shell::render;
use crate::wallets::Named;

/// `synod stake`.
#[derive(Debug, Subcommand)]
pub(super) enum StakeCommand {
    /// Lock a wallet's coins, so that they make blocks
    #[command(after_help = "\
Example:
  synod stake lock --wallet alice --amount 100
  synod stake lock --wallet alice --amount 100 --wait 1 --json

They count some blocks later, at a peer that has the wallet's key as its own (`synod stake show`).")]
    Lock(MoveArgs),
    /// Begin to unlock a wallet's stake: it can be spent some blocks later, and can be lost until then
    #[command(after_help = "Example:\n  synod stake unlock --wallet alice --amount 40 --wait 1")]
    Unlock(MoveArgs),
    /// Show what is locked, what of it makes blocks now, and what was lost
    #[command(after_help = "\
Example:
  synod stake show                     # all wallets
  synod stake show miner-peer1 --json
  synod stake show syn1... --peer peer2")]
    Show {
        /// A wallet's name or an address [default: all wallets]
        name: Option<String>,
        #[command(flatten)]
        peer: PeerArg,
    },
}

/// `synod stake lock` and `unlock`.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// Whose stake it is
    #[arg(long, value_name = "WALLET")]
    wallet: String,
    /// How many coins, as 12.5
    #[arg(long, allow_negative_numbers = true)]
    amount: Amount,
    /// The fee in coins, which is paid with coins that are not locked [default: the network's lowest]
    #[arg(long, allow_negative_numbers = true)]
    fee: Option<Amount>,
    #[command(flatten)]
    hand_in: HandInArgs,
}

/// Which way coins go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Lock,
    Unlock,
}

/// The result of `stake lock` and `stake unlock`.
#[derive(Debug, Serialize)]
struct Moved {
    id: TxId,
    wallet: String,
    address: Address,
    /// `lock` or `unlock`.
    action: &'static str,
    amount: Amount,
    fee: Amount,
    peer: String,
    /// `accepted`, or `confirmed` where that was waited for.
    status: &'static str,
    confirmations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<BlockId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
}

/// An element of `stake show`.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    address: Address,
    peer: String,
    height: Height,
    #[serde(flatten)]
    stake: StakeInfo,
}

pub(super) async fn run(context: &Context, command: StakeCommand) -> Result<(), LabError> {
    match command {
        StakeCommand::Lock(args) => move_coins(context, args, Way::Lock).await,
        StakeCommand::Unlock(args) => move_coins(context, args, Way::Unlock).await,
        StakeCommand::Show { name, peer } => unless_interrupted(show(context, name.as_deref(), &peer)).await,
    }
}

async fn move_coins(context: &Context, args: MoveArgs, way: Way) -> Result<(), LabError> {
    let interrupt = interrupted();
    tokio::pin!(interrupt);
    let (peer, tx, mut moved) = tokio::select! {
        prepared = prepare(context, &args, way) => prepared?,
        () = &mut interrupt => return Err(LabError::Interrupted),
    };
    if let Some(info) = hand_in(context, &peer, &tx, &args.hand_in, interrupt).await? {
        moved.status = "confirmed";
        (moved.confirmations, moved.block, moved.height) = (info.confirmations, info.block, info.height);
    }
    context.shell.result(&moved, || moved_text(&moved));
    Ok(())
}

async fn prepare(context: &Context, args: &MoveArgs, way: Way) -> Result<(Reached, Tx, Moved), LabError> {
    let secret = context.wallets().unlock(&args.wallet, &args.hand_in.passphrase.source())?;
    let peer = reach(context, &args.hand_in.peer).await?;
    let address = secret.address();
    let fee = args.fee.unwrap_or(peer.status.chain.fee_min);
    let info = peer.client.address(address, AddressQuery { coins: Some(COINS_MAX) }).await;
    let info = info.map_err(|error| LabError::api(&peer.name, error))?;
    let coins: Vec<(OutPoint, Coin)> = info.coins.iter().filter_map(|coin| usable(coin, address)).collect();
    let chain = peer.status.chain.id;
    let made = match way {
        Way::Lock => lock_stake(chain, &coins, &secret, args.amount, fee),
        Way::Unlock => {
            let got = sum(&coins, true);
            if got < args.amount {
                return Err(LabError::Stake { wallet: args.wallet.clone(), expected: args.amount, got });
            }
            unlock_stake(chain, &coins, &secret, args.amount, fee)
        }
    };
    let tx = made.map_err(|error| match error {
        PaymentError::InsufficientFunds { expected, .. } => {
            LabError::Funds { wallet: args.wallet.clone(), expected, got: sum(&coins, false) }
        }
        PaymentError::Key { .. }
        | PaymentError::NoOutput
        | PaymentError::Overflow
        | PaymentError::TooManyInputs { .. }
        | PaymentError::TooManyOutputs { .. }
        | PaymentError::ZeroOutput => LabError::Payment(error),
    })?;
    let moved = Moved {
        id: tx.id(),
        wallet: args.wallet.clone(),
        address,
        action: match way {
            Way::Lock => "lock",
            Way::Unlock => "unlock",
        },
        amount: args.amount,
        fee,
        peer: peer.name.clone(),
        status: "accepted",
        confirmations: 0,
        block: None,
        height: None,
    };
    Ok((peer, tx, moved))
}

/// A peer of a chain on which there are stakes.
async fn reach(context: &Context, peer: &PeerArg) -> Result<Reached, LabError> {
    let peer = context.reach(peer).await?;
    match peer.status.chain.engine.as_str() {
        "pos" => Ok(peer),
        engine => Err(LabError::NoStakes { peer: peer.name, engine: engine.to_owned() }),
    }
}

/// The coin, if a payment of now may use it: as money, or as stake that is locked already.
fn usable(coin: &CoinInfo, owner: Address) -> Option<(OutPoint, Coin)> {
    let is_usable = match coin.kind {
        OutputKind::Plain => coin.mature || coin.pending,
        OutputKind::Stake => !coin.pending,
        OutputKind::Unbonding => coin.mature,
    };
    if !is_usable || coin.spent_by_pending {
        return None;
    }
    let output = Output { amount: coin.amount, to: owner, kind: coin.kind };
    let name = OutPoint { tx: coin.tx, index: coin.index };
    Some((name, Coin { output, height: coin.height.unwrap_or_default(), coinbase: coin.coinbase }))
}

/// What the coins that are stake are worth, or those that are not.
fn sum(coins: &[(OutPoint, Coin)], is_stake: bool) -> Amount {
    let chosen = coins.iter().filter(|(_, coin)| (coin.output.kind == OutputKind::Stake) == is_stake);
    Amount::checked_sum(chosen.map(|(_, coin)| coin.output.amount)).unwrap_or(Amount::MAX)
}

async fn show(context: &Context, name: Option<&str>, peer: &PeerArg) -> Result<(), LabError> {
    let wallets = context.wallets();
    let named = wallets.resolve_or_all(name)?;
    let peer = reach(context, peer).await?;
    let mut found = Vec::new();
    for Named { wallet, address } in named {
        let info = peer.client.address(address, AddressQuery { coins: Some(1) }).await;
        let info = info.map_err(|error| LabError::api(&peer.name, error))?;
        let engine = peer.status.chain.engine.clone();
        let stake = info.stake.ok_or_else(|| LabError::NoStakes { peer: peer.name.clone(), engine })?;
        found.push(Shown { wallet, address, peer: peer.name.clone(), height: peer.status.height, stake });
    }
    let text = || show_table(context, &found);
    match (name, found.as_slice()) {
        (Some(_), [only]) => context.shell.result(only, text),
        _ => context.shell.result(&json!({ "stakes": found }), text),
    }
    Ok(())
}

fn show_table(context: &Context, found: &[Shown]) -> String {
    let mut table = context.shell.table(&["WALLET", "PEER", "#LOCKED", "#COUNTS", "#SHARE", "#UNLOCKING", "LOST"]);
    for Shown { wallet, address, peer, stake, .. } in found {
        let name = wallet.clone().unwrap_or_else(|| address.to_string());
        let share = 100.0 * stake.locked.0 as f64 / stake.total.0.max(1) as f64;
        let lost = stake.lost_at.map_or("-".to_owned(), |height| format!("at height {height}"));
        let amounts = [stake.locked, stake.counting].map(|amount| amount.to_string());
        let [locked, counting] = amounts;
        table.add_row([
            name,
            peer.clone(),
            locked,
            counting,
            format!("{share:.2} %"),
            stake.unlocking.to_string(),
            lost,
        ]);
    }
    render(&table)
}

fn moved_text(moved: &Moved) -> String {
    let what = match moved.action {
        "lock" => "locked as stake",
        _ => "being unlocked",
    };
    let mut text = format!(
        "{} coins of {} {what}, fee {}: {} by {}",
        moved.amount, moved.wallet, moved.fee, moved.status, moved.peer
    );
    if let Some(height) = moved.height {
        let _ = write!(text, " in block {height}, {} confirmations", moved.confirmations);
    }
    let _ = write!(text, "\n{}", moved.id);
    text
}

#[cfg(test)]
mod tests {
    use synod_machine::Bytes;

    use super::*;

    fn coin(kind: OutputKind, amount: u64) -> CoinInfo {
        CoinInfo {
            tx: TxId::default(),
            index: amount as u32,
            amount: Amount(amount),
            height: Some(Height(3)),
            coinbase: false,
            mature: kind == OutputKind::Plain,
            kind,
            pending: false,
            spent_by_pending: false,
        }
    }

    #[test]
    fn only_money_and_locked_stake_that_nothing_spends_is_moved() {
        let owner = Address(Bytes([1; 20]));
        let (plain, stake) = (coin(OutputKind::Plain, 5), coin(OutputKind::Stake, 7));
        let unbonding = coin(OutputKind::Unbonding, 9);
        let pending = CoinInfo { pending: true, height: None, mature: false, ..stake };
        let spent = CoinInfo { spent_by_pending: true, ..plain };
        let immature = CoinInfo { mature: false, ..plain };
        let free = CoinInfo { mature: true, ..unbonding };
        let all = [plain, stake, unbonding, pending, spent, immature, free];
        let coins: Vec<(OutPoint, Coin)> = all.iter().filter_map(|coin| usable(coin, owner)).collect();
        assert_eq!(coins.iter().map(|(_, coin)| coin.output.amount.0).collect::<Vec<_>>(), [5, 7, 9]);
        assert_eq!((sum(&coins, true), sum(&coins, false)), (Amount(7), Amount(14)));
    }

    #[test]
    fn moved_coins_have_stable_names_in_json() {
        let moved = Moved {
            id: TxId::default(),
            wallet: "alice".into(),
            address: Address(Bytes([1; 20])),
            action: "unlock",
            amount: Amount(1_250_000_000),
            fee: Amount(1_000),
            peer: "peer1".into(),
            status: "confirmed",
            confirmations: 3,
            block: Some(BlockId::default()),
            height: Some(Height(7)),
        };
        let value = serde_json::to_value(&moved).expect("JSON");
        assert_eq!((&value["amount"], &value["action"]), (&json!(1_250_000_000_u64), &json!("unlock")));
        let text = moved_text(&moved);
        assert!(
            text.starts_with("12.5 coins of alice being unlocked, fee 0.00001: confirmed by peer1 in block 7"),
            "{text}"
        );
    }

    #[test]
    fn what_is_shown_has_stable_names_in_json() {
        let stake = StakeInfo {
            locked: Amount(5),
            counting: Amount(4),
            unlocking: Amount(3),
            total: Amount(20),
            lost_at: Some(Height(9)),
        };
        let address = Address(Bytes([1; 20]));
        let shown = Shown { wallet: None, address, peer: "peer1".into(), height: Height(12), stake };
        let value = serde_json::to_value(shown).expect("JSON");
        assert_eq!(value["locked"], 5);
        assert_eq!(value["counting"], 4);
        assert_eq!(value["unlocking"], 3);
        assert_eq!(value["total"], 20);
        assert_eq!(value["lost_at"], 9);
        assert_eq!(value["height"], 12);
    }
}
