//! One replica on a bench: what others would sign is signed here, and its effects are written down in short.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::format;
use std::string::ToString;

use synod_ledger::{BlockId, Height};
use synod_machine::{Effect, Host, Input, Key, Out, PeerId, Protocol, Time};

use super::{GENESIS, Toy, rules, secret, settings};
use crate::pbft::{
    Agreement, Checkpoint, Command, Commit, Event, Hello, Identity, Message, Order, Params, PrePrepare, Prepare,
    Prepared, Record, Rules, Signed, Statement, Timer, ValidatorId, View,
};

pub(crate) struct Bench {
    host: Host<Agreement<Toy>>,
    pub(crate) now: Time,
    pub(crate) rules: Rules,
    pub(crate) disk: BTreeMap<Key, Record<Toy>>,
    me: usize,
    /// It crashes after so many effects of a step: the others do not come to pass.
    pub(crate) effects_max: usize,
    names: BTreeMap<BlockId, char>,
}

/// A proposal by a letter.
pub(crate) fn toy(name: char, height: u64, parent: BlockId) -> Toy {
    Toy { height: Height(height), parent, requests: Vec::new(), salt: name as u32, is_valid: true }
}

impl Bench {
    /// Replica `me` of `count`, connected to all others, who are peers by their numbers.
    pub(crate) fn new(count: usize, me: usize) -> Self {
        Self::from_disk(count, me, BTreeMap::new())
    }

    pub(crate) fn from_disk(count: usize, me: usize, disk: BTreeMap<Key, Record<Toy>>) -> Self {
        let rules = rules(count);
        let params = Params { rules: rules.clone(), settings: settings(), secret: Some(secret(me)), salt: 1 };
        let mut out = Out::new();
        let host = Host::start_into(Agreement::restore(params, disk.clone().into_iter()), Time::ZERO, &mut out);
        let names = BTreeMap::from([(GENESIS, '0')]);
        let mut bench = Self { host, now: Time::ZERO, rules, disk, me, effects_max: usize::MAX, names };
        for peer in (0..count).filter(|peer| *peer != me) {
            bench.step(Input::PeerUp(PeerId(peer as u32)));
            let hello = bench.sign(peer, Hello { salt: peer as u64 });
            bench.say(peer, Message::Hello { hello, asks: false });
        }
        bench
    }

    pub(crate) fn agreement(&self) -> &Agreement<Toy> {
        self.host.protocol()
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.host.next_deadline().map(Time::as_millis)
    }

    /// A proposal that will be called by this letter.
    pub(crate) fn name(&mut self, toy: &Toy, name: char) -> BlockId {
        let id = crate::pbft::Proposal::id(toy);
        self.names.insert(id, name);
        id
    }

    pub(crate) fn sign<T: Statement>(&self, validator: usize, body: T) -> Signed<T> {
        let identity = Identity { id: ValidatorId(validator as u8), secret: secret(validator) };
        Signed::new(&self.rules, &identity, body)
    }

    pub(crate) fn order(view: u64, toy: &Toy) -> Order {
        let id = crate::pbft::Proposal::id(toy);
        Order { view: View(view), height: toy.height, id, parent: toy.parent }
    }

    pub(crate) fn primary(&self, view: u64) -> usize {
        usize::from(self.rules.validators.primary(View(view)).0)
    }

    pub(crate) fn preprepare(&mut self, view: u64, toy: &Toy) -> Vec<String> {
        let by = self.primary(view);
        let order = self.sign(by, PrePrepare(Self::order(view, toy)));
        self.say(by, Message::PrePrepare { order, proposal: toy.clone() })
    }

    pub(crate) fn prepare(&mut self, by: usize, view: u64, toy: &Toy) -> Vec<String> {
        let prepare = self.sign(by, Prepare(Self::order(view, toy)));
        self.say(by, Message::Prepare(prepare))
    }

    pub(crate) fn commit(&mut self, by: usize, view: u64, toy: &Toy) -> Vec<String> {
        let Order { view, height, id, .. } = Self::order(view, toy);
        let commit = self.sign(by, Commit { view, height, id });
        self.say(by, Message::Commit(commit))
    }

    pub(crate) fn checkpoint(&mut self, by: usize, toy: &Toy) -> Vec<String> {
        let checkpoint = Checkpoint { height: toy.height, id: crate::pbft::Proposal::id(toy) };
        let checkpoint = self.sign(by, checkpoint);
        self.say(by, Message::Checkpoint(checkpoint))
    }

    /// The proof that these have prepared a proposal.
    pub(crate) fn proof(&self, view: u64, toy: &Toy, by: &[usize]) -> Prepared {
        let order = Self::order(view, toy);
        let vote = |by: &usize| (ValidatorId(*by as u8), self.sign(*by, Prepare(order)).signature());
        let primary = self.primary(view);
        Prepared { order: self.sign(primary, PrePrepare(order)), votes: by.iter().map(vote).collect() }
    }

    pub(crate) fn say(&mut self, from: usize, message: Message<Toy>) -> Vec<String> {
        self.step(Input::Message { from: PeerId(from as u32), message })
    }

    pub(crate) fn valid(&mut self, toy: &Toy) -> Vec<String> {
        let id = crate::pbft::Proposal::id(toy);
        self.step(Input::Command(Command::Validated { id, is_valid: true }))
    }

    pub(crate) fn command(&mut self, command: Command<Toy>) -> Vec<String> {
        self.step(Input::Command(command))
    }

    /// Lets time pass up to the next timer, and fires it.
    pub(crate) fn fire(&mut self) -> Vec<String> {
        self.now = self.host.next_deadline().expect("a timer is pending");
        let timer: Timer = self.host.pop_due(self.now).expect("it is due");
        self.step(Input::Timer(timer))
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Effects in short, status messages and hellos left out.
    pub(crate) fn step(&mut self, input: Input<Agreement<Toy>>) -> Vec<String> {
        let mut out = Out::new();
        self.host.step_into(self.now, input, &mut out);
        let effects: Vec<_> = out.drain().take(self.effects_max).collect();
        effects.into_iter().filter_map(|effect| self.brief(effect)).collect()
    }

    fn brief(&mut self, effect: Effect<Agreement<Toy>>) -> Option<String> {
        match effect {
            Effect::Broadcast { to, message } => {
                assert_eq!(to.len(), self.rules.validators.count() - 1, "a broadcast goes to all others");
                self.speak(&message).map(|said| format!("all: {said}"))
            }
            Effect::Send { to, message } => self.speak(&message).map(|said| format!("{}: {said}", to.0)),
            Effect::Emit(event) => Some(self.event(&event)),
            Effect::Forget(key) => {
                self.disk.remove(&key);
                None
            }
            Effect::Persist { key, record } => {
                let brief = format!("disk: {}", record_name(&record));
                self.disk.insert(key, record);
                Some(brief)
            }
            Effect::Reject { peer, reason } => Some(format!("reject {}: {reason}", peer.0)),
            Effect::Cancel(_) | Effect::Set { .. } => unreachable!("the host keeps the timers"),
        }
    }

    fn called(&self, id: BlockId) -> char {
        self.names.get(&id).copied().unwrap_or('?')
    }

    fn speak(&self, message: &Message<Toy>) -> Option<String> {
        let of =
            |kind: &str, order: &Order| format!("{kind} v{} {}{}", order.view, self.called(order.id), order.height.0);
        Some(match message {
            Message::Checkpoint(checkpoint) => format!("checkpoint {}", checkpoint.body().height.0),
            Message::Commit(commit) => {
                let Commit { view, height, id } = *commit.body();
                format!("commit v{view} {}{}", self.called(id), height.0)
            }
            Message::Decided { base, proposal } => {
                format!(
                    "decided {}{}{}",
                    self.called(base.id),
                    base.height.0,
                    if proposal.is_some() { " and it" } else { "" }
                )
            }
            Message::Fetch { height, id } => format!("fetch {}{}", self.called(*id), height.0),
            Message::Hello { .. } | Message::Recall { .. } | Message::Status(_) => return None,
            Message::Mark(mark) => format!("mark {}", mark.body().base.height.0),
            Message::NewView(new_view) => {
                let orders = new_view.body().orders.iter().map(|order| of("", &order.body().0).trim().to_string());
                format!("new view {} with {:?}", new_view.body().view, orders.collect::<Vec<_>>())
            }
            Message::PrePrepare { order, .. } => of("pre-prepare", &order.body().0),
            Message::Prepare(prepare) => of("prepare", &prepare.body().0),
            Message::Proposal(toy) => format!("proposal {}", self.called(crate::pbft::Proposal::id(toy))),
            Message::ViewChange(change) => {
                let shown = change.body().prepared.iter().map(|prepared| of("", prepared.order()).trim().to_string());
                format!("view change {} with {:?}", change.body().view, shown.collect::<Vec<_>>())
            }
        })
    }

    fn event(&self, event: &Event<Toy>) -> String {
        match event {
            Event::Behind(base) => format!("behind {}", base.height.0),
            Event::Committed { proposal, certificate } => {
                let id = crate::pbft::Proposal::id(proposal);
                assert!(self.rules.is_certified(proposal.height, id, certificate), "a decision is proved");
                format!("committed {}{} in v{}", self.called(id), proposal.height.0, certificate.view())
            }
            Event::Evidence(evidence) => format!("evidence against {}", evidence.by().0),
            Event::Overdue(request) => format!("overdue {}", request.0[0]),
            Event::Primary { view, validator } => format!("v{view} has {}", validator.0),
            Event::Validate(toy) => format!("validate {}{}", self.called(crate::pbft::Proposal::id(toy)), toy.height.0),
            Event::WantProposal { view, height, parent } => {
                format!("want v{view} {} on {}", height.0, self.called(*parent))
            }
        }
    }

    /// A restart from what is on disk.
    pub(crate) fn reborn(&self) -> Self {
        let mut bench = Self::from_disk(self.rules.validators.count(), self.me, self.disk.clone());
        bench.names = self.names.clone();
        bench.now = self.now;
        bench
    }
}

fn record_name(record: &Record<Toy>) -> String {
    match record {
        Record::Active(new_view) => format!("in v{}", new_view.body().view),
        Record::Changing(change) => format!("to v{}", change.body().view),
        Record::Decided(base) => format!("decided {}", base.height.0),
        Record::Executed(base) => format!("executed {}", base.height.0),
        Record::Prepared(prepared) => format!("prepared {}", prepared.order().height.0),
        Record::Proposal(toy) => format!("proposal {}", toy.height.0),
        Record::Rejoining(until) => format!("silent until {until:?}"),
        Record::Stable(height, _) => format!("stable {}", height.0),
        Record::Voted(order) => format!("voted {}", order.body().0.height.0),
    }
}
