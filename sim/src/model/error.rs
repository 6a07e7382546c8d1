//! What can be wrong with a described network.

/// Why a network cannot be built as it is described. Every message says what would have been right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A line of a file of links is not one.
    #[error("line {line}: expected {expected}, got `{got}`")]
    Edge {
        /// The line, counted from 1.
        line: usize,
        /// What would have been right.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// A file that a scenario names cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file as the scenario names it.
        path: String,
        /// What the reader of files said.
        reason: String,
    },
    /// A text is not the quantity or the document it should be.
    #[error("expected {expected}, got `{got}`")]
    Form {
        /// What would have been right, with an example.
        expected: &'static str,
        /// The text, or what its reader said of it.
        got: String,
    },
    /// A value that no network has, or that does not go with another.
    #[error("{field}: expected {expected}, got {got}")]
    Value {
        /// The field, with the names of what it stands in: `delay.sigma`.
        field: String,
        /// What would have been right.
        expected: String,
        /// What was found.
        got: String,
    },
}

impl ModelError {
    pub(super) fn value(field: &str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Value { field: field.to_owned(), expected: expected.into(), got: got.to_string() }
    }

    /// The same, said of a field inside `part`.
    pub(super) fn within(self, part: &str) -> Self {
        match self {
            Self::Value { field, expected, got } => Self::Value { field: format!("{part}.{field}"), expected, got },
            Self::Edge { .. } | Self::File { .. } | Self::Form { .. } => self,
        }
    }
}
