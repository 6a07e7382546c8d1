//! Checkpoints, watermarks and the collection of garbage (section 4.3).

use alloc::vec::Vec;

use synod_ledger::{BlockId, Height};
use synod_machine::{Out, PeerId};

use super::signed::Signed;
use super::statement::Checkpoint;
use super::types::Proposal;
use super::{Agreement, Message, Record};

impl<P: Proposal> Agreement<P> {
    /// Announces the highest checkpoint between `before` and what is executed, if there is one.
    pub(super) fn make_checkpoint(&mut self, before: Height, out: &mut Out<Self>) {
        let interval = self.settings.checkpoint_interval;
        let height = Height(self.executed.0 / interval * interval);
        if height <= before {
            return;
        }
        let slot = self.log.get(height).expect("what was executed after the last checkpoint is in the log");
        let (id, _) = slot.decided.clone().expect("what is executed is decided");
        self.make_own_checkpoint(height, id, out);
    }

    /// Announces that everything up to here is executed.
    pub(super) fn make_own_checkpoint(&mut self, height: Height, id: BlockId, out: &mut Out<Self>) {
        let checkpoint = self.sign(Checkpoint { height, id });
        self.hold(checkpoint.clone());
        out.broadcast(self.audience(), Message::Checkpoint(checkpoint));
        self.stabilise(out);
    }

    pub(super) fn on_checkpoint(&mut self, from: PeerId, checkpoint: Signed<Checkpoint>, out: &mut Out<Self>) {
        if checkpoint.body().height <= self.stable.0 || self.is_mine(checkpoint.by()) {
            return;
        }
        if let Err(reason) = checkpoint.check(&self.rules) {
            return out.reject(from, reason);
        }
        self.see(checkpoint.by(), self.view, checkpoint.body().height);
        self.hold(checkpoint);
        self.stabilise(out);
    }

    /// Keeps a validator's newest checkpoints: as many as there are between the watermarks of two replicas that are a
    /// window apart, whatever heights it names.
    fn hold(&mut self, checkpoint: Signed<Checkpoint>) {
        let held = self.checkpoints.entry(checkpoint.by()).or_default();
        held.entry(checkpoint.body().height).or_insert(checkpoint);
        let most = 2 * (self.settings.window / self.settings.checkpoint_interval) as usize;
        while held.len() > most {
            held.pop_first();
        }
    }

    /// A checkpoint is stable when q validators have announced it and it is executed here.
    fn stabilise(&mut self, out: &mut Out<Self>) {
        let Some(me) = self.my_id() else { return };
        let Some(own) = self.checkpoints.get(&me) else { return };
        let is_stable = |own: &Checkpoint| {
            let others = self.checkpoints.values().filter_map(|held| held.get(&own.height));
            others.filter(|checkpoint| checkpoint.body() == own).count() >= self.rules.validators.quorum()
        };
        let newest = own.values().rev().map(|checkpoint| *checkpoint.body());
        let found = newest.take_while(|own| own.height > self.stable.0).find(is_stable);
        if let Some(Checkpoint { height, id }) = found {
            self.set_stable(height, id, out);
        }
    }

    /// Moves the low watermark after those of others. A replica whose owner caught up on its own has its watermark where
    /// that was, and makes none of the checkpoints below; who was not that far would miss them for ever. That more than f
    /// validators say so is enough, since what we have executed is proved by its certificate, and all that can be lost is
    /// a part of our log.
    pub(super) fn follow_watermarks(&mut self, out: &mut Out<Self>) {
        let mut claims: Vec<Height> = self.claims().into_values().collect();
        claims.sort_unstable_by(|one, next| next.cmp(one));
        let Some(claimed) = claims.get(self.rules.validators.faulty()) else { return };
        let height = self.executed.min(*claimed);
        if height > self.stable.0 {
            let slot = self.log.get(height).and_then(|slot| slot.decided.clone());
            let (id, _) = slot.expect("what is executed and above the last stable checkpoint is in the log");
            self.set_stable(height, id, out);
        }
    }

    /// Moves the low watermark, and forgets everything up to it. The proof of the last decision stays, since what is
    /// executed is kept with its proof.
    pub(super) fn set_stable(&mut self, height: Height, id: BlockId, out: &mut Out<Self>) {
        out.persist(Record::<P>::STABLE, Record::Stable(height, id));
        self.stable = (height, id);
        for (passed, slot) in self.log.truncate(height) {
            if slot.decided.is_some() {
                out.forget(Record::<P>::decided_key(passed));
            }
            out.forget(Record::<P>::voted_key(passed));
            out.forget(Record::<P>::prepared_key(passed));
            for id in slot.bodies.iter().filter(|(_, body)| body.is_stored).map(|(id, _)| *id) {
                out.forget(Record::<P>::proposal_key(id));
            }
        }
        for held in self.checkpoints.values_mut() {
            *held = held.split_off(&height);
        }
        self.caught.retain(|(caught, _)| *caught > height);
        self.early = self.early.split_off(&height.next());
        self.install_orders();
    }
}
