//! A buffer that is used again and cannot show what was in it before.
//!
//! A decoder may report success before it has written everything. What is read of a buffer
//! must therefore have been written for this file: whoever gets it gets it empty, and safe code has
//! no way to bytes beyond the end of a `Vec` but to write them.

/// The memory that is kept for the next file, in bytes. One picture of many megapixels among small
/// ones does not hold its memory for the rest of an epoch.
const KEPT: usize = 64 << 20;

/// Bytes whose memory outlives them.
#[derive(Default)]
pub(crate) struct Reused(Vec<u8>);

impl Reused {
    /// The buffer, empty: the only way to it.
    pub(crate) fn empty(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() > KEPT {
            self.0 = Vec::new();
        }
        self.0.clear();
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_was_there() {
        let mut buffer = Reused::default();
        buffer.empty().extend([7; 100]);
        let again = buffer.empty();
        assert!(again.is_empty() && again.capacity() >= 100);
        again.resize(50, 0);
        assert!(again.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn the_memory_of_a_large_file_is_given_back() {
        let mut buffer = Reused::default();
        buffer.empty().reserve(KEPT + 1);
        assert_eq!(buffer.empty().capacity(), 0);
    }
}
