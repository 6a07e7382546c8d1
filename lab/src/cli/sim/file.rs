//! Scenario files: read, changed by the command line, planned.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use synod_scenario::swarm::Swarm;
use synod_scenario::{Plan, Scenario};

use super::Overrides;
use crate::error::LabError;

/// Which scenario: one of a file, or the one that a seed of the swarm draws.
#[derive(Clone, Debug, Args)]
pub(super) struct SeededScenario {
    /// The scenario
    #[arg(value_name = "FILE", required_unless_present = "swarm")]
    pub(super) file: Option<PathBuf>,
    /// The scenario that the swarm of this engine draws of the seed, instead of a file's
    #[arg(long, value_name = "ENGINE", conflicts_with = "file")]
    swarm: Option<EngineArg>,
    /// The seed
    #[arg(long, value_name = "N")]
    pub(super) seed: u64,
    #[command(flatten)]
    overrides: Overrides,
}

/// How simulated peers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EngineArg {
    /// Votes of known validators
    Pbft,
    /// Proof of stake
    Pos,
    /// Proof of work
    Pow,
}

impl From<EngineArg> for Swarm {
    fn from(engine: EngineArg) -> Self {
        match engine {
            EngineArg::Pbft => Self::Pbft,
            EngineArg::Pos => Self::Pos,
            EngineArg::Pow => Self::Pow,
        }
    }
}

impl SeededScenario {
    /// Reads or draws it, and changes what the command line says.
    pub(super) fn read(&self) -> Result<ScenarioFile, LabError> {
        match (&self.file, self.swarm) {
            (Some(path), _) => ScenarioFile::read(path, &self.overrides),
            (None, engine) => {
                let swarm = Swarm::from(engine.unwrap_or(EngineArg::Pow));
                let (path, scenario) = (Path::new(SWARM).join(swarm.name()), swarm.draw(self.seed));
                ScenarioFile { path, scenario, overrides: self.overrides.clone() }.overridden()
            }
        }
    }
}

/// What stands for a folder where a swarm draws; its files are the engines.
const SWARM: &str = "swarm";

/// A scenario and where it is from.
#[derive(Clone, Debug)]
pub(super) struct ScenarioFile {
    pub(super) path: PathBuf,
    pub(super) scenario: Scenario,
    pub(super) overrides: Overrides,
}

impl ScenarioFile {
    /// Reads a file, and changes what the command line says.
    pub(super) fn read(path: &Path, overrides: &Overrides) -> Result<Self, LabError> {
        let wrong = |source| LabError::Scenario { path: path.to_path_buf(), source };
        let text = fs::read_to_string(path).map_err(|error| LabError::io(path, error))?;
        let scenario = Scenario::parse(&text).map_err(wrong)?;
        Self { path: path.to_path_buf(), scenario, overrides: overrides.clone() }.overridden()
    }

    fn overridden(mut self) -> Result<Self, LabError> {
        self.scenario.peers = self.overrides.peers.unwrap_or(self.scenario.peers);
        self.scenario.codec |= self.overrides.codec;
        self.scenario.check().map_err(|source| LabError::Scenario { path: self.path.clone(), source })?;
        Ok(self)
    }

    /// Every scenario in a folder, by name.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>, LabError> {
        let entries = fs::read_dir(folder).map_err(|error| LabError::io(folder, error))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| LabError::io(folder, error)));
        let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort_unstable();
        paths.iter().map(|path| Self::read(path, &Overrides::default())).collect()
    }

    /// The run of a seed. Files that the scenario names lie beside it.
    pub(super) fn plan(&self, seed: u64) -> Result<Plan, LabError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let plan = self.scenario.plan(seed, |name| fs::read_to_string(folder.join(name)));
        plan.map_err(|source| LabError::Scenario { path: self.path.clone(), source })
    }

    /// The line that runs a seed again.
    pub(super) fn replay(&self, seed: u64) -> String {
        let options = self.overrides.options();
        if let Some(swarm) = Swarm::ALL.iter().find(|swarm| self.path == Path::new(SWARM).join(swarm.name())) {
            return format!("synod sim replay --swarm {swarm} --seed {seed}{options}");
        }
        format!("synod sim replay {} --seed {seed}{options}", self.path.display())
    }
}
