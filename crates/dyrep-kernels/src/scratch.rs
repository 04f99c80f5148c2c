//! Memory that is used again: fresh pages cost more than much of what is computed in them.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::product::on_workers;

/// What is kept on the shelf: at most one part in so many of what was ever in use at once.
const KEPT: usize = 6;

/// What all threads share.
struct Shelf {
    free: Vec<Vec<f32>>,
    /// Values on the shelf, in use, and most ever in use at once.
    kept: usize,
    used: usize,
    most: usize,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { free: vec![], kept: 0, used: 0, most: 0 });

fn shelf() -> MutexGuard<'static, Shelf> {
    // Nothing on the shelf can be left half done.
    SHELF.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The smallest buffer of `len` values or more, but not of far more.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |buffer: &Vec<f32>| buffer.len() >= len && buffer.len() / 2 <= len;
        let found = self.free.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let (place, _) = found.min_by_key(|(_, buffer)| buffer.len())?;
        let buffer = self.free.swap_remove(place);
        self.kept -= buffer.len();
        Some(buffer)
    }

    /// Counts a buffer as used.
    fn count(&mut self, len: usize) {
        self.used += len;
        self.most = self.most.max(self.used);
        self.clear();
    }

    /// Puts a buffer back.
    fn put(&mut self, buffer: Vec<f32>) {
        self.used -= buffer.len();
        self.kept += buffer.len();
        self.free.push(buffer);
        self.clear();
    }

    /// Lets go of what is more than a share of what was ever needed at once: others need memory too.
    fn clear(&mut self) {
        while self.kept > self.most / KEPT {
            let Some(buffer) = self.free.pop() else { return };
            self.kept -= buffer.len();
        }
    }
}

/// A buffer of `f32` that goes back to a shelf of the process when it is dropped. The shelf keeps a
/// part of what was once in use at the same time.
#[derive(Debug)]
pub struct Buffer {
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// `len` values, whatever they are.
    #[must_use]
    pub fn any(len: usize) -> Self {
        let found = shelf().take(len);
        // Allocated outside the lock: this is what takes long.
        let values = found.unwrap_or_else(|| vec![0.0; len]);
        shelf().count(values.len());
        Self { values, len }
    }

    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::any(len);
        buffer.fill(0.0);
        buffer
    }
}

/// Zeros that a thread writes at a time.
const BLOCK: usize = 1 << 16;

/// `len` zeros, which all threads write where they are many: one alone would take as long as what they are for.
#[must_use]
pub fn zeros(len: usize) -> Vec<f32> {
    if len <= BLOCK {
        return vec![0.0; len];
    }
    let mut values = Vec::with_capacity(len);
    on_workers(|| {
        let blocks = values.spare_capacity_mut()[..len].par_chunks_mut(BLOCK);
        blocks.for_each(|block| _ = zeroed(block));
    });
    // SAFETY: there is room for so many, and all were written.
    unsafe { values.set_len(len) };
    values
}

/// Writes zeros, by all threads where they are many.
pub(crate) fn clear(values: &mut [f32]) {
    match values.len() {
        ..=BLOCK => values.fill(0.0),
        _ => on_workers(|| values.par_chunks_mut(BLOCK).for_each(|block| block.fill(0.0))),
    }
}

/// Writes zeros to memory that nobody has written.
pub(crate) fn zeroed(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    values.fill(MaybeUninit::new(0.0));
    // SAFETY: all of them were written.
    unsafe { values.assume_init_mut() }
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        shelf().count(values.len());
        Self { len: values.len(), values }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        shelf().put(values);
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

/// A buffer that grows to what is asked of it.
#[derive(Default)]
pub(crate) struct Scratch(Option<Buffer>);

impl Scratch {
    /// `len` values, whatever they are.
    pub(crate) fn sized(&mut self, len: usize) -> &mut [f32] {
        if self.0.as_ref().is_some_and(|buffer| buffer.len() < len) {
            // Gives it back before another is taken.
            self.0 = None;
        }
        &mut self.0.get_or_insert_with(|| Buffer::any(len))[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_used_again_and_no_more_is_kept() {
        let free = vec![vec![0.0; 10], vec![0.0; 14], vec![0.0; 100]];
        let mut shelf = Shelf { free, kept: 124, used: 0, most: 130 * KEPT };
        assert_eq!(shelf.take(12).map(|buffer| buffer.len()), Some(14));
        shelf.count(14);
        assert_eq!(shelf.take(30), None);
        shelf.count(30);
        assert_eq!((shelf.kept, shelf.used), (110, 44));
        // 110 and 30 are more than may be kept: the last that came goes first.
        shelf.put(vec![0.0; 30]);
        assert_eq!((shelf.kept, shelf.used, shelf.free.len()), (110, 14, 2));
        assert_eq!(Buffer::zeros(3).to_vec(), [0.0; 3]);
        let mut scratch = Scratch::default();
        assert_eq!([5, 3, 9].map(|len| scratch.sized(len).len()), [5, 3, 9]);
    }
}
