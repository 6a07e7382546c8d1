//! Writing files so that a reader never sees half of one.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::LabError;

/// Writes the file, whole or not at all, in place of what was there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    write_with_mode(path, bytes, 0o644)
}

/// As [`write()`], but nobody else may read it.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    write_with_mode(path, bytes, 0o600)
}

/// The file's text.
pub(crate) fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(|error| LabError::io(path, error))
}

/// Makes the directory and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|error| LabError::io(path, error))
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), LabError> {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        // The first error is the one to report.
        let _ = fs::remove_file(&draft);
        LabError::io(path, error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_no_draft() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        write(&path, b"a long first text").expect("written");
        write_secret(&path, b"second").expect("written");
        assert_eq!(read(&path).expect("read"), "second");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 1);
    }
}
