//! What a peer takes that has nothing to do.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Report;
use crate::LabError;
use crate::network::Network;

const MEGABYTES_MAX: f64 = 40.0;
const CORE_SHARE_MAX: f64 = 0.01;

/// Memory and processor time of one peer of a five-peer network whose peers do not hash, after `settle`, over `duration`.
/// `network` is a running one; the figures are the worst of its peers.
pub async fn idle(network: &Network, settle: Duration, duration: Duration) -> Result<[Report; 2], LabError> {
    tokio::time::sleep(settle).await;
    let pids: Vec<u32> = (0..network.peers().len()).filter_map(|place| network.state(place).pid()).collect();
    let before: Vec<f64> = pids.iter().map(|&pid| cpu_seconds(pid)).collect::<Result<_, _>>()?;
    let begin = Instant::now();
    tokio::time::sleep(duration).await;
    let took = begin.elapsed().as_secs_f64();
    let mut share_max: f64 = 0.0;
    let mut megabytes_max: f64 = 0.0;
    for (&pid, before) in pids.iter().zip(before) {
        share_max = share_max.max((cpu_seconds(pid)? - before) / took);
        megabytes_max = megabytes_max.max(resident_megabytes(pid)?);
    }
    let note = format!("the worst of {} peers, no hashing, over {took:.0} s", pids.len());
    let report = |name, value, unit, reference| Report {
        name,
        value,
        unit,
        reference,
        reference_name: "the promised bound",
        ratio: value / reference,
        promised: 1.0,
        at_most: true,
        note: note.clone(),
    };
    Ok([
        report("idle-memory", megabytes_max, "MB resident", MEGABYTES_MAX),
        report("idle-cpu", share_max, "cores", CORE_SHARE_MAX),
    ])
}

fn resident_megabytes(pid: u32) -> Result<f64, LabError> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| LabError::io(Path::new(&path), error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.unwrap_or_default() * 1_024.0 / 1e6)
}

/// User and system time so far.
fn cpu_seconds(pid: u32) -> Result<f64, LabError> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| LabError::io(Path::new(&path), error))?;
    // The command's name in parentheses may hold anything; what follows it is numbers.
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// What Linux shows to user space, whatever the kernel's own tick (`man 5 proc`, `USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
