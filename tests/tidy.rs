//! Rules about the tree that no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The only edges between our crates (`ARCHITECTURE.md`, the drawing): arrows go down.
const EDGES: [(&str, &[&str]); 10] = [
    ("consensus", &["ledger", "machine"]),
    ("dht", &["machine"]),
    ("experiment", &["consensus", "dht", "ledger", "machine", "peer", "scenario", "sim"]),
    ("lab", &["consensus", "dht", "experiment", "ledger", "machine", "node", "peer", "scenario", "sim"]),
    ("ledger", &["machine"]),
    ("machine", &[]),
    ("node", &["consensus", "dht", "ledger", "machine", "peer"]),
    ("peer", &["consensus", "dht", "ledger", "machine"]),
    ("scenario", &["consensus", "dht", "ledger", "machine", "peer", "sim"]),
    ("sim", &["machine"]),
];

/// Crates that hold protocols: no clocks, threads or files exist for them.
const PROTOCOLS: [&str; 5] = ["consensus", "dht", "ledger", "machine", "peer"];

/// No file of ours is longer, tests apart.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_path_buf()
}

fn manifest(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn our_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (krate, _) in EDGES {
        sources(&root().join(krate), &mut found);
    }
    sources(&root().join("tests"), &mut found);
    assert!(found.len() > 40, "the sources are where they were");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable source");
        (path, text)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(krate, below)| (*krate, below.iter().copied().collect())).collect();
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(members, allowed.keys().copied().collect(), "a new crate says here what it may depend on");
    for (krate, below) in allowed {
        let manifest = manifest(&root().join(krate).join("Cargo.toml"));
        for table in ["dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for ours in dependencies.keys().filter_map(|name| name.strip_prefix("synod-")) {
                assert!(below.contains(ours), "{krate} must not depend on {ours}");
            }
        }
    }
}

#[test]
fn protocol_crates_cannot_reach_a_clock_or_a_file() {
    for krate in PROTOCOLS {
        let lib = fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("a readable source");
        assert!(lib.contains("#![no_std]"), "{krate} is no_std");
    }
}

#[test]
fn bincode_is_named_in_one_file() {
    // Only where it is used, not where it is spoken of.
    let used = ["bincode", "::"].concat();
    let users: Vec<PathBuf> =
        our_sources().into_iter().filter(|(_, text)| text.contains(&used)).map(|(path, _)| path).collect();
    assert_eq!(users, [root().join("machine/src/wire.rs")]);
}

#[test]
fn files_are_short_and_end_with_their_tests() {
    for (path, text) in our_sources() {
        let is_test = path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testing")
            || path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs");
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(is_test || lines <= LINES_MAX, "{} has {lines} lines, tests apart", path.display());
    }
}

#[test]
fn nothing_is_skipped_or_left_for_later() {
    let markers = [["#[", "ignore"].concat(), ["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    for (path, text) in our_sources() {
        for marker in &markers {
            assert!(!text.contains(marker.as_str()), "{} has a {marker}", path.display());
        }
    }
}
