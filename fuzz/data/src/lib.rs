//! What the targets share: files that live in memory where the system has a place for that.

#[path = "../../src/files.rs"]
mod files;

pub use files::{file, folder};

/// Cuts bytes into two: how long the first part is stands in front.
pub fn halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}
