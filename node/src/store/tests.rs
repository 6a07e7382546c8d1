//! The store against its promises: whole commits only, all acknowledged ones kept, clear refusals.

mod crash;
mod disk;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use redb::ReadableDatabase as _;
use serde::{Deserialize, Serialize};
use synod_machine::{Bytes, Key, Rng, Wire, wire};

use super::{META, META_SCHEMA, RECORDS, SCHEMA, Store, StoreError, StoreIdentity, StoreSizes, Write, storage};
use disk::{Disk, Image};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note(u64);

impl Wire for Note {
    const BYTES_MAX: usize = 16;

    fn kind(&self) -> &'static str {
        "note"
    }
}

fn identity() -> StoreIdentity {
    StoreIdentity { chain: "testbed".into(), genesis: Bytes([7; 32]), peer: Bytes([8; 32]) }
}

fn key(shelf: u8, name: u8) -> Key {
    Key::new(shelf, Bytes([name; 32]))
}

fn put(key: Key, note: u64) -> Write {
    Write::Put { key, bytes: wire::encode(&Note(note)) }
}

fn new_store() -> Store {
    Store::open_with_backend(Disk::new(Image::default()), &identity()).expect("a new disk takes a store")
}

/// A folder with an empty store in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    drop(Store::open(&path, &identity()).expect("a new file takes a store"));
    (folder, path)
}

fn rng(seed: u64) -> Rng {
    Rng::new(seed, 0, "store")
}

fn fill(rng: &mut Rng, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next_u64().to_le_bytes()[..chunk.len()]);
    }
}

#[test]
fn records_are_read_as_they_were_written_and_survive_reopening() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &identity()).expect("reopened");
    store.commit(&[put(key(1, 1), 10), put(key(1, 2), 20), put(key(0x80, 3), 30)]).expect("committed");
    store
        .commit(&[put(key(1, 1), 11), Write::Delete { key: key(1, 2) }, Write::Delete { key: key(1, 9) }])
        .expect("ok");
    drop(store);
    let store = Store::open(&path, &identity()).expect("reopened");
    assert_eq!(store.record(&key(1, 1)).expect("read"), Some(Note(11)));
    assert_eq!(store.record::<Note>(&key(1, 2)).expect("read"), None);
    assert_eq!(store.get(&key(0x80, 3)).expect("read"), Some(vec![30]));
    let sizes = store.sizes().expect("read");
    assert_eq!((sizes.records, sizes.index_entries), (2, 0));
    assert_eq!(sizes.file_bytes, fs::metadata(&path).expect("a file").len());
}

#[test]
fn the_last_of_two_writes_to_one_key_counts() {
    let store = new_store();
    store.commit(&[put(key(1, 1), 1), Write::Delete { key: key(1, 1) }, put(key(1, 1), 2)]).expect("committed");
    store.commit(&[put(key(1, 2), 1), Write::Delete { key: key(1, 2) }]).expect("committed");
    assert_eq!(store.record(&key(1, 1)).expect("read"), Some(Note(2)));
    assert_eq!(store.record::<Note>(&key(1, 2)).expect("read"), None);
}

#[test]
fn hot_records_come_in_the_order_of_their_keys_and_cold_ones_do_not_come() {
    let store = new_store();
    let keys = [key(0x80, 0), key(0x7f, 0xff), key(0, 0), key(1, 200), key(1, 3), key(0xff, 1)];
    store.commit(&keys.map(|key| put(key, u64::from(key.shelf)))).expect("committed");
    let hot: Vec<(Key, Note)> = store.hot().expect("read").map(|entry| entry.expect("decoded")).collect();
    let expected = [key(0, 0), key(1, 3), key(1, 200), key(0x7f, 0xff)];
    assert_eq!(hot, expected.map(|key| (key, Note(u64::from(key.shelf)))));
}

#[test]
fn a_record_that_does_not_decode_is_corrupt_and_named() {
    let store = new_store();
    let damaged = Write::Put { key: key(5, 0xab), bytes: vec![1, 2, 3] };
    store.commit(&[put(key(1, 1), 1), damaged, put(key(6, 1), 2)]).expect("committed");
    let hot: Vec<Result<(Key, Note), StoreError>> = store.hot().expect("read").collect();
    assert!(matches!(hot[0], Ok((_, Note(1)))));
    assert!(matches!(hot[2], Ok((_, Note(2)))));
    let Err(StoreError::Corrupt(text)) = &hot[1] else { panic!("{:?}", hot[1]) };
    assert_eq!(*text, format!("record 05/{}: malformed bytes", Bytes([0xab; 32])));
    assert!(matches!(store.record::<Note>(&key(5, 0xab)), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_transaction_is_found_in_every_block_that_holds_it() {
    let store = new_store();
    let (tx, other) = (Bytes([4; 32]), Bytes([5; 32]));
    let index = |tx, block, position| Write::Index { tx, block: Bytes([block; 32]), position };
    store.commit(&[index(tx, 9, 1), index(tx, 0, 2), index(other, 3, 3), index(tx, 0xff, 4)]).expect("committed");
    let expected = [(Bytes([0; 32]), 2), (Bytes([9; 32]), 1), (Bytes([0xff; 32]), 4)];
    assert_eq!(store.tx_blocks(&tx).expect("read"), expected);
    assert_eq!(store.tx_blocks(&Bytes([6; 32])).expect("read"), []);
    assert_eq!(store.sizes().expect("read"), StoreSizes { file_bytes: 0, index_entries: 4, records: 0 });
}

#[test]
fn another_networks_store_is_refused_with_both_names() {
    let (_folder, path) = folder();
    let other = StoreIdentity { chain: "elsewhere".into(), genesis: Bytes([9; 32]), ..identity() };
    let refusal = Store::open(&path, &other).expect_err("another network");
    assert!(matches!(refusal, StoreError::OtherNetwork { .. }), "{refusal:?}");
    let expected = format!(
        "the store belongs to the network testbed (genesis {}), not to elsewhere (genesis {})",
        Bytes([7; 32]),
        Bytes([9; 32])
    );
    assert_eq!(refusal.to_string(), expected);
    Store::open(&path, &identity()).expect("its own network still opens it");
}

#[test]
fn another_peers_store_is_refused() {
    let (_folder, path) = folder();
    let other = StoreIdentity { peer: Bytes([1; 32]), ..identity() };
    let refusal = Store::open(&path, &other).expect_err("another peer");
    let (expected, got) = (Bytes([1; 32]), Bytes([8; 32]));
    assert!(
        matches!(refusal, StoreError::OtherPeer { expected: e, got: g } if e == expected && g == got),
        "{refusal:?}"
    );
}

#[test]
fn a_store_of_a_newer_schema_is_refused() {
    let (_folder, path) = folder();
    let database = redb::Database::open(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let newer = (SCHEMA + 1).to_le_bytes();
    transaction.open_table(META).expect("the table").insert(META_SCHEMA, newer.as_slice()).expect("inserted");
    transaction.commit().expect("committed");
    drop(database);
    let refusal = Store::open(&path, &identity()).expect_err("a newer schema");
    let StoreError::NewerSchema { expected, got } = refusal else { panic!("{refusal:?}") };
    assert_eq!((expected, got), (SCHEMA, SCHEMA + 1));
}

#[test]
fn a_database_that_is_no_store_is_corrupt() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    let database = redb::Database::create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(RECORDS).expect("a table");
    transaction.commit().expect("committed");
    assert_eq!(database.begin_read().map_err(storage).expect("read").list_tables().expect("read").count(), 1);
    drop(database);
    assert!(matches!(Store::open(&path, &identity()), Err(StoreError::Corrupt(_))));
}

#[test]
fn random_bytes_are_corrupt_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    for (seed, len) in [1, 9, 320, 4095, 4096, 8192, 100_000, 1 << 21].into_iter().enumerate() {
        let mut bytes = vec![0; len];
        fill(&mut rng(seed as u64), &mut bytes);
        fs::write(&path, &bytes).expect("written");
        let refusal = Store::open(&path, &identity()).expect_err("no store");
        assert!(matches!(refusal, StoreError::Corrupt(_)), "{len} bytes: {refusal:?}");
        assert_eq!(fs::read(&path).expect("read"), bytes, "{len} bytes were changed");
    }
}

#[test]
fn a_store_cut_short_is_refused() {
    let (_folder, path) = folder();
    let whole = fs::read(&path).expect("read");
    // Cut to nothing it would be a new store, as redb takes an empty file for one.
    for len in [1, 9, 64, 319, 4096, 5000, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).expect("written");
        let refusal = Store::open(&path, &identity()).expect_err("half a store");
        assert!(matches!(refusal, StoreError::Corrupt(_)), "{len} bytes: {refusal:?}");
    }
}

#[test]
fn what_a_crash_left_of_a_new_store_does_not_get_in_the_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    // Half a layout beside the name, and a name without content.
    fs::write(path.with_extension("draft"), [0xab; 5000]).expect("written");
    fs::write(&path, []).expect("written");
    let store = Store::open(&path, &identity()).expect("a new store");
    store.commit(&[put(key(1, 1), 1)]).expect("committed");
    drop(store);
    let store = Store::open(&path, &identity()).expect("reopened");
    assert_eq!(store.record(&key(1, 1)).expect("read"), Some(Note(1)));
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "the draft has become the store");
}

#[test]
fn a_folder_that_does_not_exist_is_an_io_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refusal = Store::open(&folder.path().join("none/store.redb"), &identity()).expect_err("no folder");
    assert!(matches!(refusal, StoreError::Io(_)), "{refusal:?}");
}

#[test]
fn a_second_open_in_this_process_is_locked_out_until_the_first_is_dropped() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &identity()).expect("opened");
    assert!(matches!(Store::open(&path, &identity()), Err(StoreError::Locked)));
    drop(store);
    Store::open(&path, &identity()).expect("unlocked");
}

/// Names the store that the process below tries to open.
const OTHER_PROCESS_PATH: &str = "SYNOD_TEST_STORE";

#[test]
fn a_second_open_in_another_process_is_locked_out() {
    if let Some(path) = std::env::var_os(OTHER_PROCESS_PATH) {
        let opened = Store::open(&PathBuf::from(path), &identity());
        println!("other process: {opened:?}");
        return;
    }
    let (_folder, path) = folder();
    let store = Store::open(&path, &identity()).expect("opened");
    assert!(open_elsewhere(&path).contains("other process: Err(Locked)"));
    drop(store);
    assert!(open_elsewhere(&path).contains("other process: Ok("));
}

/// Runs the test above once more in a process of its own, which only tries to open `path`.
fn open_elsewhere(path: &std::path::Path) -> String {
    let test = "store::tests::a_second_open_in_another_process_is_locked_out";
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args([test, "--exact", "--nocapture"])
        .env(OTHER_PROCESS_PATH, path)
        .output()
        .expect("the test binary starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn opening_a_store_with_a_flipped_bit_does_not_panic() {
    let disk = Disk::new(Image::default());
    let store = Store::open_with_backend(disk.clone(), &identity()).expect("a new disk takes a store");
    for name in 0..40 {
        let body = Write::Put { key: key(0x80, name), bytes: vec![name; 3000] };
        store.commit(&[put(key(1, name), 1), body]).expect("committed");
    }
    drop(store);
    let mut rng = rng(1);
    let mut refused = 0;
    for _ in 0..1000 {
        let mut image = disk.image();
        // Half of the flips hit redb's header, the rest anywhere in the part of the file that is in use.
        let bound = if rng.below(2) == 0 { 320 } else { 150_000 };
        image.flip(usize::try_from(rng.below(bound * 8)).expect("small"));
        match Store::open_with_backend(Disk::new(image), &identity()) {
            Ok(_) => {}
            Err(StoreError::Corrupt(_) | StoreError::OtherNetwork { .. } | StoreError::OtherPeer { .. }) => {
                refused += 1
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused > 100, "only {refused} flips were noticed");
}

#[test]
fn a_new_file_begins_with_what_is_to_be_first_and_an_old_one_does_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.redb");
    let first = [put(key(9, 1), 5)];
    let store = Store::open_beginning(&path, &identity(), &first).expect("a new file takes a store");
    assert_eq!(store.record::<Note>(&key(9, 1)).expect("readable"), Some(Note(5)));
    store.commit(&[Write::Delete { key: key(9, 1) }]).expect("written");
    drop(store);
    let store = Store::open_beginning(&path, &identity(), &first).expect("it is there");
    assert_eq!(store.record::<Note>(&key(9, 1)).expect("readable"), None, "it is not new any more");
}
