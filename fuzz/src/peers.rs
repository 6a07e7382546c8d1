//! Valid values of what peers say and keep: those of their parts.

use synod_dht::Contact;
use synod_peer::{Message, Record};

use crate::{overlays, samples};

/// One of each message between peers, as it stands on a socket: with contacts for nodes.
pub fn messages() -> Vec<Message<Contact>> {
    let mut all: Vec<Message> = samples::messages().into_iter().map(Message::Replica).collect();
    all.extend(overlays::gossip().into_iter().map(Message::Gossip));
    all.extend(overlays::messages().into_iter().map(|message| Message::Discovery(message.into())));
    all.into_iter().map(|message| message.map(&mut |_| samples::contact())).collect()
}

/// One of each record of a peer.
pub fn records() -> Vec<Record> {
    let mut all: Vec<Record> = samples::records().into_iter().map(Record::Replica).collect();
    all.extend(overlays::records().into_iter().map(Record::Discovery));
    all.push(Record::Neighbours(samples::contact()));
    all
}
