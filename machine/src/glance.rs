//! What memory a step will touch: a host that knows what comes next may have it fetched meanwhile. Nothing is
//! changed; what is read to name it was named at the glance before, or is at hand.

/// How far a look ahead goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// The message and the machine itself are at hand: what they point to can be named.
    First,
    /// What was named at the first glance is at hand, too.
    Second,
}

/// The beginning of each line of memory that a slice lies in.
pub fn lines<T>(slice: &[T]) -> impl Iterator<Item = *const u8> {
    let first = slice.as_ptr().cast::<u8>();
    let before = first.addr() % LINE_BYTES;
    let count = if size_of_val(slice) == 0 { 0 } else { (before + size_of_val(slice)).div_ceil(LINE_BYTES) };
    (0..count).map(move |line| first.wrapping_sub(before).wrapping_add(line * LINE_BYTES))
}

/// A line of memory, as most processors have it.
const LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_line_of_a_slice_is_named() {
        let bytes = [0_u8; 300];
        assert_eq!(lines(&bytes[..0]).count(), 0);
        assert_eq!(lines(&[(); 3]).count(), 0);
        for (begin, end) in [(0, 1), (0, 64), (1, 65), (8, 138), (63, 300)] {
            let slice = &bytes[begin..end];
            let mut expected: Vec<usize> = slice.iter().map(|byte| (&raw const *byte).addr() / LINE_BYTES).collect();
            expected.dedup();
            let named: Vec<usize> = lines(slice).map(|line| line.addr() / LINE_BYTES).collect();
            assert_eq!(named, expected, "{begin}..{end}");
        }
    }
}
