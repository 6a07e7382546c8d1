//! Work that cores share. Pieces know nothing of each other, and their results are told in the pieces' order, so that what
//! comes out is the same on any number of threads, and a prefix of it where somebody stops it early.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::Watch;

/// Works the pieces off on so many threads. `tell` ends the work early; pieces under way then are not told of.
pub(super) fn share<T: Sync, R: Send>(
    pieces: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut tell: impl FnMut(&T, R) -> Watch,
) -> Watch {
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next, is_over, work) = (sender.clone(), &next, &is_over, &work);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = pieces.get(place) else { return };
                    if sender.send((place, work(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (place, result) in receiver {
            early.insert(place, result);
            while let Some(result) = early.remove(&wanted) {
                if tell(&pieces[wanted], result) == Watch::Stop {
                    is_over.store(true, Ordering::Relaxed);
                    return Watch::Stop;
                }
                wanted += 1;
            }
        }
        Watch::GoOn
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, upto: usize) -> Vec<u64> {
        let pieces: Vec<u64> = (0..100).collect();
        let mut told = Vec::new();
        share(
            &pieces,
            threads,
            |piece| piece * piece,
            |_, square| {
                told.push(square);
                if told.len() == upto { Watch::Stop } else { Watch::GoOn }
            },
        );
        told
    }

    #[test]
    fn results_come_in_order_and_once_on_any_number_of_threads() {
        let expected: Vec<u64> = (0..100).map(|piece| piece * piece).collect();
        for threads in [0, 1, 2, 7, 200] {
            assert_eq!(squares(threads, usize::MAX), expected);
        }
    }

    #[test]
    fn who_stops_has_heard_of_the_first_pieces_and_no_others() {
        for threads in [1, 2, 7] {
            assert_eq!(squares(threads, 10), (0..10).map(|piece| piece * piece).collect::<Vec<u64>>());
        }
    }
}
