//! The vote logic of n = 4, two heights and one view change, explored by `stateright` to the end.
//!
//! One validator is faulty and says whatever can be said at any time. Of the honest ones only their votes are kept. Messages are
//! never lost, and each step of an honest replica is one that the messages said so far allow: whatever order real
//! messages arrive in, the votes that they lead to are among these. So is a replica that does not know of a decision
//! which it could know of. What a new view starts with is the real [`choose`]'s.
//!
//! Height 1 is for A or X, height 2 for B, which continues A, or Y, which continues X.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use stateright::{Checker, Model, Property};
use synod_ledger::{BlockId, Certificate, Height, Signature};
use synod_machine::Bytes;

use crate::pbft::choice::choose;
use crate::pbft::statement::Prepared;
use crate::pbft::testing::GENESIS;
use crate::pbft::{Base, Order, PrePrepare, Signed, ValidatorId, View, ViewChange};

const VALIDATORS: usize = 4;
/// q for n = 4.
const QUORUM: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Block {
    A,
    X,
    B,
    Y,
}

impl Block {
    const ALL: [Self; 4] = [Self::A, Self::X, Self::B, Self::Y];

    /// Its place among heights, from zero.
    const fn at(self) -> usize {
        match self {
            Self::A | Self::X => 0,
            Self::B | Self::Y => 1,
        }
    }

    const fn parent(self) -> Option<Self> {
        match self {
            Self::A | Self::X => None,
            Self::B => Some(Self::A),
            Self::Y => Some(Self::X),
        }
    }

    const fn sibling(self) -> Self {
        match self {
            Self::A => Self::X,
            Self::X => Self::A,
            Self::B => Self::Y,
            Self::Y => Self::B,
        }
    }

    const fn id(self) -> BlockId {
        BlockId(Bytes([self as u8 + 1; 32]))
    }

    fn of(id: BlockId) -> Self {
        *Self::ALL.iter().find(|block| block.id() == id).expect("there are no others")
    }

    fn order(self, view: usize) -> Order {
        let parent = self.parent().map_or(GENESIS, Self::id);
        Order { view: View(view as u64), height: Height(self.at() as u64 + 1), id: self.id(), parent }
    }
}

/// A vote for a height in a view: PREPARE (or the primary's PRE-PREPARE), and whether COMMIT followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Vote {
    block: Block,
    is_committed: bool,
}

/// What a view change says: a certificate's block, and what was prepared in the first view above it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Change {
    base: Option<Block>,
    prepared: Vec<Block>,
}

/// What a view starts with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Start {
    base: Option<Block>,
    orders: Vec<Block>,
}

/// What an honest replica has said.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    /// By view and height.
    votes: [[Option<Vote>; 2]; 2],
    change: Option<Change>,
    /// It is in the second view, which started so.
    start: Option<Start>,
}

impl Replica {
    /// With A for X and X for A, and B for Y and Y for B.
    fn renamed(mut self) -> Self {
        let votes = self.votes.iter_mut().flatten().flatten().map(|vote| &mut vote.block);
        let change = self.change.iter_mut().flat_map(|change| change.base.iter_mut().chain(&mut change.prepared));
        let start = self.start.iter_mut().flat_map(|start| start.base.iter_mut().chain(&mut start.orders));
        for block in votes.chain(change).chain(start) {
            *block = block.sibling();
        }
        self
    }
}

/// By validator; the faulty one's says nothing.
type State = [Replica; VALIDATORS];

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Commit { by: usize, view: usize, at: usize },
    Enter { by: usize, start: Start },
    Leave { by: usize, change: Change },
    Prepare { by: usize, view: usize, block: Block },
}

/// What must always hold.
const ONE_CHAIN: &str = "one block is decided for each height, and they are one chain";
/// What must be met with, or too little was looked at.
const BOTH_VIEWS: &str = "height 2 is decided, and somebody has committed in the second view";

type Choose = fn(View, &[Signed<ViewChange>]) -> Vec<Order>;

/// What a new view made of view changes before.
type Known = Mutex<BTreeMap<Vec<(usize, Change)>, Start>>;

struct Votes {
    faulty: usize,
    /// How many prove something.
    quorum: usize,
    choose: Choose,
    known: Known,
}

impl Votes {
    fn new(faulty: usize) -> Self {
        Self { faulty, quorum: QUORUM, choose, known: Known::default() }
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        let faulty = self.faulty;
        (0..VALIDATORS).filter(move |validator| *validator != faulty)
    }

    /// Who voted for a block in a view; the faulty one always did.
    fn voters(&self, state: &State, view: usize, block: Block) -> usize {
        let votes = |by: &usize| state[*by].votes[view][block.at()].is_some_and(|vote| vote.block == block);
        self.honest().filter(votes).count() + 1
    }

    /// Whether the view's primary ordered it.
    fn is_ordered(&self, state: &State, view: usize, block: Block) -> bool {
        view == self.faulty || state[view].votes[view][block.at()].is_some_and(|vote| vote.block == block)
    }

    /// The predicate `prepared`: the pre-prepare and q − 1 prepares of others, so q voters with the primary among them.
    fn is_prepared(&self, state: &State, view: usize, block: Block) -> bool {
        self.is_ordered(state, view, block) && self.voters(state, view, block) >= self.quorum
    }

    /// Whether q committed it in one view.
    fn is_certified(&self, state: &State, block: Block) -> bool {
        (0..2).any(|view| {
            let commits = |by: &usize| {
                state[*by].votes[view][block.at()].is_some_and(|vote| vote.block == block && vote.is_committed)
            };
            self.honest().filter(commits).count() + 1 >= self.quorum
        })
    }

    /// The genesis, and what is certified.
    fn bases(&self, state: &State) -> Vec<Option<Block>> {
        let certified = Block::ALL.into_iter().filter(|block| self.is_certified(state, *block));
        certified.map(Some).chain([None]).collect()
    }

    /// What the faulty one can prove in a view change.
    fn lies(&self, state: &State) -> BTreeSet<Change> {
        let mut lies = BTreeSet::new();
        for base in self.bases(state) {
            let mut proofs = vec![vec![]];
            for at in base.map_or(0, |block| block.at() + 1)..2 {
                let prepared = |block: &Block| block.at() == at && self.is_prepared(state, 0, *block);
                let here: Vec<Block> = Block::ALL.into_iter().filter(prepared).collect();
                let longest: Vec<Vec<Block>> = proofs
                    .iter()
                    .filter(|proof| proof.len() == at - base.map_or(0, |block| block.at() + 1))
                    .cloned()
                    .collect();
                for proof in longest {
                    proofs.extend(here.iter().map(|block| [proof.as_slice(), &[*block]].concat()));
                }
            }
            lies.extend(proofs.into_iter().map(|prepared| Change { base, prepared }));
        }
        lies
    }

    /// Whatever a new view may start with.
    fn starts(&self, state: &State) -> BTreeSet<Start> {
        let said: Vec<(usize, Change)> = self.honest().filter_map(|by| Some((by, state[by].change.clone()?))).collect();
        let mut sets: Vec<Vec<(usize, Change)>> = vec![vec![]];
        for one in &said {
            sets.extend(sets.clone().into_iter().map(|set| [set.as_slice(), std::slice::from_ref(one)].concat()));
        }
        // An honest primary shows its own.
        sets.retain(|set| self.faulty == 1 || set.iter().any(|(by, _)| *by == 1));
        let lies = self.lies(state);
        let mut starts = BTreeSet::new();
        for set in sets {
            if set.len() >= self.quorum {
                starts.insert(self.start(set.clone()));
            }
            if set.len() + 1 >= self.quorum {
                starts.extend(lies.iter().map(|lie| {
                    let mut set = [set.as_slice(), &[(self.faulty, lie.clone())]].concat();
                    set.sort();
                    self.start(set)
                }));
            }
        }
        starts
    }

    /// Of states that differ in names alone the first: A and B may be X and Y, and two who are primary in no view are alike.
    fn representative(&self, state: State) -> State {
        let renamed = state.clone().map(|replica| replica.renamed());
        let least = state.min(renamed);
        if self.faulty > 1 {
            return least;
        }
        let swapped = |mut state: State| {
            state.swap(2, 3);
            state
        };
        let other = swapped(least.clone());
        let renamed = other.clone().map(|replica| replica.renamed());
        least.min(other).min(renamed)
    }

    fn start(&self, set: Vec<(usize, Change)>) -> Start {
        let mut known = self.known.lock().expect("nobody panics with it");
        known.entry(set).or_insert_with_key(|set| start(self.choose, set)).clone()
    }

    /// Whether a replica takes part in a view.
    fn is_in(&self, replica: &Replica, view: usize) -> bool {
        match view {
            0 => replica.change.is_none() && replica.start.is_none(),
            _ => replica.start.is_some(),
        }
    }

    /// Whether a replica may vote for a block in a view that it is in.
    fn may_vote(&self, state: &State, by: usize, view: usize, block: Block) -> bool {
        let (replica, at) = (&state[by], block.at());
        if replica.votes[view][at].is_some() || (by != view && !self.is_ordered(state, view, block)) {
            return false;
        }
        if let Some(start) = replica.start.as_ref().filter(|_| view == 1) {
            let base = start.base.map_or(0, |base| base.at() + 1);
            if at < base || start.orders.get(at - base).is_some_and(|order| *order != block) {
                return false;
            }
        }
        // The primary proposes on what it has proposed; whoever votes needs the parent prepared.
        self.continues(state, by, view, block, by == view)
    }

    /// A vote for n needs its parent decided, or prepared in this view, or for a proposal, proposed there.
    fn continues(&self, state: &State, by: usize, view: usize, block: Block, is_proposal: bool) -> bool {
        block.parent().is_none_or(|parent| {
            let own = state[by].votes[view][0];
            own.is_some_and(|vote| vote.block == parent && (vote.is_committed || is_proposal))
                || self.is_certified(state, parent)
        })
    }
}

/// What the real rule makes of view changes.
fn start(choose: Choose, set: &[(usize, Change)]) -> Start {
    let changes: Vec<Signed<ViewChange>> = set.iter().map(|(by, change)| signed(*by, change)).collect();
    let highest = changes.iter().map(|change| &change.body().base).max_by_key(|base| base.height);
    let base = highest.filter(|base| base.height > Height::GENESIS).map(|base| Block::of(base.id));
    let orders = choose(View(1), &changes).into_iter().map(|order| Block::of(order.id)).collect();
    Start { base, orders }
}

/// A view change with what [`choose`] looks at; it checks no signature.
fn signed(by: usize, change: &Change) -> Signed<ViewChange> {
    let (height, id) = change.base.map_or((Height::GENESIS, GENESIS), |base| (base.order(0).height, base.id()));
    let prepared = change.prepared.iter().map(|block| {
        let order = Signed::from_parts(PrePrepare(block.order(0)), ValidatorId(0), Signature::NONE);
        Prepared { order, votes: Vec::new().into() }
    });
    let base = Base { height, id, certificate: Certificate::none() };
    let body = ViewChange { view: View(1), base, prepared: prepared.collect() };
    Signed::from_parts(body, ValidatorId(by as u8), Signature::NONE)
}

impl Model for Votes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // The primary has left the view before, and the others may hear of the new one first.
        let may_start =
            |by: usize| state[by].start.is_none() && (self.faulty == 1 || by == 1 && state[1].change.is_some());
        let starts = if self.honest().any(may_start) { self.starts(state) } else { BTreeSet::new() };
        // An honest primary starts the view once; the others follow it.
        let started = state[1].start.as_ref().filter(|_| self.faulty != 1);
        for by in self.honest() {
            let replica = &state[by];
            for view in (0..2).filter(|view| self.is_in(replica, *view)) {
                let blocks = Block::ALL.into_iter().filter(|block| self.may_vote(state, by, view, *block));
                actions.extend(blocks.map(|block| Action::Prepare { by, view, block }));
                let votes = replica.votes[view].iter().flatten().filter(|vote| !vote.is_committed);
                let prepared = votes.filter(|vote| {
                    self.is_prepared(state, view, vote.block) && self.continues(state, by, view, vote.block, false)
                });
                actions.extend(prepared.map(|vote| Action::Commit { by, view, at: vote.block.at() }));
            }
            if self.is_in(replica, 0) {
                for base in self.bases(state) {
                    let above = base.map_or(0, |base| base.at() + 1);
                    let votes = replica.votes[0][above.min(2)..].iter();
                    let own = votes.map_while(|vote| vote.filter(|vote| vote.is_committed).map(|vote| vote.block));
                    actions.push(Action::Leave { by, change: Change { base, prepared: own.collect() } });
                }
            }
            if replica.start.is_none() {
                let heard =
                    if may_start(by) { starts.iter().cloned().collect() } else { Vec::from_iter(started.cloned()) };
                actions.extend(heard.into_iter().map(|start| Action::Enter { by, start }));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Commit { by, view, at } => {
                state[by].votes[view][at].as_mut().expect("it voted").is_committed = true;
            }
            Action::Enter { by, start } => state[by].start = Some(start),
            Action::Leave { by, change } => state[by].change = Some(change),
            Action::Prepare { by, view, block } => {
                state[by].votes[view][block.at()] = Some(Vote { block, is_committed: false });
            }
        }
        Some(self.representative(state))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let agreement = |model: &Self, state: &State| {
            let both = |one, other| model.is_certified(state, one) && model.is_certified(state, other);
            !both(Block::A, Block::X)
                && !both(Block::B, Block::Y)
                && !both(Block::A, Block::Y)
                && !both(Block::X, Block::B)
        };
        let late = |model: &Self, state: &State| {
            let is_new = |replica: &Replica| replica.votes[1].iter().flatten().any(|vote| vote.is_committed);
            Block::ALL.into_iter().any(|block| block.at() == 1 && model.is_certified(state, block))
                && state.iter().any(is_new)
        };
        vec![Property::always(ONE_CHAIN, agreement), Property::sometimes(BOTH_VIEWS, late)]
    }
}

/// All states, their greatest depth, and which properties were met with.
fn explore(votes: Votes) -> (usize, usize, BTreeSet<&'static str>) {
    let checked = votes.checker().threads(2).spawn_bfs().join();
    assert!(checked.is_done(), "it goes on to the end, or to a counterexample");
    let met = checked.discoveries().into_keys().collect();
    (checked.unique_state_count(), checked.max_depth(), met)
}

#[test]
fn whatever_is_said_in_two_views_one_block_is_decided_for_each_of_two_heights() {
    let all = std::env::var("SYNOD_PBFT_VOTES").is_ok_and(|wanted| wanted == "all");
    // The first view's primary; by the script also the second's, and one of those who are primary in neither.
    for faulty in if all { 0..3 } else { 0..1 } {
        let (states, depth, met) = explore(Votes::new(faulty));
        std::println!("validator {faulty} is faulty: {states} states, all there are; depth {depth}");
        assert_eq!(met, BTreeSet::from([BOTH_VIEWS]), "validator {faulty} is faulty");
    }
}

#[test]
fn a_new_view_that_forgets_what_was_prepared_and_a_quorum_that_is_too_small_are_found() {
    let forgets = Votes { choose: |_, _| Vec::new(), ..Votes::new(0) };
    assert!(explore(forgets).2.contains(ONE_CHAIN));
    let small = Votes { quorum: QUORUM - 1, ..Votes::new(0) };
    assert!(explore(small).2.contains(ONE_CHAIN));
}
