//! Memory that a thread uses again: fresh pages cost more than what is computed in them.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that wait for their next use, at most; more are given back.
const KEPT: usize = 6;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(vec![]) };
}

/// A buffer, whatever was in it before.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    pub(crate) fn new() -> Self {
        // The last that was given back is the likeliest to be in cache.
        Self(FREE.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// `len` values, whatever they are.
    pub(crate) fn sized(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len {
            self.0.resize(len, 0.0);
        }
        &mut self.0[..len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = Vec<f32>;

    fn deref(&self) -> &Vec<f32> {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<f32> {
        &mut self.0
    }
}
