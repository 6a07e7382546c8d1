//! How the parts' effects become this machine's.

use synod_machine::Parent;

use super::{Discovery, Message, Record, Timer};
use crate::search::{FloodSearch, Index, Superpeer, flood, index, superpeer};
use crate::{Chord, Content, Kademlia, chord, content, gossip, kademlia};

impl Parent<Content> for Discovery {
    const SHELF: u8 = 0x00;

    fn message(message: content::Message) -> Message {
        Message::Content(message)
    }

    fn timer(timer: content::Timer) -> Timer {
        Timer::Content(timer)
    }

    fn record(record: content::Record) -> Record {
        Record::Content(record)
    }
}

impl Parent<Chord> for Discovery {
    const SHELF: u8 = 0x01;

    fn message(message: chord::Message) -> Message {
        Message::Chord(message)
    }

    fn timer(timer: chord::Timer) -> Timer {
        Timer::Chord(timer)
    }

    fn record(record: chord::Record) -> Record {
        Record::Chord(record)
    }
}

impl Parent<Kademlia> for Discovery {
    const SHELF: u8 = 0x02;

    fn message(message: kademlia::Message) -> Message {
        Message::Kademlia(message)
    }

    fn timer(timer: kademlia::Timer) -> Timer {
        Timer::Kademlia(timer)
    }

    fn record(record: kademlia::Record) -> Record {
        Record::Kademlia(record)
    }
}

/// Searches keep nothing on disk.
const SHELF_NONE: u8 = 0x03;

impl Parent<FloodSearch> for Discovery {
    const SHELF: u8 = SHELF_NONE;

    fn message(message: flood::Message) -> Message {
        Message::Flood(message)
    }

    fn timer(timer: flood::Timer) -> Timer {
        Timer::Flood(timer)
    }

    fn record(record: gossip::Record) -> Record {
        record.into()
    }
}

impl Parent<Index> for Discovery {
    const SHELF: u8 = SHELF_NONE;

    fn message(message: index::Message) -> Message {
        Message::Index(message)
    }

    fn timer(timer: index::Timer) -> Timer {
        Timer::Index(timer)
    }

    fn record(record: gossip::Record) -> Record {
        record.into()
    }
}

impl Parent<Superpeer> for Discovery {
    const SHELF: u8 = SHELF_NONE;

    fn message(message: superpeer::Message) -> Message {
        Message::Superpeer(message)
    }

    fn timer(timer: superpeer::Timer) -> Timer {
        Timer::Superpeer(timer)
    }

    fn record(record: gossip::Record) -> Record {
        record.into()
    }
}
