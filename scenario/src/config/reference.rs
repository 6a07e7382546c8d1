//! The reference of a scenario's fields, out of the doc comments beside them: a JSON Schema for programs, and an annotated
//! TOML file for people.

use serde_json::{Map, Value};

use super::Scenario;

/// The JSON Schema of a scenario.
pub fn schema() -> Value {
    schemars::schema_for!(Scenario).to_value()
}

/// Every field with its type, its default and what it means, in the form of a scenario. A value in angle brackets must be
/// given; all others are the defaults.
pub fn reference() -> String {
    let schema = schema();
    let mut writer = Writer { root: &schema, text: String::new(), forms: Vec::new() };
    writer.doc(&schema, "");
    let (sections, plain): (Vec<_>, Vec<_>) =
        properties(&schema).into_iter().partition(|(_, field)| writer.is_section(field));
    for (name, field) in plain {
        writer.field(name, field, is_required(&schema, name), "");
    }
    for (name, field) in sections {
        writer.section(name, field, is_required(&schema, name));
    }
    writer.forms();
    writer.text
}

/// Writes the parts of the reference.
struct Writer<'a> {
    root: &'a Value,
    text: String,
    /// The types whose forms are told at the end, in the order in which they are first met.
    forms: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A description as comment lines.
    fn doc(&mut self, schema: &Value, indent: &str) {
        self.comment(schema.get("description").and_then(Value::as_str).unwrap_or_default(), indent);
    }

    fn comment(&mut self, text: &str, indent: &str) {
        let width = COLUMNS - indent.len() - 2;
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                self.line(&format!("{indent}# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(&format!("{indent}# {line}"));
        }
    }

    /// A line of its own in the top of a file or in a section.
    fn field(&mut self, name: &str, field: &'a Value, required: bool, indent: &str) {
        self.text.push('\n');
        self.doc(field, indent);
        let mut kind = self.kind(field);
        if kind.len() > KIND_COLUMNS {
            self.comment(&format!("One of {kind}."), indent);
            kind = "one of these".to_owned();
        }
        self.line(&match field.get("default") {
            Some(default) if !default.is_null() => format!("{indent}{name} = {}  # {kind}", toml_of(default)),
            Some(_) | None if required => format!("{indent}{name} = <{kind}>  # required"),
            Some(_) | None => format!("{indent}# {name} = <{kind}>"),
        });
    }

    fn section(&mut self, name: &str, field: &'a Value, required: bool) {
        self.text.push('\n');
        self.doc(field, "");
        let list = self.items(field);
        let schema = self.resolve(list.unwrap_or(field));
        let brackets = if list.is_some() { format!("[[{name}]]") } else { format!("[{name}]") };
        let optional = if required { "  # required" } else { "" };
        match schema.get("oneOf").and_then(Value::as_array) {
            None => {
                self.line(&format!("{brackets}{optional}"));
                self.fields(schema, "");
            }
            Some(variants) => {
                self.line(&format!("{brackets}{optional}  # one of:"));
                for variant in variants {
                    self.variant(variant, "    ");
                }
            }
        }
    }

    fn fields(&mut self, schema: &'a Value, indent: &str) {
        for (name, field) in properties(schema) {
            if field.get("const").is_none() {
                self.field(name, field, is_required(schema, name), indent);
            }
        }
    }

    /// One of several forms, told by the tag in it.
    fn variant(&mut self, variant: &'a Value, indent: &str) {
        self.text.push('\n');
        self.doc(variant, indent);
        let tags = properties(variant).into_iter().filter_map(|(name, field)| Some((name, field.get("const")?)));
        for (name, tag) in tags {
            self.line(&format!("{indent}{name} = {}", toml_of(tag)));
        }
        self.fields(variant, indent);
        if let Some(inner) = variant.get("$ref") {
            let inner = self.named(inner);
            self.fields(inner, indent);
        }
    }

    /// What stands for a type in a line, in a few words.
    fn kind(&mut self, field: &'a Value) -> String {
        if let Some(any) = field.get("anyOf").and_then(Value::as_array) {
            // An optional value of a type with a name.
            let some = any.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null"));
            return some.map_or_else(String::new, |some| self.kind(some));
        }
        let Some(name) = field.get("$ref").and_then(Value::as_str).map(last_name) else {
            return plain_kind(field);
        };
        let schema = self.resolve(field);
        let Some(forms) = schema.get("oneOf").and_then(Value::as_array) else {
            return if schema.get("type").and_then(Value::as_str) == Some("string") {
                words_of(name)
            } else {
                plain_kind(schema)
            };
        };
        let words = forms.iter().map(|form| form.get("const").and_then(Value::as_str).filter(|_| name != WHO));
        if let Some(words) = words.collect::<Option<Vec<&str>>>() {
            return words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ");
        }
        if !self.forms.contains(&name) {
            self.forms.push(name);
        }
        format!("{}, see below", words_of(name))
    }

    /// Types with several forms, which fields refer to.
    fn forms(&mut self) {
        let mut told = 0;
        while told < self.forms.len() {
            let name = self.forms[told];
            told += 1;
            let Some(schema) = self.root["$defs"].get(name) else { continue };
            self.text.push('\n');
            self.line(&format!("# --- {} ---", words_of(name)));
            self.doc(schema, "");
            let examples = schema.get("examples").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for example in examples {
                self.line(&format!("#     {}", toml_of(example)));
            }
            for form in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
                let form = self.resolve(form);
                if !properties(form).is_empty() {
                    self.variant(form, "    ");
                }
            }
        }
    }

    /// The type of a list's elements.
    fn items(&self, field: &'a Value) -> Option<&'a Value> {
        self.resolve(field).get("items").filter(|items| items.get("$ref").is_some())
    }

    /// Whether a field is a table of its own.
    fn is_section(&self, field: &'a Value) -> bool {
        let schema = self.resolve(self.items(field).unwrap_or(field));
        let is_open = |form: &Value| properties(form).is_empty();
        match schema.get("oneOf").and_then(Value::as_array) {
            Some(forms) => !forms.iter().any(is_open),
            None => !is_open(schema),
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
            return any.iter().find(|one| one.get("$ref").is_some()).map_or(schema, |one| self.resolve(one));
        }
        schema.get("$ref").map_or(schema, |name| self.named(name))
    }

    fn named(&self, reference: &Value) -> &'a Value {
        let name = last_name(reference.as_str().expect("a reference is a text"));
        &self.root["$defs"][name]
    }
}

/// As wide as a line of the sources.
const COLUMNS: usize = 120;
/// What is longer does not stand in a field's line.
const KIND_COLUMNS: usize = 60;
/// The one type among whose forms is a single word.
const WHO: &str = "Who";

fn last_name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// A type's name as words.
fn words_of(name: &str) -> String {
    match name {
        "Rate" => "bandwidth".to_owned(),
        "Span" => "duration".to_owned(),
        WHO => "peers".to_owned(),
        _ => name.trim_end_matches("Config").to_lowercase(),
    }
}

fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let all = schema.get("properties").and_then(Value::as_object);
    all.into_iter().flat_map(Map::iter).map(|(name, field)| (name.as_str(), field)).collect()
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(name)))
}

fn plain_kind(field: &Value) -> String {
    let kind = match field.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        // An optional value: a list of its type and null.
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).next().unwrap_or_default(),
        Some(Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_)) | None => "",
    };
    match kind {
        "array" => "list",
        "boolean" => "true or false",
        "integer" => "whole number",
        "string" => "text",
        other => other,
    }
    .to_owned()
}

/// A value as TOML has it, on one line.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Null => String::new(),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} = {}", toml_of(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}
