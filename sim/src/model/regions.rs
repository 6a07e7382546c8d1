//! Regions of the world with their shares of the peers, bandwidths, and latencies between them, from a data file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_machine::Rng;

use super::{Distribution, ModelError, Rate, Span};

/// A division of the world into regions, and how long messages take between them: the form of a data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Regions {
    /// A short name, as reports print it.
    pub name: String,
    /// Who measured what, when, and where it is published.
    pub source: String,
    /// Whether `latency-ms` is the time of one message or of a message and its answer, of which half is taken.
    pub latency_is: LatencyIs,
    /// Mean latencies in milliseconds: row from, column to, in the order of `regions`. Links are the same in both directions.
    pub latency_ms: Vec<Vec<f64>>,
    /// How much longer than the least possible a single message takes, drawn for each message. The least is the mean less this
    /// law's mean, so that the mean stays what the matrix says.
    pub jitter: Distribution,
    /// The regions, at most 255.
    pub regions: Vec<Region>,
}

/// What a measured latency is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyIs {
    /// Of one message.
    OneWay,
    /// Of a message and its answer, as `ping` reports it.
    RoundTrip,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Its share of the peers, above or at 0. All shares add up to 1; a thousandth is forgiven, since published ones are rounded.
    pub share: f64,
    /// What a peer there can send.
    pub upload: Rate,
    /// What a peer there can receive.
    pub download: Rate,
}

impl Regions {
    /// The regions that need no file, by name: `bitcoin`, whose data file is `sim/data/bitcoin.toml` and tells its sources.
    pub fn builtin(name: &str) -> Option<Self> {
        let (_, text) = BUILTIN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(text).expect("a test parses every data file that is built in"))
    }

    /// The names that [`Regions::builtin`] knows.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// The regions of a data file's text.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let regions: Self = toml::from_str(text)
            .map_err(|error| ModelError::Form { expected: "a file of regions", got: error.to_string() })?;
        regions.check()?;
        Ok(regions)
    }

    /// Whether shares add up, and the matrix is square, symmetric and in range.
    pub fn check(&self) -> Result<(), ModelError> {
        let count = self.regions.len();
        if !(1..=REGIONS_MAX).contains(&count) {
            return Err(ModelError::value("regions", format!("from 1 to {REGIONS_MAX} of them"), count));
        }
        for region in &self.regions {
            if !(0.0..=1.0).contains(&region.share) {
                return Err(ModelError::value("share", "a number from 0 to 1", region.share).within(&region.name));
            }
        }
        let sum: f64 = self.regions.iter().map(|region| region.share).sum();
        if (sum - 1.0).abs() > SHARE_SLACK {
            return Err(ModelError::value("share", "shares of all regions that add up to 1", format!("{sum:.4}")));
        }
        self.jitter.check().map_err(|error| error.within("jitter"))?;
        if self.latency_ms.len() != count || self.latency_ms.iter().any(|row| row.len() != count) {
            let rows: Vec<_> = self.latency_ms.iter().map(Vec::len).collect();
            let expected = format!("{count} rows of {count} numbers, one for each region");
            return Err(ModelError::value("latency-ms", expected, format!("rows of {rows:?}")));
        }
        for (from, row) in self.latency_ms.iter().enumerate() {
            for (to, &millis) in row.iter().enumerate() {
                let field = format!("latency-ms[{from}][{to}]");
                if !(0.0..=LATENCY_MS_MAX).contains(&millis) {
                    return Err(ModelError::value(&field, format!("from 0 to {LATENCY_MS_MAX}"), millis));
                }
                let back = self.latency_ms[to][from];
                if millis.to_bits() != back.to_bits() {
                    return Err(ModelError::value(&field, format!("{back}, as in the other direction"), millis));
                }
            }
        }
        Ok(())
    }

    /// The mean time of one message between two regions.
    pub fn mean_latency(&self, from: u8, to: u8) -> Span {
        let millis = self.latency_ms[usize::from(from)][usize::from(to)];
        let ways = match self.latency_is {
            LatencyIs::OneWay => 1.0,
            LatencyIs::RoundTrip => 2.0,
        };
        Span::from_nanos((millis / ways * 1e6).round() as u64)
    }

    /// The region of each peer, as its place in `regions`: as many peers as its share in each region, by largest remainders
    /// (Hamilton's method), and in random order.
    pub fn assign(&self, peers: u32, rng: &mut Rng) -> Vec<u8> {
        let sum: f64 = self.regions.iter().map(|region| region.share).sum();
        let quotas = self.regions.iter().map(|region| region.share / sum * f64::from(peers));
        let mut seats: Vec<_> = quotas.enumerate().map(|(place, quota)| (quota.fract(), place, quota as u32)).collect();
        let taken: u32 = seats.iter().map(|&(_, _, seats)| seats).sum();
        // Equal remainders go to the earlier region.
        seats.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let rest = peers.saturating_sub(taken) as usize;
        seats.iter_mut().take(rest).for_each(|(_, _, seats)| *seats += 1);
        seats.sort_by_key(|&(_, place, _)| place);
        let mut regions: Vec<u8> = seats
            .iter()
            .flat_map(|&(_, place, seats)| {
                let region = u8::try_from(place).expect("regions are at most 255");
                std::iter::repeat_n(region, seats as usize)
            })
            .collect();
        assert_eq!(regions.len(), peers as usize, "the whole parts lack fewer peers than there are regions");
        rng.shuffle(&mut regions);
        regions
    }
}

/// Names and texts of the data files that are part of the program.
const BUILTIN: [(&str, &str); 1] = [("bitcoin", include_str!("../../data/bitcoin.toml"))];
/// A region is a byte.
const REGIONS_MAX: usize = 255;
/// How far the sum of shares that were rounded to four digits may be from 1.
const SHARE_SLACK: f64 = 0.001;
/// A minute: beyond the Moon, and anything that is called latency.
const LATENCY_MS_MAX: f64 = 60_000.0;

#[cfg(test)]
pub(super) mod tests;
