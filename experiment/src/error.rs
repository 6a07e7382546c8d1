//! What can be wrong with an experiment.

use std::fmt;
use std::path::PathBuf;

use synod_scenario::ScenarioError;
use synod_scenario::config::Place;

/// Why an experiment cannot be run or read.
#[derive(Debug)]
pub enum ExperimentError {
    /// A cell that is no scenario.
    Cell {
        /// Which: its axes and values.
        cell: String,
        /// Why not.
        error: Box<ScenarioError>,
        /// Where the field stands in the experiment, if it stands there.
        place: Option<Place>,
    },
    /// A value that does not go.
    Field {
        /// The field.
        field: String,
        /// What would have been right.
        expected: String,
        /// What was found.
        got: String,
        /// Where.
        place: Option<Place>,
    },
    /// A file or folder.
    File {
        /// Which.
        path: PathBuf,
        /// What was done with it.
        doing: &'static str,
        /// Why that failed.
        reason: String,
    },
    /// Nothing is left to be run or shown.
    Nothing(String),
    /// A cluster that does not do as it is asked.
    Slurm(String),
    /// A text that is not TOML, or a field that does not exist.
    Syntax {
        /// What its reader says.
        message: String,
        /// Where.
        place: Option<Place>,
    },
}

impl fmt::Display for ExperimentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Cell { place: Some(place), .. }
        | Self::Field { place: Some(place), .. }
        | Self::Syntax { place: Some(place), .. } = self
        {
            place.fmt(f)?;
        }
        match self {
            Self::Cell { cell, error, .. } => write!(f, "{cell}: {error}"),
            Self::Field { field, expected, got, .. } => write!(f, "{field}: expected {expected}, got {got}"),
            Self::File { path, doing, reason } => write!(f, "{doing} {}: {reason}", path.display()),
            Self::Nothing(reason) | Self::Slurm(reason) => f.write_str(reason),
            Self::Syntax { message, .. } => f.write_str(message.trim_end()),
        }
    }
}

impl std::error::Error for ExperimentError {}

impl ExperimentError {
    pub(crate) fn field(field: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Field { field: field.into(), expected: expected.into(), got: got.to_string(), place: None }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, doing: &'static str, reason: impl ToString) -> Self {
        Self::File { path: path.into(), doing, reason: reason.to_string() }
    }

    /// The same without a place: what it is of stands in no file.
    pub fn unplaced(self) -> Self {
        match self {
            Self::Cell { cell, error, .. } => Self::Cell { cell, error, place: None },
            Self::Field { field, expected, got, .. } => Self::Field { field, expected, got, place: None },
            Self::Syntax { message, .. } => Self::Syntax { message, place: None },
            Self::File { .. } | Self::Nothing(_) | Self::Slurm(_) => self,
        }
    }

    /// The same, with the place of its field in the text.
    pub(crate) fn located(self, text: &str) -> Self {
        match self {
            Self::Field { field, expected, got, .. } => {
                let place = Place::of_field(text, &field);
                Self::Field { field, expected, got, place }
            }
            Self::Cell { .. } | Self::File { .. } | Self::Nothing(_) | Self::Slurm(_) | Self::Syntax { .. } => self,
        }
    }
}
