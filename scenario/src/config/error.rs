//! What can be wrong with a scenario.

use std::fmt;
use std::ops::Range;

use synod_ledger::GenesisError;
use synod_sim::model::ModelError;
use toml::de::{DeTable, DeValue};

/// A place in a scenario's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

/// Why a scenario cannot be run as it is written. Every message says what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// A value that no scenario has, or that does not go with another.
    Field {
        /// The field, with the names of what it stands in: `actions[2].peers`.
        field: String,
        /// What would have been right.
        expected: String,
        /// What was found.
        got: String,
        /// Where, if the scenario was read from a text.
        place: Option<Place>,
    },
    /// A chain that cannot start.
    Genesis(GenesisError),
    /// A file that the scenario names.
    Network(ModelError),
    /// A text that is not TOML, or a field that does not exist or does not have that form.
    Syntax {
        /// What its reader says.
        message: String,
        /// Where.
        place: Option<Place>,
    },
}

impl Place {
    /// Where a byte of a text is.
    pub fn of(text: &str, at: usize) -> Self {
        place_at(text, &(at..at))
    }

    /// Where a field's value stands in a text, if it stands there; where what it belongs to does, if it is left out.
    pub fn of_field(text: &str, field: &str) -> Option<Self> {
        span_of(text, field).map(|span| place_at(text, &span))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            place.fmt(f)?;
        }
        match self {
            Self::Field { field, expected, got, .. } => write!(f, "{field}: expected {expected}, got {got}"),
            Self::Genesis(error) => write!(f, "chain: {error}"),
            Self::Network(error) => error.fmt(f),
            Self::Syntax { message, .. } => f.write_str(message.trim_end()),
        }
    }
}

impl std::error::Error for ScenarioError {}

impl ScenarioError {
    pub(super) fn field(field: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Field { field: field.into(), expected: expected.into(), got: got.to_string(), place: None }
    }

    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().map(|span| place_at(text, &span));
        Self::Syntax { message: error.message().to_owned(), place }
    }

    /// What a part of the network says of itself, as said of the scenario.
    pub(super) fn model(part: &str, error: ModelError) -> Self {
        match error {
            // How many peers there are is the scenario's own field.
            ModelError::Value { field, expected, got } if field == "peers" => Self::field(field, expected, got),
            ModelError::Value { field, expected, got } => Self::field(format!("{part}.{field}"), expected, got),
            ModelError::Form { expected, got } => Self::field(part, expected, got),
            ModelError::Edge { .. } | ModelError::File { .. } => Self::Network(error),
        }
    }

    /// The same, said of a field inside `part`.
    pub(super) fn within(self, part: &str) -> Self {
        match self {
            Self::Field { field, expected, got, place } => {
                Self::Field { field: format!("{part}.{field}"), expected, got, place }
            }
            Self::Genesis(_) | Self::Network(_) | Self::Syntax { .. } => self,
        }
    }

    /// The same, with the place of its field in the text that the scenario was read from.
    pub(super) fn located(self, text: &str) -> Self {
        match self {
            Self::Field { field, expected, got, .. } => {
                let place = Place::of_field(text, &field);
                Self::Field { field, expected, got, place }
            }
            Self::Genesis(_) | Self::Network(_) | Self::Syntax { .. } => self,
        }
    }

    /// The same without a place, for who knows a better one.
    pub fn unplaced(self) -> Self {
        match self {
            Self::Field { field, expected, got, .. } => Self::Field { field, expected, got, place: None },
            Self::Syntax { message, .. } => Self::Syntax { message, place: None },
            Self::Genesis(_) | Self::Network(_) => self,
        }
    }

    /// Where in the text it is, if that is known.
    pub const fn place(&self) -> Option<Place> {
        match self {
            Self::Field { place, .. } | Self::Syntax { place, .. } => *place,
            Self::Genesis(_) | Self::Network(_) => None,
        }
    }
}

fn place_at(text: &str, span: &Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or(text);
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[begin..].chars().count() + 1 }
}

/// Where a field's value stands; where what it belongs to does, if it is left out.
fn span_of(text: &str, field: &str) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let mut names = field.split(['.', '[', ']']).filter(|name| !name.is_empty());
    let mut value = document.get_ref().get(names.next()?)?;
    for name in names {
        let inner = match value.get_ref() {
            DeValue::Array(values) => name.parse().ok().and_then(|place: usize| values.get(place)),
            DeValue::Table(table) => table.get(name),
            DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Float(_)
            | DeValue::Integer(_)
            | DeValue::String(_) => None,
        };
        let Some(inner) = inner else { break };
        value = inner;
    }
    Some(value.span())
}
