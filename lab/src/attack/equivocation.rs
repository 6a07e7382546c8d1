//! Equivocation: validators that collude vote for two blocks of one height (Castro and Liskov 1999, section 3: at most f of
//! 3f + 1 may be faulty). With f of them nothing happens; with one more the chain forks, and both certificates prove it.

use std::time::{Duration, Instant};

use serde::Serialize;
use synod_consensus::adversary::Behaviour;
use synod_node::api::types::ViolationInfo;

use super::arena::{Arena, POLL};
use super::report::{Fate, Moment, Story};
use crate::LabError;
use crate::settings::{Consensus, peer_name};
use crate::watch::{self, Fork};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Equivocation {
    /// The attack's name.
    pub attack: &'static str,
    /// The network's directory.
    pub dir: String,
    /// The chain's id.
    pub chain_id: String,
    /// How many peers vote.
    pub validators: usize,
    /// How many of them may be faulty: f.
    pub faulty_max: usize,
    /// Those that were turned.
    pub colluders: Vec<String>,
    /// Whether two blocks of one height were agreed on.
    pub forked: bool,
    /// The peers that saw both certificates and stopped.
    pub stopped: Vec<String>,
    /// Both blocks with their certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violation: Option<ViolationInfo>,
    /// Pairs of payments of one coin that were handed in.
    pub pairs: u64,
    /// How the last pair stands.
    pub fates: Vec<Fate>,
    /// What happened.
    pub timeline: Vec<Moment>,
}

/// Turns so many validators, pays two ways until they forked the chain or `span` is over, and turns them back.
pub async fn equivocate(
    mut arena: Arena,
    colluders: Option<usize>,
    span: Duration,
    stop: impl Future<Output = ()>,
) -> Result<Equivocation, LabError> {
    let settings = arena.network.manifest().settings.clone();
    let validators = settings.validator_count();
    if settings.consensus != Consensus::Pbft {
        let message = "only validators can equivocate: make a chain with `synod up --consensus pbft`".to_owned();
        return Err(LabError::Usage { message });
    }
    let faulty_max = (validators - 1) / 3;
    let count = colluders.unwrap_or(faulty_max + 1);
    if count == 0 || count >= validators {
        let message =
            format!("from 1 to {} of {validators} validators can collude, so that one is left", validators - 1);
        return Err(LabError::Usage { message });
    }
    let turned: Vec<usize> = (0..count).collect();
    if turned.contains(&arena.at) {
        let message =
            format!("{} is one of the colluders: choose the merchant's --peer among others", arena.name(arena.at));
        return Err(LabError::Usage { message });
    }
    let _lock = arena.lock()?;
    let mut story = Story::begin();
    let provoking = async |arena: &mut Arena| {
        story.note(format!("{count} of {validators} validators collude, {faulty_max} may"));
        provoke(arena, &mut story, span).await
    };
    let Provoked { pairs, fates, fork } =
        arena.while_turned(&turned, Behaviour::Colluder.name(), provoking, stop).await?;
    if let Some(fork) = &fork {
        story.note(format!("two blocks of height {} were agreed on", fork.shown.height));
    }
    Ok(Equivocation {
        attack: "equivocation",
        dir: arena.network.dir().display().to_string(),
        chain_id: arena.network.manifest().chain_id.clone(),
        validators,
        faulty_max,
        colluders: turned.into_iter().map(peer_name).collect(),
        forked: fork.is_some(),
        stopped: fork.as_ref().map_or_else(Vec::new, |fork| fork.peers.clone()),
        violation: fork.map(|fork| fork.shown),
        pairs,
        fates,
        timeline: story.timeline,
    })
}

/// What came of paying two ways.
struct Provoked {
    pairs: u64,
    fates: Vec<Fate>,
    fork: Option<Fork>,
}

/// Pays one coin two ways, again and again: who gets which of two blocks varies.
async fn provoke(arena: &mut Arena, story: &mut Story, span: Duration) -> Result<Provoked, LabError> {
    let begun = Instant::now();
    let mut pairs = 0;
    let mut fates = Vec::new();
    loop {
        let pair = match arena.pair().await {
            Ok(pair) => pair,
            Err(LabError::Funds { .. }) if pairs > 0 => {
                story.note("the attacker has no coin left to pay two ways");
                return Ok(Provoked { pairs, fates, fork: None });
            }
            Err(error) => return Err(error),
        };
        let honest: Vec<usize> = arena.full.iter().copied().filter(|place| *place != arena.at).collect();
        let at = [arena.at];
        let paid = arena.submit_everywhere(&at, &pair.payment);
        let (paid, _) = tokio::join!(paid, arena.submit_everywhere(&honest, &pair.rival));
        paid?;
        pairs += 1;
        let handed = Instant::now();
        loop {
            let statuses = watch::look(&arena.network).await;
            let fork = watch::fork(statuses.iter().filter_map(|peer| peer.status.as_ref()));
            fates = arena.fates(&pair).await?;
            if let Some(fork) = fork {
                story.note(format!("{} stopped after {pairs} pairs of payments", fork.peers.join(", ")));
                return Ok(Provoked { pairs, fates, fork: Some(fork) });
            }
            if begun.elapsed() > span {
                story.note(format!("nothing was forked by {pairs} pairs of payments"));
                return Ok(Provoked { pairs, fates, fork: None });
            }
            let is_decided = fates.iter().any(|fate| {
                use super::report::Standing::Confirmed;
                fate.payment == Confirmed || fate.rival == Confirmed
            });
            if is_decided || handed.elapsed() > PAIR_MAX {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// After so long the next pair follows.
const PAIR_MAX: Duration = Duration::from_secs(5);
