//! `synod merchant`: somebody who is paid, hands over, and sees what becomes of it.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use synod_scenario::attack::theory;
use synod_scenario::duel::Wait;

use super::context::{Context, PeerArg};
use crate::error::LabError;
use crate::merchant::{Merchant, Notice};
use crate::units;

/// `synod merchant`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod merchant --address bob --confirmations 2
  synod merchant --address bob --confirmations 0 --peer peer5 --json
  synod merchant --address bob --confirmations auto --attacker-share 0.2 --risk 0.001

With --json it prints one JSON value a line: an event at a time, and the sums at the end.")]
pub(super) struct MerchantArgs {
    /// Who is paid: a wallet or an address
    #[arg(long, value_name = "WALLET|ADDRESS")]
    address: String,
    /// Hand over at so many confirmations; 0 as soon as a payment is seen; `auto` by --attacker-share and --risk
    #[arg(long, value_name = "N|auto", default_value = "6", value_parser = confirmations)]
    confirmations: Confirmations,
    /// With --confirmations auto: the share of the hash power that an attacker may have
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = units::share)]
    attacker_share: f64,
    /// With --confirmations auto: the probability of a loss that is borne
    #[arg(long, value_name = "SHARE", default_value = "0.001", value_parser = units::share)]
    risk: f64,
    /// Close after so long [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = units::positive_duration)]
    open_for: Option<Duration>,
    #[command(flatten)]
    peer: PeerArg,
}

/// When goods are handed over.
#[derive(Clone, Copy, Debug)]
enum Confirmations {
    Auto,
    Count(u64),
}

fn confirmations(text: &str) -> Result<Confirmations, String> {
    match text {
        "auto" => Ok(Confirmations::Auto),
        count => count.parse().map(Confirmations::Count).map_err(|_| "expected a number, or auto".to_owned()),
    }
}

impl MerchantArgs {
    /// By Rosenfeld 2014, section 4, where the number is not given.
    fn count(&self) -> Result<u64, LabError> {
        match self.confirmations {
            Confirmations::Count(count) => Ok(count),
            Confirmations::Auto => {
                let (share, risk) = (self.attacker_share, self.risk);
                theory::confirmations(Wait::Raced, share, risk).ok_or_else(|| LabError::Usage {
                    message: format!("no number of confirmations brings the risk of a share of {share} down to {risk}"),
                })
            }
        }
    }
}

pub(super) async fn run(context: &Context, args: MerchantArgs) -> Result<(), LabError> {
    let peer = context.reach(&args.peer).await?;
    let address = context.wallets().resolve(&args.address)?.address;
    let count = args.count()?;
    let mut merchant = Merchant::open(peer.client.clone(), &peer.name, address, count).await?;
    let open = format!("Open at {}: {address} hands over at {count} confirmations. Ctrl-C closes.", peer.name);
    context.shell.say(&open);
    let closing = async {
        match args.open_for {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    let trading = async {
        loop {
            for notice in merchant.look().await? {
                match context.shell.json {
                    true => context.shell.json_line(&notice),
                    false => context.shell.print(&text(&notice)),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let done: Result<(), LabError> = tokio::select! {
        done = trading => done,
        () = closing => Ok(()),
        () = super::interrupted() => Ok(()),
    };
    // What it saw is said whatever came between.
    let tally = merchant.book.tally();
    match context.shell.json {
        true => context.shell.json_line(&json!({ "event": "closed", "tally": tally })),
        false => context.shell.print(&format!(
            "{} payments seen, {} delivered, {} of them undone ({} coins lost)",
            tally.seen, tally.delivered, tally.undone, tally.lost
        )),
    }
    done
}

fn text(notice: &Notice) -> String {
    match notice {
        Notice::Delivered { id, amount, confirmations } => {
            format!("delivered  {id}  {amount} coins at {confirmations} confirmations")
        }
        Notice::Seen { id, amount, confirmations } => {
            format!("seen       {id}  {amount} coins, {confirmations} confirmations")
        }
        Notice::Shaken { id } => format!("shaken     {id}  its confirmations are gone; it waits again"),
        Notice::Undone { id, amount } => {
            format!("UNDONE     {id}  {amount} coins are lost: its coins are spent otherwise")
        }
        Notice::Warned { id, rival } => format!("warning    {id}  {rival} spends one of its coins too"),
    }
}

/// How often it looks at its peer.
const LOOK_EVERY: Duration = Duration::from_millis(200);
