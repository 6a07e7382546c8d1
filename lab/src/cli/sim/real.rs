//! `synod sim run --real`: the same scenario on real processes, beside what simulated peers do in the same span.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use super::file::ScenarioFile;
use crate::cli::context::program;
use crate::error::LabError;
use crate::exit::Exit;
use crate::real::{self, Figures, Options};
use crate::settings::Gossip;
use crate::shell::{Shell, render};
use crate::units::show_duration;

/// Both runs.
#[derive(Debug, Serialize)]
struct Both {
    file: String,
    seed: u64,
    simulated: Figures,
    real: Figures,
}

/// Runs a seed on both.
pub(super) async fn run(
    shell: Shell,
    file: &ScenarioFile,
    seed: u64,
    gossip: Option<Gossip>,
) -> Result<Exit, LabError> {
    let plan = file.plan(seed)?;
    let folder = std::env::temp_dir().join(format!("synod-real-{}", std::process::id()));
    let options = Options { program: program()?, dir: folder.clone(), gossip };
    let spinner = shell.spinner("starting real peers");
    let measured = real::run(&file.scenario, &plan, &options, |stage| spinner.set_message(stage)).await;
    spinner.finish_and_clear();
    // The logs of a run that failed are kept, and its error says where they are.
    let real = measured?;
    // What cannot be removed lies in the system's folder for such things.
    let _ = fs::remove_dir_all(&folder);
    let simulated = real::simulate(&plan)?;
    let both = Both { file: file.path.display().to_string(), seed, simulated, real };
    shell.result(&both, || text(shell, &both));
    Ok(Exit::Ok)
}

fn text(shell: Shell, both: &Both) -> String {
    let Both { simulated, real, .. } = both;
    let mut table = shell.table(&["", "#SIMULATED", "#REAL", "#REAL/SIMULATED"]);
    let mut row = |name: &str, simulated: Option<f64>, real: Option<f64>| {
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let ratio = simulated.zip(real).filter(|(simulated, _)| *simulated > 0.0);
        let ratio = ratio.map(|(simulated, real)| real / simulated);
        table.add_row([name.to_owned(), show(simulated), show(real), show(ratio)]);
    };
    let (one, other) = (&simulated.costs, &real.costs);
    row("pushes per block", Some(one.pushes_per_block), Some(other.pushes_per_block));
    row("pushes per payment", Some(one.pushes_per_payment), Some(other.pushes_per_payment));
    row("lists per second", one.lists_per_second, other.lists_per_second);
    row("messages per block", Some(one.per_block), Some(other.per_block));
    row("messages per payment", one.per_payment, other.per_payment);
    let span = |figures: &Figures| {
        let took = show_duration(Duration::from_secs_f64(figures.seconds));
        format!("{} blocks and {} payments in {took}", figures.blocks, figures.payments)
    };
    format!(
        "{}, seed {}, {} peers, blocks and payments carried by {}\nsimulated  {}\nreal       {}\n\n{}",
        both.file,
        both.seed,
        real.peers,
        real.gossip,
        span(simulated),
        span(real),
        render(&table)
    )
}
