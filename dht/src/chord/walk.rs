//! The way to a key: iteratively, where the asker asks each node and goes round those that are silent, and recursively.

use alloc::vec::Vec;
use core::mem;

use synod_machine::{Out, PeerId, Reject, Rng, Time};

use super::calls::What;
use super::message::{AVOIDED_MAX, HOPS_MAX, Message};
use super::ring::Way;
use super::values::Ballot;
use super::{Chord, Event, Style};
use crate::overlay::{Cost, Failure, Id, Node, Query, Quorum};

/// Something that takes several requests.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u32,
    pub(super) aim: Aim,
    key: Id,
    /// How many nodes are wanted.
    count: u8,
    /// The first to be asked; if nobody, our own tables are.
    start: Option<Node>,
    /// Those that answered, in order.
    path: Vec<Node>,
    /// Those to go round.
    pub(super) avoid: Vec<Id>,
    pub(super) cost: Cost,
}

/// What a job is for.
#[derive(Debug)]
pub(super) enum Aim {
    /// The finger for a power of two.
    Finger(u32),
    /// Entries for the owner.
    Get(Query, Ballot),
    /// This node's successor.
    Join,
    /// An answer for the owner.
    Lookup(Query),
    /// Where records belong that are not this node's own.
    Orphan,
    /// Entries of the owner's.
    Put(Query, Ballot),
    /// A recursive look-up for the owner, and how often it was tried.
    Recursive(Query, u8),
    /// A nearer successor, asked of a node that was silent.
    Seek,
}

/// Requests of the owner that are open.
pub const JOBS_MAX: usize = 256;
/// Messages for one way: four times as many nodes as the longest way of [`HOPS_MAX`] has.
pub const STEPS_MAX: u32 = 4 * HOPS_MAX as u32;
/// Jobs of the node's own: a finger, a join, an orphan, and a node that was lost and answered late beside the next.
pub(super) const OWN_JOBS_MAX: usize = 4;
/// How often a recursive look-up is tried.
const ROUTES_MAX: u8 = 3;
/// How many times as long as for one request is waited for a recursive look-up's answer.
const ROUTE_TIMES: u32 = 4;

/// What `Route` says.
pub(super) struct Routing {
    pub(super) token: u64,
    pub(super) origin: Node,
    pub(super) key: Id,
    pub(super) count: u8,
    pub(super) hops: u8,
}

/// What `Routed` says.
pub(super) struct Routed {
    pub(super) token: u64,
    pub(super) hops: u8,
    pub(super) node: Node,
    pub(super) more: Vec<Node>,
}

/// The end of a way: the owner and those that follow.
pub(super) type Owners = (Node, Vec<Node>);

impl Job {
    pub(super) const fn key(&self) -> Id {
        self.key
    }
}

impl Aim {
    /// Whether the owner asked for it.
    const fn is_owners(&self) -> bool {
        match self {
            Self::Get(..) | Self::Lookup(_) | Self::Put(..) | Self::Recursive(..) => true,
            Self::Finger(_) | Self::Join | Self::Orphan | Self::Seek => false,
        }
    }
}

impl Chord {
    pub(super) fn on_lookup(&mut self, now: Time, query: Query, key: Id, style: Style, out: &mut Out<Self>) {
        let aim = match style {
            Style::Iterative => Aim::Lookup(query),
            Style::Recursive => Aim::Recursive(query, 0),
        };
        if let Err(failure) = self.admit() {
            return out.emit(Event::LookedUp { query, result: Err(failure), cost: Cost::default() });
        }
        let id = self.begin(key, 1, None, aim);
        match style {
            Style::Iterative => self.walk(now, id, out),
            Style::Recursive => self.route(now, id, out),
        }
    }

    /// Whether a request of the owner can be taken up.
    pub(super) fn admit(&self) -> Result<(), Failure> {
        if !self.is_member() {
            return Err(Failure::Apart);
        }
        let open = self.jobs.iter().filter(|job| job.aim.is_owners()).count();
        if open < JOBS_MAX { Ok(()) } else { Err(Failure::Busy) }
    }

    /// A job whose way is still to begin.
    pub(super) fn begin(&mut self, key: Id, count: u8, start: Option<Node>, aim: Aim) -> u32 {
        self.job_next = self.job_next.wrapping_add(1);
        // Whoever looks for its own successor must not be told of itself, in whom others may still believe.
        let avoid = match aim {
            Aim::Join | Aim::Seek => [self.ring.own.id].to_vec(),
            Aim::Finger(_) | Aim::Get(..) | Aim::Lookup(_) | Aim::Orphan | Aim::Put(..) | Aim::Recursive(..) => {
                Vec::new()
            }
        };
        let path = Vec::with_capacity(PATH_MEAN);
        let cost = Cost::default();
        if self.jobs.is_empty() {
            self.jobs.reserve_exact(1);
        }
        self.jobs.push(Job { id: self.job_next, aim, key, count, start, path, avoid, cost });
        self.job_next
    }

    pub(super) fn take_job(&mut self, place: usize) -> Job {
        let job = self.jobs.swap_remove(place);
        if self.jobs.is_empty() {
            // Mostly there is none, so that most nodes keep no room for any.
            self.jobs = Vec::new();
        }
        job
    }

    pub(super) fn job(&mut self, id: u32) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    pub(super) fn has_job(&self, fits: impl Fn(&Aim) -> bool) -> bool {
        self.jobs.iter().any(|job| fits(&job.aim))
    }

    /// Takes the way up where it stands: at the node that answered last, which is asked again for another way, at the first
    /// one, or at our own tables.
    pub(super) fn walk(&mut self, now: Time, id: u32, out: &mut Out<Self>) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = &mut self.jobs[place];
        // One that named itself as the owner was on the way, too.
        while let Some(node) = job.path.pop() {
            if !job.avoid.contains(&node.id) {
                return self.ask(now, id, node, true, out);
            }
        }
        if let Some(node) = job.start {
            if job.avoid.contains(&node.id) {
                return self.finish(now, id, Err(Failure::Silence), out);
            }
            return self.ask(now, id, node, false, out);
        }
        let way = self.ring.way(job.key, job.count, &job.avoid);
        match way {
            Way::Next(node) => self.ask(now, id, node, false, out),
            Way::Nowhere => self.finish(now, id, Err(Failure::Silence), out),
            Way::Own | Way::Owner(_) => {
                // A way that went further before may have come back to here.
                job.cost.hops = 0;
                let owners = self.ring.owners(way, job.count, &job.avoid);
                self.finish(now, id, owners.ok_or(Failure::Silence), out);
            }
        }
    }

    fn ask(&mut self, now: Time, id: u32, node: Node, is_again: bool, out: &mut Out<Self>) {
        let Some(job) = self.job(id) else { return };
        if job.cost.messages >= STEPS_MAX {
            return self.finish(now, id, Err(Failure::Lost), out);
        }
        job.cost.messages += 1;
        job.cost.asked += u32::from(!is_again);
        let (key, count, avoid) = (job.key, job.count, job.avoid.clone());
        self.call(now, node, What::Step(id), out, |number| Message::Step { number, key, count, avoid });
    }

    pub(super) fn on_step(&mut self, from: PeerId, number: u32, key: Id, count: u8, avoid: &[Id], out: &mut Out<Self>) {
        if avoid.len() > AVOIDED_MAX || count == 0 || count > Quorum::REPLICAS_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if !self.is_member() {
            return out.send(from, Message::Helpless { number });
        }
        let way = self.ring.way(key, count, avoid);
        let answer = match way {
            Way::Next(node) => Message::Next { number, node },
            Way::Nowhere => Message::Helpless { number },
            Way::Own | Way::Owner(_) => match self.ring.owners(way, count, avoid) {
                Some((node, more)) => Message::Owner { number, node, more },
                None => Message::Helpless { number },
            },
        };
        out.send(from, answer);
    }

    /// A node that is nearer to the key, and before it, than the one that names it: so ways end, whoever lies.
    pub(super) fn on_next(&mut self, now: Time, from: PeerId, number: u32, node: Node, out: &mut Out<Self>) {
        let Some(place) = self.calls.find(number, from, |what| matches!(what, What::Step(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        let What::Step(id) = call.what else { return };
        let is_strange = self.ring.is_strange(&node);
        let own = self.ring.own.id;
        let Some(job) = self.job(id) else { return };
        // A node that looks for itself goes once round.
        let is_on = node.id.is_between(call.node.id, job.key) && node.id != own;
        if !is_on || is_strange || job.avoid.contains(&node.id) {
            out.reject(from, if is_strange { Reject::NodeForeign } else { Reject::NodePlace });
            return self.on_step_failed(now, id, call.node, false, out);
        }
        job.path.push(call.node);
        self.ask(now, id, node, false, out);
    }

    pub(super) fn on_owner(
        &mut self,
        now: Time,
        from: PeerId,
        number: u32,
        node: Node,
        more: Vec<Node>,
        out: &mut Out<Self>,
    ) {
        let Some(place) = self.calls.find(number, from, |what| matches!(what, What::Step(_))) else {
            return out.reject(from, Reject::Unsolicited);
        };
        let call = self.calls.remove(place);
        let What::Step(id) = call.what else { return };
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        // Who says that it is the owner itself can only be believed.
        let is_after = node.id == call.node.id || job.key.in_arc(call.node.id, node.id);
        let reason = fault(&node, &more, job.count, |node| self.ring.is_strange(node));
        let reason = reason.or((!is_after || job.avoid.contains(&node.id)).then_some(Reject::NodePlace));
        if let Some(reason) = reason {
            out.reject(from, reason);
            return self.on_step_failed(now, id, call.node, false, out);
        }
        job.path.push(call.node);
        job.cost.hops = job.path.len() as u32;
        self.finish(now, id, Ok((node, more)), out);
    }

    /// Whoever was asked on the way is of no help: those before it are asked for a way round it (ToN, section IV-E.3).
    pub(super) fn on_step_failed(&mut self, now: Time, id: u32, node: Node, silent: bool, out: &mut Out<Self>) {
        let Some(job) = self.job(id) else { return };
        job.cost.timeouts += u32::from(silent);
        if let Aim::Recursive(query, _) = job.aim {
            // The owner that it led to is gone. Those who handed it on would name it again, so that this node goes round it itself.
            job.aim = Aim::Lookup(query);
            job.avoid.clear();
        }
        if job.avoid.len() >= AVOIDED_MAX {
            return self.finish(now, id, Err(Failure::Silence), out);
        }
        if !job.avoid.contains(&node.id) {
            job.avoid.push(node.id);
        }
        self.walk(now, id, out);
    }

    /// A way is over.
    fn finish(&mut self, now: Time, id: u32, result: Result<Owners, Failure>, out: &mut Out<Self>) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        match (&self.jobs[place].aim, &result) {
            (Aim::Get(..) | Aim::Put(..), _) => self.on_replicas(now, place, result, out),
            (Aim::Lookup(_) | Aim::Recursive(..), Ok((owner, _))) if owner.id != self.ring.own.id => {
                self.ask_owner(now, id, *owner, 0, out);
            }
            _ => self.end(now, place, result, out),
        }
    }

    /// Asks the owner whether it is there: who named it finds out that it failed a round later only, and a key belongs to whoever is up.
    fn ask_owner(&mut self, now: Time, id: u32, owner: Node, tries: u8, out: &mut Out<Self>) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let cost = &mut self.jobs[place].cost;
        if cost.messages >= STEPS_MAX {
            return self.end(now, place, Err(Failure::Lost), out);
        }
        cost.messages += 1;
        cost.asked += u32::from(tries == 0);
        self.call_again(now, owner, What::Owner(id), tries, out, |number| Message::Ping { number });
    }

    /// It was silent once.
    pub(super) fn ask_owner_again(&mut self, now: Time, id: u32, owner: Node, out: &mut Out<Self>) {
        let Some(job) = self.job(id) else { return };
        job.cost.timeouts += 1;
        self.ask_owner(now, id, owner, 1, out);
    }

    /// The owner is there. Its predecessor owns the key if that one follows it as well: it came after the other was named.
    pub(super) fn on_owner_there(
        &mut self,
        now: Time,
        id: u32,
        owner: Node,
        predecessor: Option<Node>,
        out: &mut Out<Self>,
    ) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = &self.jobs[place];
        let follows =
            |owner: Node, before: &Node| !job.key.in_arc(before.id, owner.id) && !job.avoid.contains(&before.id);
        // Where the owner's predecessor is this node itself, the next one to ask for is its own.
        let own = self.ring.own;
        let before = match predecessor.filter(|before| follows(owner, before)) {
            Some(before) if before.id == own.id => {
                self.ring.predecessor().filter(|further| follows(own, further)).or(Some(own))
            }
            before => before,
        };
        match before {
            Some(before) if before.id == own.id => self.end(now, place, Ok((own, Vec::new())), out),
            Some(before) => self.ask_owner(now, id, before, 0, out),
            None => self.end(now, place, Ok((owner, Vec::new())), out),
        }
    }

    fn end(&mut self, now: Time, place: usize, result: Result<Owners, Failure>, out: &mut Out<Self>) {
        let job = self.take_job(place);
        match job.aim {
            Aim::Finger(power) => self.on_finger(now, power, result.ok().map(|(node, _)| node), out),
            Aim::Get(..) | Aim::Put(..) => unreachable!("it goes on with the replicas"),
            Aim::Join => self.on_place(now, job.cost, result.map(|(node, _)| node), out),
            Aim::Lookup(query) | Aim::Recursive(query, _) => {
                let result = result.map(|(node, _)| node);
                out.emit(Event::LookedUp { query, result, cost: job.cost });
            }
            Aim::Orphan => self.on_orphans_owner(now, result.ok(), out),
            Aim::Seek => self.on_sought(now, job.start, result.ok().map(|(node, _)| node), out),
        }
    }

    /// Looks anew for a job's nodes, round those that failed. Whether it is worth while.
    pub(super) fn walk_round(&mut self, now: Time, place: usize, failed: &[Id], out: &mut Out<Self>) -> bool {
        let job = &mut self.jobs[place];
        let new = failed.iter().filter(|id| !job.avoid.contains(id)).copied().collect::<Vec<Id>>();
        if job.avoid.len() + new.len() > AVOIDED_MAX {
            return false;
        }
        job.avoid.extend(new);
        job.path.clear();
        let id = job.id;
        self.walk(now, id, out);
        true
    }

    /// Sends a recursive look-up off, by another neighbour each time.
    fn route(&mut self, now: Time, id: u32, out: &mut Out<Self>) {
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = &mut self.jobs[place];
        let way = self.ring.way(job.key, job.count, &job.avoid);
        let Way::Next(node) = way else {
            let owners = self.ring.owners(way, job.count, &job.avoid);
            return self.finish(now, id, owners.ok_or(Failure::Silence), out);
        };
        let token = self.rest.rng.unfold(Rng::next_u64);
        job.avoid.push(node.id);
        job.cost.messages += 1;
        job.cost.asked += 1;
        let (origin, key, count) = (self.ring.own, job.key, job.count);
        self.calls.open(node, What::Route(id, token), 0, now + self.time_out * ROUTE_TIMES);
        self.wake(out);
        out.send(node.peer, Message::Route { token, origin, key, count, hops: 0 });
    }

    pub(super) fn on_route(&mut self, from: PeerId, routing: Routing, out: &mut Out<Self>) {
        let Routing { token, origin, key, count, hops } = routing;
        if hops >= HOPS_MAX {
            return out.reject(from, Reject::QueryHops);
        }
        if count == 0 || count > Quorum::REPLICAS_MAX {
            return out.reject(from, Reject::QueryList);
        }
        if hops == 0 && origin.peer != from || self.ring.is_strange(&origin) {
            return out.reject(from, Reject::NodeForeign);
        }
        if !self.is_member() {
            // The origin's time-out decides.
            return;
        }
        let hops = hops + 1;
        let way = self.ring.way(key, count, &[]);
        if let Way::Next(node) = way {
            return out.send(node.peer, Message::Route { token, origin, key, count, hops });
        }
        if let Some((node, more)) = self.ring.owners(way, count, &[]) {
            out.send(origin.peer, Message::Routed { token, hops, node, more });
        }
    }

    pub(super) fn on_routed(&mut self, now: Time, from: PeerId, routed: Routed, out: &mut Out<Self>) {
        let Routed { token, hops, node, more } = routed;
        let Some(call) = self.calls.take_route(token) else { return out.reject(from, Reject::Unsolicited) };
        let What::Route(id, _) = call.what else { return };
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return };
        let reason = fault(&node, &more, job.count, |node| self.ring.is_strange(node));
        let reason = reason.or((hops == 0 || hops > HOPS_MAX).then_some(Reject::QueryHops));
        if let Some(reason) = reason {
            out.reject(from, reason);
            return self.on_route_silence(now, id, out);
        }
        job.cost.hops = u32::from(hops);
        // It was handed on by all but the last, who answered.
        job.cost.messages += u32::from(hops) - 1;
        job.cost.asked += u32::from(hops) - 1;
        // Nobody who was asked first on another try is to be gone round from here on.
        job.avoid.clear();
        self.finish(now, id, Ok((node, Vec::new())), out);
    }

    pub(super) fn on_route_silence(&mut self, now: Time, id: u32, out: &mut Out<Self>) {
        let Some(job) = self.job(id) else { return };
        job.cost.timeouts += 1;
        let Aim::Recursive(_, tries) = &mut job.aim else { return };
        *tries += 1;
        if *tries >= ROUTES_MAX {
            return self.finish(now, id, Err(Failure::Silence), out);
        }
        self.route(now, id, out);
    }

    /// Ends all that the owner asked for: the node is on no ring any more.
    pub(super) fn drop_jobs(&mut self, out: &mut Out<Self>) {
        let cost = |job: &Job| job.cost;
        for job in mem::take(&mut self.jobs) {
            let (cost, failure) = (cost(&job), Failure::Apart);
            match job.aim {
                Aim::Finger(_) | Aim::Join | Aim::Orphan | Aim::Seek => {}
                Aim::Get(query, ballot) => {
                    if !ballot.is_told {
                        out.emit(Event::Got { query, result: Err(failure), cost });
                    }
                }
                Aim::Lookup(query) | Aim::Recursive(query, _) => {
                    out.emit(Event::LookedUp { query, result: Err(failure), cost });
                }
                Aim::Put(query, ballot) => {
                    if !ballot.is_told {
                        out.emit(Event::Put { query, result: Err(failure), cost });
                    }
                }
            }
        }
    }
}

/// Room for a way in a ring of some thousands of nodes.
const PATH_MEAN: usize = 8;

/// What is wrong with an owner and those that follow it.
fn fault(node: &Node, more: &[Node], count: u8, is_strange: impl Fn(&Node) -> bool) -> Option<Reject> {
    if more.len() >= usize::from(count) {
        return Some(Reject::QueryList);
    }
    if is_strange(node) || more.iter().any(is_strange) {
        return Some(Reject::NodeForeign);
    }
    let distance = |other: &Node| node.id.clockwise(other.id);
    let is_ascending = more.windows(2).all(|pair| distance(&pair[0]) < distance(&pair[1]));
    let is_apart = more.first().is_none_or(|first| first.id != node.id);
    (!is_ascending || !is_apart).then_some(Reject::NodePlace)
}
