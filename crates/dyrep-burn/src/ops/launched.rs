//! Operations that a thread has launched, for tests that count them: convolutions, norms and averages, each by itself or as a
//! part of a block that an executor computes whole.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Counts so many.
pub(crate) fn add(operations: usize) {
    COUNT.set(COUNT.get() + operations);
}

/// What `f` gives, and how many operations it launches on this thread.
pub(crate) fn by<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNT.get();
    let done = f();
    (done, COUNT.get() - before)
}
