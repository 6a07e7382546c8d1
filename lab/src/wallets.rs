//! The wallets of a network's directory: one encrypted key file each.
//!
//! The wallets that `synod up` makes are for tests. They are encrypted under a passphrase that lies in a file beside
//! them, so that nobody has to type it: whoever can read the directory can spend their coins. All others have their
//! owner's passphrase.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use nix::sys::termios::{self, LocalFlags, SetArg};
use synod_ledger::{Address, KdfCost, KeyFile, SecretKey, seal};
use zeroize::Zeroizing;

use crate::error::LabError;
use crate::files;

/// The folder of wallets in a network's directory.
pub const FOLDER: &str = "wallets";

/// The file with the passphrase of the wallets that `synod up` made.
const SHARED: &str = "passphrase";

/// The longest name of a wallet, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// The cheapest that Argon2 can be: guessing a passphrase that lies beside the file needs no effort anyway, and a
/// network of 500 peers has 500 such files.
const SHARED_COST: KdfCost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file whose first line is the passphrase.
    pub file: Option<PathBuf>,
    /// The passphrase itself, from the environment.
    pub given: Option<Zeroizing<String>>,
}

/// A directory of wallets.
#[derive(Clone, Debug)]
pub struct Wallets {
    dir: PathBuf,
}

/// Who a wallet's name or an address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The wallet's name; none for an address that is not a wallet's.
    pub wallet: Option<String>,
    /// The address.
    pub address: Address,
}

impl Wallets {
    /// The wallets of the network in `dir`, which need not exist.
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.join(FOLDER) }
    }

    /// The names of all, sorted.
    pub fn names(&self) -> Result<Vec<String>, LabError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LabError::io(&self.dir, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| LabError::io(&self.dir, error))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(stem.filter(|stem| check_name(stem).is_ok()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The path of a wallet's key file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    /// A wallet's key file.
    pub fn load(&self, name: &str) -> Result<KeyFile, LabError> {
        check_name(name)?;
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => parse_key_file(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(LabError::UnknownWallet { name: name.to_owned() })
            }
            Err(error) => Err(LabError::io(&path, error)),
        }
    }

    /// The address that a wallet's name or an address's text stands for.
    pub fn resolve(&self, text: &str) -> Result<Named, LabError> {
        if let Ok(address) = text.parse() {
            return Ok(Named { wallet: None, address });
        }
        match self.load(text) {
            Ok(file) => Ok(Named { wallet: Some(text.to_owned()), address: file.address }),
            Err(LabError::WalletName { .. }) => Err(LabError::UnknownWallet { name: text.to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// The one that `text` stands for, or where there is none, all wallets.
    pub fn resolve_or_all(&self, text: Option<&str>) -> Result<Vec<Named>, LabError> {
        match text {
            Some(text) => Ok(vec![self.resolve(text)?]),
            None => self.names()?.iter().map(|name| self.resolve(name)).collect(),
        }
    }

    /// Keeps a key under a name, encrypted with `passphrase`. A name is never given twice.
    pub fn add(&self, name: &str, secret: &SecretKey, passphrase: &[u8]) -> Result<KeyFile, LabError> {
        self.store(name, secret, passphrase, KdfCost::default())
    }

    /// Keeps a test wallet's key, encrypted with the passphrase that lies beside it.
    pub fn add_shared(&self, name: &str, secret: &SecretKey) -> Result<KeyFile, LabError> {
        files::create_dir(&self.dir)?;
        let path = self.dir.join(SHARED);
        if !path.exists() {
            let word: String = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
            files::write_secret(&path, word.as_bytes())?;
        }
        let passphrase = Zeroizing::new(files::read(&path)?);
        self.store(name, secret, passphrase.trim_end().as_bytes(), SHARED_COST)
    }

    /// Keeps a key file as it is, under its own or another name.
    pub fn adopt(&self, name: &str, file: &KeyFile) -> Result<(), LabError> {
        check_name(name)?;
        files::create_dir(&self.dir)?;
        let path = self.path(name);
        if path.exists() {
            return Err(LabError::WalletExists { name: name.to_owned() });
        }
        let text = serde_json::to_string_pretty(file).expect("a key file can be written as JSON");
        files::write_secret(&path, format!("{text}\n").as_bytes())
    }

    /// A wallet's secret key. The passphrase beside it is tried first, then `source`, then the terminal is asked.
    pub fn unlock(&self, name: &str, source: &PassphraseSource) -> Result<SecretKey, LabError> {
        let file = self.load(name)?;
        let wrong = |error| LabError::Key { wallet: name.to_owned(), source: error };
        if file.kdf == SHARED_COST
            && let Ok(text) = fs::read_to_string(self.dir.join(SHARED))
            && let Ok(secret) = file.open(Zeroizing::new(text).trim_end().as_bytes())
        {
            return Ok(secret);
        }
        let passphrase = match source.read()? {
            Some(passphrase) => passphrase,
            None => ask(name, &format!("Passphrase of {name}: "))?,
        };
        file.open(passphrase.as_bytes()).map_err(wrong)
    }

    fn store(&self, name: &str, secret: &SecretKey, passphrase: &[u8], cost: KdfCost) -> Result<KeyFile, LabError> {
        check_name(name)?;
        let file = seal(secret, name, passphrase, random()?, random()?, cost);
        self.adopt(name, &file)?;
        Ok(file)
    }
}

impl PassphraseSource {
    /// The passphrase for a new wallet; where nothing gives one, the terminal is asked twice.
    pub fn read_new(&self, wallet: &str) -> Result<Zeroizing<String>, LabError> {
        if let Some(passphrase) = self.read()? {
            return Ok(passphrase);
        }
        let first = ask(wallet, &format!("Passphrase for the new wallet {wallet}: "))?;
        if *first != *ask(wallet, "The same again: ")? {
            return Err(LabError::Usage { message: "the two passphrases differ".to_owned() });
        }
        Ok(first)
    }

    fn read(&self) -> Result<Option<Zeroizing<String>>, LabError> {
        let Some(path) = &self.file else { return Ok(self.given.clone()) };
        let text = Zeroizing::new(files::read(path)?);
        Ok(Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())))
    }
}

/// A fresh secret key.
pub fn new_key() -> Result<SecretKey, LabError> {
    Ok(SecretKey::from_bytes(random()?))
}

/// Reads a key file's text.
pub fn parse_key_file(path: &Path, text: &str) -> Result<KeyFile, LabError> {
    serde_json::from_str(text)
        .map_err(|error| LabError::KeyFormat { path: path.to_owned(), reason: format!("not a key file: {error}") })
}

/// Whether a wallet can have this name. It is a file's name, and must not look like an address.
pub fn check_name(name: &str) -> Result<(), LabError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain);
    if fits && name.parse::<Address>().is_err() {
        return Ok(());
    }
    Err(LabError::WalletName { name: name.to_owned() })
}

fn random<const N: usize>() -> Result<[u8; N], LabError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| LabError::NoRandomness)?;
    Ok(bytes)
}

/// Reads a line from the terminal without showing it.
fn ask(wallet: &str, prompt: &str) -> Result<Zeroizing<String>, LabError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(LabError::NoPassphrase { wallet: wallet.to_owned() });
    }
    let terminal = |error: io::Error| LabError::io(Path::new("/dev/tty"), error);
    let shown = termios::tcgetattr(&input).map_err(|error| terminal(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    let mut error = io::stderr();
    write!(error, "{prompt}").and_then(|()| error.flush()).map_err(terminal)?;
    termios::tcsetattr(&input, SetArg::TCSADRAIN, &hidden).map_err(|error| terminal(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = input.read_line(&mut line);
    termios::tcsetattr(&input, SetArg::TCSADRAIN, &shown).map_err(|error| terminal(error.into()))?;
    writeln!(error).map_err(terminal)?;
    read.map_err(terminal)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(passphrase: &str) -> PassphraseSource {
        PassphraseSource { file: None, given: Some(Zeroizing::new(passphrase.to_owned())) }
    }

    #[test]
    fn a_test_wallet_opens_without_a_passphrase() {
        let dir = tempfile::tempdir().expect("a directory");
        let wallets = Wallets::of(dir.path());
        let key = new_key().expect("a key");
        wallets.add_shared("alice", &key).expect("added");
        let opened = wallets.unlock("alice", &PassphraseSource::default()).expect("opened");
        assert_eq!(opened.address(), key.address());
        assert_eq!(wallets.names().expect("listed"), ["alice"], "the passphrase is no wallet");
        let text = key.address().to_string();
        assert_eq!(wallets.resolve("alice").expect("known").address, key.address());
        assert_eq!(wallets.resolve(&text).expect("an address").wallet, None);
    }

    #[test]
    fn an_owners_wallet_opens_with_its_passphrase_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let wallets = Wallets::of(dir.path());
        let key = new_key().expect("a key");
        let cheap = KdfCost { passes: 2, ..SHARED_COST };
        wallets.store("frank", &key, b"open sesame", cheap).expect("added");
        assert_eq!(wallets.unlock("frank", &given("open sesame")).expect("opened").address(), key.address());
        let error = wallets.unlock("frank", &given("sesame")).expect_err("refused");
        assert!(matches!(error, LabError::Key { .. }), "{error}");
        assert_eq!(error.exit(), crate::exit::Exit::User);
        let file = dir.path().join("word");
        fs::write(&file, "open sesame\nmore\n").expect("written");
        let from_file = PassphraseSource { file: Some(file), given: None };
        assert!(wallets.unlock("frank", &from_file).is_ok());
    }

    #[test]
    fn a_name_is_given_once_and_never_leaves_the_folder() {
        let dir = tempfile::tempdir().expect("a directory");
        let wallets = Wallets::of(dir.path());
        let key = new_key().expect("a key");
        wallets.add_shared("alice", &key).expect("added");
        assert!(matches!(wallets.add_shared("alice", &key), Err(LabError::WalletExists { .. })));
        for name in ["", "../x", "a/b", "a.json", &"x".repeat(33), &key.address().to_string()] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(matches!(wallets.resolve("../x"), Err(LabError::UnknownWallet { .. })));
        assert!(matches!(wallets.resolve("nobody"), Err(LabError::UnknownWallet { .. })));
    }
}
