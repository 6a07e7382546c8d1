//! The node's key: 32 secret bytes in a file of its own, from which both its libp2p identity and its ledger key come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use libp2p::PeerId;
use libp2p::identity::{KeyType, Keypair, PublicKey, ed25519};

/// A node's secret key.
#[derive(Clone)]
pub struct Identity {
    secret: [u8; 32],
}

/// Why a node's key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("the key file {} has {got} bytes, a key has 32", path.display())]
    Length {
        /// Which file.
        path: PathBuf,
        /// How long it is; a file that is longer than 33 bytes is not read further.
        got: usize,
    },
    /// The file can be read by others.
    #[error("the key file {} can be read by others (mode {mode:o}); run chmod 600 on it", path.display())]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system gives no randomness.
    #[error("no randomness for a new key: {0}")]
    Random(String),
}

impl Identity {
    /// The key in the file, or a new one that is written there, readable by its owner alone.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(IdentityError::File { path: path.into(), source }),
        }
    }

    /// Whether the key in the file was made and never used: a file beside it says so, until [`use_up`](Self::use_up).
    pub fn is_unused(path: &Path) -> bool {
        unused(path).exists()
    }

    /// Notes that the key in the file is used from now on. A peer whose memory is empty although its key was used has lost
    /// its memory, and may have said what it does not know.
    pub fn use_up(path: &Path) -> io::Result<()> {
        match fs::remove_file(unused(path)) {
            Ok(()) => File::open(folder_of(path))?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The identity of this secret key.
    pub const fn from_secret(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The secret key's bytes, for the ledger.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The key as libp2p wants it.
    pub fn keypair(&self) -> Keypair {
        Keypair::ed25519_from_bytes(self.secret).expect("any 32 bytes are an ed25519 secret key")
    }

    /// The peer that this key makes.
    pub fn peer(&self) -> PeerId {
        self.keypair().public().to_peer_id()
    }

    fn read(path: &Path, file: File) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::File { path: path.into(), source };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Mode { path: path.into(), mode });
        }
        let mut bytes = Vec::new();
        file.take(33).read_to_end(&mut bytes).map_err(failed)?;
        let got = bytes.len();
        let secret = bytes.try_into().map_err(|_| IdentityError::Length { path: path.into(), got })?;
        Ok(Self { secret })
    }

    /// Writes beside the file and renames, so that a crash leaves a whole key or none.
    fn create(path: &Path) -> Result<Self, IdentityError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| IdentityError::Random(error.to_string()))?;
        let written = write(&unused(path), b"The key beside this file has signed nothing yet.\n");
        written
            .and_then(|()| write(path, &secret))
            .map_err(|source| IdentityError::File { path: path.into(), source })?;
        Ok(Self { secret })
    }
}

/// The file that says that a key was never used.
fn unused(path: &Path) -> PathBuf {
    path.with_extension("unused")
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    // A file of that name is left from a process that died, with another key in it: it would keep its own mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

/// The ed25519 public key inside a peer's id, if it is of that kind.
pub fn public_key_of(peer: &PeerId) -> Option<[u8; 32]> {
    // An id of 42 bytes or less is the key itself behind an identity hash (libp2p specs, peer-ids).
    let multihash = peer.as_ref();
    if multihash.code() != 0 {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    if key.key_type() != KeyType::Ed25519 {
        return None;
    }
    key.try_into_ed25519().ok().map(|key| key.to_bytes())
}

/// The peer with this ed25519 public key, if the bytes are one.
pub fn peer_of(public_key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(public_key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data").join("identity.key");
        let made = Identity::load_or_create(&path).expect("made");
        let read = Identity::load_or_create(&path).expect("read");
        assert_eq!(made.secret(), read.secret());
        assert_ne!(made.secret(), &[0; 32]);
        let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let files = || fs::read_dir(folder.path().join("data")).expect("a folder").count();
        assert_eq!(files(), 2, "and a file that says that it was never used");
        assert!(Identity::is_unused(&path));
        Identity::use_up(&path).expect("removed");
        assert!(!Identity::is_unused(&path));
        Identity::use_up(&path).expect("nothing to remove");
        assert_eq!(files(), 1);
        assert_eq!(Identity::load_or_create(&path).expect("read").secret(), made.secret());
        assert!(!Identity::is_unused(&path), "a key that is read is not a new one");
    }

    #[test]
    fn a_file_that_is_no_private_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("identity.key");
        for (bytes, mode) in [(31, 0o600), (33, 0o600), (0, 0o600), (32, 0o644)] {
            fs::write(&path, vec![7; bytes]).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let error = Identity::load_or_create(&path).err().expect("refused");
            if mode == 0o600 {
                assert!(matches!(error, IdentityError::Length { got, .. } if got == bytes), "{error}");
            } else {
                assert!(matches!(error, IdentityError::Mode { mode: 0o644, .. }), "{error}");
            }
            assert_eq!(fs::read(&path).expect("kept"), vec![7; bytes]);
        }
    }

    #[test]
    fn peers_and_public_keys_name_each_other() {
        let identity = Identity::from_secret([9; 32]);
        let key = public_key_of(&identity.peer()).expect("an ed25519 peer");
        assert_eq!(peer_of(&key), Some(identity.peer()));
        // A peer id that is a SHA-256 digest holds no key.
        let digest = libp2p::multihash::Multihash::<64>::wrap(0x12, &[1; 32]).expect("fits");
        assert_eq!(public_key_of(&PeerId::from_multihash(digest).expect("a peer id")), None);
    }
}
