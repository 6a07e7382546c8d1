//! What happens to the peers of a drawn scenario before its network heals.

use synod_machine::PeerId;
use synod_sim::model::Span;

use super::draw::{Dice, churn};
use crate::config::{Action, ChurnConfig, Conduct, Direction, Tail, Who};
use crate::forge::FORGERIES;

/// Where troubles happen, and which.
pub(super) struct Arena {
    pub(super) peers: u32,
    /// What times are reckoned in: a block's as a rule.
    pub(super) beat: Span,
    /// After so many beats all is over.
    pub(super) healed: u64,
    pub(super) kinds: &'static [Kind],
    /// By how much clocks may be wrong …
    pub(super) shifts: Vec<Span>,
    /// … and how fast they become so, in parts per million.
    pub(super) drifts: &'static [i64],
    /// How a dishonest peer behaves.
    pub(super) conducts: &'static [Conduct],
    /// Whose disks may be emptied; all, where nobody is named.
    pub(super) forgetful: Option<Vec<PeerId>>,
}

impl Arena {
    /// Where miners are.
    pub(super) fn of_work(peers: u32, beat: Span, healed: u64) -> Self {
        let shifts = [0, 1, 5, 15, 40].map(|beats| Span::from_nanos(beat.nanos() * beats)).to_vec();
        let drifts = &[0, 0, 100, -100, 50_000, -50_000];
        Self { peers, beat, healed, kinds: &KINDS, shifts, drifts, conducts: &CONDUCTS, forgetful: None }
    }
}

/// Actions before the beat `healed`, in no order, who comes and goes, and who comes late.
pub(super) fn actions(
    dice: &mut Dice,
    byzantine: &mut Dice,
    arena: &Arena,
) -> (Vec<Action>, Option<ChurnConfig>, Vec<PeerId>) {
    let &Arena { peers, beat, healed, .. } = arena;
    let mut troubles = Troubles { dice, arena, actions: Vec::new() };
    for kind in arena.kinds {
        if troubles.dice.one_in(2) {
            troubles.add(*kind);
        }
    }
    let mut absent = Vec::new();
    if troubles.dice.one_in(4) {
        absent = troubles.dice.some(peers, peers - 1);
        let (at, peers) = (troubles.time(), Who::of(absent.clone()));
        troubles.actions.push(Action::Start { at, peers });
    }
    let mut actions = troubles.actions;
    actions.extend(turns(byzantine, arena));
    let churn = dice.one_in(4).then(|| churn(dice, peers, beat, healed));
    (actions, churn, absent)
}

/// Peers that are dishonest for a while. They are drawn from numbers of their own, so that the rest of a seed's scenario is
/// the same with them and without.
fn turns(dice: &mut Dice, arena: &Arena) -> Vec<Action> {
    if !dice.one_in(3) {
        return Vec::new();
    }
    let mut troubles = Troubles { dice, arena, actions: Vec::new() };
    troubles.repeat(3, |this| {
        let ((at, back), peers, behaviour) = (this.times(), this.group(), this.dice.one_of(this.arena.conducts));
        this.actions.push(Action::Turn { at, peers: peers.clone(), behaviour });
        if this.dice.one_in(2) {
            this.actions.push(Action::Turn { at: back, peers, behaviour: Conduct::Honest });
        }
    });
    troubles.actions
}

/// How any peer may behave.
pub(super) const CONDUCTS: [Conduct; 6] =
    [Conduct::Corrupt, Conduct::Deny, Conduct::Exaggerate, Conduct::Hoard, Conduct::Mute, Conduct::Repeat];

/// Those of stakes' owners.
pub(super) const CONDUCTS_OF_STAKES: [Conduct; 8] = [
    Conduct::Accuse,
    Conduct::Corrupt,
    Conduct::Deny,
    Conduct::Exaggerate,
    Conduct::Hoard,
    Conduct::MultiMint,
    Conduct::Mute,
    Conduct::Repeat,
];

/// A kind of trouble.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Clocks,
    Crashes,
    Cuts,
    Forgeries,
    Omissions,
    Pauses,
    Rewards,
    Wipes,
}

const KINDS: [Kind; 8] = [
    Kind::Clocks,
    Kind::Crashes,
    Kind::Cuts,
    Kind::Forgeries,
    Kind::Omissions,
    Kind::Pauses,
    Kind::Rewards,
    Kind::Wipes,
];

/// Those that need neither work to forge nor rewards that people can spend.
pub(super) const KINDS_OF_ALL: [Kind; 6] =
    [Kind::Clocks, Kind::Crashes, Kind::Cuts, Kind::Omissions, Kind::Pauses, Kind::Wipes];

struct Troubles<'a> {
    dice: &'a mut Dice,
    arena: &'a Arena,
    actions: Vec<Action>,
}

impl Troubles<'_> {
    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Clocks => self.clocks(),
            Kind::Crashes => self.crashes(),
            Kind::Cuts => self.cuts(),
            Kind::Forgeries => self.forgeries(),
            Kind::Omissions => self.omissions(),
            Kind::Pauses => self.pauses(),
            Kind::Rewards => self.rewards(),
            Kind::Wipes => self.wipes(),
        }
    }

    /// A time before the healing, some blocks after the beginning as a rule.
    fn time(&mut self) -> Span {
        let beat = self.arena.beat.nanos();
        let last = beat * self.arena.healed;
        Span::from_nanos(self.dice.within(beat..=last - beat))
    }

    /// A time and a later one, a few blocks after it as a rule.
    fn times(&mut self) -> (Span, Span) {
        let first = self.time();
        let (beat, beats_max) = (self.arena.beat.nanos(), self.dice.one_of(&[1, 4, 12]));
        let length = self.dice.within(1..=beat * beats_max);
        let last = beat * self.arena.healed - 1;
        (first, Span::from_nanos((first.nanos() + length).min(last)))
    }

    fn group(&mut self) -> Who {
        Who::of(self.peers())
    }

    fn peers(&mut self) -> Vec<PeerId> {
        let peers = self.arena.peers;
        let most = if self.dice.one_in(2) { 1 } else { peers };
        self.dice.some(peers, most)
    }

    fn repeat(&mut self, most: u64, trouble: impl Fn(&mut Self)) {
        for _ in 0..self.dice.within(1..=most) {
            trouble(self);
        }
    }

    fn clocks(&mut self) {
        self.repeat(3, |this| {
            let shift = this.dice.one_of(&this.arena.shifts);
            let is_ahead = this.dice.one_in(2);
            let (ahead, behind) = if is_ahead { (shift, Span::ZERO) } else { (Span::ZERO, shift) };
            let drift_ppm = this.dice.one_of(this.arena.drifts);
            let (at, peers) = (this.time(), this.group());
            this.actions.push(Action::Clock { at, peers, ahead, behind, drift_ppm });
        });
    }

    fn crashes(&mut self) {
        self.repeat(5, |this| {
            let ((at, back), peers) = (this.times(), this.group());
            let tail = this.dice.one_of(&[Tail::Kept, Tail::Lost]);
            this.actions.push(Action::Crash { at, peers: peers.clone(), tail });
            // Some stay down until all is healed.
            if !this.dice.one_in(4) {
                this.actions.push(Action::Start { at: back, peers });
            }
        });
    }

    fn cuts(&mut self) {
        self.repeat(3, |this| {
            let ((at, back), peers) = (this.times(), this.group());
            let direction = this.dice.one_of(&[Direction::Both, Direction::Both, Direction::In, Direction::Out]);
            let notice = this.dice.one_in(2).then(|| Span::from_millis(this.dice.one_of(&[0, 100, 5_000])));
            this.actions.push(Action::Cut { at, peers, direction, notice });
            if !this.dice.one_in(3) {
                this.actions.push(Action::Reconnect { at: back });
            }
        });
    }

    fn forgeries(&mut self) {
        self.repeat(12, |this| {
            let (at, peers, what) = (this.time(), this.group(), this.dice.one_of(&FORGERIES));
            this.actions.push(Action::Forge { at, peers, what });
        });
    }

    fn omissions(&mut self) {
        self.repeat(3, |this| {
            let ((at, back), peers) = (this.times(), this.group());
            let (sent, received) = (this.dice.percent(0..=100), this.dice.percent(0..=100));
            this.actions.push(Action::Omit { at, peers: peers.clone(), sent, received });
            this.actions.push(Action::Omit { at: back, peers, sent: 0.0, received: 0.0 });
        });
    }

    fn pauses(&mut self) {
        self.repeat(3, |this| {
            let ((at, back), peers) = (this.times(), this.group());
            this.actions.push(Action::Pause { at, peers: peers.clone() });
            this.actions.push(Action::Resume { at: back, peers });
        });
    }

    fn rewards(&mut self) {
        self.repeat(8, |this| {
            let (at, peers, most) = (this.time(), this.group(), this.dice.within(1..=4) as u32);
            this.actions.push(Action::Reap { at, peers, most });
        });
    }

    fn wipes(&mut self) {
        self.repeat(2, |this| {
            let ((at, back), mut peers) = (this.times(), this.peers());
            if let Some(forgetful) = &this.arena.forgetful {
                peers.retain(|peer| forgetful.contains(peer));
            }
            if peers.is_empty() {
                return;
            }
            let peers = Who::of(peers);
            this.actions.push(Action::Wipe { at, peers: peers.clone() });
            this.actions.push(Action::Start { at: back, peers });
        });
    }
}
