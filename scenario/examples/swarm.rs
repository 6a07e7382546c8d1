//! Runs seeds of an engine's swarm until one fails, or one seed: `swarm ENGINE FROM TO [JOBS]`, `swarm ENGINE SEED`. It prints a
//! line for each failure and its figures at the end; exit 5 says that something failed. `synod swarm` does the same with more
//! comfort; this needs no network code to be built.

use std::collections::BTreeMap;
use std::process::ExitCode;

use synod_scenario::swarm::{Swarm, failure, swarm};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let engine = arguments.next().expect("an engine");
    let engine = Swarm::ALL.into_iter().find(|swarm| swarm.name() == engine).expect("pbft, pos or pow");
    let numbers: Vec<u64> = arguments.map(|text| text.parse().expect("a number")).collect();
    std::panic::set_hook(Box::new(|_| ()));
    let mut is_good = true;
    match numbers[..] {
        [seed] => {
            let run = engine.run_seed(seed);
            is_good = run.judgement.verdict.is_pass();
            if is_good {
                println!("{:?}", run.judgement);
            } else {
                println!("{}", failure(&run, "unknown"));
            }
        }
        [from, to] | [from, to, _] => {
            let jobs = numbers.get(2).copied().unwrap_or(1) as usize;
            let stops = std::env::var_os("SWARM_ALL").is_none();
            let mut slowest = (std::time::Duration::ZERO, 0);
            let (mut runs, mut events, mut wall, mut blocks, mut payments, mut refused) = (0_u64, 0, 0.0, 0, 0, 0);
            let mut met: BTreeMap<&str, u64> = BTreeMap::new();
            swarm(engine, from..to, jobs, |run| {
                runs += 1;
                for (name, count) in &run.judgement.met {
                    *met.entry(name).or_default() += u64::from(*count > 0);
                }
                events += run.judgement.events;
                blocks += run.judgement.blocks;
                payments += run.judgement.payments;
                refused += run.judgement.refused;
                wall += run.wall.as_secs_f64();
                slowest = slowest.max((run.wall, run.seed));
                if !run.judgement.verdict.is_pass() {
                    is_good = false;
                    println!("{}", failure(&run, "unknown"));
                    return !stops;
                }
                true
            });
            eprintln!(
                "{runs} runs, {:.3} s each, slowest {slowest:?}, {events} events, {blocks} blocks, {payments} payments, {refused} forged items refused, runs with {met:?}",
                wall / runs.max(1) as f64
            );
        }
        _ => panic!("one seed, or a range of seeds"),
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::from(5) }
}
