//! Buckets against sorting everybody, and what comes in and goes out of them.

use alloc::vec;

use super::*;

const BOUNDS: Bounds = Bounds { contacts_max: 20, spares_max: 4, failures_max: 2, probe: MINUTE, refresh: MINUTE };
const MINUTE: Duration = Duration::from_secs(60);

fn table(seed: u64, nodes: u32) -> (Table, Vec<Node>) {
    let mut rng = Rng::new(seed, 0, "table");
    let mut table = Table::new(Id::draw(&mut rng));
    let nodes: Vec<Node> = (1..=nodes).map(|peer| Node { id: Id::draw(&mut rng), peer: PeerId(peer) }).collect();
    for &node in &nodes {
        table.seen(Time::ZERO, node, &BOUNDS);
    }
    (table, nodes)
}

/// The peers of each bucket, contacts and spares.
fn peers(table: &Table) -> Vec<(Vec<u32>, Vec<u32>)> {
    let names = |list: &[Contact]| list.iter().map(|contact| contact.peer.0).collect();
    table.buckets().map(|bucket| (names(bucket.contacts()), names(bucket.spares()))).collect()
}

#[test]
fn what_goes_out_of_a_bucket_or_comes_into_it_leaves_the_others_as_they_were() {
    let own = Id::ZERO;
    let node = |place: u32, peer: u32| Node { id: own.with_turned(place).with_turned(100 + peer), peer: PeerId(peer) };
    let bounds = Bounds { contacts_max: 3, spares_max: 2, ..BOUNDS };
    let mut table = Table::new(own);
    // Five for the first bucket, which has room for three; one and two for deeper ones.
    for (place, peer) in [(3, 31), (0, 1), (1, 11), (0, 2), (0, 3), (3, 32), (0, 4), (0, 5)] {
        table.seen(Time::ZERO, node(place, peer), &bounds);
        table.check_all(&bounds);
    }
    let deeper = [(vec![11], vec![]), (vec![], vec![]), (vec![31, 32], vec![])];
    let with = |contacts: &[u32], spares: &[u32]| [&[(contacts.to_vec(), spares.to_vec())][..], &deeper].concat();
    assert_eq!(peers(&table), with(&[1, 2, 3], &[4, 5]));
    // A third spare takes the place of the first.
    table.seen(Time::ZERO, node(0, 6), &bounds);
    assert_eq!(peers(&table), with(&[1, 2, 3], &[5, 6]));
    // A spare that fails is none.
    assert_eq!(table.failed(node(0, 5), &bounds), None);
    table.check_all(&bounds);
    assert_eq!(peers(&table), with(&[1, 2, 3], &[6]));
    // A contact that fails for the second time gives way to a spare.
    assert_eq!(table.failed(node(0, 2), &bounds), Some(node(0, 2)));
    assert_eq!(table.failed(node(0, 2), &bounds), None);
    table.check_all(&bounds);
    assert_eq!(peers(&table), with(&[1, 3, 6], &[]));
    // Where nobody waits it stays, until somebody comes.
    assert_eq!(table.failed(node(0, 1), &bounds), None);
    assert_eq!(table.failed(node(0, 1), &bounds), None);
    assert_eq!(peers(&table), with(&[1, 3, 6], &[]));
    assert_eq!(table.seen(Time::ZERO, node(0, 7), &bounds), Seen::New);
    table.check_all(&bounds);
    assert_eq!(peers(&table), with(&[3, 6, 7], &[]));
}

fn contacts(table: &Table) -> Vec<Node> {
    table.buckets().flat_map(Bucket::contacts).map(Contact::node).collect()
}

#[test]
fn the_closest_are_those_that_sorting_all_contacts_gives() {
    for (seed, nodes) in [(1, 0), (2, 1), (3, 15), (4, 100), (5, 2_000)] {
        let (table, _) = table(seed, nodes);
        table.check_all(&BOUNDS);
        let mut rng = Rng::new(seed, 1, "targets");
        let near = (0..12).map(|place| table.own.with_turned(place));
        let targets = near.chain([table.own]).chain((0..50).map(|_| Id::draw(&mut rng)));
        for target in targets.collect::<Vec<Id>>() {
            let mut sorted = contacts(&table);
            sorted.sort_by_key(|node| node.id.xor(target));
            let closer = sorted.iter().filter(|node| node.id.xor(target) < table.own.xor(target)).count();
            assert_eq!(table.count_closer(target), closer, "{target:?} among {nodes}");
            for count in [1, 3, 20] {
                let closest = table.closest(target, count, |_| true);
                assert_eq!(closest, sorted[..count.min(sorted.len())], "{count} of {nodes}");
            }
            let odd = table.closest(target, 20, |contact| contact.peer.0 % 2 == 1);
            sorted.retain(|node| node.peer.0 % 2 == 1);
            assert_eq!(odd, sorted[..20.min(sorted.len())]);
        }
    }
}

#[test]
fn a_drawn_target_is_in_its_bucket_and_the_last_one_is_the_own_identifier() {
    let (table, _) = table(1, 5_000);
    let mut rng = Rng::new(1, 2, "targets");
    let last = table.buckets.len() - 1;
    assert!(last > 9, "there are buckets beyond the first byte");
    for place in (0..last).flat_map(|place| [place; 20]) {
        assert_eq!(table.place(table.draw(place, &mut rng)), Some(place));
    }
    assert_eq!(table.draw(last, &mut rng), table.own);
}

/// The first bits of one identifier and the rest of another.
fn graft(head: Id, bits: u32, tail: Id) -> Id {
    (0..bits).filter(|&place| head.bit(place) != tail.bit(place)).fold(tail, Id::with_turned)
}

#[test]
fn deep_buckets_are_sorted_as_shallow_ones_are_and_ties_of_first_bits_are_told_apart() {
    // From 32 on zeros come in from below when the shared bits are shifted out, from 37 on they reach the key, and from 63 on
    // nothing else is left.
    for place in [0, 26, 27, 30, 31, 32, 36, 37, 40, 62, 63, 64, 70, 200] {
        for (seed, count) in [(1, 2), (2, 7), (3, 8), (4, 13), (5, 20)] {
            let mut rng = Rng::new(seed, u64::from(place), "deep");
            let mut table = Table::new(Id::draw(&mut rng));
            let turned = table.own.with_turned(place);
            // Of four contacts one shares 26 or more bits after those that all share, one 40, and two go their own way at once.
            let head = graft(turned, place + 1, Id::draw(&mut rng));
            for peer in 0..count {
                let shared = [0, 0, 26 + peer / 4, 40][peer as usize % 4];
                let id = graft(head, place + 1 + shared, Id::draw(&mut rng));
                table.seen(Time::ZERO, Node { id, peer: PeerId(peer) }, &BOUNDS);
            }
            let met = contacts(&table);
            assert_eq!(table.contacts(place as usize).len(), met.len(), "all are in one bucket");
            assert_eq!(met.len(), count as usize);
            let targets = [table.own, turned, head, Id::draw(&mut rng), Id::MAX, Id::ZERO];
            for target in targets.into_iter().chain(met.iter().map(|node| node.id)) {
                let mut sorted = met.clone();
                sorted.sort_by_key(|node| node.id.xor(target));
                assert_eq!(table.closest(target, 20, |_| true), sorted, "bucket {place}, {count} contacts, {target:?}");
                assert_eq!(table.closest(target, 3, |_| true), sorted[..sorted.len().min(3)]);
            }
        }
    }
}

#[test]
fn identifiers_that_share_their_first_64_bits_are_told_apart() {
    let own = Id::ZERO;
    let mut table = Table::new(own);
    let deep = |place: u32| Node { id: Id::MAX.with_turned(place), peer: PeerId(place) };
    for place in 200..220 {
        table.seen(Time::ZERO, deep(place), &BOUNDS);
    }
    let closest = table.closest(Id::MAX, 20, |_| true);
    assert_eq!(closest.iter().map(|node| node.peer.0).collect::<Vec<_>>(), (200..220).rev().collect::<Vec<_>>());
}
