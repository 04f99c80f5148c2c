//! The allocator's habit of giving memory back, and how a program that trains breaks it.

/// Tells the C library's allocator to keep what is freed for the next allocation instead of giving it back to the
/// system, for the whole process. Returns whether there was such an allocator to tell.
///
/// A training step allocates and frees the same large tensors again and again; that the system takes the pages away
/// and clears new ones each time costs up to a fifth of a step. A program that trains calls this once when it starts;
/// a library leaves it alone. The price is memory, up to a third more at the peak. Does something with glibc on Linux, nothing elsewhere.
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;

        /// `M_TRIM_THRESHOLD`, `M_MMAP_THRESHOLD` and `M_ARENA_MAX` of `malloc.h`.
        const TRIM_THRESHOLD: c_int = -1;
        const MMAP_THRESHOLD: c_int = -3;
        const ARENA_MAX: c_int = -8;

        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }

        // What one thread has freed is there for all: large tensors are few, so threads hardly meet.
        let settings = [(ARENA_MAX, 1), (MMAP_THRESHOLD, 1 << 30), (TRIM_THRESHOLD, c_int::MAX)];
        // SAFETY: declared as in glibc's `malloc.h`; it takes two numbers, touches nothing of ours, and may be called
        // at any time.
        settings.iter().all(|(parameter, value)| unsafe { mallopt(*parameter, *value) } == 1)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        false
    }
}
