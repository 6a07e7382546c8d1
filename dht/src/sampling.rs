//! A partial view of the network that is shuffled: the peer sampling that rumours and searches need (Jelasity et al. 2007,
//! "Gossip-based peer sampling").
//!
//! Of that paper's design space this is Cyclon's enhanced shuffle (Voulgaris, Gavidia and van Steen 2005): the oldest peer
//! of the view is asked, and the two swap entries one for one. Swapping loses none, so that in-degrees stay close to one
//! another and all peers are drawn about equally often, which push-based rumours depend on; asking the oldest, and
//! dropping it until somebody names it again, weeds out the dead without a time-out.

use alloc::vec::Vec;

use synod_machine::Rng;

use crate::gossip::Descriptor;

/// The view. `P` is what a peer is known by.
#[derive(Debug)]
pub(crate) struct View<P> {
    own: P,
    entries: Vec<Descriptor<P>>,
    entries_max: usize,
    /// Links that came up so far, which the view is a uniform sample of before it is shuffled.
    links: u64,
    /// Who was asked and has not answered.
    asked: Option<P>,
    /// What it was sent, which its answer may take the place of.
    sent: Vec<P>,
}

impl<P: Copy + Eq> View<P> {
    pub(crate) const fn new(own: P, entries_max: usize) -> Self {
        Self { own, entries: Vec::new(), entries_max, links: 0, asked: None, sent: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The peers in it.
    pub(crate) fn peers(&self) -> impl Iterator<Item = P> {
        self.entries.iter().map(|entry| entry.peer)
    }

    /// A peer drawn uniformly.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<P> {
        rng.pick(&self.entries).map(|entry| entry.peer)
    }

    /// Takes a new link in. In a full view it replaces a random entry as often as leaves each link so far with the same
    /// chance (Vitter 1985, algorithm R); otherwise all peers would begin with whom they met first.
    pub(crate) fn meet(&mut self, peer: P, rng: &mut Rng) {
        if peer == self.own || self.contains(peer) {
            return;
        }
        self.links += 1;
        let entry = Descriptor { peer, age: 0 };
        if self.entries.len() < self.entries_max {
            return self.entries.push(entry);
        }
        let place = rng.below(self.links) as usize;
        if let Some(replaced) = self.entries.get_mut(place) {
            *replaced = entry;
        }
    }

    /// Leaves those that are wanted.
    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(P) -> bool) {
        self.entries.retain(|entry| is_wanted(entry.peer));
    }

    /// Begins a shuffle: whom to ask, and what to send it. Steps 1 to 4 of the enhanced shuffle.
    pub(crate) fn ask(&mut self, length: usize, rng: &mut Rng) -> Option<(P, Vec<Descriptor<P>>)> {
        for entry in &mut self.entries {
            entry.age = entry.age.saturating_add(1);
        }
        let oldest = (0..self.entries.len()).max_by_key(|&place| self.entries[place].age)?;
        let oldest = self.entries.swap_remove(oldest).peer;
        Some((oldest, self.ask_of(oldest, length, rng)))
    }

    /// Begins a shuffle with this peer: what to send it, this peer's own descriptor last.
    pub(crate) fn ask_of(&mut self, peer: P, length: usize, rng: &mut Rng) -> Vec<Descriptor<P>> {
        let mut sent = self.sample(length.saturating_sub(1), rng);
        self.asked = Some(peer);
        self.sent = sent.iter().map(|entry| entry.peer).collect();
        sent.push(Descriptor { peer: self.own, age: 0 });
        sent
    }

    /// The answer to somebody's shuffle.
    pub(crate) fn answer(&mut self, theirs: &[Descriptor<P>], length: usize, rng: &mut Rng) -> Vec<Descriptor<P>> {
        let ours = self.sample(length, rng);
        self.merge(theirs, ours.iter().map(|entry| entry.peer).collect());
        ours
    }

    /// The answer to our shuffle came; whether there was a shuffle for it to answer.
    pub(crate) fn finish(&mut self, from: P, theirs: &[Descriptor<P>]) -> bool {
        self.finish_if(|asked| asked == from, theirs)
    }

    /// [`finish`](Self::finish), where who answers is known by a part of what it is.
    pub(crate) fn finish_if(&mut self, is_from: impl Fn(P) -> bool, theirs: &[Descriptor<P>]) -> bool {
        if !self.asked.is_some_and(is_from) {
            return false;
        }
        self.asked = None;
        let sent = core::mem::take(&mut self.sent);
        self.merge(theirs, sent);
        true
    }

    /// 1. The view is bounded. 2. No more was sent than is in it.
    pub(crate) fn check(&self) {
        assert!(self.entries.len() <= self.entries_max, "the view is bounded");
        assert!(self.sent.len() <= self.entries_max, "what was sent came from the view");
    }

    /// Steps 6 and 7: what is known is passed over, free room is taken first and then the room of what was sent.
    fn merge(&mut self, theirs: &[Descriptor<P>], mut sent: Vec<P>) {
        for entry in theirs {
            let peer = entry.peer;
            if peer == self.own || self.contains(peer) {
                continue;
            }
            if self.entries.len() >= self.entries_max && !self.make_room(&mut sent) {
                return;
            }
            self.entries.push(*entry);
        }
    }

    fn make_room(&mut self, sent: &mut Vec<P>) -> bool {
        while let Some(peer) = sent.pop() {
            if let Some(place) = self.entries.iter().position(|entry| entry.peer == peer) {
                self.entries.swap_remove(place);
                return true;
            }
        }
        false
    }

    fn contains(&self, peer: P) -> bool {
        self.entries.iter().any(|entry| entry.peer == peer)
    }

    /// Distinct entries drawn uniformly.
    fn sample(&mut self, count: usize, rng: &mut Rng) -> Vec<Descriptor<P>> {
        let count = count.min(self.entries.len());
        for chosen in 0..count {
            let other = chosen + rng.below((self.entries.len() - chosen) as u64) as usize;
            self.entries.swap(chosen, other);
        }
        self.entries[..count].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn rng() -> Rng {
        Rng::new(1, 0, "view")
    }

    fn view(entries_max: usize, entries: &[(u32, u16)]) -> View<u32> {
        let entries = entries.iter().map(|&(peer, age)| Descriptor { peer, age }).collect();
        View { entries, ..View::new(0, entries_max) }
    }

    fn sorted(view: &View<u32>) -> Vec<(u32, u16)> {
        let mut entries: Vec<(u32, u16)> = view.entries.iter().map(|entry| (entry.peer, entry.age)).collect();
        entries.sort_unstable();
        view.check();
        entries
    }

    #[test]
    fn a_shuffle_asks_the_oldest_forgets_it_and_sends_itself_among_others() {
        let mut view = view(4, &[(1, 3), (2, 7), (3, 0)]);
        let (asked, mut sent) = view.ask(3, &mut rng()).expect("somebody to ask");
        sent.sort_unstable();
        let descriptor = |peer, age| Descriptor { peer, age };
        assert_eq!(asked, (2));
        assert_eq!(sent, [descriptor(0, 0), descriptor(1, 4), descriptor(3, 1)]);
        assert_eq!(sorted(&view), [(1, 4), (3, 1)]);
        assert!(!view.finish(1, &[]), "it was not asked");
        assert!(view.finish(2, &[descriptor(0, 9), descriptor(3, 9), descriptor(5, 2), descriptor(6, 2)]));
        assert_eq!(sorted(&view), [(1, 4), (3, 1), (5, 2), (6, 2)], "itself and what is known are passed over");
        assert!(!view.finish(2, &[]), "it has answered");
    }

    #[test]
    fn in_a_full_view_an_answer_takes_the_place_of_what_was_sent_and_of_nothing_else() {
        let mut view = view(3, &[(1, 9), (2, 0), (3, 0)]);
        let (asked, sent) = view.ask(2, &mut rng()).expect("somebody to ask");
        assert_eq!(asked, (1));
        let given = sent[0].peer;
        let kept = if given == 2 { 3 } else { 2 };
        assert!(view.finish(asked, &[7, 8, 9].map(|peer| Descriptor { peer, age: 5 })));
        assert_eq!(sorted(&view), [(kept, 1), (7, 5), (8, 5)], "one free place and one that was sent");
    }

    #[test]
    fn an_answer_gives_as_many_entries_as_the_length_and_takes_theirs_for_them() {
        let mut view = view(3, &[(1, 1), (2, 1), (3, 1)]);
        let ours = view.answer(&[7, 8, 9].map(|peer| Descriptor { peer, age: 0 }), 2, &mut rng());
        assert_eq!(ours.len(), 2);
        let entries = sorted(&view);
        assert_eq!(entries[1..], [(7, 0), (8, 0)]);
        assert!(ours.iter().all(|entry| entry.peer != entries[0].0), "what was given has gone");
    }

    #[test]
    fn an_empty_view_asks_nobody_and_ages_stop_at_their_largest() {
        assert!(view(3, &[]).ask(3, &mut rng()).is_none());
        let mut view = view(3, &[(1, u16::MAX), (2, u16::MAX)]);
        view.ask(1, &mut rng());
        assert_eq!(sorted(&view).iter().map(|entry| entry.1).collect::<Vec<_>>(), vec![u16::MAX]);
    }

    #[test]
    fn a_view_of_links_is_a_uniform_sample_of_them() {
        let mut rng = rng();
        let mut times = [0_u32; 20];
        for _ in 0..4_000 {
            let mut view = view(5, &[]);
            for peer in 0..21 {
                view.meet(peer, &mut rng);
            }
            view.peers().for_each(|peer| times[peer as usize - 1] += 1);
            view.check();
        }
        assert!(times.iter().all(|time| (900..1_100).contains(time)), "each in a quarter of the views: {times:?}");
    }

    #[test]
    fn a_shuffle_loses_no_entry_while_both_answer() {
        let mut rng = rng();
        let mut views: Vec<View<u32>> = (0..50).map(|own| View::new(own, 6)).collect();
        for (own, view) in (0_u32..).zip(&mut views) {
            for step in 1..=6 {
                view.meet((own + step) % 50, &mut rng);
            }
        }
        for round in 0..2_000 {
            let asker = round % 50;
            let (asked, sent) = views[asker].ask(3, &mut rng).expect("views stay full");
            let answer = views[asked as usize].answer(&sent, 3, &mut rng);
            assert!(views[asker].finish(asked, &answer), "it was asked");
        }
        let mut degrees = [0_u32; 50];
        views.iter().flat_map(View::peers).for_each(|peer| degrees[peer as usize] += 1);
        assert!(degrees.iter().sum::<u32>() >= 295, "of 300 entries: {degrees:?}");
        assert!(degrees.iter().all(|&degree| (1..=12).contains(&degree)), "in-degrees stay close: {degrees:?}");
    }
}
