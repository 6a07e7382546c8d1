//! Who plays the outside world to the peers: answers their events, acts at set times, and looks on.

use std::fmt::Debug;

use synod_machine::{PeerId, Protocol, Reject};

use crate::Net;

/// The net of an experiment.
pub type NetOf<E> = Net<<E as Experiment>::Protocol, <E as Experiment>::Alarm>;

/// What a world is run for. Everything that a protocol asks of its owner comes here, and everything that is done to the
/// peers from outside comes from here.
pub trait Experiment: Sized {
    /// What each peer runs.
    type Protocol: Protocol;
    /// What it wants to be reminded of ([`Net::alarm`]).
    type Alarm: Debug;

    /// What a peer is made from, at its first start and at each one after a crash.
    fn params(&mut self, net: &NetOf<Self>, peer: PeerId) -> <Self::Protocol as Protocol>::Params;

    /// A time that was asked for has come.
    fn on_alarm(&mut self, net: &mut NetOf<Self>, alarm: Self::Alarm);

    /// A peer tells its owner something.
    fn on_event(&mut self, net: &mut NetOf<Self>, peer: PeerId, event: <Self::Protocol as Protocol>::Event);

    /// A peer holds something against another.
    fn on_reject(&mut self, _net: &mut NetOf<Self>, _peer: PeerId, _by: PeerId, _reason: Reject) {}

    /// A peer was started, from an empty disk or from what a crash left.
    fn on_start(&mut self, _net: &mut NetOf<Self>, _peer: PeerId) {}
}
