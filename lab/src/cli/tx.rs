//! `synod tx`: sending payments and seeing what became of them.

use std::fmt::Write as _;
use std::pin::Pin;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use synod_ledger::{
    Address, Amount, BlockId, Coin, Height, OutPoint, Output, OutputKind, PaymentBuilder, SecretKey, Tx, TxId,
};
use synod_node::api::client::{ApiError, ClientError};
use synod_node::api::types::{
    AddressQuery, BlockRef, ChainQuery, MempoolQuery, OutputInfo, PaymentInfo, TransactionInfo, TransactionStatus,
};

use super::context::{Context, PassphraseArg, PeerArg, Reached};
use super::{interrupted, unless_interrupted};
use crate::error::LabError;
use crate::proof;
use crate::shell::render;
use crate::units;

/// `synod tx`.
#[derive(Debug, Subcommand)]
pub(super) enum TxCommand {
    /// Send a payment
    #[command(after_help = "\
Example:
  synod tx send --from alice --to bob --amount 12.5
  synod tx send --from alice --to syn1... --amount 1 --fee 0.0001 --wait 3 --json

`accepted` means that the payment is on the peer's disk. Exit code 9: it was sent, and it is not known whether
it took effect; `synod tx show` tells later.")]
    Send(SendArgs),
    /// Show a payment or coinbase, and check its Merkle proof against the block's root
    #[command(after_help = "Example:\n  synod tx show 5f1c...")]
    Show {
        /// The transaction's id
        id: TxId,
        #[command(flatten)]
        peer: PeerArg,
    },
    /// List pending payments and those of the last blocks
    #[command(after_help = "Example:\n  synod tx list\n  synod tx list --wallet bob --blocks 500 --limit 50")]
    List(ListArgs),
}

/// `synod tx send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The wallet that pays
    #[arg(long, value_name = "WALLET")]
    from: String,
    /// Who is paid: a wallet or an address
    #[arg(long, value_name = "WALLET|ADDRESS")]
    to: String,
    /// How many coins, as 12.5
    #[arg(long, allow_negative_numbers = true)]
    amount: Amount,
    /// The fee in coins [default: the network's lowest]
    #[arg(long, allow_negative_numbers = true)]
    fee: Option<Amount>,
    #[command(flatten)]
    hand_in: HandInArgs,
}

/// How a payment is handed in.
#[derive(Debug, Args)]
pub(super) struct HandInArgs {
    /// Wait for so many confirmations; where validators agree one is final, and so are f + 1 of their replies
    #[arg(long, value_name = "N")]
    wait: Option<u64>,
    /// How long to wait for them
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = units::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(super) peer: PeerArg,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArg,
}

/// `synod tx list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those that pay this address or spend from it
    #[arg(long, conflicts_with = "wallet")]
    address: Option<Address>,
    /// Only those that pay this wallet or spend from it
    #[arg(long)]
    wallet: Option<String>,
    /// How many blocks to look through, from the tip down
    #[arg(long, default_value_t = 100, value_name = "N")]
    blocks: u64,
    /// How many to show
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    peer: PeerArg,
}

/// The result of `tx send`.
#[derive(Debug, Serialize)]
struct Sent {
    id: TxId,
    from: String,
    to: Address,
    amount: Amount,
    fee: Amount,
    peer: String,
    /// `accepted`; or where that was waited for `confirmed`, or `replied`: f + 1 validators say that it is in this block.
    status: &'static str,
    confirmations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<BlockId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
    /// Those validators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validators: Vec<String>,
}

/// An element of `tx list`.
#[derive(Debug, Serialize)]
struct Listed {
    id: TxId,
    status: TransactionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
    inputs: usize,
    outputs: Vec<OutputInfo>,
}

pub(super) async fn run(context: &Context, command: TxCommand) -> Result<(), LabError> {
    match command {
        TxCommand::Send(args) => send(context, args).await,
        TxCommand::Show { id, peer } => unless_interrupted(show(context, id, &peer)).await,
        TxCommand::List(args) => unless_interrupted(list(context, args)).await,
    }
}

/// What a signal means depends on how far the payment has come: one that may have left is never passed over in silence.
async fn send(context: &Context, args: SendArgs) -> Result<(), LabError> {
    // One listener for the whole command, so that no signal falls between two.
    let interrupt = interrupted();
    tokio::pin!(interrupt);
    let (peer, tx, mut sent) = tokio::select! {
        prepared = prepare(context, &args) => prepared?,
        () = &mut interrupt => return Err(LabError::Interrupted),
    };
    if let Some(info) = hand_in(context, &peer, &tx, &args.hand_in, interrupt).await? {
        (sent.confirmations, sent.block, sent.height) = (info.confirmations, info.block, info.height);
        sent.status = "confirmed";
        if let Some(replies) = info.replies.filter(|_| info.confirmations == 0) {
            sent.status = "replied";
            (sent.block, sent.height) = (Some(replies.block), Some(replies.height));
            sent.validators = replies.validators;
        }
    }
    context.shell.result(&sent, || sent_text(&sent));
    Ok(())
}

/// Hands a payment in and waits for its confirmations, if that is wanted.
pub(super) async fn hand_in(
    context: &Context,
    peer: &Reached,
    tx: &Tx,
    args: &HandInArgs,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<TransactionInfo>, LabError> {
    let id = tx.id();
    let answer = tokio::select! {
        answer = peer.client.submit(tx) => answer,
        () = &mut interrupt => {
            return Err(LabError::UnknownResult { id, reason: "interrupted before the peer answered".to_owned() });
        }
    };
    match answer {
        Ok(_) => {}
        Err(error) if error.leaves_result_unknown() => {
            return Err(LabError::UnknownResult { id, reason: error.to_string() });
        }
        Err(error) => return Err(LabError::api(&peer.name, error)),
    }
    let Some(wanted) = args.wait.filter(|wanted| *wanted > 0) else { return Ok(None) };
    tokio::select! {
        info = wait_confirmed(context, peer, id, wanted, args.timeout) => info.map(Some),
        () = &mut interrupt => Err(LabError::InterruptedAfterSend { id }),
    }
}

/// The payment, the peer that it goes to, and what is said of it once the peer has accepted it.
async fn prepare(context: &Context, args: &SendArgs) -> Result<(Reached, Tx, Sent), LabError> {
    let wallets = context.wallets();
    let to = wallets.resolve(&args.to)?.address;
    let secret = wallets.unlock(&args.from, &args.hand_in.passphrase.source())?;
    let peer = context.reach(&args.hand_in.peer).await?;
    let fee = args.fee.unwrap_or(peer.status.chain.fee_min);
    let tx = make_payment(&peer, &args.from, &secret, to, args.amount, fee).await?;
    let sent = Sent {
        id: tx.id(),
        from: args.from.clone(),
        to,
        amount: args.amount,
        fee,
        peer: peer.name.clone(),
        status: "accepted",
        confirmations: 0,
        block: None,
        height: None,
        validators: Vec::new(),
    };
    Ok((peer, tx, sent))
}

/// The payment of `amount` out of the wallet's largest coins.
async fn make_payment(
    peer: &Reached,
    wallet: &str,
    secret: &SecretKey,
    to: Address,
    amount: Amount,
    fee: Amount,
) -> Result<Tx, LabError> {
    let from = secret.address();
    let needed = amount.checked_add(fee).unwrap_or(Amount::MAX);
    let info = peer.client.address(from, AddressQuery { coins: Some(COINS_MAX) }).await;
    let info = info.map_err(|error| LabError::api(&peer.name, error))?;
    // Confirmed coins first: they are known at every peer. The list is sorted, largest first.
    let (pending, confirmed): (Vec<_>, Vec<_>) = info
        .coins
        .into_iter()
        .filter(|coin| !coin.spent_by_pending && (coin.mature || (coin.pending && coin.kind == OutputKind::Plain)))
        .partition(|coin| coin.pending);
    let mut builder = PaymentBuilder::new(peer.status.chain.id).pay(to, amount).fee(fee);
    let mut got = Amount::ZERO;
    for coin in confirmed.into_iter().chain(pending) {
        if got >= needed {
            break;
        }
        let output = Output::plain(coin.amount, from);
        let spent = Coin { output, height: coin.height.unwrap_or_default(), coinbase: coin.coinbase };
        builder = builder.spend(OutPoint { tx: coin.tx, index: coin.index }, spent, secret);
        got = got.checked_add(coin.amount).unwrap_or(Amount::MAX);
    }
    if got < needed {
        return Err(LabError::Funds { wallet: wallet.to_owned(), expected: needed, got });
    }
    Ok(builder.build(from)?)
}

async fn wait_confirmed(
    context: &Context,
    peer: &Reached,
    id: TxId,
    wanted: u64,
    limit: Duration,
) -> Result<TransactionInfo, LabError> {
    let deadline = Instant::now() + limit;
    let bar = context.shell.spinner("waiting for a block");
    loop {
        let reason = match peer.client.transaction(id).await {
            Ok(info) if info.status == TransactionStatus::Conflicted => return Err(LabError::Conflicted { id }),
            Ok(info) if info.confirmations >= wanted || info.is_final => return Ok(info),
            // f + 1 validators say that it is executed, so that it is final, though its block has not come to this peer yet.
            Ok(info) if info.replies.is_some() => return Ok(info),
            Ok(info) => {
                bar.set_message(format!("{} of {wanted} confirmations", info.confirmations));
                format!("{} of {wanted} confirmations after {}", info.confirmations, units::show_duration(limit))
            }
            // The peer may be restarting: the payment is on its disk.
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(LabError::UnknownResult { id, reason });
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn show(context: &Context, id: TxId, peer: &PeerArg) -> Result<(), LabError> {
    let peer = context.reach(peer).await?;
    let failed = |error| LabError::api(&peer.name, error);
    let info = peer.client.transaction(id).await.map_err(failed)?;
    if info.id != id {
        return Err(LabError::Check { what: format!("{} shows {} when asked for {id}", peer.name, info.id) });
    }
    let root = match info.block {
        Some(block) if info.status == TransactionStatus::Confirmed => {
            Some(peer.client.block(BlockRef::Id(block)).await.map_err(failed)?.root)
        }
        _ => None,
    };
    proof::check(&info, peer.status.chain.id, root).map_err(|error| LabError::Check { what: error.to_string() })?;
    let mut value = serde_json::to_value(&info).expect("our own values are JSON");
    value["peer"] = json!(peer.name);
    value["proof_verified"] = json!(root.is_some());
    context.shell.result(&value, || info_text(&info, root.is_some()));
    Ok(())
}

async fn list(context: &Context, args: ListArgs) -> Result<(), LabError> {
    let address = match (&args.wallet, args.address) {
        (Some(wallet), _) => Some(context.wallets().resolve(wallet)?.address),
        (None, address) => address,
    };
    let peer = context.reach(&args.peer).await?;
    let mut found = pending(&peer, address, args.limit).await?;
    let mut height = peer.status.height.0;
    let lowest = height.saturating_sub(args.blocks);
    while height > lowest && found.len() < args.limit {
        for summary in summaries(&peer, height, lowest).await? {
            height = summary.height.0.saturating_sub(1);
            if summary.payments == 0 || found.len() >= args.limit {
                continue;
            }
            let block = peer.client.block(BlockRef::Id(summary.id)).await;
            let block = block.map_err(|error| LabError::api(&peer.name, error))?;
            let confirmed = block.transactions.into_iter().filter(|tx| concerns(&tx.payment, address));
            found.extend(confirmed.map(|tx| Listed {
                id: tx.id,
                status: TransactionStatus::Confirmed,
                height: Some(summary.height),
                inputs: tx.payment.inputs.len(),
                outputs: tx.payment.outputs,
            }));
        }
    }
    found.truncate(args.limit);
    context.shell.result(&json!({ "peer": peer.name, "transactions": found }), || list_table(context, &found));
    Ok(())
}

async fn summaries(
    peer: &Reached,
    top: u64,
    lowest: u64,
) -> Result<Vec<synod_node::api::types::BlockSummary>, LabError> {
    let limit = u32::try_from((top - lowest).min(500)).expect("at most 500");
    let query = ChainQuery { before: Some(top + 1), limit: Some(limit) };
    let found = peer.client.chain(query).await.map_err(|error| LabError::api(&peer.name, error))?;
    if found.is_empty() {
        return Err(LabError::Check { what: format!("{} has no block at height {top}", peer.name) });
    }
    Ok(found)
}

async fn pending(peer: &Reached, address: Option<Address>, limit: usize) -> Result<Vec<Listed>, LabError> {
    let mempool = peer.client.mempool(MempoolQuery { limit: Some(10_000) }).await;
    let mempool = mempool.map_err(|error| LabError::api(&peer.name, error))?;
    let mut found = Vec::new();
    for entry in mempool.entries {
        if found.len() >= limit {
            break;
        }
        let info = match peer.client.transaction(entry.id).await {
            Ok(info) => info,
            // A block took it meanwhile, or a reorganisation.
            Err(ClientError::Api(ApiError { status: 404, .. })) => continue,
            Err(error) => return Err(LabError::api(&peer.name, error)),
        };
        let Some(payment) = info.payment.filter(|payment| concerns(payment, address)) else { continue };
        let (status, height) = (info.status, info.height);
        found.push(Listed { id: entry.id, status, height, inputs: payment.inputs.len(), outputs: payment.outputs });
    }
    Ok(found)
}

fn concerns(payment: &PaymentInfo, address: Option<Address>) -> bool {
    let Some(address) = address else { return true };
    payment.outputs.iter().any(|output| output.to == address)
        || payment.inputs.iter().any(|input| input.key.address() == address)
}

fn sent_text(sent: &Sent) -> String {
    let mut text = format!(
        "{} coins from {} to {}, fee {}: {} by {}",
        sent.amount, sent.from, sent.to, sent.fee, sent.status, sent.peer
    );
    match sent.height {
        Some(height) if !sent.validators.is_empty() => {
            let _ = write!(text, ", in block {height}, say {}", sent.validators.join(", "));
        }
        Some(height) => {
            let _ = write!(text, " in block {height}, {} confirmations", sent.confirmations);
        }
        None => {}
    }
    let _ = write!(text, "\n{}", sent.id);
    text
}

fn info_text(info: &TransactionInfo, proven: bool) -> String {
    let mut text = format!("transaction    {}\n", info.id);
    let status = match info.status {
        TransactionStatus::Confirmed => "confirmed",
        TransactionStatus::Conflicted => "conflicted: a coin of it was spent otherwise",
        TransactionStatus::Pending => "pending",
    };
    let _ = writeln!(text, "status         {status}");
    if let (Some(block), Some(height)) = (info.block, info.height) {
        let _ = writeln!(text, "block          {block} at height {height}, {} confirmations", info.confirmations);
    }
    if proven {
        let _ = writeln!(text, "merkle proof   verified against the block's root");
    }
    if let Some(fee) = info.fee {
        let _ = writeln!(text, "fee            {fee}");
    }
    let _ = writeln!(text, "size           {} bytes", info.bytes);
    for input in info.payment.iter().flat_map(|payment| &payment.inputs) {
        let (tx, index, owner) = (input.coin.tx, input.coin.index, input.key.address());
        let _ = writeln!(text, "spends         {tx}:{index} of {owner}");
    }
    let of_payment = info.payment.iter().flat_map(|payment| &payment.outputs);
    for output in of_payment.chain(info.coinbase.iter().flat_map(|coinbase| &coinbase.outputs)) {
        let _ = writeln!(text, "pays           {} to {}", output.amount, output.to);
    }
    text.trim_end().to_owned()
}

fn list_table(context: &Context, found: &[Listed]) -> String {
    let mut table = context.shell.table(&["ID", "STATUS", "#HEIGHT", "#INPUTS", "#AMOUNT", "TO"]);
    for tx in found {
        let height = tx.height.map_or("-".to_owned(), |height| height.to_string());
        let status = if tx.height.is_some() { "confirmed" } else { "pending" };
        // The first output is what was paid; a second one is usually the change.
        let (amount, to) = tx
            .outputs
            .first()
            .map_or_else(Default::default, |output| (output.amount.to_string(), output.to.to_string()));
        table.add_row([tx.id.to_string(), status.to_owned(), height, tx.inputs.to_string(), amount, to]);
    }
    render(&table)
}

/// The API lists no more.
pub(super) const COINS_MAX: u32 = 10_000;
/// How often confirmations are asked for.
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use synod_machine::Bytes;

    use super::*;

    #[test]
    fn a_sent_payment_has_stable_names_in_json() {
        let sent = Sent {
            id: TxId::default(),
            from: "alice".into(),
            to: Address(Bytes([1; 20])),
            amount: Amount(1_250_000_000),
            fee: Amount(1_000),
            peer: "peer1".into(),
            status: "confirmed",
            confirmations: 3,
            block: Some(BlockId::default()),
            height: Some(Height(7)),
            validators: Vec::new(),
        };
        let value = serde_json::to_value(&sent).expect("JSON");
        assert_eq!(value["amount"], 1_250_000_000_u64);
        assert_eq!(value["confirmations"], 3);
        assert_eq!(value["height"], 7);
        assert!(value["to"].as_str().is_some_and(|to| to.starts_with("syn1")));
        let text = sent_text(&sent);
        assert!(text.starts_with("12.5 coins from alice to syn1"), "{text}");
        assert!(text.contains("fee 0.00001: confirmed by peer1 in block 7, 3 confirmations"), "{text}");
    }

    #[test]
    fn a_payment_concerns_whom_it_pays_and_whom_it_spends_from() {
        let to = Address(Bytes([1; 20]));
        let payment = PaymentInfo {
            inputs: Vec::new(),
            outputs: vec![OutputInfo { amount: Amount(1), to, kind: OutputKind::Plain }],
        };
        assert!(concerns(&payment, None));
        assert!(concerns(&payment, Some(to)));
        assert!(!concerns(&payment, Some(Address(Bytes([2; 20])))));
    }
}
