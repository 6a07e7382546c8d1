//! What a replica waits for, and for how long (sections 4.4 and 4.5.2).
//!
//! The view's time runs while a request waits that is not executed, and starts anew when its turn has come and another
//! waits, so that a primary that serves everybody else is replaced all the same. It doubles with every view: the exponent is
//! the number of views since the last calm one, which is the same on replicas that saw the same, so that their waits meet. A
//! view that brings progress takes most of the doublings back, and is calm when it has brought enough.

use core::time::Duration;

use synod_ledger::Height;
use synod_machine::{Out, Time};

use super::rejoin::Rejoining;
use super::types::{Proposal, RequestId, ValidatorId, View};
use super::{Agreement, Stage, Timer};

/// Doubling ends here: with a base of two seconds, after nine hours.
const DOUBLINGS_MAX: u64 = 14;
/// So often the interval between status messages doubles.
const BACKOFF_MAX: u32 = 5;

/// The doublings that are left when something got done …
const DOUBLINGS_SERVED: u64 = 2;
/// … until so much did in one view. Were none left at once, a network in which a decision takes a little longer than the first
/// time-out would change its view at every other one; were all left, a primary that is slow on purpose would have that long.
const CALM_AFTER: u32 = 16;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// A height on which others work.
    Height(Height),
    /// A request of the owner's.
    Request(RequestId),
}

/// The timers' state.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    awaited: Option<Awaited>,
    /// The view from which doublings count.
    calm: View,
    /// How often what was waited for got done by this view's decisions.
    served: u32,
    /// What others had decided when this was first waited for once more.
    goal: Option<Height>,
    /// Whether the same is waited for once more.
    is_again: bool,
    /// The last decision that was looked at.
    decided: Height,
    /// Whether something was decided since this began to be waited for.
    has_progress: bool,
    /// Whether the time of the view that we move to runs.
    is_timed: bool,
    /// Whether a status message is due some time.
    is_resending: bool,
    backoff: u32,
    /// How often others were asked for what we lack: whose turn it is.
    pub(super) attempt: usize,
    /// What was decided when more decisions were last asked for.
    pub(super) asked_at: Height,
}

impl Watching {
    pub(super) const fn new(view: View, decided: Height) -> Self {
        Self {
            awaited: None,
            calm: view,
            served: 0,
            goal: None,
            is_again: false,
            decided,
            has_progress: false,
            is_timed: false,
            is_resending: false,
            backoff: 0,
            attempt: 0,
            asked_at: Height::GENESIS,
        }
    }

    /// The view is left: its time does not count any more.
    pub(super) const fn leave(&mut self) {
        self.is_timed = false;
        self.has_progress = false;
        self.backoff = 0;
    }

    /// A view starts: what waits is waited for anew.
    pub(super) const fn enter(&mut self, view: View) {
        assert!(view.0 >= self.calm.0, "views ascend");
        self.awaited = None;
        self.served = 0;
        self.is_timed = false;
        self.has_progress = false;
        self.backoff = 0;
    }

    /// What was waited for got done.
    fn serve(&mut self, view: View) {
        self.served = self.served.saturating_add(1);
        let doublings = if self.served >= CALM_AFTER { 0 } else { DOUBLINGS_SERVED };
        self.calm = self.calm.max(View(view.0.saturating_sub(doublings)));
    }

    /// Waits the same time again.
    pub(super) const fn again(&mut self) {
        self.is_again = true;
        self.has_progress = false;
    }

    /// Whether something was decided, and others had decided more than that when this was asked first since it is waited for.
    pub(super) fn is_catching_up(&mut self, decided: Height, ahead: Height) -> bool {
        self.has_progress && decided < *self.goal.get_or_insert(ahead)
    }
}

impl<P: Proposal> Agreement<P> {
    /// Notes a validator's last vote.
    pub(super) fn see(&mut self, by: ValidatorId, view: View, height: Height) {
        let seen = self.seen.entry(by).or_default();
        *seen = (*seen).max((view, height));
    }

    /// Sets the timers as what happened asks for.
    pub(super) fn settle(&mut self, now: Time, out: &mut Out<Self>) {
        let has_progress = self.decided.height > self.watching.decided;
        self.watching.decided = self.decided.height;
        self.watching.has_progress |= has_progress;
        if !self.is_behind() {
            self.ahead = None;
        }
        let awaited = self.awaited();
        let is_again = core::mem::take(&mut self.watching.is_again);
        if self.stage == Stage::Active && (is_again || awaited != self.watching.awaited) {
            if !is_again {
                self.watching.goal = None;
            }
            if core::mem::take(&mut self.watching.has_progress) && self.decided.certificate.view() == self.view.0 {
                self.watching.serve(self.view);
            }
            match awaited {
                Some(_) => out.set(Timer::View, now + self.view_time()),
                None => out.cancel(Timer::View),
            }
        }
        self.watching.awaited = awaited;
        self.time_new_view(now, out);
        self.settle_resending(now, has_progress, out);
    }

    fn settle_resending(&mut self, now: Time, has_progress: bool, out: &mut Out<Self>) {
        let is_waiting = self.watching.awaited.is_some();
        if has_progress {
            self.watching.backoff = 0;
        }
        if is_waiting && (has_progress || !self.watching.is_resending) {
            out.set(Timer::Resend, now + self.resend_time());
        }
        if !is_waiting && self.watching.is_resending {
            out.cancel(Timer::Resend);
        }
        self.watching.is_resending = is_waiting;
    }

    /// What we wait for: the oldest request; else a height that others work on; else nothing.
    fn awaited(&self) -> Option<Awaited> {
        if let Some(request) = self.proposing.oldest {
            return Some(Awaited::Request(request));
        }
        let next = self.decided.height.next();
        let is_ordered = self.log.above(self.decided.height).any(|(_, slot)| slot.order.is_some());
        let is_elsewhere =
            |(view, height): &&(View, Height)| *view > self.view || (*view == self.view && *height >= next);
        let elsewhere = self.seen.values().filter(is_elsewhere).count() >= self.rules.validators.honest();
        let asks = self.rejoining.as_ref().is_some_and(Rejoining::asks);
        (is_ordered || elsewhere || asks || self.is_behind()).then_some(Awaited::Height(next))
    }

    /// How long a view may take: twice as long with each view since the last calm one.
    fn view_time(&self) -> Duration {
        let doublings = (self.view.0 - self.watching.calm.0).min(DOUBLINGS_MAX);
        self.settings.view_timeout * (1 << doublings)
    }

    fn resend_time(&self) -> Duration {
        self.settings.resend * (1 << self.watching.backoff)
    }

    /// The new view's time runs once a quorum moves to it, so that nobody is left behind (section 4.5.2, first rule).
    fn time_new_view(&mut self, now: Time, out: &mut Out<Self>) {
        let is_quorum = self.companions() >= self.rules.validators.quorum();
        if self.stage == Stage::Changing && is_quorum && !self.watching.is_timed {
            self.watching.is_timed = true;
            out.set(Timer::View, now + self.view_time());
        }
    }

    /// The next status message is due later than this one was.
    pub(super) fn back_off(&mut self, now: Time, out: &mut Out<Self>) {
        self.watching.backoff = (self.watching.backoff + 1).min(BACKOFF_MAX);
        out.set(Timer::Resend, now + self.resend_time());
    }
}
