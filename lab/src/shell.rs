//! What commands say and how: tables for people, one JSON value for programs, progress on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::error::LabError;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a command talks.
#[derive(Clone, Copy, Debug)]
pub struct Shell {
    /// One JSON value instead of text.
    pub json: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Whether text may be coloured.
    pub color: bool,
}

impl Shell {
    /// As the command line and the environment say.
    pub fn new(json: bool, color: Color) -> Self {
        let terminal = io::stdout().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let color = match color {
            Color::Auto => terminal && wanted,
            Color::Always => true,
            Color::Never => false,
        };
        Self { json, terminal, color }
    }

    /// Prints a command's result: `value` as JSON, or what `text` makes.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) {
        if self.json { self.print(&pretty(value)) } else { self.print(&text()) }
    }

    /// Prints one line of a stream of JSON values.
    pub fn json_line<T: Serialize>(&self, value: &T) {
        self.print(&serde_json::to_string(value).expect("our own values are JSON"));
    }

    /// Prints a line of text, unless JSON was asked for.
    pub fn say(&self, text: &str) {
        if !self.json {
            self.print(text);
        }
    }

    /// Prints a line. A reader that went away (`synod chain | head`) is no failure of ours.
    pub fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            std::process::exit(0);
        }
    }

    /// Says what went wrong: with `--json` on standard output, where the result would have been, so that a program
    /// reads exactly one value whatever happens; else on standard error.
    pub fn error(&self, error: &LabError) {
        if self.json {
            return self.print(&pretty(&error_value(error.code(), &error.to_string(), error.hint().as_deref())));
        }
        let (start, end) = if self.color && io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let hint = error.hint().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
        // Standard error may be closed; the exit code still says what happened.
        let _ = write!(io::stderr().lock(), "{start}error{end}: {error}\n{hint}");
    }

    /// A line that is rewritten while something is waited for. It is not shown where nobody sees it.
    pub fn spinner(&self, message: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// A bar for `length` steps.
    pub fn bar(&self, length: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(length), self.draw_target());
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        bar.set_style(style.expect("the template is valid"));
        bar
    }

    /// A table with these column heads. Columns whose head starts with `#` hold numbers.
    pub fn table(&self, heads: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if self.color {
            table.enforce_styling();
        }
        table.set_header(heads.iter().map(|head| Cell::new(head.trim_start_matches('#'))));
        for (place, head) in heads.iter().enumerate() {
            if let Some(column) = table.column_mut(place) {
                column.set_padding((0, 2));
                column.set_cell_alignment(if head.starts_with('#') {
                    CellAlignment::Right
                } else {
                    CellAlignment::Left
                });
            }
        }
        table
    }

    /// A cell that is red, green or yellow where colours are used.
    pub fn cell(&self, text: impl ToString, color: comfy_table::Color) -> Cell {
        let cell = Cell::new(text);
        if self.color { cell.fg(color) } else { cell }
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        let shown = !self.json && io::stderr().is_terminal();
        if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }
}

/// The JSON of an error.
pub fn error_value(code: &str, message: &str, hint: Option<&str>) -> serde_json::Value {
    match hint {
        Some(hint) => json!({ "error": { "code": code, "message": message, "hint": hint } }),
        None => json!({ "error": { "code": code, "message": message } }),
    }
}

/// A table's text without blanks at the ends of lines.
pub fn render(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The first digits of a hash: enough to tell blocks of one network apart.
pub fn short(hash: impl ToString) -> String {
    let text = hash.to_string();
    text.get(..12).map(str::to_owned).unwrap_or(text)
}

/// A measured figure with as many digits as mean something.
pub fn show_figure(value: f64) -> String {
    match value {
        value if value >= 1e4 => crate::units::show_count(value),
        value if value > 0.0 && value < 0.01 => format!("{value:.2e}"),
        value => format!("{value:.3}"),
    }
}

fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("our own values are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Shell = Shell { json: false, terminal: false, color: false };

    #[test]
    fn a_figure_has_the_digits_that_mean_something() {
        let table = [(0.0, "0.000"), (5.913e-4, "5.91e-4"), (0.0099, "9.90e-3"), (0.5, "0.500"), (1234.5, "1234.500")];
        for (value, expected) in table {
            assert_eq!(show_figure(value), expected);
        }
        assert_eq!(show_figure(20_000.0), crate::units::show_count(20_000.0));
    }

    #[test]
    fn a_table_lines_numbers_up_on_the_right() {
        let mut table = PLAIN.table(&["peer", "#height"]);
        table.add_row(["peer1", "7"]);
        table.add_row(["peer12", "1234"]);
        assert_eq!(render(&table), "peer    height\npeer1        7\npeer12    1234");
    }

    #[test]
    fn colours_are_only_used_where_they_are_wanted() {
        let mut table = PLAIN.table(&["state"]);
        table.add_row([PLAIN.cell("stopped", comfy_table::Color::Red)]);
        assert_eq!(render(&table), "state\nstopped");
        assert!(Shell::new(false, Color::Always).color);
        assert!(!Shell::new(false, Color::Never).color);
    }

    #[test]
    fn an_error_is_one_object() {
        let error = LabError::NoNetwork { dir: "x".into() };
        let value = error_value(error.code(), &error.to_string(), error.hint().as_deref());
        assert_eq!(value["error"]["code"], "no_network");
        assert_eq!(value["error"]["message"], "there is no network in x");
        assert_eq!(value["error"]["hint"], "`synod up` makes one; --dir or SYNOD_DIR names its directory");
    }
}
