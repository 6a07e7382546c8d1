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

/// An address in each line of memory that a slice lies in.
pub fn lines<T>(slice: &[T]) -> impl Iterator<Item = *const u8> {
    let first = slice.as_ptr().cast::<u8>();
    // The slice may begin in the middle of a line, so that its end may lie in one more.
    let last = size_of_val(slice).checked_sub(1);
    let inner = (0..size_of_val(slice)).step_by(LINE_BYTES);
    inner.chain(last).map(move |byte| first.wrapping_add(byte))
}

/// A line of memory, as most processors have it.
const LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_line_of_a_slice_is_named() {
        let bytes = [0_u8; 200];
        assert_eq!(lines(&bytes[..0]).count(), 0);
        let first = bytes.as_ptr();
        let offsets: Vec<usize> = lines(&bytes[8..138]).map(|line| line as usize - first as usize).collect();
        assert_eq!(offsets, [8, 72, 136, 137]);
    }
}
