//! A batch, and the buffers of pixels that batches pass on to one another.
//!
//! A fresh buffer of some megabytes costs as much in page faults as decoding does, so a batch that
//! is dropped gives its buffer back to the loader that made it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError, Weak};

/// Images of equal shape and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[n, channels, height, width]` in row-major order.
    pub pixels: Pixels,
    /// The classes of the `n` images.
    pub labels: Vec<i64>,
    /// Which samples of the data set they are, by index: what is known of a sample beside its label
    /// is found by it, however the epoch was ordered and whatever was skipped.
    pub samples: Vec<usize>,
    /// `[n, channels, height, width]`.
    pub shape: [usize; 4],
    /// Place in the epoch's order of the batch's first sample, so that a batch can be told from
    /// others even where samples were skipped.
    pub start: usize,
}

/// The pixels of a batch. Made from a `Vec`, they are no more than that; a loader's go back to it
/// when they are dropped.
pub struct Pixels {
    bytes: Vec<u8>,
    home: Weak<Store<Vec<u8>>>,
}

impl Pixels {
    pub(super) fn of_loader(bytes: Vec<u8>, home: Weak<Store<Vec<u8>>>) -> Self {
        Self { bytes, home }
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: Weak::new() }
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give(std::mem::take(&mut self.bytes));
        }
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Self {
        self.bytes.clone().into()
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Pixels {}

/// The length without the pixels, which would fill a screen.
impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pixels({} bytes)", self.bytes.len())
    }
}

/// Things that are made once and used again, by one thread at a time each.
pub(super) struct Store<T> {
    free: Mutex<Vec<T>>,
    most: usize,
}

impl<T: Default> Store<T> {
    /// A store that keeps `most` things.
    pub(super) fn new(most: usize) -> Self {
        Self { free: Mutex::new(Vec::new()), most }
    }

    pub(super) fn take(&self) -> T {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give(&self, thing: T) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(thing);
        }
    }
}
