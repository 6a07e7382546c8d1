//! Scenario files: read, changed by the command line, planned.

use std::fs;
use std::path::{Path, PathBuf};

use synod_scenario::{Plan, Scenario};

use super::Overrides;
use crate::error::LabError;

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
        let mut scenario = Scenario::parse(&text).map_err(wrong)?;
        scenario.peers = overrides.peers.unwrap_or(scenario.peers);
        scenario.codec |= overrides.codec;
        scenario.check().map_err(wrong)?;
        Ok(Self { path: path.to_path_buf(), scenario, overrides: overrides.clone() })
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
        format!("synod sim replay {} --seed {seed}{}", self.path.display(), self.overrides.options())
    }
}
