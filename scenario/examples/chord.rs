//! Builds a ring through the protocol and asks it, or runs seeds of the swarm: `chord ring PEERS LOOKUPS SUCCESSORS`, where 1
//! successor stands for none that shortens the way, `chord swarm FROM TO`. Processor time and peak memory are Linux's own figures
//! (`/proc/self`).

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use synod_dht::chord::Style;
use synod_dht::overlay::Node;
use synod_scenario::overlay::chord::{Lab, Setting, Told, Verdict, owner, swarm};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().skip(1).map(|text| text.parse().expect("a number")).collect();
    match (arguments.first().map(String::as_str), numbers[..].as_ref()) {
        (Some("ring"), [peers, lookups, successors]) => ring(*peers as u32, *lookups as usize, *successors as usize),
        (Some("swarm"), [from, to]) => seeds(*from, *to),
        _ => panic!("ring PEERS LOOKUPS SUCCESSORS, or swarm FROM TO"),
    }
}

fn ring(peers: u32, lookups: usize, successors: usize) -> ExitCode {
    let mut setting = Setting::new(1, peers);
    // All fingers in each round, as in SIGCOMM 2001, section 6.5; a minute has one or more.
    setting.params.fingers_per_round = 256;
    setting.params.shortcut = successors > 1;
    setting.params.successors = successors.max(8);
    let begun = cpu_secs();
    let mut lab = Lab::built(setting, Duration::from_secs(60));
    let built = lab.net().tally().delivered;
    println!("ring: {peers} peers, {:.2} CPU s, {built} messages", cpu_secs() - begun);
    let (known, resident) = (lab.known(), kib("VmRSS"));
    println!(
        "known nodes: {:.1} a peer, {:.1} MiB; resident {:.1} MiB, {:.0} bytes a peer beyond the tables",
        known as f64 / f64::from(peers),
        (known * size_of::<Node>()) as f64 / 1048576.0,
        resident as f64 / 1024.0,
        (resident as f64 * 1024.0 - (known * size_of::<Node>()) as f64) / f64::from(peers)
    );
    let at = cpu_secs();
    let answers = lab.look_up_many(lookups, Duration::from_micros(20), Style::Iterative);
    let (secs, delivered) = (cpu_secs() - at, lab.net().tally().delivered - built);
    println!("look-ups: {lookups}, {secs:.2} CPU s, {delivered} messages, {:.2} M/s", delivered as f64 / secs / 1e6);
    let digest = lab.net().digest();
    println!("in all: {:.2} CPU s, peak memory {} kB, trace {digest:016x}", cpu_secs() - begun, kib("VmHWM"));
    let live = lab.live();
    let right = answers.iter().filter(|answer| answer.what == Told::Owner(Ok(owner(&live, answer.key)))).count();
    let hops = answers.iter().map(|answer| f64::from(answer.cost.hops)).sum::<f64>() / answers.len() as f64;
    let (wrong, all) = lab.wrong_fingers();
    println!("right: {right} of {}, {hops:.3} hops; {wrong} of {all} fingers are wrong", answers.len());
    if let Some(disorder) = lab.disorder() {
        println!("out of order: {disorder}");
    }
    if right == lookups { ExitCode::SUCCESS } else { ExitCode::from(5) }
}

fn seeds(from: u64, to: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    let mut failed = 0;
    for seed in from..to {
        let verdict = swarm(seed);
        if verdict != Verdict::Pass {
            failed += 1;
            println!("FAILED swarm/chord seed={seed}: {verdict}");
        }
    }
    println!("{failed} of {} seeds failed, {:.1} CPU s", to - from, cpu_secs());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(5) }
}

fn cpu_secs() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").expect("Linux tells the processor time");
    let nanos: f64 = text.split(' ').next().and_then(|text| text.parse().ok()).expect("nanoseconds come first");
    nanos / 1e9
}

fn kib(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux tells the memory");
    let line = text.lines().find(|line| line.starts_with(field)).expect("a field of the status");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
