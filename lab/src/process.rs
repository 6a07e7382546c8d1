//! Processes of peers: starting one, finding it again by its id, signalling it.
//!
//! A process id alone proves nothing, since the system reuses it: before every signal the command line of the process
//! is compared with the config file that it must have been started with. Linux only (`/proc`).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Whether a process runs or is stopped by SIGSTOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Stopped by SIGSTOP.
    Paused,
    /// It runs.
    Running,
}

/// Starts `program node --config CONFIG` in its own process group, its output going to the end of `log`.
///
/// A process that is `attached` asks the kernel to be stopped when this one dies, so that nothing is left behind.
/// That signal is bound to the thread that calls this: call it from one that lives as long as the network should.
pub fn spawn(program: &Path, config: &Path, log: &Path, attached: bool) -> io::Result<Child> {
    let output = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(program);
    command.arg("node").arg("--config").arg(config);
    if attached {
        command.arg("--attached").arg(std::process::id().to_string());
    }
    let mut child = command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0) // Ctrl-C in a terminal reaches only us: we stop the peers in order.
        .spawn()?;
    // For some microseconds the new process has no command line, and would be taken for none of ours.
    while activity(child.id(), config).is_none() && child.try_wait()?.is_none() {
        thread::yield_now();
    }
    Ok(child)
}

/// Asks the kernel to stop this process when the process `parent` dies. False where that has already happened.
pub fn stop_with_parent(parent: u32) -> bool {
    #[cfg(target_os = "linux")]
    if nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).is_err() {
        return false;
    }
    // A parent that died before the call above would never be noticed otherwise.
    u32::try_from(nix::unistd::getppid().as_raw()) == Ok(parent)
}

/// Whether this process was started to live on when its terminal goes away, as by `nohup`.
pub fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // Signal number n is bit n - 1.
    mask.is_some_and(|mask| mask & (1 << (Signal::SIGHUP as u32 - 1)) != 0)
}

/// What the process `pid` does, if it is the peer that was started with `config`.
pub fn activity(pid: u32, config: &Path) -> Option<Activity> {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut arguments = command_line.split(|byte| *byte == 0);
    if !arguments.any(|argument| argument == config.as_os_str().as_bytes()) {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The state follows the command's name, which stands in parentheses and may itself contain some.
    match stat.rsplit_once(')')?.1.trim_start().chars().next()? {
        'T' | 't' => Some(Activity::Paused),
        'Z' | 'X' | 'x' => None,
        _ => Some(Activity::Running),
    }
}

/// Sends `signal` to the peer that was started with `config`, if `pid` is still that peer. False where it is not.
pub fn send(pid: u32, config: &Path, signal: Signal) -> io::Result<bool> {
    if activity(pid, config).is_none() {
        return Ok(false);
    }
    let Ok(raw) = i32::try_from(pid) else { return Ok(false) };
    match signal::kill(Pid::from_raw(raw), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The last lines of a log, oldest first, none of them from before byte `start`. A log that cannot be read has none.
pub fn log_tail(log: &Path, start: u64, lines_max: usize) -> Vec<String> {
    let Ok(mut file) = File::open(log) else { return Vec::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES_MAX).max(start))).is_err() {
        return Vec::new();
    }
    if file.read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().rev().take(lines_max).map(str::to_owned).collect();
    lines.reverse();
    lines
}

/// As far back as [`log_tail`] looks.
const LOG_TAIL_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A process that waits, with `600` among its arguments.
    fn waiting() -> Child {
        let child = Command::new("sleep").arg("600").spawn().expect("sleep can be started");
        while activity(child.id(), Path::new("600")).is_none() {
            thread::yield_now();
        }
        child
    }

    #[test]
    fn a_process_is_known_by_an_argument_and_not_by_its_id() {
        let mut child = waiting();
        let pid = child.id();
        assert_eq!(activity(pid, Path::new("600")), Some(Activity::Running));
        assert_eq!(activity(pid, Path::new("/nowhere/node.toml")), None);
        assert!(!send(pid, Path::new("/nowhere/node.toml"), Signal::SIGKILL).expect("nothing is sent"));
        assert!(send(pid, Path::new("600"), Signal::SIGKILL).expect("the signal is sent"));
        child.wait().expect("it ended");
        assert_eq!(activity(pid, Path::new("600")), None);
        assert!(!send(pid, Path::new("600"), Signal::SIGTERM).expect("nobody is there"));
    }

    #[test]
    fn a_killed_child_that_was_not_waited_for_does_not_run() {
        let mut child = waiting();
        signal::kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).expect("the signal is sent");
        // The command line of a zombie is empty: it vanishes in the same instant as the process ends.
        while fs::read(format!("/proc/{}/cmdline", child.id())).is_ok_and(|line| !line.is_empty()) {
            std::thread::yield_now();
        }
        assert_eq!(activity(child.id(), Path::new("600")), None);
        child.wait().expect("it ended");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("node.log");
        fs::write(&log, "one\ntwo\nthree\n").expect("written");
        assert_eq!(log_tail(&log, 0, 2), ["two", "three"]);
        assert_eq!(log_tail(&log, 0, 9), ["one", "two", "three"]);
        assert_eq!(log_tail(&log, 4, 9), ["two", "three"]);
        assert_eq!(log_tail(&PathBuf::from("/nowhere/node.log"), 0, 9), Vec::<String>::new());
    }
}
