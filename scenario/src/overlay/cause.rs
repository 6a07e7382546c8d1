//! Messages that know what they were sent for, so that a question's can be told from those that keep a table in order, which
//! are of the same kinds.
//!
//! [`Traced`] hosts the machine of a table and adds a mark to each message. The mark is not counted in its length and is never
//! encoded. A request has the cause of what its owner asked for last under the request's key, and an answer that of its request.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use synod_dht::overlay::Query;
use synod_dht::{Chord, Id, Kademlia, chord, kademlia};
use synod_machine::{Effect, Input, Key, Out, Protocol, Time, Wire};

/// What a message was sent for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// An entry that the owner stores.
    Publication,
    /// A question of the owner's.
    Question,
    /// Everything else: what keeps the table in order, and its entries.
    #[default]
    Upkeep,
}

/// What a message of a table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// It answers a request.
    Answer,
    /// It asks, or asks to keep, what belongs to this key.
    Key(Id),
    /// It is about neither a question nor a publication.
    Table,
}

/// A table whose messages can be told apart.
pub(super) trait Traceable: Protocol {
    /// What the owner asks with it: under which name, about which key, and why.
    fn opens(command: &Self::Command) -> Option<(Query, Id, Cause)>;

    /// Which request is over with it.
    fn closes(event: &Self::Event) -> Option<Query>;

    /// What it is about.
    fn about(message: &Self::Message) -> About;
}

impl Traceable for Chord {
    fn opens(command: &chord::Command) -> Option<(Query, Id, Cause)> {
        match command {
            chord::Command::Get { query, key, .. } => Some((*query, *key, Cause::Question)),
            chord::Command::Put { query, key, .. } => Some((*query, *key, Cause::Publication)),
            chord::Command::Join { .. } | chord::Command::Leave | chord::Command::Lookup { .. } => None,
        }
    }

    fn closes(event: &chord::Event) -> Option<Query> {
        match event {
            chord::Event::Got { query, .. } | chord::Event::Put { query, .. } => Some(*query),
            chord::Event::Joined { .. } | chord::Event::Left | chord::Event::LookedUp { .. } => None,
        }
    }

    fn about(message: &chord::Message) -> About {
        use chord::Message as M;
        match message {
            M::Fetch { key, .. } | M::Route { key, .. } | M::Step { key, .. } | M::Store { key, .. } => {
                About::Key(*key)
            }
            M::Fetched { .. }
            | M::Helpless { .. }
            | M::Next { .. }
            | M::Owner { .. }
            | M::Routed { .. }
            | M::Stored { .. } => About::Answer,
            M::Between { .. }
            | M::Hello { .. }
            | M::Leave
            | M::Offer { .. }
            | M::Ping { .. }
            | M::Pong { .. }
            | M::Same { .. }
            | M::Stable { .. }
            | M::Stabilise { .. }
            | M::Table { .. }
            | M::Tabled { .. }
            | M::Wanted { .. } => About::Table,
        }
    }
}

impl Traceable for Kademlia {
    fn opens(command: &kademlia::Command) -> Option<(Query, Id, Cause)> {
        match command {
            kademlia::Command::Get { query, key, .. } => Some((*query, *key, Cause::Question)),
            kademlia::Command::Put { query, key, .. } => Some((*query, *key, Cause::Publication)),
            kademlia::Command::Join { .. } | kademlia::Command::Lookup { .. } => None,
        }
    }

    fn closes(event: &kademlia::Event) -> Option<Query> {
        match event {
            kademlia::Event::Got { query, .. } | kademlia::Event::Stored { query, .. } => Some(*query),
            kademlia::Event::Found { .. } | kademlia::Event::Joined { .. } => None,
        }
    }

    fn about(message: &kademlia::Message) -> About {
        use kademlia::Message as M;
        match message {
            M::FindNode { target: key, .. } | M::FindValue { key, .. } | M::Store { key, .. } => About::Key(*key),
            M::Nodes { .. } | M::Stored { .. } | M::Values { .. } => About::Answer,
            M::Ping { .. } | M::Pong { .. } => About::Table,
        }
    }
}

/// A message and its cause, which is its kind unless it is upkeep.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "M: Wire")]
pub(super) struct Marked<M> {
    message: M,
    #[serde(skip)]
    cause: Cause,
}

/// The kind of messages that publish …
pub(super) const PUBLICATION: &str = "publication";
/// … and of those that ask and answer.
pub(super) const QUESTION: &str = "question";

impl<M: Wire> Wire for Marked<M> {
    const BYTES_MAX: usize = M::BYTES_MAX;

    fn kind(&self) -> &'static str {
        match self.cause {
            Cause::Publication => PUBLICATION,
            Cause::Question => QUESTION,
            Cause::Upkeep => self.message.kind(),
        }
    }

    fn encoded_len(&self) -> usize {
        self.message.encoded_len()
    }
}

/// A table's machine, whose messages are marked.
pub(super) struct Traced<P: Traceable> {
    inner: P,
    /// What the owner asked and was not answered yet.
    open: Vec<(Query, Id, Cause)>,
    /// What the machine writes its effects into.
    effects: Out<P>,
}

impl<P: Traceable> Borrow<P> for Traced<P> {
    fn borrow(&self) -> &P {
        &self.inner
    }
}

impl<P: Traceable> Traced<P> {
    fn mark(&self, message: P::Message, cause: Cause) -> Marked<P::Message> {
        let cause = match P::about(&message) {
            About::Answer => cause,
            About::Key(key) => {
                let open = self.open.iter().rfind(|open| open.1 == key);
                open.map_or(Cause::Upkeep, |open| open.2)
            }
            About::Table => Cause::Upkeep,
        };
        Marked { message, cause }
    }

    /// Hands the machine's effects on; `cause` is that of the message that it was given.
    fn settle(&mut self, cause: Cause, out: &mut Out<Self>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Broadcast { to, message } => out.broadcast(to, self.mark(message, cause)),
                Effect::Cancel(timer) => out.cancel(timer),
                Effect::Emit(event) => {
                    let closed = P::closes(&event);
                    self.open.retain(|open| Some(open.0) != closed);
                    out.emit(event);
                }
                Effect::Forget(key) => out.forget(key),
                Effect::Persist { key, record } => out.persist(key, record),
                Effect::Reject { peer, reason } => out.reject(peer, reason),
                Effect::Send { to, message } => out.send(to, self.mark(message, cause)),
                Effect::Set { timer, at } => out.set(timer, at),
            }
        }
        self.effects = effects;
    }
}

impl<P: Traceable> Protocol for Traced<P> {
    type Params = P::Params;
    type Message = Marked<P::Message>;
    type Timer = P::Timer;
    type Command = P::Command;
    type Event = P::Event;
    type Record = P::Record;

    fn restore(params: P::Params, disk: impl Iterator<Item = (Key, P::Record)>) -> Self {
        Self { inner: P::restore(params, disk), open: Vec::new(), effects: Out::new() }
    }

    fn start(&mut self, now: Time, out: &mut Out<Self>) {
        self.inner.start(now, &mut self.effects);
        self.settle(Cause::Upkeep, out);
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Out<Self>) {
        let mut cause = Cause::Upkeep;
        let input = match input {
            Input::Command(command) => {
                self.open.extend(P::opens(&command));
                Input::Command(command)
            }
            Input::Message { from, message } => {
                cause = message.cause;
                Input::Message { from, message: message.message }
            }
            Input::PeerDown(peer) => Input::PeerDown(peer),
            Input::PeerUp(peer) => Input::PeerUp(peer),
            Input::Timer(timer) => Input::Timer(timer),
        };
        self.inner.handle(now, input, &mut self.effects);
        self.settle(cause, out);
    }

    fn check(&self) {
        self.inner.check();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Id {
        Id::from(synod_machine::Bytes([byte; 32]))
    }

    #[test]
    fn a_request_has_the_cause_of_what_the_owner_asked_about_its_key_and_an_answer_that_of_its_request() {
        use synod_dht::Node;
        use synod_dht::overlay::Quorum;
        use synod_machine::{PeerId, Rng};
        let own = Node { id: id(1), peer: PeerId(1) };
        let disk = std::iter::empty();
        let mut node = Traced::<Chord>::restore(chord::Params::new(own, Rng::new(1, 0, "test")), disk);
        let quorum = Quorum::new(1, 3).expect("one of three");
        let get = chord::Command::Get { query: Query(7), key: id(9), quorum };
        node.open.extend(Chord::opens(&get));
        let step = |key| chord::Message::Step { number: 1, key, count: 3, avoid: vec![] };
        assert_eq!(node.mark(step(id(9)), Cause::Upkeep).kind(), QUESTION);
        assert_eq!(node.mark(step(id(8)), Cause::Question).kind(), "chord_step", "a finger's way");
        let next = chord::Message::Next { number: 1, node: own };
        assert_eq!(node.mark(next.clone(), Cause::Question).kind(), QUESTION);
        assert_eq!(node.mark(next.clone(), Cause::Upkeep).kind(), "chord_next");
        assert_eq!(node.mark(chord::Message::Ping { number: 1 }, Cause::Question).kind(), "chord_ping");
        assert_eq!(node.mark(next.clone(), Cause::Question).encoded_len(), next.encoded_len());
        // A node that is on no ring answers at once, and the request is over.
        let mut out = Out::new();
        node.handle(Time::ZERO, Input::Command(get), &mut out);
        assert!(node.open.is_empty());
        assert_eq!(node.mark(step(id(9)), Cause::Upkeep).kind(), "chord_step");
    }
}
