//! What a finished command tells the shell.

/// The exit codes of `synod`. Scripts rely on them: a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Ok = 0,
    /// 1: failed, and no other code says it better. A payment that a peer refused is one.
    Generic = 1,
    /// 2: the command line is wrong.
    Usage = 2,
    /// 3: a configuration, genesis or data directory is wrong or contradicts what was asked.
    Config = 3,
    /// 4: the network could not be set up, or is not in the state that the command needs.
    Setup = 4,
    /// 5: a safety or liveness check failed.
    Check = 5,
    /// 6: a peer could not be reached or answered nonsense.
    Network = 6,
    /// 7: a user's wallet, key, passphrase or funds are missing or wrong.
    User = 7,
    /// 8: stopped by a signal before it was done.
    Interrupted = 8,
    /// 9: it was sent, and whether it took effect is not known.
    Unknown = 9,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
