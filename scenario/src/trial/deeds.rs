//! What a plan does to the peers.

use synod_machine::PeerId;
use synod_sim::{NetOf, Tail};

use super::Trial;
use crate::Deed;

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
            Deed::Heal => self.heal(net),
            Deed::Omit { peers, sent, received } => peers.iter().for_each(|peer| net.omit(*peer, *sent, *received)),
            Deed::Pause { peers } => peers.iter().for_each(|peer| net.pause(*peer)),
            Deed::Reconnect => net.heal_all(),
            Deed::Resume { peers } => peers.iter().for_each(|peer| net.resume(*peer)),
            Deed::Start { peers } => self.start(net, peers),
            Deed::Wipe { peers } => {
                self.crash(net, peers, Tail::Lost);
                peers.iter().for_each(|peer| net.wipe(*peer));
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

    fn start(&mut self, net: &mut NetOf<Self>, peers: &[PeerId]) {
        for peer in peers {
            self.held.remove(peer);
            net.start(net.now(), *peer);
        }
    }

    /// Everybody is up, sees everybody, omits nothing, and has a true clock from now on. Churn ends.
    fn heal(&mut self, net: &mut NetOf<Self>) {
        self.churn.clear();
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
