//! `synod wallet`: keys and what they own.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use synod_ledger::{Address, Amount, BlockId, Height, SecretKey};
use synod_machine::Bytes;
use synod_node::api::types::AddressQuery;
use zeroize::Zeroizing;

use super::context::{Context, Missing, PassphraseArg, PeerArg, Reached};
use crate::error::LabError;
use crate::exit::Exit;
use crate::shell::render;
use crate::wallets::{Named, check_name, new_key, parse_key_file};

/// `synod wallet`.
#[derive(Debug, Subcommand)]
pub(super) enum WalletCommand {
    /// Make a wallet with a fresh key, encrypted under a passphrase
    #[command(after_help = "Example:\n  synod wallet new frank\n  SYNOD_PASSPHRASE=secret synod wallet new frank")]
    New {
        /// Its name
        name: String,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// List the wallets
    #[command(after_help = "Example:\n  synod wallet list")]
    List,
    /// Show a wallet's address and public key
    #[command(after_help = "Example:\n  synod wallet show alice")]
    Show {
        /// Its name
        name: String,
    },
    /// Show what wallets or an address own, as one peer or every peer sees it
    #[command(after_help = "\
Example:
  synod wallet balance                    # all wallets
  synod wallet balance bob --all          # bob's, at every peer
  synod wallet balance syn1... --peer peer2 --json")]
    Balance {
        /// A wallet's name or an address [default: all wallets]
        name: Option<String>,
        #[command(flatten)]
        peer: PeerArg,
        /// Ask every peer
        #[arg(long, conflicts_with = "peer")]
        all: bool,
    },
    /// Take over a key file, or a bare secret key
    #[command(after_help = "\
Example:
  synod wallet import frank --key-file frank.json
  synod wallet import frank --secret-file -     # 64 hexadecimal digits on standard input")]
    Import {
        /// The name it gets
        name: String,
        /// An encrypted key file, taken over as it is
        #[arg(long, value_name = "FILE", required_unless_present = "secret_file", conflicts_with = "secret_file")]
        key_file: Option<PathBuf>,
        /// A file with the secret key as 64 hexadecimal digits; - is standard input
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Print a wallet's encrypted key file, or its bare secret key
    #[command(after_help = "Example:\n  synod wallet export alice > alice.json\n  synod wallet export alice --secret")]
    Export {
        /// Its name
        name: String,
        /// Print the secret key itself: whoever sees it can spend the coins
        #[arg(long)]
        secret: bool,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
}

/// A wallet's or address's balances.
#[derive(Debug, Serialize)]
struct Balances {
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    address: Address,
    peers: Vec<At>,
}

/// What one peer says of a balance, or why it says nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum At {
    Known(Balance),
    Missing(Missing),
}

/// A balance as one peer sees it.
#[derive(Debug, Serialize)]
struct Balance {
    peer: String,
    height: Height,
    tip: BlockId,
    balance: Amount,
    spendable: Amount,
    immature: Amount,
    pending_in: Amount,
    pending_out: Amount,
    coins_total: u64,
}

pub(super) async fn run(context: &Context, command: WalletCommand) -> Result<Exit, LabError> {
    let done = match command {
        // These show what they can, and their exit codes say whether that was all.
        WalletCommand::List => return list(context),
        WalletCommand::Balance { name, peer, all } => return balance(context, name.as_deref(), &peer, all).await,
        WalletCommand::New { name, passphrase } => new(context, &name, &passphrase),
        WalletCommand::Show { name } => show(context, &name),
        WalletCommand::Import { name, key_file, secret_file, passphrase } => {
            import(context, &name, key_file.as_deref(), secret_file.as_deref(), &passphrase)
        }
        WalletCommand::Export { name, secret, passphrase } => export(context, &name, secret, &passphrase),
    };
    done.map(|()| Exit::Ok)
}

fn new(context: &Context, name: &str, passphrase: &PassphraseArg) -> Result<(), LabError> {
    let wallets = context.wallets();
    check_new(context, name)?;
    let file = wallets.add(name, &new_key()?, passphrase.source().read_new(name)?.as_bytes())?;
    say_wallet(context, name, file.address, "made");
    Ok(())
}

fn list(context: &Context) -> Result<Exit, LabError> {
    let wallets = context.wallets();
    let mut rows = Vec::new();
    let mut exit = Exit::Ok;
    for name in wallets.names()? {
        rows.push(match wallets.load(&name) {
            Ok(file) => json!({ "wallet": name, "address": file.address, "public_key": file.public_key }),
            // One damaged file hides none of the others.
            Err(error) => {
                exit = Exit::User;
                json!({ "wallet": name, "error": error.to_string() })
            }
        });
    }
    context.shell.result(&json!({ "wallets": rows }), || {
        let mut table = context.shell.table(&["WALLET", "ADDRESS"]);
        for row in &rows {
            let address = if row["error"].is_null() { &row["address"] } else { &row["error"] };
            table.add_row([&row["wallet"], address].map(|value| value.as_str().unwrap_or_default().to_owned()));
        }
        render(&table)
    });
    Ok(exit)
}

fn show(context: &Context, name: &str) -> Result<(), LabError> {
    let wallets = context.wallets();
    let file = wallets.load(name)?;
    let path = wallets.path(name);
    let value = json!({ "wallet": name, "address": file.address, "public_key": file.public_key, "file": path });
    context.shell.result(&value, || {
        format!(
            "wallet      {name}\naddress     {}\npublic key  {}\nfile        {}",
            file.address,
            file.public_key.0,
            path.display()
        )
    });
    Ok(())
}

async fn balance(context: &Context, name: Option<&str>, peer: &PeerArg, all: bool) -> Result<Exit, LabError> {
    let wallets = context.wallets();
    let named = wallets.resolve_or_all(name)?;
    let peers = if all { context.reach_all().await? } else { vec![Ok(context.reach(peer).await?)] };
    // Who keeps headers alone knows of no coins; it is asked only where it was named.
    let knows = |peer: &Result<Reached, Missing>| !all || peer.as_ref().map_or(true, |peer| !peer.status.light);
    let peers: Vec<_> = peers.into_iter().filter(knows).collect();
    let mut found = Vec::new();
    for Named { wallet, address } in named {
        let asked = futures::future::join_all(peers.iter().map(|peer| balance_at(peer, address, all))).await;
        found.push(Balances { wallet, address, peers: asked.into_iter().collect::<Result<_, _>>()? });
    }
    let is_whole = found.iter().flat_map(|balances| &balances.peers).all(|at| matches!(at, At::Known(_)));
    let text = || balance_table(context, &found);
    match (name, found.as_slice()) {
        (Some(_), [only]) => context.shell.result(only, text),
        _ => context.shell.result(&json!({ "wallets": found }), text),
    }
    Ok(if is_whole { Exit::Ok } else { Exit::Network })
}

/// A peer among many that does not answer is shown as missing; of the only one that was asked it is an error.
async fn balance_at(peer: &Result<Reached, Missing>, address: Address, is_one_of_many: bool) -> Result<At, LabError> {
    let peer = match peer {
        Ok(peer) => peer,
        Err(missing) => return Ok(At::Missing(missing.clone())),
    };
    let info = match peer.client.address(address, AddressQuery { coins: Some(1) }).await {
        Ok(info) => info,
        Err(error) if is_one_of_many => {
            return Ok(At::Missing(Missing { peer: peer.name.clone(), error: error.to_string() }));
        }
        Err(error) => return Err(LabError::api(&peer.name, error)),
    };
    Ok(At::Known(Balance {
        peer: peer.name.clone(),
        height: peer.status.height,
        tip: peer.status.tip,
        balance: info.balance,
        spendable: info.spendable,
        immature: info.immature,
        pending_in: info.pending_in,
        pending_out: info.pending_out,
        coins_total: info.coins_total,
    }))
}

fn balance_table(context: &Context, found: &[Balances]) -> String {
    let mut heads =
        vec!["WALLET", "PEER", "#HEIGHT", "#BALANCE", "#SPENDABLE", "#IMMATURE", "#PENDING IN", "#PENDING OUT"];
    let numbers = heads.len() - 2;
    if found.iter().flat_map(|balances| &balances.peers).any(|at| matches!(at, At::Missing(_))) {
        heads.push("ERROR");
    }
    let mut table = context.shell.table(&heads);
    for balances in found {
        let name = balances.wallet.clone().unwrap_or_else(|| balances.address.to_string());
        for at in &balances.peers {
            table.add_row(match at {
                At::Known(at) => {
                    let mut row = vec![name.clone(), at.peer.clone(), at.height.to_string()];
                    let amounts = [at.balance, at.spendable, at.immature, at.pending_in, at.pending_out];
                    row.extend(amounts.map(|amount| amount.to_string()));
                    row
                }
                At::Missing(missing) => {
                    let mut row = vec![name.clone(), missing.peer.clone()];
                    row.extend(std::iter::repeat_n("-".to_owned(), numbers));
                    row.push(missing.error.clone());
                    row
                }
            });
        }
    }
    render(&table)
}

fn import(
    context: &Context,
    name: &str,
    key_file: Option<&Path>,
    secret_file: Option<&Path>,
    passphrase: &PassphraseArg,
) -> Result<(), LabError> {
    let wallets = context.wallets();
    check_new(context, name)?;
    let address = match (key_file, secret_file) {
        (Some(path), _) => {
            let file = parse_key_file(path, &read_key_text(path)?)?;
            wallets.adopt(name, &file)?;
            file.address
        }
        (None, Some(path)) => {
            let secret = read_secret(path)?;
            wallets.add(name, &secret, passphrase.source().read_new(name)?.as_bytes())?.address
        }
        (None, None) => return Err(LabError::Usage { message: "--key-file or --secret-file is missing".to_owned() }),
    };
    say_wallet(context, name, address, "imported");
    Ok(())
}

fn export(context: &Context, name: &str, secret: bool, passphrase: &PassphraseArg) -> Result<(), LabError> {
    let wallets = context.wallets();
    if secret {
        let key = wallets.unlock(name, &passphrase.source())?;
        let text = Zeroizing::new(Bytes(*key.to_bytes()).to_string());
        let value = json!({ "wallet": name, "address": key.address(), "secret_key": *text });
        context.shell.result(&value, || text.to_string());
        return Ok(());
    }
    let file = wallets.load(name)?;
    let text = serde_json::to_string_pretty(&file).expect("a key file can be written as JSON");
    context.shell.print(&text);
    Ok(())
}

/// Before a passphrase is asked for.
fn check_new(context: &Context, name: &str) -> Result<(), LabError> {
    check_name(name)?;
    if context.wallets().path(name).exists() {
        return Err(LabError::WalletExists { name: name.to_owned() });
    }
    Ok(())
}

fn read_secret(path: &Path) -> Result<SecretKey, LabError> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        // A key has 64 digits; more than a line or two is no key.
        let read = std::io::stdin().take(256).read_to_string(&mut text);
        read.map_err(|error| LabError::io(path, error))?;
        Zeroizing::new(text)
    } else {
        Zeroizing::new(read_key_text(path)?)
    };
    let bytes: Bytes<32> = text
        .trim()
        .parse()
        .map_err(|error| LabError::KeyFormat { path: path.to_owned(), reason: format!("no secret key: {error}") })?;
    Ok(SecretKey::from_bytes(bytes.0))
}

/// The text of a file that a key is expected in: one that is missing is a missing key.
fn read_key_text(path: &Path) -> Result<String, LabError> {
    std::fs::read_to_string(path)
        .map_err(|error| LabError::KeyFormat { path: path.to_owned(), reason: format!("cannot be read: {error}") })
}

fn say_wallet(context: &Context, name: &str, address: Address, done: &str) {
    let value = json!({ "wallet": name, "address": address });
    context.shell.result(&value, || format!("{done} wallet {name} with address {address}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::Shell;

    fn context(dir: &Path) -> Context {
        Context { shell: Shell { json: true, terminal: false, color: false }, dir: dir.to_owned() }
    }

    #[test]
    fn an_exported_key_file_can_be_imported_under_another_name() {
        let base = tempfile::tempdir().expect("a directory");
        let context = context(base.path());
        let key = new_key().expect("a key");
        context.wallets().add_shared("alice", &key).expect("added");
        let source = context.wallets().path("alice");
        let none = PassphraseArg::default();
        import(&context, "ally", Some(&source), None, &none).expect("imported");
        assert_eq!(context.wallets().resolve("ally").expect("known").address, key.address());
        let again = import(&context, "ally", Some(&source), None, &none);
        assert!(matches!(again, Err(LabError::WalletExists { .. })));
    }

    #[test]
    fn a_damaged_key_file_hides_no_other_wallet() {
        let base = tempfile::tempdir().expect("a directory");
        let context = context(base.path());
        context.wallets().add_shared("alice", &new_key().expect("a key")).expect("added");
        assert_eq!(list(&context).expect("listed"), Exit::Ok);
        std::fs::write(context.wallets().path("bob"), "{").expect("written");
        assert_eq!(list(&context).expect("listed"), Exit::User);
    }

    #[test]
    fn a_missing_key_file_is_a_missing_key() {
        let error = read_key_text(Path::new("/nonexistent")).expect_err("there is none");
        assert_eq!(error.exit(), Exit::User);
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_missing_peer_has_its_row() {
        let base = tempfile::tempdir().expect("a directory");
        let missing = Missing { peer: "peer2".into(), error: "peer2 is paused".into() };
        let address = new_key().expect("a key").address();
        let found = [Balances { wallet: Some("bob".into()), address, peers: vec![At::Missing(missing)] }];
        let text = balance_table(&context(base.path()), &found);
        let row = text.lines().nth(1).expect("a row");
        assert!(row.starts_with("bob     peer2 ") && row.ends_with("  peer2 is paused"), "{text}");
        let value = serde_json::to_value(&found[0]).expect("JSON");
        assert_eq!(value["peers"][0], json!({ "peer": "peer2", "error": "peer2 is paused" }));
    }

    #[test]
    fn a_secret_is_64_digits() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("secret");
        std::fs::write(&path, format!("{}\n", "07".repeat(32))).expect("written");
        assert_eq!(*read_secret(&path).expect("read").to_bytes(), [7; 32]);
        std::fs::write(&path, "07").expect("written");
        assert!(matches!(read_secret(&path), Err(LabError::KeyFormat { .. })));
    }

    #[test]
    fn balances_have_stable_names_in_json() {
        let balance = Balance {
            peer: "peer1".into(),
            height: Height(3),
            tip: BlockId::default(),
            balance: Amount(7),
            spendable: Amount(6),
            immature: Amount(1),
            pending_in: Amount(0),
            pending_out: Amount(2),
            coins_total: 4,
        };
        let value = serde_json::to_value(balance).expect("JSON");
        assert_eq!(value["balance"], 7);
        assert_eq!(value["pending_out"], 2);
        assert_eq!(value["height"], 3);
        assert_eq!(value["tip"], "00".repeat(32));
    }
}
