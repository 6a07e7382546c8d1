//! What a Kademlia network costs: `kademlia PEERS LOOKUPS [SEED [K [ALPHA]]]` builds one through the protocol and looks
//! up drawn keys.

use std::time::{Duration, Instant};

use synod_scenario::overlay::kademlia::{Answer, Network, Plan};

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    let peers = numbers.first().copied().unwrap_or(10_000) as u32;
    let lookups = numbers.get(1).copied().unwrap_or(10_000) as u32;
    let mut plan = Plan::new(numbers.get(2).copied().unwrap_or(1), peers);
    plan.params.k = numbers.get(3).copied().unwrap_or(20) as u8;
    plan.params.alpha = numbers.get(4).copied().unwrap_or(3) as u8;

    // Slowly, so that messages under way do not count among what peers need.
    plan.growth = Duration::from_secs(200);

    let (begun, cpu) = (Instant::now(), cpu_secs());
    let mut network = Network::built(plan);
    let delivered = network.net().tally().delivered;
    let built = cpu_secs() - cpu;
    println!(
        "built: {peers} peers, {:.2} s wall, {built:.2} s CPU, {delivered} messages delivered ({:.2} M/s), {:.0} s virtual",
        begun.elapsed().as_secs_f64(),
        delivered as f64 / built / 1e6,
        network.net().now().as_secs()
    );
    let (known, mean) = network.known();
    let rss = status_kib("VmRSS");
    println!(
        "known nodes: {mean:.1} a peer, {:.1} MiB; resident {:.1} MiB, {:.0} bytes a peer beyond the tables; peak {:.1} MiB",
        known as f64 * 40.0 / 1048576.0,
        rss as f64 / 1024.0,
        (rss as f64 * 1024.0 - known as f64 * 40.0) / f64::from(peers),
        status_kib("VmHWM") as f64 / 1024.0
    );
    for traffic in network.net().counters().traffic.by_kind() {
        println!("  {}: {} sent", traffic.kind, traffic.sent.messages);
    }

    let (begun, cpu) = (Instant::now(), cpu_secs());
    let answers = network.lookups(lookups, Duration::from_millis(1));
    let took = cpu_secs() - cpu;
    let sent = network.net().tally().delivered - delivered;
    println!(
        "{} lookups: {:.2} s wall, {took:.2} s CPU, {sent} messages delivered ({:.2} M/s)",
        answers.len(),
        begun.elapsed().as_secs_f64(),
        sent as f64 / took / 1e6
    );
    let count = answers.len().max(1) as f64;
    let mean = |of: fn(&synod_dht::overlay::Cost) -> u32| {
        answers.iter().map(|(_, answer)| f64::from(of(&answer.cost))).sum::<f64>() / count
    };
    println!(
        "requests {:.2}, hops {:.2}, timeouts {:.2} a lookup",
        mean(|cost| cost.messages),
        mean(|cost| cost.hops),
        mean(|cost| cost.timeouts)
    );
    let (mut closest, mut all) = (0, 0);
    let looked = &answers[..answers.len().min(2_000)];
    for (key, answer) in looked {
        let Answer::Found(Ok(found)) = &answer.answer else { continue };
        let truth = network.truth(*key, usize::from(numbers.get(3).copied().unwrap_or(20) as u8));
        closest += u32::from(found.first() == truth.first());
        all += u32::from(*found == truth);
    }
    println!("of {}: the closest node in {closest}, all of the k closest in {all}", looked.len());
    println!("peak {:.1} MiB, trace {:016x}", status_kib("VmHWM") as f64 / 1024.0, network.net().digest());
}

/// Processor time of this process so far.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    ticks as f64 / 100.0
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field of the status");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
