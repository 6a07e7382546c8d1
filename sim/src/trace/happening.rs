//! What a record is made of.

use std::fmt;
use std::sync::Arc;

use synod_machine::{PeerId, Time};

/// Something that happened at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its number among all that happened since the record began, whether it was recorded or not.
    pub step: u64,
    /// The true time.
    pub at: Time,
    /// Where it happened.
    pub peer: PeerId,
    /// The peer's Lamport clock after it, which counts what was not recorded, too.
    pub lamport: u64,
    /// What it followed from, by its `step`: a message that arrived from its `Sent`, a `Sent` from the step that made it.
    /// It may not be on record itself.
    pub cause: Option<u64>,
    /// Its vector clock: how many recorded happenings of each traced peer ([`Recorder::traced`](super::Recorder::traced)
    /// has their order) come before it, itself among its own peer's.
    pub vector: Arc<[u32]>,
    /// What it was.
    pub what: What,
    /// The message's kind; the timer's or command's name, `Part.Name` where one protocol is part of another.
    pub name: String,
    /// More, to read: up to [`TEXT_MAX`] characters.
    pub text: String,
}

/// What made a peer take a step, what a step did, or what kept one from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A command of its owner.
    Command,
    /// It crashed.
    Crash,
    /// A connection closed.
    Down(PeerId),
    /// A message did not leave, or did not arrive. It is recorded at the end where it was lost, and the receiver knows
    /// nothing of it: it is no cause of what the receiver does later.
    Lost {
        /// Who sent it.
        from: PeerId,
        /// To whom.
        to: PeerId,
        /// Encoded, in bytes.
        bytes: u32,
        /// To what.
        to_what: Loss,
    },
    /// A message arrived.
    Message {
        /// From whom.
        from: PeerId,
        /// Encoded, in bytes.
        bytes: u32,
        /// When it was sent; unknown if that was before the record began.
        sent: Option<Time>,
    },
    /// It sent a message.
    Sent {
        /// To how many.
        receivers: u32,
        /// Encoded, in bytes, to each.
        bytes: u32,
    },
    /// It started.
    Start,
    /// A deadline passed.
    Timer,
    /// A connection opened.
    Up(PeerId),
}

/// What a message was lost to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// There is no connection, or it was sent on an earlier one.
    Closed,
    /// A cut.
    Cut,
    /// The receiver is not up, or was started since it was sent.
    Down,
    /// The link, by chance.
    Link,
    /// Its receiver's omission.
    OmitReceived,
    /// Its sender's omission.
    OmitSent,
    /// There is no such peer.
    Unknown,
}

/// What is kept of a message's, timer's or command's text, in characters.
pub const TEXT_MAX: usize = 200;

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "no connection",
            Self::Cut => "a cut",
            Self::Down => "receiver is down",
            Self::Link => "the link",
            Self::OmitReceived => "receiver omits it",
            Self::OmitSent => "sender omits it",
            Self::Unknown => "no such peer",
        })
    }
}

impl Happening {
    /// What it was in a few words, without its peer and its time.
    pub fn title(&self, names: impl Fn(PeerId) -> String) -> String {
        let name = &self.name;
        match self.what {
            What::Command => format!("command {name}"),
            What::Crash => "crash".to_owned(),
            What::Down(other) => format!("{} is down", names(other)),
            What::Lost { from, to, to_what, .. } => {
                format!("lost {name} from {} to {}: {to_what}", names(from), names(to))
            }
            What::Message { from, .. } => format!("receive {name} from {}", names(from)),
            What::Sent { receivers, .. } => format!("send {name} to {receivers}"),
            What::Start => "start".to_owned(),
            What::Timer => format!("timer {name}"),
            What::Up(other) => format!("{} is up", names(other)),
        }
    }
}
