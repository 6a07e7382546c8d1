//! Whom to stay connected to: a peer keeps at least `neighbours_min` connections, to peers drawn at random among those
//! it has heard of, and remembers those that answered so that it finds the network again after a restart.
//!
//! Random choice gives a random graph, whose diameter is logarithmic and which stays connected with high probability
//! from a degree of about ln n on (Erdős and Rényi 1960). It does not discover peers: its owner tells it of them, and of
//! those to whom a connection is kept beside the ones that are drawn.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Input, Key, Out, Protocol, Rng, Time, Wire};

use crate::overlay::Id;

/// A peer's public key: who it is, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub Bytes<32>);

impl Identity {
    /// Where it stands in the overlays: the hash of the key.
    pub fn id(self) -> Id {
        Id::of(self.0.as_slice())
    }
}

/// An address in the form that the transport understands (a binary multiaddress); opaque here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// A peer and where it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub identity: Identity,
    /// Where, most useful first.
    pub addresses: Vec<Address>,
}

/// Addresses kept of one contact.
pub const ADDRESSES_MAX: usize = 8;
/// The longest address kept, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Contacts kept; the one that failed most often goes first.
pub const CONTACTS_MAX: usize = 1_000;

/// A dial that was not answered for so long has failed.
const DIAL_TIME_MAX: Duration = Duration::from_secs(15);
/// The wait before a failed contact is tried again doubles from this …
const RETRY_MIN: Duration = Duration::from_secs(1);
/// … to this.
const RETRY_MAX: Duration = Duration::from_secs(32);

const SHELF_CONTACT: u8 = 0x00;

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Params {
    /// This peer, which never dials itself.
    pub own: Identity,
    /// Peers to whom a connection is sought however many there are: on a chain of validators, the validators.
    pub kept: BTreeSet<Identity>,
    /// Below so many connections more are sought.
    pub neighbours_min: usize,
    /// The stream that choices are drawn from.
    pub rng: Rng,
}

/// What the owner says.
#[derive(Clone, Debug)]
pub enum Command {
    /// A connection to this peer is up.
    Connected(Contact),
    /// The last connection to this peer is gone.
    Disconnected(Identity),
    /// This peer exists.
    Discovered(Contact),
    /// The dial that was asked for came to nothing.
    Failed(Identity),
    /// This peer must not be dialled again (it is on another chain).
    Refused(Identity),
}

/// What the owner is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connect to this peer and answer `Connected` or `Failed`.
    Dial(Contact),
}

/// The one timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Look again whether more neighbours are wanted.
    Seek,
}

/// Neighbours send each other nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {}

impl Wire for Message {
    const BYTES_MAX: usize = 0;

    fn kind(&self) -> &'static str {
        match *self {}
    }
}

impl Wire for Contact {
    const BYTES_MAX: usize = 33 + 1 + ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 3);

    fn kind(&self) -> &'static str {
        "contact"
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connected,
    Dialling { since: Time },
    Idle { not_before: Time },
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Vec<Address>,
    failures: u32,
    state: State,
    stored: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Neighbours {
    params: Params,
    known: BTreeMap<Identity, Known>,
}

impl Neighbours {
    /// How many peers are connected.
    pub fn connected(&self) -> usize {
        self.known.values().filter(|known| known.state == State::Connected).count()
    }

    /// How many peers it has heard of.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    fn on_command(&mut self, now: Time, command: Command, out: &mut Out<Self>) {
        match command {
            Command::Connected(contact) => self.on_connected(now, contact, out),
            Command::Disconnected(identity) => self.rest(now, identity),
            Command::Discovered(contact) => self.on_discovered(now, contact, out),
            Command::Failed(identity) => self.on_failed(now, identity),
            Command::Refused(identity) => {
                if self.known.remove(&identity).is_some_and(|known| known.stored) {
                    out.forget(key(identity));
                }
            }
        }
        self.seek(now, out);
    }

    fn on_connected(&mut self, now: Time, contact: Contact, out: &mut Out<Self>) {
        let identity = contact.identity;
        self.on_discovered(now, contact, out);
        let Some(known) = self.known.get_mut(&identity) else { return };
        known.state = State::Connected;
        known.failures = 0;
        if !known.stored && !known.addresses.is_empty() {
            known.stored = true;
            out.persist(key(identity), Contact { identity, addresses: known.addresses.clone() });
        }
    }

    /// Takes new addresses over; a contact whose record is on disk is written again when they changed.
    fn on_discovered(&mut self, now: Time, contact: Contact, out: &mut Out<Self>) {
        let Contact { identity, mut addresses } = contact;
        if identity == self.params.own {
            return;
        }
        addresses.retain(|address| address.0.len() <= ADDRESS_BYTES_MAX);
        let known = self.known.entry(identity).or_insert_with(|| Known {
            addresses: Vec::new(),
            failures: 0,
            state: State::Idle { not_before: now },
            stored: false,
        });
        for address in &known.addresses {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses.truncate(ADDRESSES_MAX);
        if known.addresses != addresses {
            known.addresses = addresses;
            if known.stored {
                out.persist(key(identity), Contact { identity, addresses: known.addresses.clone() });
            }
        }
        self.evict(out);
    }

    fn on_failed(&mut self, now: Time, identity: Identity) {
        let Some(known) = self.known.get_mut(&identity) else { return };
        if known.state == State::Connected {
            return;
        }
        let wait = RETRY_MIN.saturating_mul(1 << known.failures.min(16)).min(RETRY_MAX);
        known.failures = known.failures.saturating_add(1);
        known.state = State::Idle { not_before: now + wait };
    }

    fn rest(&mut self, now: Time, identity: Identity) {
        if let Some(known) = self.known.get_mut(&identity) {
            known.state = State::Idle { not_before: now + RETRY_MIN };
        }
    }

    fn evict(&mut self, out: &mut Out<Self>) {
        while self.known.len() > CONTACTS_MAX {
            let worst = self
                .known
                .iter()
                .filter(|(identity, known)| matches!(known.state, State::Idle { .. }) && !self.is_kept(identity))
                .max_by_key(|(_, known)| known.failures)
                .map(|(&identity, known)| (identity, known.stored));
            let Some((identity, stored)) = worst else { return };
            self.known.remove(&identity);
            if stored {
                out.forget(key(identity));
            }
        }
    }

    /// Dials until enough connections are up or on their way, and sets the timer for the next look.
    fn seek(&mut self, now: Time, out: &mut Out<Self>) {
        let overdue: Vec<Identity> = self
            .known
            .iter()
            .filter(|(_, known)| matches!(known.state, State::Dialling { since } if now.since(since) >= DIAL_TIME_MAX))
            .map(|(&identity, _)| identity)
            .collect();
        for identity in overdue {
            self.on_failed(now, identity);
        }
        let kept: Vec<Identity> = self.ready(now).filter(|identity| self.is_kept(identity)).collect();
        for identity in kept {
            self.dial(now, identity, out);
        }
        let mut wanted = self.params.neighbours_min.saturating_sub(self.busy());
        while wanted > 0 {
            let ready: Vec<Identity> = self.ready(now).collect();
            let Some(&identity) = self.params.rng.pick(&ready) else { break };
            self.dial(now, identity, out);
            wanted -= 1;
        }
        if let Some(at) = self.next_look(wanted > 0) {
            out.set(Timer::Seek, at.max(now + Duration::from_millis(1)));
        }
    }

    /// Those that can be dialled now.
    fn ready(&self, now: Time) -> impl Iterator<Item = Identity> {
        self.known
            .iter()
            .filter(move |(_, known)| matches!(known.state, State::Idle { not_before } if not_before <= now))
            .filter(|(_, known)| !known.addresses.is_empty())
            .map(|(&identity, _)| identity)
    }

    fn dial(&mut self, now: Time, identity: Identity, out: &mut Out<Self>) {
        let known = self.known.get_mut(&identity).expect("only a known peer is ready");
        known.state = State::Dialling { since: now };
        out.emit(Event::Dial(Contact { identity, addresses: known.addresses.clone() }));
    }

    fn is_kept(&self, identity: &Identity) -> bool {
        self.params.kept.contains(identity)
    }

    fn busy(&self) -> usize {
        self.known.values().filter(|known| !matches!(known.state, State::Idle { .. })).count()
    }

    fn next_look(&self, hungry: bool) -> Option<Time> {
        self.known
            .iter()
            .filter_map(|(identity, known)| match known.state {
                State::Connected => None,
                State::Dialling { since } => Some(since + DIAL_TIME_MAX),
                State::Idle { not_before } => {
                    let is_wanted = hungry || self.is_kept(identity);
                    (is_wanted && !known.addresses.is_empty()).then_some(not_before)
                }
            })
            .min()
    }
}

impl Protocol for Neighbours {
    type Params = Params;
    type Message = Message;
    type Timer = Timer;
    type Command = Command;
    type Event = Event;
    type Record = Contact;

    fn restore(params: Params, disk: impl Iterator<Item = (Key, Contact)>) -> Self {
        let known = disk
            .map(|(_, contact)| {
                let state = State::Idle { not_before: Time::ZERO };
                (contact.identity, Known { addresses: contact.addresses, failures: 0, state, stored: true })
            })
            .collect();
        Self { params, known }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        self.seek(now, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        match input {
            Input::Command(command) => self.on_command(now, command, out),
            Input::Message { message, .. } => match message {},
            // Connections are told by identity, as commands.
            Input::PeerDown(_) | Input::PeerUp(_) => {}
            Input::Timer(Timer::Seek) => self.seek(now, out),
        }
    }

    /// 1. The table is bounded, up to connections themselves. 2. This peer is not its own neighbour.
    fn check(&self) {
        assert!(!self.known.contains_key(&self.params.own), "nobody is their own neighbour");
    }
}

fn key(identity: Identity) -> Key {
    Key::new(SHELF_CONTACT, identity.0)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use synod_machine::{Effect, Host};

    use super::*;

    fn contact(name: u8) -> Contact {
        Contact { identity: Identity(Bytes([name; 32])), addresses: vec![Address(vec![name])] }
    }

    fn params(kept: &[u8], neighbours_min: usize) -> Params {
        let kept = kept.iter().map(|&name| contact(name).identity).collect();
        Params { own: contact(0).identity, kept, neighbours_min, rng: Rng::new(1, 0, "neighbours") }
    }

    fn host(min: usize) -> Host<Neighbours> {
        Host::start(Neighbours::restore(params(&[], min), core::iter::empty()), Time::ZERO, |_| {})
    }

    fn dials(host: &mut Host<Neighbours>, secs: u64, command: Command) -> Vec<u8> {
        let mut dials = vec![];
        host.step(Time::from_secs(secs), Input::Command(command), |effect| dials.extend(dialled(&effect)));
        dials
    }

    fn dialled(effect: &Effect<Neighbours>) -> Option<u8> {
        match effect {
            Effect::Emit(Event::Dial(contact)) => Some(contact.identity.0.0[0]),
            _ => None,
        }
    }

    #[test]
    fn it_dials_until_it_has_enough_and_again_when_one_leaves() {
        let mut host = host(2);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(1))), [1]);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(2))), [2]);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(3))), []);
        assert_eq!(dials(&mut host, 1, Command::Connected(contact(1))), []);
        assert_eq!(dials(&mut host, 1, Command::Connected(contact(2))), []);
        assert_eq!(host.next_deadline(), Some(Time::from_secs(15)), "a look that an earlier dial asked for");
        assert_eq!(dials(&mut host, 2, Command::Disconnected(contact(1).identity)), [3]);
    }

    #[test]
    fn it_keeps_a_connection_to_some_however_many_others_there_are() {
        let peer = Neighbours::restore(params(&[2, 3], 1), core::iter::empty());
        let mut host = Host::start(peer, Time::ZERO, |_| {});
        assert_eq!(dials(&mut host, 0, Command::Connected(contact(1))), []);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(2))), [2]);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(4))), []);
        assert_eq!(dials(&mut host, 1, Command::Connected(contact(2))), []);
        assert_eq!(dials(&mut host, 1, Command::Discovered(contact(3))), [3]);
        assert_eq!(dials(&mut host, 1, Command::Failed(contact(3).identity)), []);
        let mut again = vec![];
        host.fire(Time::from_secs(2), |effect| again.extend(dialled(&effect)));
        assert_eq!(again, [3]);
    }

    #[test]
    fn it_never_dials_itself_nor_a_refused_peer() {
        let mut host = host(2);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(0))), []);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(1))), [1]);
        assert_eq!(dials(&mut host, 0, Command::Refused(contact(1).identity)), []);
        let mut again = vec![];
        host.fire(Time::from_secs(60), |effect| again.extend(dialled(&effect)));
        assert_eq!(again, []);
    }

    #[test]
    fn a_failed_contact_waits_twice_as_long_each_time() {
        let mut host = host(1);
        assert_eq!(dials(&mut host, 0, Command::Discovered(contact(1))), [1]);
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(dials(&mut host, now, Command::Failed(contact(1).identity)), []);
            assert_eq!(host.next_deadline(), Some(Time::from_secs(now + wait)));
            now += wait;
            let mut again = vec![];
            host.fire(Time::from_secs(now), |effect| again.extend(dialled(&effect)));
            assert_eq!(again, [1]);
        }
    }

    #[test]
    fn a_contact_that_answered_is_on_disk_and_is_dialled_after_a_restart() {
        let mut host = host(1);
        let mut disk = vec![];
        for command in
            [Command::Discovered(contact(1)), Command::Discovered(contact(2)), Command::Connected(contact(1))]
        {
            host.step(Time::ZERO, Input::Command(command), |effect| {
                if let Effect::Persist { key, record } = effect {
                    disk.push((key, record));
                }
            });
        }
        assert_eq!(disk, [(key(contact(1).identity), contact(1))]);
        let mut again = vec![];
        Host::start(Neighbours::restore(params(&[], 1), disk.into_iter()), Time::ZERO, |effect| {
            again.extend(dialled(&effect))
        });
        assert_eq!(again, [1]);
    }

    #[test]
    fn the_table_is_bounded_and_loses_what_failed_most() {
        let mut host = host(1);
        dials(&mut host, 0, Command::Discovered(contact(1)));
        dials(&mut host, 0, Command::Failed(contact(1).identity));
        for number in 0..CONTACTS_MAX as u64 {
            let mut name = [9; 32];
            name[..8].copy_from_slice(&number.to_le_bytes());
            let identity = Identity(Bytes(name));
            dials(&mut host, 0, Command::Discovered(Contact { identity, addresses: vec![] }));
        }
        assert_eq!(host.protocol().known(), CONTACTS_MAX);
        assert!(!host.protocol().known.contains_key(&contact(1).identity));
    }
}
