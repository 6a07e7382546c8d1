//! What an attacker does, strategy by strategy.

use std::time::{Duration, Instant};

use synod_node::api::client::ClientError;

use super::super::arena::{POLL, is_passing, wait, work};
use super::{Attack, End};
use crate::LabError;

/// After so long a miner's candidate has a payment that was handed to it: it makes a new one every half second.
const CANDIDATE: Duration = Duration::from_millis(700);

impl Attack<'_> {
    pub(super) async fn majority(&mut self) -> Result<End, LabError> {
        self.attacker().hide(self.arena, &[]).await?;
        self.note("the attacker mines in secret");
        self.attacker().submit(&self.pair.rival).await?;
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? || !self.overtake(self.witness()).await? {
            self.count_blocks().await?;
            return Ok(End::GaveUp);
        }
        self.release().await?;
        Ok(End::Played)
    }

    pub(super) async fn finney(&mut self) -> Result<End, LabError> {
        self.attacker().hide(self.arena, &[]).await?;
        self.attacker().submit(&self.pair.rival).await?;
        self.note("the attacker mines a block with the rival in secret");
        let begun = Instant::now();
        loop {
            let (secret, public) = (self.attacker().status().await?, self.arena.status(self.witness()).await?);
            if work(&secret) > work(&public) && self.attacker().has_confirmed(&self.pair.rival).await? {
                break;
            }
            // The others were first. To begin again on their block would tell them of the rival: another coin is taken.
            if work(&public) > work(&secret) || begun.elapsed() > self.terms.limit {
                return Ok(End::Unbegun);
            }
            tokio::time::sleep(POLL).await;
        }
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.note("the payment goes to the merchant's peer");
        if !self.wait_delivered().await? {
            self.count_blocks().await?;
            return Ok(End::GaveUp);
        }
        self.release().await?;
        Ok(End::Played)
    }

    pub(super) async fn race(&mut self) -> Result<End, LabError> {
        let others = self.others();
        let to_merchant = self.arena.submit(self.arena.at, &self.pair.payment);
        let to_others = self.arena.submit_everywhere(&others, &self.pair.rival);
        let to_own = async {
            match self.attacker {
                Some(attacker) => attacker.submit(&self.pair.rival).await,
                None => Ok(()),
            }
        };
        let (paid, rivals, _) = tokio::join!(to_merchant, to_others, to_own);
        let rivals = rivals?;
        self.note(format!("the payment goes to the merchant's peer, the rival to {rivals} others"));
        match paid {
            Ok(()) => {}
            // The rival was there first.
            Err(LabError::Api { source: ClientError::Api(error), .. }) if is_passing(&error.code) => {
                self.note("the merchant's peer has the rival already");
                return Ok(End::GaveUp);
            }
            Err(error) => return Err(error),
        }
        let is_played = self.wait_delivered().await?;
        self.count_blocks().await?;
        Ok(End::played(is_played))
    }

    pub(super) async fn partition(&mut self) -> Result<End, LabError> {
        let half = self.arena.full.len() / 2 - 1;
        let others = self.others();
        let with_merchant =
            |place: usize| place == self.arena.at || others.iter().position(|of| *of == place) < Some(half);
        let sides: Vec<(usize, bool)> = self.arena.full.iter().map(|&place| (place, with_merchant(place))).collect();
        let side_of = |place: usize| sides.iter().any(|(of, side)| *of == place && *side);
        let across = |place: usize| {
            let far = sides.iter().filter(|(_, side)| *side != side_of(place));
            far.map(|(of, _)| self.arena.peer_id(*of)).collect()
        };
        self.arena.cut(across).await?;
        let far: Vec<usize> = sides.iter().filter(|(_, side)| !side).map(|(place, _)| *place).collect();
        if let Some(attacker) = self.attacker {
            attacker.hide(self.arena, &far).await?;
        }
        let near = self.arena.full.len() - far.len();
        self.note(format!("the network is split: {near} peers with the merchant's, {} others", far.len()));
        self.arena.submit(self.arena.at, &self.pair.payment).await?;
        self.arena.submit_everywhere(&far, &self.pair.rival).await?;
        let is_played = self.wait_delivered().await? && self.outweigh(far[0]).await?;
        self.count_blocks().await?;
        self.arena.cut(|_| Vec::new()).await?;
        if let Some(attacker) = self.attacker {
            attacker.release().await?;
        }
        self.note("the split ends");
        Ok(End::played(is_played))
    }

    pub(super) async fn eclipse(&mut self) -> Result<End, LabError> {
        let (arena, at) = (self.arena, self.arena.at);
        self.cut_merchant_off().await?;
        self.attacker().hide(arena, &[at]).await?;
        self.note("all of the merchant's connections are the attacker's");
        arena.submit(at, &self.pair.payment).await?;
        arena.submit_everywhere(&self.others(), &self.pair.rival).await?;
        let is_played = self.wait_delivered().await? && self.outweigh(self.witness()).await?;
        self.count_blocks().await?;
        arena.cut(|_| Vec::new()).await?;
        self.attacker().release().await?;
        self.note("the merchant's peer hears the others again");
        Ok(End::played(is_played))
    }

    /// Of the honest peers nobody hears the merchant's any more, and it hears none of them.
    async fn cut_merchant_off(&self) -> Result<(), LabError> {
        let (arena, at) = (self.arena, self.arena.at);
        let everybody: Vec<String> = self.others().into_iter().map(|place| arena.peer_id(place)).collect();
        arena.cut(|place| if place == at { everybody.clone() } else { vec![arena.peer_id(at)] }).await
    }

    /// On loopback nobody is faster than gossip. So the merchant's peer is cut off from the others from the moment in which the attacker
    /// has its blocks until they are shown, which is what a faster link does by itself; and what the peer would have heard
    /// meanwhile is one block, which it hears then.
    pub(super) async fn vector76(&mut self) -> Result<End, LabError> {
        let (arena, at) = (self.arena, self.arena.at);
        self.attacker().rest(true).await?;
        self.attacker().hide(arena, &[]).await?;
        let base = self.attacker().status().await?.height.0;
        let wanted = base + self.terms.confirmations;
        self.attacker().submit(&self.pair.payment).await?;
        tokio::time::sleep(CANDIDATE).await;
        let is_late = arena.status(self.witness()).await?.height.0 > base;
        arena.submit_everywhere(&arena.full, &self.pair.rival).await?;
        if is_late {
            // It would mine on a block that is not the last any more, and cannot hear of that one without telling of the payment.
            self.abandon().await?;
            return Ok(End::Unbegun);
        }
        self.attacker().rest(false).await?;
        self.note("the attacker mines blocks with the payment in secret, all others with the rival");
        let is_shown = self.hold_back(wanted).await? && self.show_merchant(wanted).await?;
        self.count_blocks().await?;
        if !is_shown {
            self.note("the attacker shows nothing: the others were first");
            self.abandon().await?;
            return Ok(End::GaveUp);
        }
        let is_played = self.wait_delivered().await?;
        let depth = arena.apart(at, &arena.client(self.witness())).await?;
        self.attacker().hide(arena, &[]).await?;
        arena.cut(|_| Vec::new()).await?;
        self.note("the merchant's peer hears the others again: the next block decides");
        arena.wait_one_tip(&[], self.terms.limit).await?;
        let standing = arena.client(at).transaction(self.pair.rival.id()).await;
        if standing.is_ok_and(|info| info.confirmations > 0) {
            self.reorganisation = depth;
        }
        Ok(End::played(is_played))
    }

    /// Mines in secret up to that height, rests, and cuts the merchant's peer off when the others lack one block of it. False where they have it.
    async fn hold_back(&mut self, wanted: u64) -> Result<bool, LabError> {
        let arena = self.arena;
        let (begun, mut is_resting) = (Instant::now(), false);
        let is_in_time = loop {
            let (secret, public) = (self.attacker().status().await?, arena.status(self.witness()).await?);
            if secret.height.0 >= wanted && !is_resting {
                self.attacker().rest(true).await?;
                is_resting = true;
                // What it found until it rested counts.
                continue;
            }
            if public.height.0 >= wanted || begun.elapsed() > self.terms.limit {
                break false;
            }
            // A block that was found before it came to rest would make its branch the longer one, which all would follow.
            if is_resting && secret.height.0 > wanted {
                break false;
            }
            if is_resting && public.height.0 + 1 == wanted && self.attacker().has_confirmed(&self.pair.payment).await? {
                break true;
            }
            tokio::time::sleep(POLL / 2).await;
        };
        if is_in_time {
            self.cut_merchant_off().await?;
            self.note("the attacker has its blocks, and the merchant's peer hears it alone from here on");
        }
        Ok(is_in_time)
    }

    /// Leaves its branch: it rests until the others have more work and the rival, and so takes theirs when it hears them again.
    async fn abandon(&mut self) -> Result<(), LabError> {
        self.attacker().rest(true).await?;
        self.arena.cut(|_| Vec::new()).await?;
        let (attacker, witness) = (self.attacker(), self.arena.client(self.witness()));
        let (place, rival) = (self.witness(), self.pair.rival.id());
        wait("the others to have more blocks than the attacker", self.terms.limit, async || {
            let (secret, public) = (attacker.status().await?, self.arena.status(place).await?);
            let confirmed = witness.transaction(rival).await.is_ok_and(|info| info.confirmations > 0);
            Ok(confirmed && work(&public) > work(&secret))
        })
        .await
    }

    /// Waits until the others have a block of that height, and shows the merchant's peer the attacker's instead. False where that peer has one itself.
    async fn show_merchant(&mut self, wanted: u64) -> Result<bool, LabError> {
        let (arena, at) = (self.arena, self.arena.at);
        let begun = Instant::now();
        loop {
            let (here, public) = (arena.status(at).await?, arena.status(self.witness()).await?);
            if here.height.0 >= wanted || begun.elapsed() > self.terms.limit {
                return Ok(false);
            }
            if public.height.0 >= wanted {
                break;
            }
            tokio::time::sleep(POLL / 2).await;
        }
        self.attacker().hide(arena, &[at]).await?;
        self.note("the others found their block, and the merchant's peer is shown the attacker's");
        Ok(true)
    }
}
