//! What a plan does to the peers.

use synod_consensus::{Command as ReplicaCommand, Item};
use synod_machine::PeerId;
use synod_peer::{Behaviour, Command, Peer, Record};
use synod_sim::{NetOf, Tail};

use super::Trial;
use crate::Deed;
use crate::forge::{Forgery, STRANGER, forge, reap};

impl Trial {
    /// Does a deed now.
    pub fn act(&mut self, net: &mut NetOf<Self>, deed: &Deed) {
        match deed {
            Deed::Clock { peers, ahead_ns, drift_ppm } => {
                peers.iter().for_each(|peer| net.adjust_clock(*peer, *ahead_ns, *drift_ppm));
            }
            Deed::Crash { peers, tail } => self.crash(net, peers, *tail),
            Deed::Cut { peers, direction, notice } => {
                net.cut(peers, *direction, *notice);
            }
            Deed::Forge { peers, what } => peers.iter().for_each(|peer| self.forge(net, *peer, *what)),
            Deed::Heal => self.heal(net),
            Deed::Omit { peers, sent, received } => peers.iter().for_each(|peer| net.omit(*peer, *sent, *received)),
            Deed::Pause { peers } => peers.iter().for_each(|peer| net.pause(*peer)),
            Deed::Reap { peers, most } => peers.iter().for_each(|peer| self.reap(net, *peer, *most)),
            Deed::Reconnect => net.heal_all(),
            Deed::Resume { peers } => peers.iter().for_each(|peer| net.resume(*peer)),
            Deed::Start { peers } => self.start(net, peers),
            Deed::Turn { peers, behaviour } => peers.iter().for_each(|peer| self.turn(net, *peer, *behaviour)),
            Deed::Wipe { peers } => {
                self.crash(net, peers, Tail::Lost);
                peers.iter().for_each(|peer| self.wipe(net, *peer));
            }
        }
    }

    fn crash(&mut self, net: &mut NetOf<Self>, peers: &[PeerId], tail: Tail) {
        for peer in peers {
            net.crash(*peer, tail);
            self.observed.stopped(*peer);
            self.held.insert(*peer);
        }
    }

    /// Gives a peer a new disk. A validator's says that it had another.
    fn wipe(&self, net: &mut NetOf<Self>, peer: PeerId) {
        net.wipe(peer);
        if self.plan.chain.agreed().is_some() {
            let (key, record) = synod_consensus::Record::rejoining();
            net.put(peer, key, Record::Replica(record));
        }
    }

    fn start(&mut self, net: &mut NetOf<Self>, peers: &[PeerId]) {
        for peer in peers {
            self.held.remove(peer);
            net.start(net.now(), *peer);
        }
    }

    /// Has a peer behave otherwise. It does so after a restart, too.
    fn turn(&mut self, net: &mut NetOf<Self>, peer: PeerId, behaviour: Behaviour) {
        self.turned.insert(peer, behaviour);
        net.command(net.now(), peer, Command::Behave(behaviour));
    }

    /// Hands a forgery on a peer's tip to it, if it has one.
    fn forge(&mut self, net: &mut NetOf<Self>, peer: PeerId, what: Forgery) {
        let Some(replica) = net.protocol(peer).map(Peer::replica).filter(|replica| replica.is_settled()) else {
            return;
        };
        let draw = self.rng.next_u64();
        let Some(forged) = forge(replica, self.payer.keys(), net.clock(peer), what, draw) else { return };
        let payment = forged.payment.map(|tx| (tx.fingerprint(), Item::Payment(tx)));
        for (id, item) in payment.into_iter().chain([(forged.block.fingerprint(), Item::Block(forged.block))]) {
            let command = ReplicaCommand::Gossip { id, from: STRANGER, item };
            net.command(net.now(), peer, Command::Replica(command));
        }
    }

    /// Has miners spend what they earned at a peer.
    fn reap(&mut self, net: &mut NetOf<Self>, peer: PeerId, most: usize) {
        let Some(replica) = net.protocol(peer).map(Peer::replica).filter(|replica| replica.is_settled()) else {
            return;
        };
        for tx in reap(replica, self.payer.keys(), most) {
            self.submit_at(net, peer, tx);
        }
    }

    /// Everybody is up, sees everybody, omits nothing, and has a true clock from now on. Churn ends.
    fn heal(&mut self, net: &mut NetOf<Self>) {
        self.churn.clear();
        for peer in self.turned.keys().copied().collect::<Vec<_>>() {
            self.turn(net, peer, Behaviour::Honest);
        }
        net.heal_all();
        for peer in net.peers() {
            net.resume(peer);
            net.omit(peer, 0.0, 0.0);
            net.set_clock_true(peer);
        }
        let all: Vec<PeerId> = net.peers().collect();
        self.start(net, &all);
    }
}
