//! Following the best chain of headers: who is asked for them, what is taken of an answer, and what a header must show to
//! come into the tree. A replica does this before it asks for bodies, and a light peer does nothing else.

use alloc::vec::Vec;
use core::time::Duration;

use synod_ledger::{BlockError, BlockId, BlockTree, Height, Node, Place, SharedHeader, Status};
use synod_machine::{Out, PeerId, Protocol, Reject, Time};

use crate::links::{Link, Links};
use crate::message::HEADERS_MAX;
use crate::{Chain, Claim, HeaderError, Message, Record, StoredHeader};

/// Peers asked for headers at a time; they would all give the same.
const HEADERS_ASKED_MAX: usize = 2;
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A request that was not answered for so long goes to another peer.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Gossiped blocks so far below the tip are neither stored nor forwarded: after this many, no honest branch is left that
/// has not claimed its weight (a coinbase of Bitcoin matures in as many).
const STALE_DEPTH: u64 = 100;

/// Whether a gossiped block is too far below the tip to matter. Far below blocks can be made for next to nothing; who has a
/// heavier branch there will claim it.
pub(crate) const fn is_stale(height: Height, tip: Height) -> bool {
    height.0.saturating_add(STALE_DEPTH) < tip.0
}

/// Why a block is refused.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Block(BlockError),
    Header(HeaderError),
    /// It builds on a block that is invalid.
    Parent,
}

impl Fault {
    pub(crate) fn reason(&self) -> Reject {
        match self {
            Self::Block(error) => error.reason(),
            Self::Header(error) => error.reason(),
            Self::Parent => Reject::BlockParent,
        }
    }
}

/// A machine that follows the best chain of headers.
pub(crate) trait Follower: Protocol<Message = Message, Record = Record> {
    /// The timer at which it looks for requests that were not answered.
    const SYNC: Self::Timer;

    fn chain(&self) -> &Chain;

    /// All headers that it knows.
    fn tree(&self) -> &BlockTree;

    fn tree_mut(&mut self) -> &mut BlockTree;

    fn links(&self) -> &Links;

    fn links_mut(&mut self) -> &mut Links;

    /// Whether [`SYNC`](Self::SYNC) is set.
    fn is_watched_mut(&mut self) -> &mut bool;

    /// Whether it goes no further.
    fn is_halted(&self) -> bool;

    /// The best header that it believes in.
    fn believed_header(&self) -> &Node;

    /// Whether a peer is asked for headers. Who has yet to give something else first is asked for that instead.
    fn may_ask_headers(&mut self, _: Time, _: PeerId, _: &mut Out<Self>) -> bool {
        true
    }

    /// What a header must show besides what its engine's rule asks. It is not in the tree yet.
    fn vet(&mut self, header: &SharedHeader, out: &mut Out<Self>) -> Result<(), Fault>;

    /// A header came into the tree.
    fn on_inserted(&mut self, place: Place, out: &mut Out<Self>);

    /// Asks a peer for headers if it claims a heavier chain whose tip we do not know.
    fn ask_if_more(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let Some(link) = self.links().get(peer).filter(|link| self.claims_more(link)) else { return };
        if self.is_halted() {
            return;
        }
        let asked = self.links().iter().filter(|link| link.headers_asked().is_some()).count();
        if asked < HEADERS_ASKED_MAX && !link.rests(now) {
            self.ask_headers(now, peer, out);
        }
        self.watch(now, out);
    }

    /// Whether a peer claims more than we have.
    fn claims_more(&self, link: &Link) -> bool {
        // Where validators agree there is one block for each height: another is what no two honest peers have.
        let is_final = self.chain().agreed().is_some();
        let best = || self.believed_header().weight().to_be_bytes::<32>();
        let matters = |claim: &&Claim| is_final || claim.work.0 > best();
        link.unknown_claim().filter(matters).is_some_and(|claim| !self.tree().contains(&claim.tip))
    }

    /// Looks at what is unanswered in a moment.
    fn watch(&mut self, now: Time, out: &mut Out<Self>) {
        let is_watched = self.is_watched_mut();
        if !*is_watched {
            *is_watched = true;
            out.set(Self::SYNC, now + CHECK_EVERY);
        }
    }

    /// Asks a peer for what it has after the best header that is believed.
    fn ask_headers(&mut self, now: Time, peer: PeerId, out: &mut Out<Self>) {
        let locator = self.tree().locator(&self.believed_header().id());
        self.ask_headers_after(now, peer, locator, out);
    }

    /// Asks a peer for what it has after the first of these that it knows.
    fn ask_headers_after(&mut self, now: Time, peer: PeerId, locator: Vec<BlockId>, out: &mut Out<Self>) {
        if !self.may_ask_headers(now, peer, out) {
            return;
        }
        let most = self.side_headers_max();
        let Some(link) = self.links_mut().get_mut(peer) else { return };
        let rare = link.rare_mut();
        if rare.headers_asked.is_some() || rare.side_headers > most {
            return;
        }
        rare.headers_asked = Some(now);
        out.send(peer, Message::GetHeaders(locator));
        self.watch(now, out);
    }

    /// Headers of easy targets cost next to nothing, and each is kept for ever: a peer may give no more than so many
    /// without showing more work than we know of. An honest branch with more work is hardly twice as long as ours.
    fn side_headers_max(&self) -> u64 {
        2 * self.tree().best_header().height().0.saturating_add(HEADERS_MAX as u64)
    }

    /// Takes what an answer brings, and says whether it was one.
    fn take_answer(&mut self, now: Time, from: PeerId, headers: Vec<SharedHeader>, out: &mut Out<Self>) -> bool {
        let asked = self.links_mut().get_mut(from).and_then(Link::take_headers_asked);
        if asked.is_none() {
            out.reject(from, Reject::Unsolicited);
            return false;
        }
        if headers.len() > HEADERS_MAX {
            out.reject(from, Reject::TooMany);
            return false;
        }
        let full = headers.len() == HEADERS_MAX;
        let known = self.tree().len();
        let last = self.take_headers(now, from, headers, out);
        let news = (self.tree().len() - known) as u64;
        self.credit(now, from, last, news, out);
        if let Some(last) = last.filter(|_| full && news > 0) {
            let locator = self.tree().locator(&self.tree().at(last).id());
            self.ask_headers_after(now, from, locator, out);
        }
        true
    }

    /// Takes headers in up to the first bad one, and gives the last that is in the tree.
    fn take_headers(
        &mut self,
        now: Time,
        from: PeerId,
        headers: Vec<SharedHeader>,
        out: &mut Out<Self>,
    ) -> Option<Place> {
        let mut last = None;
        for header in headers {
            if self.is_halted() {
                break;
            }
            if header.chain != self.chain().rules().chain {
                out.reject(from, Reject::BlockForeignChain);
                break;
            }
            if !self.tree().contains(&header.parent) {
                out.reject(from, Reject::Malformed);
                break;
            }
            match self.take_header(now, &header, out) {
                Ok(place) => last = Some(place),
                Err(fault) => {
                    out.reject(from, fault.reason());
                    break;
                }
            }
        }
        last
    }

    /// Notes what a peer's answer shows that it has: who gives a header has its block, though its last claim may be older.
    fn credit(&mut self, now: Time, peer: PeerId, last: Option<Place>, news: u64, out: &mut Out<Self>) {
        let most = self.side_headers_max();
        let best = self.tree().best_header().id();
        let is_best = last.is_some_and(|last| self.tree().is_on_chain(&self.tree().at(last).id(), &best));
        // Where headers prove nothing by themselves, the best ones are no better.
        let is_work = self.chain().pos().is_none();
        let keeps_claim = news > 0 || !self.links().get(peer).is_some_and(|link| self.claims_more(link));
        let Some(link) = self.links_mut().get_mut(peer) else { return };
        if let Some(last) = last {
            link.gave_last(last);
        }
        let rare = link.rare_mut();
        rare.side_headers = if is_best && is_work { 0 } else { rare.side_headers.saturating_add(news) };
        if rare.side_headers > most {
            out.reject(peer, Reject::TooMany);
        }
        if keeps_claim {
            link.succeed();
        } else {
            // A header from the future may come to be taken; a claim that is not kept is asked about ever less.
            link.fail(now);
        }
    }

    /// Puts a header whose parent is known into the tree and on disk.
    fn take_header(&mut self, now: Time, header: &SharedHeader, out: &mut Out<Self>) -> Result<Place, Fault> {
        let id = header.id();
        if let Some(place) = self.tree().find(&id) {
            return Ok(place);
        }
        let parent = self.tree().get(&header.parent).expect("the caller looked the parent up");
        if parent.status() == Status::Invalid {
            return Err(Fault::Parent);
        }
        self.chain().rule().check(self.tree(), header, now).map_err(Fault::Header)?;
        self.vet(header, out)?;
        let weight = self.chain().rule().weight(header);
        let inserted = self.tree_mut().insert(header.clone(), weight);
        let place = inserted.expect("the header is new and its parent is known and not invalid").place;
        self.store_header(place, out);
        self.on_inserted(place, out);
        Ok(place)
    }

    /// Writes what is known of a block.
    fn store_header(&self, place: Place, out: &mut Out<Self>) {
        let node = self.tree().at(place);
        let (header, arrival, completed) = (node.shared_header().clone(), node.arrival(), node.completed());
        let key = Record::header_key(node.id());
        out.persist(key, Record::Header(StoredHeader { header, arrival, completed, status: node.status() }));
    }

    /// Takes back what was not answered in time.
    fn give_up_headers(&mut self, now: Time) {
        for link in self.links_mut().iter_mut() {
            if link.headers_asked().is_some_and(|since| now.since(since) >= ANSWER_TIME_MAX) {
                link.take_headers_asked();
                link.fail(now);
            }
        }
    }

    /// Asks all those again whose claims lead further.
    fn ask_all_if_more(&mut self, now: Time, out: &mut Out<Self>) {
        for peer in self.links().peers() {
            self.ask_if_more(now, peer, out);
        }
    }

    /// Whether an answer is awaited.
    fn awaits_headers(&self) -> bool {
        self.links().iter().any(|link| link.headers_asked().is_some())
    }
}
