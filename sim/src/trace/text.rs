//! Names and texts of what is recorded, cut short while they are made: a block's whole text would take longer than the
//! block's step.

use std::fmt::{self, Debug, Write as _};

/// The value's debug text, up to so many characters.
pub(super) fn cut(value: &impl Debug, characters_max: usize) -> String {
    let mut cut = Cut { text: String::new(), left: characters_max };
    if write!(cut, "{value:?}").is_err() {
        cut.text.push('…');
    }
    cut.text
}

/// The variant's name out of a value's debug text, and one more where it wraps the variant of a part: `Replica.Submit`.
/// What begins with no word has the name of what it is.
pub(super) fn name(value: &impl Debug, is: &str) -> String {
    let text = cut(value, NAME_MAX);
    let (outer, rest) = first_word(&text);
    let (inner, _) = first_word(rest.strip_prefix('(').unwrap_or_default());
    if outer.is_empty() {
        is.to_owned()
    } else if inner.starts_with(char::is_uppercase) {
        format!("{outer}.{inner}")
    } else {
        outer.to_owned()
    }
}

/// Appends a text as a JSON string, with its quotes.
pub(super) fn quote(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                write!(json, "\\u{:04x}", u32::from(control)).expect("a string takes what is written");
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

/// Two names of variants and what is between them.
const NAME_MAX: usize = 80;

fn first_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

/// A text that ends whoever writes to it when it is full.
struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only their texts matter")]
    enum Sample {
        Empty,
        Number(u32),
        Part(Part),
        Whole { number: u32 },
    }

    #[derive(Debug)]
    enum Part {
        Seek,
        Submit { _fee: u32 },
    }

    #[test]
    fn a_name_is_the_variants_and_its_parts() {
        assert_eq!(name(&Sample::Empty, "command"), "Empty");
        assert_eq!(name(&Sample::Number(7), "command"), "Number");
        assert_eq!(name(&Sample::Part(Part::Seek), "command"), "Part.Seek");
        assert_eq!(name(&Sample::Part(Part::Submit { _fee: 7 }), "command"), "Part.Submit");
        assert_eq!(name(&Sample::Whole { number: 7 }, "command"), "Whole");
        assert_eq!(name(&7, "timer"), "7");
        assert_eq!(name(&[7, 8], "command"), "command");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(&Sample::Whole { number: 7 }, 19), "Whole { number: 7 }");
        assert_eq!(cut(&Sample::Whole { number: 7 }, 18), "Whole { number: 7 …");
        assert_eq!(cut(&"äöü", 3), "\"äö…");
        assert_eq!(cut(&vec![1; 1_000_000], 5), "[1, 1…");
    }

    #[test]
    fn what_json_sets_apart_is_escaped() {
        let mut json = String::new();
        quote("a \"b\" \\ c\n\u{1}é", &mut json);
        assert_eq!(json, r#""a \"b\" \\ c\u000a\u0001é""#);
    }
}
