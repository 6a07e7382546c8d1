//! Who has what. Copies of a thing and questions for it follow one law (Zipf's), free riders share nothing, and what peers can do
//! differs by orders of magnitude.

use synod_dht::search::Item;
use synod_machine::{Bytes, Rng};

/// Zipf's law over so many ranks: rank r is drawn with a chance proportional to r^-exponent.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// By rank: the chance that it or an earlier one is drawn, of 2^63.
    until: Vec<u64>,
}

impl Zipf {
    /// At least one rank.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        assert!(ranks > 0, "something is drawn");
        let weights: Vec<f64> = (1..=ranks).map(|rank| (rank as f64).powf(-exponent)).collect();
        let sum: f64 = weights.iter().sum();
        let mut until = 0.0;
        let mut add = |weight: &f64| {
            until += weight / sum;
            (until * ONE as f64) as u64
        };
        Self { until: weights.iter().map(&mut add).collect() }
    }

    /// A rank, from zero.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let draw = rng.next_u64() >> 1;
        self.until.partition_point(|until| *until <= draw).min(self.until.len() - 1)
    }
}

const ONE: u64 = 1 << 63;

/// What is shared, and by whom.
#[derive(Clone, Debug)]
pub struct Content {
    /// All things, the most popular first.
    pub things: Vec<Item>,
    /// By peer: the ranks of what it has.
    pub holdings: Vec<Vec<u32>>,
}

impl Content {
    /// `copies` copies of `things` things among peers of whom a share shares nothing: of Gnutella's peers 66 per cent in Adar and
    /// Huberman 2000, "Free riding on Gnutella". Each copy is of a thing drawn by its rank, at a sharing peer drawn uniformly.
    pub fn draw(rng: &mut Rng, peers: u32, things: usize, copies: usize, free_riders: f64, law: &Zipf) -> Self {
        let sharing = (f64::from(peers) * (1.0 - free_riders)).ceil() as u64;
        let mut all: Vec<u32> = (0..peers).collect();
        rng.shuffle(&mut all);
        let mut holdings = vec![Vec::new(); peers as usize];
        for copy in 0..copies {
            // Each thing is somewhere.
            let rank = if copy < things { copy } else { law.draw(rng) } as u32;
            let held: &mut Vec<u32> = &mut holdings[all[rng.below(sharing.max(1)) as usize] as usize];
            if !held.contains(&rank) {
                held.push(rank);
            }
        }
        Self { things: (0..things as u32).map(thing).collect(), holdings }
    }

    /// What a peer shares.
    pub fn of(&self, peer: u32) -> impl Iterator<Item = &Item> {
        self.holdings[peer as usize].iter().map(|rank| &self.things[*rank as usize])
    }
}

/// The thing of a number: a word that is its own, one that it has in common with a tenth of all, and one that all have.
pub(super) fn thing(number: u32) -> Item {
    let mut hash = Bytes::ZERO;
    // The product with an odd number is a permutation; hashes of real content are as good as drawn.
    hash.0[..8].copy_from_slice(&(u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    hash.0[8..12].copy_from_slice(&number.to_le_bytes());
    let name = format!("thing{number} kind{}", number % 10);
    Item::new(hash, &name, "any", 1_000).expect("a short name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_by_zipfs_law() {
        let (law, mut rng) = (Zipf::new(4, 1.0), Rng::new(1, 0, "zipf"));
        let mut times = [0_u32; 4];
        for _ in 0..25_000 {
            times[law.draw(&mut rng)] += 1;
        }
        // 12, 6, 4 and 3 in 25; five standard deviations are 400 at most.
        for (times, expected) in times.into_iter().zip([12_000_i64, 6_000, 4_000, 3_000]) {
            assert!((i64::from(times) - expected).abs() < 400, "{times}, not {expected}");
        }
    }

    #[test]
    fn free_riders_share_nothing_and_everything_is_somewhere() {
        let law = Zipf::new(50, 1.0);
        let content = Content::draw(&mut Rng::new(1, 0, "content"), 100, 50, 500, 0.6, &law);
        assert!(content.holdings.iter().filter(|held| held.is_empty()).count() >= 60);
        let copies = |rank| content.holdings.iter().filter(|held| held.contains(&rank)).count();
        assert!((0..50).all(|rank| copies(rank) > 0));
        assert!(copies(0) > copies(49));
    }
}
