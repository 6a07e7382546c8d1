//! The votes of n = 4, explored by `stateright` from a state in which anything can be delivered in any order: two heights,
//! one view change, and a validator 0, primary of the first view, of whom two stories are under way at once: two blocks at
//! height 1, one on top of the first at height 2, its commits for all of them, and a view change that hides what it knows.
//!
//! A message that changes nothing where it would arrive stays under way and is no step. States are compared by what is
//! shown of them (`Debug`), hashed; so is `stateright`'s own table.

use core::hash::{Hash, Hasher};
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::hash::DefaultHasher;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use stateright::{Checker, Model, Property};
use synod_ledger::BlockId;
use synod_machine::{Effect, Input, Out, PeerId, Protocol, Time};

use crate::pbft::testing::bench::toy;
use crate::pbft::testing::{GENESIS, Toy, rules, secret, settings};
use crate::pbft::{
    Agreement, Base, Command, Commit, Event, Hello, Identity, Message, Order, Params, PrePrepare, Proposal, Rules,
    Signed, Statement, Timer, ValidatorId, View, ViewChange,
};

/// States that the test explores; `SYNOD_PBFT_STATES` explores another number.
const STATES: usize = 1_500;

/// A message under way.
#[derive(Clone, Debug)]
struct Flight {
    from: usize,
    to: usize,
    print: u64,
    message: Message<Toy>,
}

#[derive(Clone, Debug)]
struct Replica {
    agreement: Arc<Agreement<Toy>>,
    chain: Vec<BlockId>,
    print: u64,
}

/// What states are compared by: each replica's print and decisions, and what is under way.
type Prints = (Vec<(u64, usize)>, Vec<(usize, usize, u64)>);

#[derive(Clone, Debug)]
struct State {
    replicas: BTreeMap<usize, Replica>,
    flights: BTreeMap<(usize, usize, u64), Flight>,
}

impl State {
    fn prints(&self) -> Prints {
        let replicas = self.replicas.values().map(|replica| (replica.print, replica.chain.len())).collect();
        (replicas, self.flights.keys().copied().collect())
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.prints() == other.prints()
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.prints().hash(state);
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Deliver(usize, usize, u64),
    Timeout(usize),
}

struct Votes {
    rules: Rules,
}

fn print(shown: &impl core::fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{shown:?}").hash(&mut hasher);
    hasher.finish()
}

impl Votes {
    fn sign<T: Statement>(&self, body: T) -> Signed<T> {
        let zero = Identity { id: ValidatorId(0), secret: secret(0) };
        Signed::new(&self.rules, &zero, body)
    }

    fn hello(&self, validator: usize) -> Message<Toy> {
        let identity = Identity { id: ValidatorId(validator as u8), secret: secret(validator) };
        Message::Hello { hello: Signed::new(&self.rules, &identity, Hello { salt: 0 }), asks: false }
    }

    /// What validator 0 may say, to everybody.
    fn lies(&self) -> Vec<Message<Toy>> {
        let (a, x) = (toy('A', 1, GENESIS), toy('X', 1, GENESIS));
        let b = toy('B', 2, a.id());
        let mut lies = Vec::new();
        for toy in [a, x, b] {
            let order = Order { view: View(0), height: toy.height, id: toy.id(), parent: toy.parent };
            let Order { view, height, id, .. } = order;
            lies.push(Message::Commit(self.sign(Commit { view, height, id })));
            lies.push(Message::PrePrepare { order: self.sign(PrePrepare(order)), proposal: toy });
        }
        let change = ViewChange { view: View(1), base: Base::genesis(GENESIS), prepared: vec![] };
        lies.push(Message::ViewChange(self.sign(change)));
        lies
    }

    /// A step of a replica, with its owner's answers. False if nothing changed.
    fn step(&self, state: &mut State, node: usize, input: Input<Agreement<Toy>>) -> bool {
        let Some(mut replica) = state.replicas.get(&node).cloned() else { return false };
        let mut agreement = (*replica.agreement).clone();
        let mut inputs = vec![input];
        let mut is_heard = false;
        while let Some(input) = inputs.pop() {
            let mut out = Out::new();
            agreement.handle(Time::ZERO, input, &mut out);
            agreement.check();
            for effect in out.drain().collect::<Vec<_>>() {
                match effect {
                    Effect::Broadcast { to, message } => {
                        is_heard = true;
                        for peer in to {
                            fly(state, node, peer.0 as usize, message.clone());
                        }
                    }
                    Effect::Emit(Event::Validate(toy)) => {
                        inputs.push(Input::Command(Command::Validated { id: toy.id(), is_valid: true }));
                    }
                    Effect::Emit(Event::Committed { proposal, certificate }) => {
                        let (height, id) = (proposal.height, proposal.id());
                        assert!(self.rules.is_certified(height, id, &certificate), "a decision is proved");
                        replica.chain.push(id);
                        inputs.push(Input::Command(Command::Executed { height, id }));
                    }
                    Effect::Send { to, message } => {
                        is_heard = true;
                        fly(state, node, to.0 as usize, message);
                    }
                    Effect::Cancel(_)
                    | Effect::Emit(_)
                    | Effect::Forget(_)
                    | Effect::Persist { .. }
                    | Effect::Reject { .. }
                    | Effect::Set { .. } => {}
                }
            }
        }
        let now = print(&agreement);
        let has_changed = is_heard || now != replica.print;
        replica.print = now;
        replica.agreement = Arc::new(agreement);
        state.replicas.insert(node, replica);
        has_changed
    }
}

/// Hellos and status messages are about connections, and validator 0 says what it likes: neither flies.
fn fly(state: &mut State, from: usize, to: usize, message: Message<Toy>) {
    if to == 0 || matches!(message, Message::Hello { .. } | Message::Status(_)) {
        return;
    }
    let flight = Flight { from, to, print: print(&message), message };
    state.flights.insert((to, from, flight.print), flight);
}

impl Model for Votes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State { replicas: BTreeMap::new(), flights: BTreeMap::new() };
        for node in 1..4 {
            let params =
                Params { rules: self.rules.clone(), settings: settings(), secret: Some(secret(node)), salt: 0 };
            let agreement = Arc::new(Agreement::restore(params, core::iter::empty()));
            state.replicas.insert(node, Replica { agreement, chain: vec![], print: 0 });
        }
        for node in 1..4 {
            for peer in (0..4).filter(|peer| *peer != node) {
                self.step(&mut state, node, Input::PeerUp(PeerId(peer as u32)));
                let message = self.hello(peer);
                self.step(&mut state, node, Input::Message { from: PeerId(peer as u32), message });
            }
            for lie in self.lies() {
                fly(&mut state, 0, node, lie);
            }
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.flights.keys().map(|(to, from, print)| Action::Deliver(*to, *from, *print)));
        let in_first = state.replicas.iter().filter(|(_, replica)| replica.agreement.view() == View(0));
        actions.extend(in_first.map(|(node, _)| Action::Timeout(*node)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let has_changed = match action {
            Action::Deliver(to, from, print) => {
                let flight = state.flights.remove(&(to, from, print))?;
                let input = Input::Message { from: PeerId(flight.from as u32), message: flight.message };
                self.step(&mut state, flight.to, input)
            }
            Action::Timeout(node) => self.step(&mut state, node, Input::Timer(Timer::View)),
        };
        // One view change: what leads further is not looked at.
        let is_near = state.replicas.values().all(|replica| replica.agreement.view() <= View(1));
        (has_changed && is_near).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let agreement = |_: &Self, state: &State| {
            (0..2).all(|height| {
                let decided = state.replicas.values().filter_map(|replica| replica.chain.get(height));
                decided.collect::<BTreeSet<_>>().len() <= 1
            })
        };
        vec![Property::always("one block is decided for each height", agreement)]
    }
}

#[test]
fn no_order_of_deliveries_and_no_moment_of_a_view_change_makes_honest_replicas_disagree() {
    let wanted = std::env::var("SYNOD_PBFT_STATES").ok().and_then(|states| states.parse().ok()).unwrap_or(STATES);
    let breadth = Votes { rules: rules(4) }.checker().target_state_count(wanted).spawn_bfs().join();
    let depth = Votes { rules: rules(4) }.checker().target_state_count(wanted).spawn_dfs().join();
    for (name, checked) in [
        ("breadth first", (breadth.unique_state_count(), breadth.max_depth(), breadth.discoveries().len())),
        ("depth first", (depth.unique_state_count(), depth.max_depth(), depth.discoveries().len())),
    ] {
        let (states, reached, broken) = checked;
        std::println!("{name}: {states} states, depth {reached}");
        assert_eq!(broken, 0, "{name}: a state in which honest replicas disagree");
        assert!(states >= wanted / 2, "{name}: {states} states");
        assert!(reached > 2, "{name}: depth {reached}");
    }
}
