//! Random regular graphs by the pairing model (Bollobás 1980; Wormald 1999, "Models of random regular graphs", section 2).
//!
//! Every peer has as many stubs as links, and stubs are joined at random. Pairs that would be loops or double links, a
//! constant number on average, are repaired by switching: two links exchange an end. In a small graph they are a large share
//! and the repair shows, so random switches follow, whose chain tends to all simple graphs alike (Cooper, Dyer and Greenhill
//! 2007, "Sampling regular graphs and a peer-to-peer network"). Parts that are not connected, which is rare from degree 3 on,
//! are joined by the same switch.

use std::collections::BTreeMap;

use synod_machine::Rng;

use super::super::ModelError;
use super::super::graph::{Graph, check_links};

/// A connected simple graph in which every peer has `degree` links.
pub(super) fn build(peers: u32, degree: u32, rng: &mut Rng) -> Result<Graph, ModelError> {
    if degree >= peers {
        return Err(ModelError::value("degree", format!("less than the {peers} peers"), degree));
    }
    if degree % 2 == 1 && peers % 2 == 1 {
        let expected = format!("an even number, since the number of peers, {peers}, is odd");
        return Err(ModelError::value("degree", expected, degree));
    }
    if degree < 2 && degree + 1 < peers {
        return Err(ModelError::value("degree", "at least 2, or nobody could reach everybody", degree));
    }
    check_links(u64::from(peers) * u64::from(degree) / 2, "degree")?;
    // Dense graphs leave no room to switch; what they lack of the complete one is itself a random regular graph.
    let lack = peers - 1 - degree;
    if degree.min(lack) > DEGREE_MAX {
        let expected = format!("at most {DEGREE_MAX}, or all but at most {DEGREE_MAX} of the others");
        return Err(ModelError::value("degree", expected, degree));
    }
    if lack < degree { Ok(complement(peers, &pairing(peers, lack, rng))) } else { Ok(connect(peers, degree, rng)) }
}

fn connect(peers: u32, degree: u32, rng: &mut Rng) -> Graph {
    let mut net = pairing(peers, degree, rng);
    for _ in 0..ROUNDS_MAX {
        let graph = Graph::new(peers, &net.links);
        if graph.is_connected() {
            return graph;
        }
        join(&mut net, &graph.parts(), rng);
    }
    unreachable!("a switch between two parts joins them unless both its links are bridges, and most links are none")
}

/// Tries random switches.
fn mix(net: &mut Net, rng: &mut Rng) {
    let links = net.links.len() as u64;
    for _ in 0..if links > 1 { SWITCHES } else { 0 } {
        let (one, other) = (rng.below(links) as usize, rng.below(2 * links));
        net.switch(one, (other / 2) as usize, other % 2 == 1);
    }
}

/// Switches a random link of each part with one of what is joined so far.
fn join(net: &mut Net, parts: &[u32], rng: &mut Rng) {
    // Of a part's links each is the chosen one with the same chance (Vitter 1985, algorithm R for a sample of one).
    let mut chosen: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
    for (place, &(a, _)) in net.links.iter().enumerate() {
        let (count, of) = chosen.entry(parts[a as usize]).or_default();
        *count += 1;
        if rng.below(*count) == 0 {
            *of = place;
        }
    }
    let places: Vec<_> = chosen.into_values().map(|(_, place)| place).collect();
    for pair in places.windows(2) {
        let switched = net.switch(pair[0], pair[1], false);
        assert!(switched, "nobody has a link into another part");
    }
}

/// A simple graph in the making: its links, and who is whose neighbour.
struct Net {
    degree: usize,
    links: Vec<(u32, u32)>,
    /// Room for `degree` neighbours per peer.
    neighbours: Vec<u32>,
    /// How much of it is taken.
    taken: Vec<u32>,
}

impl Net {
    fn new(peers: u32, degree: u32) -> Self {
        let room = peers as usize * degree as usize;
        Self {
            degree: degree as usize,
            links: Vec::with_capacity(room / 2),
            neighbours: vec![0; room],
            taken: vec![0; peers as usize],
        }
    }

    fn of(&self, peer: u32) -> &[u32] {
        let start = peer as usize * self.degree;
        &self.neighbours[start..start + self.taken[peer as usize] as usize]
    }

    fn may_link(&self, a: u32, b: u32) -> bool {
        a != b && !self.of(a).contains(&b)
    }

    fn add(&mut self, a: u32, b: u32) {
        for (peer, other) in [(a, b), (b, a)] {
            self.neighbours[peer as usize * self.degree + self.taken[peer as usize] as usize] = other;
            self.taken[peer as usize] += 1;
        }
    }

    fn remove(&mut self, a: u32, b: u32) {
        for (peer, other) in [(a, b), (b, a)] {
            let start = peer as usize * self.degree;
            let place = self.of(peer).iter().position(|&of| of == other).expect("a link's ends know each other");
            self.taken[peer as usize] -= 1;
            self.neighbours.swap(start + place, start + self.taken[peer as usize] as usize);
        }
    }

    /// Makes of the links (a, b) and (x, y), the second one turned if so said, the links (a, x) and (b, y), if those are free.
    fn switch(&mut self, one: usize, other: usize, turned: bool) -> bool {
        let ((a, b), (x, y)) = (self.links[one], self.links[other]);
        let (x, y) = if turned { (y, x) } else { (x, y) };
        if one == other || !self.may_link(a, x) || !self.may_link(b, y) {
            return false;
        }
        self.remove(a, b);
        self.remove(x, y);
        self.add(a, x);
        self.add(b, y);
        self.links[one] = (a, x);
        self.links[other] = (b, y);
        true
    }

    /// Puts the pair (a, b), which cannot be a link, into a link (x, y), which then is two: (a, x) and (b, y).
    fn insert(&mut self, a: u32, b: u32, into: usize, turned: bool) -> bool {
        let (x, y) = self.links[into];
        let (x, y) = if turned { (y, x) } else { (x, y) };
        if !self.may_link(a, x) || !self.may_link(b, y) {
            return false;
        }
        self.remove(x, y);
        self.add(a, x);
        self.add(b, y);
        self.links[into] = (a, x);
        self.links.push((b, y));
        true
    }
}

/// A simple graph, connected or not.
fn pairing(peers: u32, degree: u32, rng: &mut Rng) -> Net {
    'attempt: for _ in 0..ROUNDS_MAX {
        let mut net = Net::new(peers, degree);
        let mut stubs: Vec<u32> = (0..peers).flat_map(|peer| (0..degree).map(move |_| peer)).collect();
        rng.shuffle(&mut stubs);
        let mut bad = Vec::new();
        for pair in stubs.chunks_exact(2) {
            let (a, b) = (pair[0], pair[1]);
            if net.may_link(a, b) {
                net.add(a, b);
                net.links.push((a, b));
            } else {
                bad.push((a, b));
            }
        }
        for (a, b) in bad {
            let mut tries = 0;
            loop {
                let links = net.links.len() as u64;
                if tries == TRIES_MAX || links == 0 {
                    continue 'attempt;
                }
                tries += 1;
                let draw = rng.below(2 * links);
                if net.insert(a, b, (draw / 2) as usize, draw % 2 == 1) {
                    break;
                }
            }
        }
        mix(&mut net, rng);
        return net;
    }
    unreachable!("half of all links, at most, are taken, so that a switch is soon found")
}

fn complement(peers: u32, net: &Net) -> Graph {
    let mut links = Vec::new();
    let mut lacking = vec![false; peers as usize];
    for a in 0..peers {
        net.of(a).iter().for_each(|&b| lacking[b as usize] = true);
        links.extend((a + 1..peers).filter(|&b| !lacking[b as usize]).map(|b| (a, b)));
        net.of(a).iter().for_each(|&b| lacking[b as usize] = false);
    }
    Graph::new(peers, &links)
}

/// Neighbours are looked for one by one, which is the fastest way for a few and takes seconds for so many.
const DEGREE_MAX: u32 = 512;
/// Ten for each link of a graph of 1,000; in larger ones the repaired pairs are too few to show.
const SWITCHES: u32 = 10_000;
/// Attempts before a graph counts as impossible, which it is not.
const ROUNDS_MAX: u32 = 1_000;
/// Links that are tried for one bad pair before all begins anew.
const TRIES_MAX: u32 = 100_000;
