//! Equivocation: validators that collude vote for two blocks of one height (Castro and Liskov 1999, section 3: at most f of
//! 3f + 1 may be faulty). With f of them nothing happens; with one more the chain forks, and both certificates prove it.

use std::time::{Duration, Instant};

use serde::Serialize;
use synod_consensus::adversary::Behaviour;
use synod_node::api::types::ViolationInfo;

use super::arena::Arena;
use super::report::{Fate, Moment};
use crate::LabError;
use crate::settings::{Consensus, Settings, peer_name};
use crate::watch;

/// How long the turned validators may take to start again.
const START_MAX: Duration = Duration::from_secs(60);
/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(50);

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
    let mut story = Story { begun: Instant::now(), timeline: Vec::new() };
    let mut adversaries = settings.adversaries.clone();
    adversaries.extend(turned.iter().map(|&place| (peer_name(place), Behaviour::Colluder.name().to_owned())));
    turn(&mut arena, &turned, Settings { adversaries, ..settings.clone() }).await?;
    story.note(format!("{count} of {validators} validators collude, {faulty_max} may"));
    tokio::pin!(stop);
    let watched = tokio::select! {
        watched = provoke(&mut arena, &mut story, span) => watched,
        () = &mut stop => Err(LabError::Interrupted),
    };
    // Whatever happened, they are honest again; a chain that forked stays forked.
    let turned_back = turn(&mut arena, &turned, settings).await;
    let (pairs, fates) = watched?;
    turned_back?;
    let statuses = watch::look(&arena.network).await;
    let fork = watch::fork(statuses.iter().filter_map(|peer| peer.status.as_ref()));
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

struct Story {
    begun: Instant,
    timeline: Vec<Moment>,
}

impl Story {
    fn note(&mut self, what: impl Into<String>) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.timeline.push(Moment { at_ms, what: what.into() });
    }
}

async fn turn(arena: &mut Arena, places: &[usize], settings: Settings) -> Result<(), LabError> {
    arena.network.reconfigure(settings)?;
    arena.network.restart(places, START_MAX).await
}

/// Pays one coin two ways, again and again: who gets which of two blocks varies.
async fn provoke(arena: &mut Arena, story: &mut Story, span: Duration) -> Result<(u64, Vec<Fate>), LabError> {
    let begun = Instant::now();
    let mut pairs = 0;
    loop {
        let pair = arena.pair().await?;
        let honest: Vec<usize> = arena.full.iter().copied().filter(|place| *place != arena.at).collect();
        let at = [arena.at];
        let paid = arena.submit_everywhere(&at, &pair.payment);
        let (paid, _) = tokio::join!(paid, arena.submit_everywhere(&honest, &pair.rival));
        paid?;
        pairs += 1;
        let handed = Instant::now();
        loop {
            let fates = arena.fates(&pair).await?;
            let statuses = watch::look(&arena.network).await;
            if let Some(fork) = watch::fork(statuses.iter().filter_map(|peer| peer.status.as_ref())) {
                story.note(format!("{} stopped after {pairs} pairs of payments", fork.peers.join(", ")));
                return Ok((pairs, fates));
            }
            if begun.elapsed() > span {
                story.note(format!("nothing was forked by {pairs} pairs of payments"));
                return Ok((pairs, fates));
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
