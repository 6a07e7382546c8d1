//! What links do to messages: how long they take, how much passes, and what is lost, doubled or overtaken.
//!
//! Two random things are kept apart. A *link* has a latency, which is its route's and lasts: it is drawn once, as a hash of
//! the seed and the two peers, and is the same in both directions. A *message* has a jitter, what queues on the route add to
//! this one. A network whose every message drew anew from a heavy tail would let the fastest of many copies win where a real
//! one waits for the route (and would reorder almost everything).

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_machine::Rng;

use super::quantiles::{NANOS_MAX, nanos};
use super::topology::file_error;
use super::{Chance, Distribution, Draw, ModelError, Quantiles, Rate, Regions, Span};

/// What the links of a scenario are like. Either `delay` or `regions` says how long messages take; all else may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Links {
    /// The latency of a link, one way, drawn once for each link. A duration alone is the latency of every link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Distribution>,
    /// Latencies and bandwidths by region instead: `bitcoin`, which is built in (published measurements of Bitcoin's peers), or
    /// the path of a data file, relative to the scenario's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<String>,
    /// With `regions`: how much links between the same two regions differ, as the standard deviation of the logarithm of a
    /// factor whose mean is 1, drawn once for each link; from 0 to 2. If left out, 0: parameters are published as one mean for
    /// two regions, and say nothing of how links differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// What is added for each message. If left out: nothing with `delay`, so that a constant network can be had, and with
    /// `regions` the data file's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Distribution>,
    /// What a peer can send: messages wait for those before them. If left out: without a bound with `delay`, and with `regions`
    /// the region's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Rate>,
    /// What a peer can receive. If left out, as `upload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<Rate>,
    /// The probability that a message is lost, from 0 to 1. Real peers talk over TCP or QUIC, which send again: this is for
    /// protocols that must live with loss.
    #[serde(default)]
    pub loss: f64,
    /// The probability that a message arrives twice.
    #[serde(default)]
    pub duplicate: f64,
    /// The probability that a message need not keep its place: it may overtake those before it on its link, which otherwise
    /// arrive in the order in which they were sent, as in a stream. It shows where messages have jitter.
    #[serde(default)]
    pub reorder: f64,
}

impl Links {
    /// Whether the fields go together. A data file is looked at by [`Links::compile`].
    pub fn check(&self) -> Result<(), ModelError> {
        match (&self.delay, &self.regions) {
            (Some(delay), None) => delay.check().map_err(|error| error.within("delay"))?,
            (None, Some(_)) => {}
            (None, None) => return Err(ModelError::value("delay", "either it or `regions`", "neither")),
            (Some(_), Some(_)) => return Err(ModelError::value("delay", "either it or `regions`", "both")),
        }
        if let Some(spread) = self.spread {
            if self.regions.is_none() {
                let expected = "none without `regions`: a law in `delay` already differs by link";
                return Err(ModelError::value("spread", expected, spread));
            }
            if !(0.0..=SPREAD_MAX).contains(&spread) {
                return Err(ModelError::value("spread", format!("a number from 0 to {SPREAD_MAX}"), spread));
            }
        }
        if let Some(jitter) = &self.jitter {
            jitter.check().map_err(|error| error.within("jitter"))?;
        }
        for (field, chance) in [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)] {
            if !(0.0..=1.0).contains(&chance) {
                return Err(ModelError::value(field, "a probability from 0 to 1", chance));
            }
        }
        Ok(())
    }

    /// The compiled form for the run of this seed. `read` gives the text of the data file that `regions` names, unless it is
    /// the name of one that is built in.
    pub fn compile(&self, seed: u64, read: impl FnOnce(&str) -> io::Result<String>) -> Result<LinkModel, ModelError> {
        self.check()?;
        let regions = self.regions.as_deref().map(|path| read_regions(path, read)).transpose()?;
        let jitter = self.jitter.as_ref().or(regions.as_ref().map(|regions| &regions.jitter));
        let base = match (&self.delay, &regions) {
            (Some(delay), _) => Base::Drawn(Quantiles::new(delay)?),
            (None, Some(regions)) => self.regional(regions, jitter)?,
            (None, None) => unreachable!("one of them is there, as was checked"),
        };
        let bandwidth = |own: Option<Rate>, of: fn(&super::Region) -> Rate| match (own, &regions) {
            (Some(rate), _) => vec![Some(rate.bytes_per_sec()); regions.as_ref().map_or(1, |all| all.regions.len())],
            (None, Some(all)) => all.regions.iter().map(|region| Some(of(region).bytes_per_sec())).collect(),
            (None, None) => vec![None],
        };
        Ok(LinkModel {
            draw: Draw::new(seed, STREAM),
            base,
            jitter: jitter.map(Quantiles::new).transpose()?,
            upload: bandwidth(self.upload, |region| region.upload),
            download: bandwidth(self.download, |region| region.download),
            loss: Chance::new(self.loss),
            duplicate: Chance::new(self.duplicate),
            reorder: Chance::new(self.reorder),
            regions,
        })
    }

    fn regional(&self, regions: &Regions, jitter: Option<&Distribution>) -> Result<Base, ModelError> {
        let jitter = jitter.map_or(0.0, Distribution::mean_secs);
        if !jitter.is_finite() {
            let expected = "a law with a mean: a shape above 1, or a greatest value in `most`";
            return Err(ModelError::value("jitter", expected, "one without"));
        }
        let count = regions.regions.len() as u8;
        let nanos = (0..count)
            .flat_map(|from| (0..count).map(move |to| (from, to)))
            .map(|(from, to)| regions.mean_latency(from, to).nanos().saturating_sub(nanos(jitter)))
            .collect();
        let spread = self.spread.filter(|&spread| spread > 0.0).map(|sigma| {
            let median = Span::from_nanos((UNIT as f64 * (-sigma * sigma / 2.0).exp()).round() as u64);
            Quantiles::new(&Distribution::LogNormal { median, sigma })
        });
        Ok(Base::Regional { count, nanos, spread: spread.transpose()? })
    }
}

fn read_regions(path: &str, read: impl FnOnce(&str) -> io::Result<String>) -> Result<Regions, ModelError> {
    if let Some(regions) = Regions::builtin(path) {
        return Ok(regions);
    }
    let names: Vec<_> = Regions::builtin_names().collect();
    let text = read(path).map_err(|error| {
        file_error(
            path,
            &format!("{error}; it is read as a data file, since only `{}` is built in", names.join("`, `")),
        )
    })?;
    Regions::parse(&text).map_err(|error| file_error(path, &error))
}

/// One end of a link: a peer and where it is. Without regions, everybody is in region 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The peer.
    pub peer: u32,
    /// Its region, as [`LinkModel::assign`] has it.
    pub region: u8,
}

/// Links, compiled. What it answers depends on the seed and the arguments alone.
#[derive(Clone, Debug)]
pub struct LinkModel {
    draw: Draw,
    base: Base,
    jitter: Option<Quantiles>,
    upload: Vec<Option<u64>>,
    download: Vec<Option<u64>>,
    loss: Chance,
    duplicate: Chance,
    reorder: Chance,
    regions: Option<Regions>,
}

#[derive(Clone, Debug)]
enum Base {
    /// Every link's latency is one draw.
    Drawn(Quantiles),
    /// The regions' latency, row by row, times a draw around [`UNIT`].
    Regional { count: u8, nanos: Vec<u64>, spread: Option<Quantiles> },
}

impl LinkModel {
    /// The region of each peer.
    pub fn assign(&self, peers: u32, rng: &mut Rng) -> Vec<u8> {
        self.regions.as_ref().map_or_else(|| vec![0; peers as usize], |regions| regions.assign(peers, rng))
    }

    /// The regions, if the scenario has any.
    pub const fn regions(&self) -> Option<&Regions> {
        self.regions.as_ref()
    }

    /// The latency of a link in nanoseconds, one way and without jitter: the same at all times and in both directions.
    #[inline]
    pub fn base(&self, one: End, other: End) -> u64 {
        let link = |quantiles: &Quantiles| {
            let (low, high) = (one.peer.min(other.peer), one.peer.max(other.peer));
            quantiles.sample(self.draw.get(u64::from(high) << 32 | u64::from(low)))
        };
        match &self.base {
            Base::Drawn(quantiles) => link(quantiles),
            Base::Regional { count, nanos, spread } => {
                let mean = nanos[usize::from(one.region) * usize::from(*count) + usize::from(other.region)];
                spread.as_ref().map_or(mean, |spread| {
                    let scaled = u128::from(mean) * u128::from(link(spread)) / u128::from(UNIT);
                    u64::try_from(scaled).unwrap_or(NANOS_MAX).min(NANOS_MAX)
                })
            }
        }
    }

    /// What a message takes on top of its link's latency, in nanoseconds. `draw` is the message's own.
    #[inline]
    pub fn jitter(&self, draw: u64) -> u64 {
        self.jitter.as_ref().map_or(0, |jitter| jitter.sample(draw))
    }

    /// How long a message is on its way once it has left, in nanoseconds: its link's latency and its own jitter.
    pub fn latency(&self, from: End, to: End, draw: u64) -> u64 {
        self.base(from, to) + self.jitter(draw)
    }

    /// What a peer of a region can send, in bytes per second; nothing if it is not bounded.
    #[inline]
    pub fn upload(&self, region: u8) -> Option<u64> {
        self.upload[usize::from(region)]
    }

    /// What a peer of a region can receive, in bytes per second; nothing if it is not bounded.
    #[inline]
    pub fn download(&self, region: u8) -> Option<u64> {
        self.download[usize::from(region)]
    }

    /// The chance that a message is lost.
    #[inline]
    pub const fn loss(&self) -> Chance {
        self.loss
    }

    /// The chance that a message arrives twice.
    #[inline]
    pub const fn duplicate(&self) -> Chance {
        self.duplicate
    }

    /// The chance that a message need not wait for those before it on its link.
    #[inline]
    pub const fn reorder(&self) -> Chance {
        self.reorder
    }
}

/// The stream that links' own latencies are drawn from, of the run's seed: "links" in ASCII.
const STREAM: u64 = 0x006c_696e_6b73;
/// The factor 1 in fixed point.
const UNIT: u64 = 1_000_000_000;
/// One link in six is then seven times as long as the median.
const SPREAD_MAX: f64 = 2.0;

#[cfg(test)]
mod tests;
