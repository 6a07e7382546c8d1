//! Runs an experiment that comes with the program, or one from a file, and writes its folder: `compare NAME|FILE RUNS [AXIS=VALUES …]`.
//! `synod compare` and `synod run` do the same with more comfort; this needs no network code to be built.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use synod_experiment::folder::{Folder, Machine, Manifest, now};
use synod_experiment::record::{Runner as _, Simulated};
use synod_experiment::{Experiment, finish, grid, pool, presets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, runs, rest @ ..] = &arguments[..] else {
        return Err("usage: compare NAME|FILE RUNS [AXIS=VALUES …]".into());
    };
    let preset =
        [presets::CONSENSUS, presets::CONSENSUS_REAL, presets::FAULTS, presets::GOSSIP, presets::LOAD, presets::SEARCH]
            .into_iter()
            .find(|preset| preset.name == name.as_str());
    let text = match preset {
        Some(preset) => preset.text.to_owned(),
        None => std::fs::read_to_string(name)?,
    };
    let mut experiment = Experiment::parse(&text)?;
    for (axis, values) in preset.map(|preset| preset.small).unwrap_or_default() {
        experiment.restrict(axis, &values.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    }
    for pair in rest {
        let (axis, values) = pair.split_once('=').ok_or("AXIS=VALUES")?;
        experiment.restrict(axis, &values.split(',').map(str::to_owned).collect::<Vec<_>>())?;
    }
    let cells = grid::cells(&experiment, &text)?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: "unknown".to_owned(),
        command: std::env::args().collect(),
        place: Simulated.place(),
        metrics: Simulated.metrics(&experiment),
        machine: Machine::this(),
        begun: now(),
        ended: None,
    };
    let folder = Folder::create(Path::new(runs), &experiment, &manifest)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    pool::run(
        &experiment,
        &pool::runs(&experiment, &cells),
        &folder,
        (&Simulated, jobs),
        &AtomicBool::new(false),
        |progress| {
            eprintln!("{} of {} runs, {} failed", progress.done, progress.total, progress.failed);
        },
    )?;
    let summary = finish(&folder, &cells)?;
    println!("{}\n{}", synod_experiment::table::markdown(&summary, &experiment.show), folder.path().display());
    Ok(())
}
