//! A crash after every write and every sync of a replica's workload, and a disk that fails at every one.

use std::collections::BTreeMap;
use std::io;

use super::disk::{Crashes, Disk, Failure, Image, Kept, Op};
use super::{fill, identity, key, rng};
use crate::store::{Store, StoreError, Write};
use synod_machine::{Bytes, Key};

const TIP: u8 = 0x01;
const PENDING: u8 = 0x02;
const BLOCK: u8 = 0x80;
const UNDO: u8 = 0x81;

type Content = (BTreeMap<Key, Vec<u8>>, BTreeMap<(Bytes<32>, Bytes<32>), u32>);

/// What a replica would commit, and what the disk must hold after each commit. `contents[n]` is after `n` commits.
struct Workload {
    commits: Vec<Vec<Write>>,
    contents: Vec<Content>,
}

impl Workload {
    /// Payments arrive, three commits out of four; then a block confirms and forgets some of them. Every commit writes
    /// its number under one key.
    fn new(seed: u64, count: usize) -> Self {
        let mut rng = rng(seed);
        let mut pending: Vec<Bytes<32>> = Vec::new();
        let mut name = move || {
            let mut name = Bytes::ZERO;
            fill(&mut rng, &mut name.0);
            name
        };
        let mut sizes = super::rng(seed + 1);
        let mut size = move |max: u64| usize::try_from(sizes.below(max)).expect("small");
        let mut commits = Vec::new();
        for number in 1..=count {
            let mut writes = vec![Write::Put { key: key(TIP, 0), bytes: number.to_le_bytes().to_vec() }];
            if number % 4 != 0 {
                for _ in 0..=size(4) {
                    let id = name();
                    pending.push(id);
                    writes.push(Write::Put { key: Key::new(PENDING, id), bytes: vec![2; 150 + size(100)] });
                }
            } else {
                let block = name();
                // Now and then a block that makes the file grow.
                let body = if number % 20 == 0 { 1_500_000 } else { 200 + size(20_000) };
                writes.push(Write::Put { key: Key::new(BLOCK, block), bytes: vec![number as u8; body] });
                writes.push(Write::Put { key: Key::new(UNDO, block), bytes: vec![3; size(3000)] });
                let confirmed = pending.split_off(pending.len() / 3);
                for (position, tx) in confirmed.into_iter().enumerate() {
                    let position = u32::try_from(position).expect("small") + 1;
                    writes.push(Write::Index { tx, block, position });
                    writes.push(Write::Delete { key: Key::new(PENDING, tx) });
                }
            }
            commits.push(writes);
        }
        let mut contents = vec![Content::default()];
        for writes in &commits {
            let mut content = contents[contents.len() - 1].clone();
            writes.iter().for_each(|write| apply(&mut content, write));
            contents.push(content);
        }
        Self { commits, contents }
    }

    /// Opens a crashed disk and checks that it holds the first `acknowledged` commits, and perhaps the one that was
    /// being made, and that it takes another.
    fn check(&self, image: Image, acknowledged: usize, in_flight: bool, context: &dyn std::fmt::Debug) {
        let disk = Disk::new(image);
        let store = match Store::open_with_backend(disk, &identity()) {
            Ok(store) => store,
            Err(error) => panic!("{context:?}: does not open: {error}"),
        };
        let tip = store
            .get(&key(TIP, 0))
            .expect("read")
            .map_or(0, |bytes| usize::from_le_bytes(bytes.try_into().expect("a commit's number")));
        assert!(acknowledged <= tip, "{context:?}: lost commit {acknowledged}, the last one is {tip}");
        assert!(tip <= acknowledged + usize::from(in_flight), "{context:?}: commit {tip} was never begun");
        let (records, index) = &self.contents[tip];
        for (key, bytes) in records {
            assert_eq!(store.get(key).expect("read").as_ref(), Some(bytes), "{context:?}: {key:?} at commit {tip}");
        }
        for ((tx, block), position) in index {
            let blocks = store.tx_blocks(tx).expect("read");
            assert_eq!(blocks, [(*block, *position)], "{context:?}: {tx:?} at commit {tip}");
        }
        let sizes = store.sizes().expect("read");
        assert_eq!(sizes.records, records.len() as u64, "{context:?}: records at commit {tip}");
        assert_eq!(sizes.index_entries, index.len() as u64, "{context:?}: index at commit {tip}");
        let next = Write::Put { key: key(0x03, 1), bytes: vec![4; 5000] };
        store.commit(&[next]).unwrap_or_else(|error| panic!("{context:?}: takes no commit: {error}"));
    }
}

fn apply((records, index): &mut Content, write: &Write) {
    match write {
        Write::Delete { key } => {
            records.remove(key);
        }
        Write::Index { tx, block, position } => {
            index.insert((*tx, *block), *position);
        }
        Write::Put { key, bytes } => {
            records.insert(*key, bytes.clone());
        }
    }
}

/// A disk with an empty store, as it is when its file gets its name.
fn new_image() -> Image {
    let disk = Disk::new(Image::default());
    drop(Store::open_with_backend(disk.clone(), &identity()).expect("a new disk takes a store"));
    disk.image()
}

/// The operations of a whole workload, from opening the store to closing it, and how many of them were done when each
/// commit began and returned.
fn record(workload: &Workload) -> (Vec<Op>, Vec<(usize, usize)>) {
    let disk = Disk::new(new_image());
    let store = Store::open_with_backend(disk.clone(), &identity()).expect("a new store opens");
    let mut spans = Vec::new();
    for writes in &workload.commits {
        let began = disk.op_count();
        store.commit(writes).expect("nothing fails here");
        spans.push((began, disk.op_count()));
    }
    drop(store);
    (disk.take_ops(), spans)
}

#[test]
fn a_crash_after_any_operation_loses_no_acknowledged_commit_and_halves_none() {
    let workload = Workload::new(1, 60);
    let (ops, spans) = record(&workload);
    let mut crashes = Crashes::new(new_image());
    let mut images = 0;
    for done in 0..=ops.len() {
        let acknowledged = spans.iter().filter(|(_, returned)| *returned <= done).count();
        let in_flight = spans.get(acknowledged).is_some_and(|(began, _)| *began <= done);
        let mut cases = vec![Kept::Nothing];
        if crashes.unsynced_count() > 0 {
            cases.push(Kept::All);
            let seeds = (0..3).map(|round| done as u64 * 3 + round);
            cases.extend(seeds.map(|seed| Kept::Some { seed, torn: seed % 3 != 0 }));
        }
        for kept in cases {
            images += 1;
            workload.check(crashes.image(kept), acknowledged, in_flight, &("after operation", done, kept));
        }
        if let Some(op) = ops.get(done) {
            crashes.advance(op);
        }
    }
    // The test would prove little if the log were short: every commit syncs and writes at least twice.
    assert!(images > 60 * 8, "only {images} crashes");
}

#[test]
fn a_crash_while_a_crash_is_mended_loses_nothing_either() {
    let workload = Workload::new(2, 40);
    let (ops, spans) = record(&workload);
    let mut crashes = Crashes::new(new_image());
    for (done, op) in ops.iter().enumerate() {
        crashes.advance(op);
        // A prime stride meets all phases of a commit.
        if done % 17 != 0 {
            continue;
        }
        let acknowledged = spans.iter().filter(|(_, returned)| *returned <= done + 1).count();
        let in_flight = spans.get(acknowledged).is_some_and(|(began, _)| *began <= done + 1);
        for kept in [Kept::Nothing, Kept::All, Kept::Some { seed: done as u64, torn: true }] {
            let image = crashes.image(kept);
            let disk = Disk::new(image.clone());
            drop(Store::open_with_backend(disk.clone(), &identity()).expect("it opens"));
            let mending = disk.take_ops();
            let mut again = Crashes::new(image);
            for (step, op) in mending.iter().enumerate() {
                again.advance(op);
                let kept_again = Kept::Some { seed: (done * 31 + step) as u64, torn: true };
                for kept_again in [Kept::Nothing, kept_again] {
                    let context = ("after operation", done, kept, "and mending operation", step, kept_again);
                    workload.check(again.image(kept_again), acknowledged, in_flight, &context);
                }
            }
        }
    }
}

#[test]
fn a_disk_that_fails_is_reported_and_keeps_what_was_acknowledged() {
    let workload = Workload::new(3, 24);
    let (ops, _) = record(&workload);
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::Other];
    for at in 0..ops.len() {
        let failure = Failure { at, kind: kinds[at % 2], forever: at % 3 != 0 };
        let disk = Disk::failing(new_image(), failure);
        let mut acknowledged = 0;
        let mut in_flight = false;
        match Store::open_with_backend(disk.clone(), &identity()) {
            Err(error) => assert_reported(&error, failure),
            Ok(store) => {
                for writes in &workload.commits {
                    in_flight = true;
                    if let Err(error) = store.commit(writes) {
                        assert_reported(&error, failure);
                        let refusal = store.commit(writes).expect_err("nothing is written after a failure");
                        assert!(matches!(refusal, StoreError::Failed), "{failure:?}: {refusal:?}");
                        break;
                    }
                    acknowledged += 1;
                    in_flight = false;
                }
            }
        }
        let ops = disk.take_ops();
        let mut crashes = Crashes::new(new_image());
        ops.iter().for_each(|op| crashes.advance(op));
        for kept in [Kept::All, Kept::Nothing] {
            workload.check(crashes.image(kept), acknowledged, in_flight, &(failure, kept));
        }
    }
}

fn assert_reported(error: &StoreError, failure: Failure) {
    let is_reported = match failure.kind {
        io::ErrorKind::StorageFull => matches!(error, StoreError::DiskFull),
        _ => matches!(error, StoreError::Io(_)),
    };
    assert!(is_reported, "{failure:?} was reported as {error:?}");
}
