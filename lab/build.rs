//! Tells the program which commit it is built from, so that a failure can name it. Read from git's own files: no git is
//! needed, and without a repository the commit is unknown.
//!
//! Only optimised builds are told. Others are made many times a day, and would be linked anew after every commit.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Some(commit) = commit(Path::new("../.git"))
    {
        println!("cargo::rustc-env=SYNOD_COMMIT={commit}");
    }
}

/// The first digits of the commit that is checked out.
fn commit(git: &Path) -> Option<String> {
    let watch = |path: PathBuf| {
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read_to_string(path).ok()
    };
    let head = watch(git.join("HEAD"))?;
    let hash = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => match watch(git.join(name)) {
            Some(hash) => hash.trim().to_owned(),
            None => {
                let packed = watch(git.join("packed-refs"))?;
                let line = packed.lines().find(|line| line.ends_with(name))?;
                line.split_whitespace().next()?.to_owned()
            }
        },
    };
    let is_hash = hash.len() >= DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash[..DIGITS].to_owned())
}

/// As many as git shows.
const DIGITS: usize = 7;
