//! A disk in memory that notes every operation, can fail at any of them, and can be cut off after any of them.
//!
//! What a power loss leaves is modelled on a journalling file system. A sync makes everything before it durable. Of the
//! operations after the last sync any subset of the writes may have arrived, some of them torn, in the order in which
//! they were made where they overlap. Changes of the length are journalled: a prefix of them has arrived, and bytes
//! beyond the length are not there.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;
use synod_machine::Rng;

const PAGE_BYTES: usize = 4096;

/// A disk's bytes, in pages that copies share.
#[derive(Clone, Default)]
pub(super) struct Image {
    pages: Vec<Arc<[u8; PAGE_BYTES]>>,
    len: usize,
}

impl Image {
    fn set_len(&mut self, len: usize) {
        if len < self.len && !len.is_multiple_of(PAGE_BYTES) {
            // What a later extension uncovers is zero.
            Arc::make_mut(&mut self.pages[len / PAGE_BYTES])[len % PAGE_BYTES..].fill(0);
        }
        self.pages.resize_with(len.div_ceil(PAGE_BYTES), || Arc::new([0; PAGE_BYTES]));
        self.len = len;
    }

    /// Writes the part of `bytes` that lies within the length.
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let mut at = offset;
        let end = (offset + bytes.len()).min(self.len);
        while at < end {
            let (page, start) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let count = (PAGE_BYTES - start).min(end - at);
            let source = &bytes[at - offset..at - offset + count];
            Arc::make_mut(&mut self.pages[page])[start..start + count].copy_from_slice(source);
            at += count;
        }
    }

    /// Turns one bit over.
    pub(super) fn flip(&mut self, bit: usize) {
        let at = bit / 8;
        assert!(at < self.len, "the bit is on the disk");
        Arc::make_mut(&mut self.pages[at / PAGE_BYTES])[at % PAGE_BYTES] ^= 1 << (bit % 8);
    }

    fn read(&self, offset: usize, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let (page, start) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
            let count = (PAGE_BYTES - start).min(out.len() - done);
            out[done..done + count].copy_from_slice(&self.pages[page][start..start + count]);
            done += count;
        }
    }
}

/// One operation that changes a disk or makes the changes durable.
pub(super) enum Op {
    SetLen(usize),
    Sync,
    Write { offset: usize, bytes: Vec<u8> },
}

/// What survives of the operations after the last sync.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    All,
    Nothing,
    /// A subset drawn from this seed; with `torn`, some writes arrive in part.
    Some {
        seed: u64,
        torn: bool,
    },
}

/// When the disk refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The number of the operation that fails first, from 0.
    pub(super) at: usize,
    pub(super) kind: io::ErrorKind,
    /// Whether it goes on refusing.
    pub(super) forever: bool,
}

struct State {
    failure: Option<Failure>,
    image: Image,
    ops: Vec<Op>,
    tried: usize,
}

/// The disk; copies are the same disk.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn new(image: Image) -> Self {
        Self(Arc::new(Mutex::new(State { failure: None, image, ops: Vec::new(), tried: 0 })))
    }

    pub(super) fn failing(image: Image, failure: Failure) -> Self {
        let disk = Self::new(image);
        disk.state().failure = Some(failure);
        disk
    }

    /// What is on it now.
    pub(super) fn image(&self) -> Image {
        self.state().image.clone()
    }

    /// How many operations were done.
    pub(super) fn op_count(&self) -> usize {
        self.state().ops.len()
    }

    /// The operations so far.
    pub(super) fn take_ops(&self) -> Vec<Op> {
        std::mem::take(&mut self.state().ops)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the disk is locked")
    }

    fn run(&self, op: Op) -> io::Result<()> {
        let mut state = self.state();
        let number = state.tried;
        state.tried += 1;
        if let Some(Failure { at, kind, forever }) = state.failure
            && (number == at || forever && number > at)
        {
            return Err(kind.into());
        }
        match &op {
            Op::SetLen(len) => state.image.set_len(*len),
            Op::Sync => {}
            Op::Write { offset, bytes } => {
                assert!(offset + bytes.len() <= state.image.len, "redb writes within the length that it has set");
                state.image.write(*offset, bytes);
            }
        }
        state.ops.push(op);
        Ok(())
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).expect("the test's disks fit into memory")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().image.len as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if size(offset) + out.len() > state.image.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.image.read(size(offset), out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.run(Op::SetLen(size(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run(Op::Sync)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.run(Op::Write { offset: size(offset), bytes: bytes.to_vec() })
    }
}

/// Follows a log of operations and says, after each, what a crash there leaves.
pub(super) struct Crashes<'a> {
    durable: Image,
    unsynced: Vec<&'a Op>,
}

impl<'a> Crashes<'a> {
    pub(super) fn new(start: Image) -> Self {
        Self { durable: start, unsynced: Vec::new() }
    }

    /// Goes on by one operation.
    pub(super) fn advance(&mut self, op: &'a Op) {
        self.unsynced.push(op);
        if matches!(op, Op::Sync) {
            self.durable = self.image(Kept::All);
            self.unsynced.clear();
        }
    }

    /// How many operations a crash may lose.
    pub(super) fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    /// The disk after a crash here.
    pub(super) fn image(&self, kept: Kept) -> Image {
        let mut image = self.durable.clone();
        match kept {
            Kept::All => self.unsynced.iter().for_each(|op| apply(&mut image, op)),
            Kept::Nothing => {}
            Kept::Some { seed, torn } => self.apply_some(&mut image, &mut super::rng(seed), torn),
        }
        image
    }

    fn apply_some(&self, image: &mut Image, rng: &mut Rng, torn: bool) {
        // One share for all writes of a crash: with one half for each, long logs would never be almost whole.
        let share = rng.below(5);
        let mut is_length_journalled = true;
        for op in &self.unsynced {
            match op {
                Op::SetLen(_) => {
                    is_length_journalled &= rng.below(4) < share;
                    if is_length_journalled {
                        apply(image, op);
                    }
                }
                Op::Sync => {}
                Op::Write { offset, bytes } => {
                    let is_torn = torn && rng.below(3) == 0;
                    if is_torn {
                        let cut = size(rng.below(bytes.len() as u64 + 1));
                        if rng.below(2) == 0 {
                            image.write(*offset, &bytes[..cut]);
                        } else {
                            image.write(offset + cut, &bytes[cut..]);
                        }
                    } else if rng.below(4) < share {
                        image.write(*offset, bytes);
                    }
                }
            }
        }
    }
}

fn apply(image: &mut Image, op: &Op) {
    match op {
        Op::SetLen(len) => image.set_len(*len),
        Op::Sync => {}
        Op::Write { offset, bytes } => image.write(*offset, bytes),
    }
}
