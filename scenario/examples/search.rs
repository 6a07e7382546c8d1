//! Searches in the simulator: `search MODE PEERS QUERIES [SEED]` prints what one network's searches find and cost; `search swarm MODE
//! FROM TO` runs seeds, with a line for each failure, and exit 5 if there is one. Modes: flood, index, superpeer. `search compare MODE
//! PEERS QUERIES SEED [MINUTES [LAW]]` prints the figures that all ways of finding things have in common (chord and kademlia are modes,
//! too); with minutes, peers come and go: their sessions and gaps have means of so many minutes and of a fifth of that. Gaps have an
//! exponential law, sessions the one that is named: exponential, pareto (shape 1.5) or weibull (shape 0.5).

use std::process::ExitCode;
use std::time::Instant;

use synod_scenario::overlay::compare;
use synod_scenario::overlay::search::{Kind, Terms, Verdict, failure, run, swarm};
use synod_sim::model::{Churn, Distribution, Span};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match words[..] {
        ["swarm", mode, from, to] => seeds(kind(mode), number(from), number(to)),
        ["compare", mode, peers, queries, seed] => compared(mode, number(peers), number(queries), number(seed), None),
        ["compare", mode, peers, queries, seed, minutes] => {
            let churn = churn(number(minutes), "exponential");
            compared(mode, number(peers), number(queries), number(seed), Some(churn))
        }
        ["compare", mode, peers, queries, seed, minutes, law] => {
            let churn = churn(number(minutes), law);
            compared(mode, number(peers), number(queries), number(seed), Some(churn))
        }
        [mode, peers, queries] => figures(kind(mode), number(peers), number(queries), 1),
        [mode, peers, queries, seed] => figures(kind(mode), number(peers), number(queries), number(seed)),
        _ => {
            panic!("MODE PEERS QUERIES [SEED], swarm MODE FROM TO, or compare MODE PEERS QUERIES SEED [MINUTES [LAW]]")
        }
    }
}

fn kind(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|kind| kind.name() == name).expect("flood, index or superpeer")
}

fn figures(kind: Kind, peers: u64, queries: u64, seed: u64) -> ExitCode {
    let begun = Instant::now();
    let figures = run(&Terms::new(kind, peers as u32, queries as u32, seed));
    let wall = figures.wall.as_secs_f64();
    println!("{kind}, {peers} peers, seed {seed}: {} questions, {} answered", figures.asked, figures.found);
    println!(
        "{:.1} messages a question, {:.2} hops and {:.0} ms to the first hit",
        per(figures.search_messages, figures.asked),
        figures.hops,
        figures.first_ms
    );
    println!(
        "{:.1} % of all messages at the busiest hundredth; {} serve others",
        100.0 * figures.top_share,
        figures.superpeers
    );
    println!(
        "{} messages delivered in {wall:.2} s: {:.2} million a second",
        figures.delivered,
        figures.delivered as f64 / wall / 1e6
    );
    let all = begun.elapsed().as_secs_f64();
    println!("{all:.2} s in all, {:.2} s of CPU, peak memory {} MB", cpu_secs(), peak_mb());
    ExitCode::SUCCESS
}

/// Sessions with a mean of so many minutes, and gaps of a fifth of that.
fn churn(minutes: u64, law: &str) -> Churn {
    let secs = |secs: u64| Span::from_millis(secs * 1_000);
    let sessions = match law {
        "exponential" => Distribution::Exponential { mean: secs(minutes * 60) },
        "pareto" => Distribution::Pareto { scale: secs(minutes * 20), shape: 1.5, most: None },
        "weibull" => Distribution::Weibull { scale: secs(minutes * 30), shape: 0.5 },
        other => panic!("{other}: expected exponential, pareto or weibull"),
    };
    Churn { sessions, gaps: Distribution::Exponential { mean: secs(minutes * 12) } }
}

fn compared(mode: &str, peers: u64, queries: u64, seed: u64, churn: Option<Churn>) -> ExitCode {
    let mode = mode.parse().unwrap_or_else(|error| panic!("{error}"));
    let terms = compare::Terms { churn, ..compare::Terms::new(mode, peers as u32, queries as u32, seed) };
    println!("{mode}, {peers} peers, seed {seed}: {:#?}", compare::measure(&terms));
    println!("{:.2} s of CPU, peak memory {} MB", cpu_secs(), peak_mb());
    ExitCode::SUCCESS
}

fn per(one: u64, other: u64) -> f64 {
    one as f64 / (other as f64).max(1.0)
}

/// What the process had at most, where the system tells (Linux).
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes / 1_000)
}

/// What the process used, where the system tells (Linux, whose ticks are hundredths of a second).
fn cpu_secs() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may have spaces; user and system time are the 14th and 15th field.
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn seeds(kind: Kind, from: u64, to: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    let begun = Instant::now();
    let (mut failed, mut exams, mut hits) = (0_u64, 0, 0);
    for seed in from..to {
        let run = swarm(kind, seed);
        (exams, hits) = (exams + run.exams, hits + run.hits);
        if run.verdict != Verdict::Pass {
            failed += 1;
            println!("{}", failure(&run, "unknown"));
        }
    }
    println!(
        "{kind}: {} seeds, {failed} failed, {exams} questions, {hits} hits, {:.1} s",
        to - from,
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(5) }
}
