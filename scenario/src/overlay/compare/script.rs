//! What happens to the peers and what they ask, in the same way for every mode; and which answers count.

use std::iter::Peekable;
use std::time::Duration;

use synod_machine::{PeerId, Rng, Time};

use super::super::search::{Content, Kind, Zipf};
use super::stage::{Holding, Told};
use super::{SPAN, Terms};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// When, from the script's beginning on.
    pub(super) at: Duration,
    /// Who asks.
    pub(super) peer: PeerId,
    /// The rank of what is asked for.
    pub(super) thing: usize,
}

/// What is done from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Ask(Ask),
    Come(PeerId),
    Go(PeerId),
}

/// The first answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) hops: u32,
    pub(super) took: Duration,
}

/// Who has what, who is there when, and who asks what when. Times count from the script's beginning, when all are up.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) content: Content,
    /// When questions begin.
    pub(super) opens: Duration,
    pub(super) asks: Vec<Ask>,
    /// By peer: when it goes, comes, goes, and so on.
    turns: Vec<Vec<Duration>>,
    /// By rank: who has it.
    holders: Vec<Vec<PeerId>>,
}

/// Whoever is away when questions begin went in this time before, one after the other: so a table mends itself as it would have.
const PARTING: Duration = Duration::from_secs(900);
/// After the last question answers are waited for.
const LAST: Duration = Duration::from_secs(60);
/// So many peers are drawn to find one that may ask.
const DRAWS_MAX: u32 = 1_000;

impl Script {
    pub(super) fn draw(terms: &Terms) -> Self {
        let content = terms.search(Kind::Flood).content();
        let mut holders = vec![Vec::new(); terms.things];
        for (peer, ranks) in (0..).zip(&content.holdings) {
            ranks.iter().for_each(|rank| holders[*rank as usize].push(PeerId(peer)));
        }
        let opens = terms.churn.as_ref().map_or(Duration::ZERO, |_| PARTING);
        let mut script = Self { content, opens, asks: Vec::new(), turns: turns(terms, opens), holders };
        script.draw_asks(terms);
        script
    }

    fn draw_asks(&mut self, terms: &Terms) {
        let law = Zipf::new(terms.things, terms.popularity);
        let mut rng = Rng::new(terms.seed, 0, "questions");
        let apart = (SPAN - LAST) / terms.queries;
        for number in 0..terms.queries {
            let (at, thing) = (self.opens + apart / 2 + apart * number, law.draw(&mut rng));
            let mut may_ask = (0..DRAWS_MAX).filter_map(|_| {
                let peer = PeerId(1 + rng.below(u64::from(terms.peers) - 1) as u32);
                (self.is_up(peer, at) && !self.holders[thing].contains(&peer)).then_some(peer)
            });
            let Some(peer) = may_ask.next() else { continue };
            if self.holders[thing].iter().any(|holder| self.is_up(*holder, at)) {
                self.asks.push(Ask { at, peer, thing });
            }
        }
    }

    fn is_up(&self, peer: PeerId, at: Duration) -> bool {
        self.turns[peer.0 as usize].partition_point(|turn| *turn <= at).is_multiple_of(2)
    }

    /// Each copy.
    pub(super) fn holdings(&self) -> impl Iterator<Item = Holding> + '_ {
        let of = |thing| move |&holder: &PeerId| Holding { holder, thing };
        self.holders.iter().enumerate().flat_map(move |(thing, holders)| holders.iter().map(of(thing)))
    }

    /// All that is done, in order.
    pub(super) fn deeds(&self) -> Peekable<impl Iterator<Item = (Duration, Deed)> + use<>> {
        let mut deeds: Vec<(Duration, Deed)> = self.asks.iter().map(|ask| (ask.at, Deed::Ask(*ask))).collect();
        for (peer, turns) in (0..).map(PeerId).zip(&self.turns) {
            let by_turns = [Deed::Go(peer), Deed::Come(peer)].into_iter().cycle();
            deeds.extend(turns.iter().copied().zip(by_turns));
        }
        deeds.sort_by_key(|(at, _)| *at);
        deeds.into_iter().peekable()
    }

    /// How long peers are up while questions are put, all together.
    pub(super) fn lived(&self) -> Duration {
        let (opens, closes) = (self.opens, self.opens + SPAN);
        let of = |turns: &Vec<Duration>| {
            let ends = turns.iter().copied().chain([closes]);
            let (mut up, mut since, mut lived) = (true, Duration::ZERO, Duration::ZERO);
            for at in ends {
                if up {
                    lived += at.clamp(opens, closes) - since.clamp(opens, closes);
                }
                (up, since) = (!up, at);
            }
            lived
        };
        self.turns.iter().map(of).sum()
    }

    /// The first answers that count, of the questions that have one: they name a peer that has the thing and is up when they come.
    /// `told` has what was told for each question, in order, where `begun` is the script's beginning.
    pub(super) fn judge(&self, begun: Time, told: &[Vec<Told>]) -> Vec<Answer> {
        assert_eq!(told.len(), self.asks.len(), "whoever asks is up");
        let first = |(ask, told): (&Ask, &Vec<Told>)| {
            let counts = |told: &&Told| {
                let is_there = self.is_up(told.holder, told.at.since(begun));
                is_there && self.holders[ask.thing].contains(&told.holder)
            };
            let told = told.iter().find(counts)?;
            Some(Answer { hops: told.hops, took: told.at.since(begun + ask.at) })
        };
        self.asks.iter().zip(told).filter_map(first).collect()
    }
}

/// By peer: its turns up to the end.
fn turns(terms: &Terms, opens: Duration) -> Vec<Vec<Duration>> {
    let Some(churn) = &terms.churn else { return vec![Vec::new(); terms.peers as usize] };
    let model = churn.compile().expect("a churn that was checked");
    let of = |peer: u32| {
        if peer == 0 {
            return Vec::new();
        }
        let mut rng = Rng::new(terms.seed, u64::from(peer), "parting");
        let schedule = model.schedule(Time::ZERO + opens, Rng::new(terms.seed, u64::from(peer), "churn"));
        let parting = Duration::from_nanos(rng.below(opens.as_nanos() as u64));
        let parted = (!schedule.is_up_first()).then_some(parting);
        let turns = schedule.map(|(at, _)| at.since(Time::ZERO));
        parted.into_iter().chain(turns.take_while(|at| *at < opens + SPAN)).collect()
    };
    (0..terms.peers).map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use synod_sim::model::{Churn, Distribution, Span};

    use super::super::Mode;
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn churned(mode: Mode) -> Terms {
        let law = |secs: u64| Distribution::Exponential { mean: Span::from_millis(secs * 1_000) };
        let churn = Some(Churn { sessions: law(1_800), gaps: law(600) });
        Terms { churn, ..Terms::new(mode, 100, 400, 3) }
    }

    /// Peers 0 and 1 have the thing, 1 is away from second 1,000 to 1,060, and peer 2 asks for it twice.
    fn script() -> Script {
        let ask = |at| Ask { at: secs(at), peer: PeerId(2), thing: 0 };
        Script {
            content: Content { things: Vec::new(), holdings: Vec::new() },
            opens: secs(900),
            asks: vec![ask(950), ask(1_010)],
            turns: vec![vec![], vec![secs(1_000), secs(1_060)], vec![secs(4_000)]],
            holders: vec![vec![PeerId(0), PeerId(1)]],
        }
    }

    #[test]
    fn an_answer_counts_if_it_names_a_holder_that_is_up_when_it_comes() {
        let begun = Time::from_secs(50);
        let told = |at, holder, hops| Told { at: begun + Duration::from_millis(at), holder: PeerId(holder), hops };
        let judge = |first: Vec<Told>, second: Vec<Told>| script().judge(begun, &[first, second]);
        let answer = |hops, millis| Answer { hops, took: Duration::from_millis(millis) };
        assert_eq!(judge(vec![], vec![]), []);
        assert_eq!(judge(vec![told(950_200, 1, 4)], vec![]), [answer(4, 200)]);
        assert_eq!(judge(vec![told(950_200, 2, 4)], vec![]), [], "who asks does not have it");
        assert_eq!(judge(vec![], vec![told(1_010_200, 1, 4)]), [], "who has it is away");
        assert_eq!(judge(vec![], vec![told(1_060_000, 1, 4)]), [answer(4, 50_000)], "it is back");
        let later = vec![told(1_010_200, 1, 4), told(1_010_300, 0, 5), told(1_010_400, 0, 1)];
        assert_eq!(judge(vec![told(950_001, 0, 1)], later), [answer(1, 1), answer(5, 300)]);
    }

    #[test]
    fn lives_are_counted_while_questions_are_put() {
        // Up to second 4,500: all of an hour, all but a minute, and 3,100 s of it.
        assert_eq!(script().lived(), secs(3_600 + 3_540 + 3_100));
    }

    #[test]
    fn deeds_are_in_order_and_peers_go_and_come_by_turns() {
        let (one, two) = (PeerId(1), PeerId(2));
        let [first, second] = script().asks[..] else { panic!("two questions") };
        let deeds: Vec<_> = script().deeds().map(|(at, deed)| (at.as_secs(), deed)).collect();
        let expected = [
            (950, Deed::Ask(first)),
            (1_000, Deed::Go(one)),
            (1_010, Deed::Ask(second)),
            (1_060, Deed::Come(one)),
            (4_000, Deed::Go(two)),
        ];
        assert_eq!(deeds, expected);
    }

    #[test]
    fn whoever_asks_is_up_and_lacks_what_another_that_is_up_has_in_all_modes_alike() {
        let script = Script::draw(&churned(Mode::Chord));
        assert!((350..=400).contains(&script.asks.len()), "{} questions", script.asks.len());
        for ask in &script.asks {
            let holders = &script.holders[ask.thing];
            assert!(script.is_up(ask.peer, ask.at), "{ask:?}");
            assert!(!holders.contains(&ask.peer), "{ask:?}");
            assert!(holders.iter().any(|holder| script.is_up(*holder, ask.at)), "{ask:?}");
        }
        assert!(script.turns[0].is_empty(), "a server stays");
        assert!(script.asks.iter().all(|ask| ask.peer != PeerId(0)), "and asks nothing");
        for mode in Mode::ALL {
            let other = Script::draw(&churned(mode));
            assert_eq!((&other.asks, &other.turns, &other.holders), (&script.asks, &script.turns, &script.holders));
        }
        // Three quarters of the time; peers' sessions are half as long as the span, so shares of it vary: five deviations are 0.2.
        let share = script.lived().as_secs_f64() / (100.0 * SPAN.as_secs_f64());
        assert!((share - 0.75).abs() < 0.2, "{share}");
    }

    #[test]
    fn who_is_away_at_the_opening_went_before_it_and_about_as_many_are_away_all_the_time() {
        let script = Script::draw(&churned(Mode::Chord));
        let up = |at| (0..100).filter(|peer| script.is_up(PeerId(*peer), at)).count();
        assert_eq!(up(Duration::ZERO), 100);
        // A quarter is away; five standard deviations of 100 draws are 22.
        for at in [script.opens, script.opens + SPAN / 2, script.opens + SPAN] {
            assert!((53..=97).contains(&up(at)), "{} at {at:?}", up(at));
        }
    }

    #[test]
    fn what_is_asked_for_follows_the_law() {
        let most = |popularity| {
            let terms = Terms { popularity, things: 10, queries: 2_000, ..Terms::new(Mode::Chord, 400, 0, 1) };
            let mut times = BTreeMap::new();
            Script::draw(&terms).asks.iter().for_each(|ask| *times.entry(ask.thing).or_insert(0_i64) += 1);
            times[&0]
        };
        // A tenth, and 1 of 2.929 for Zipf's law; five standard deviations are 67 and 106.
        assert!((most(0.0) - 200).abs() < 67, "{}", most(0.0));
        assert!((most(1.0) - 683).abs() < 106, "{}", most(1.0));
    }

    #[test]
    fn each_copy_is_one_holding() {
        let script = script();
        let holdings: Vec<(PeerId, usize)> = script.holdings().map(|holding| (holding.holder, holding.thing)).collect();
        assert_eq!(holdings, [(PeerId(0), 0), (PeerId(1), 0)]);
        let drawn = Script::draw(&churned(Mode::Flood));
        let copies: usize = drawn.content.holdings.iter().map(Vec::len).sum();
        assert_eq!(drawn.holdings().count(), copies);
    }
}
