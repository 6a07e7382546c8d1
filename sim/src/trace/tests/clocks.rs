//! Lamport's and vector clocks against a slow model: who comes before whom along peers' lines and messages.

use synod_machine::Rng;

use super::*;

/// Everybody talks, some crash, some are paused, disks are slow, messages are lost, doubled and overtaken.
fn busy(seed: u64, filter: Filter) -> World<Bench> {
    let links = "delay = '20 ms'\njitter = { kind = 'exponential', mean = '10 ms' }\nloss = 0.1\nduplicate = 0.1\nreorder = 0.3";
    let disk_sync = if seed.is_multiple_of(2) { 5 * MILLI } else { Duration::ZERO };
    let mut world = recorded(Setup { disk_sync, ..setup(seed, complete(5), links) }, filter);
    let mut rng = Rng::new(seed, 0, "busy");
    for number in 0..40 {
        let peer = rng.below(5) as u32;
        let others = (0..5).filter(|other| *other != peer && rng.below(2) == 0).collect();
        let note = Note { number, hops: rng.below(4) as u32, size: 10 };
        let keep = Act::Keep(rng.below(9) as u8, number);
        let (wait, other) = (Duration::from_millis(rng.below(90)), rng.below(5) as u32);
        tell(&mut world, peer, &[Act::Say(0), keep, Act::Broadcast(others, note), Act::Set(1, wait)]);
        let now = world.net().now();
        let net = world.net_mut();
        match rng.below(8) {
            0 => net.crash(PeerId(other), Tail::Lost),
            1 | 2 => net.pause(PeerId(other)),
            3 | 4 => net.peers().for_each(|peer| net.resume(peer)),
            5 => net.peers().for_each(|peer| net.start(now, peer)),
            _ => {}
        }
        pass(&mut world, Duration::from_millis(rng.below(30)));
    }
    pass(&mut world, SECOND);
    world
}

/// Of each happening, the places on record of all that come before it.
fn before(happenings: &[Happening]) -> Vec<Vec<bool>> {
    let mut before: Vec<Vec<bool>> = Vec::new();
    for (place, happening) in happenings.iter().enumerate() {
        let own = happenings[..place].iter().rposition(|earlier| earlier.peer == happening.peer);
        let cause = happening
            .cause
            .map(|step| happenings.binary_search_by_key(&step, |earlier| earlier.step).expect("all is on record"));
        let mut mine = vec![false; happenings.len()];
        for earlier in own.into_iter().chain(cause) {
            mine[earlier] = true;
            for (mine, its) in mine.iter_mut().zip(&before[earlier]) {
                *mine |= its;
            }
        }
        before.push(mine);
    }
    before
}

fn filters() -> [Filter; 4] {
    let (some, few) = (vec![PeerId(1), PeerId(3), PeerId(4)], vec![PeerId(2), PeerId(0)]);
    let kinds = ["ping", "note", "down"].map(str::to_owned).to_vec();
    let (from, until) = (Time::from_millis(1_100), Time::from_millis(1_500));
    [
        Filter::default(),
        Filter { peers: some, ..Filter::default() },
        Filter { kinds, ..Filter::default() },
        Filter { peers: few, from, until, ..Filter::default() },
    ]
}

#[test]
fn a_cause_has_a_lower_lamport_clock_than_its_effect() {
    for seed in 0..20 {
        let world = busy(seed, Filter::default());
        let all = record(&world).happenings();
        let before = before(all);
        for (happening, before) in all.iter().zip(&before) {
            for (earlier, _) in all.iter().zip(before).filter(|(_, is_before)| **is_before) {
                let clocks = (earlier.lamport, happening.lamport);
                assert!(clocks.0 < clocks.1, "seed {seed}: {clocks:?}\n{earlier:?}\n{happening:?}");
            }
        }
    }
}

#[test]
fn one_comes_before_another_exactly_where_its_vector_clock_says_so() {
    let (mut ordered, mut apart) = (0, 0);
    for seed in 0..20 {
        let world = busy(seed, Filter::default());
        let all = record(&world).happenings();
        assert!(all.len() > 100, "seed {seed}: much happened, {}", all.len());
        let before = before(all);
        for (number, filter) in filters().into_iter().enumerate() {
            let narrow = busy(seed, filter);
            let narrow = record(&narrow);
            assert!(!narrow.happenings().is_empty(), "seed {seed}, filter {number}");
            let place = |happening: &Happening| all.binary_search_by_key(&happening.step, |one| one.step);
            for one in narrow.happenings() {
                let component = narrow.traced().binary_search(&one.peer).expect("it is traced");
                let first = place(one).expect("all is on record");
                for other in narrow.happenings() {
                    let is_before = before[place(other).expect("all is on record")][first];
                    let is_said = one.step != other.step && one.vector[component] <= other.vector[component];
                    assert_eq!(is_said, is_before, "seed {seed}, filter {number}:\n{one:?}\n{other:?}");
                    if is_before { ordered += 1 } else { apart += 1 }
                }
            }
        }
    }
    assert!(ordered > 100_000, "{ordered}");
    assert!(apart > 100_000, "{apart}");
}

#[test]
fn a_peers_own_component_counts_what_is_on_record_of_it() {
    for filter in filters() {
        let world = busy(4, filter);
        let recorder = record(&world);
        for (component, peer) in recorder.traced().iter().enumerate() {
            let own = recorder.happenings().iter().filter(|happening| happening.peer == *peer);
            let counts: Vec<u32> = own.map(|happening| happening.vector[component]).collect();
            assert_eq!(counts, (1..=counts.len() as u32).collect::<Vec<u32>>());
        }
    }
}
