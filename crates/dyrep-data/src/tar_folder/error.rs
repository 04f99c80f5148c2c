//! What may be wrong with a tar archive.

use std::path::PathBuf;

/// An archive that is no tar, ends too early, or holds what cannot be taken for data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// What should be a header is none, as in a compressed archive.
    #[error("{}, byte {offset}: {found}; expected the header of a tar's entry", path.display())]
    BadHeader {
        /// The archive.
        path: PathBuf,
        /// Where the header is, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        found: String,
    },

    /// The archive ends before what its headers announce, or without a mark of its end.
    #[error("{}: truncated: {found} bytes; expected at least {expected}", path.display())]
    Truncated {
        /// The archive; one inside another is named like a file in it.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length that it announces.
        expected: u64,
    },

    /// An entry that is not taken, and whose absence would change the data set.
    #[error("{}: entry {entry:?} is refused: {reason}", path.display())]
    Refused {
        /// The archive; one inside another is named like a file in it.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// Why.
        reason: String,
    },

    /// Two entries of one name.
    #[error("{}: twice in the archive", path.display())]
    Duplicate {
        /// The entry, as if it were a file below the archive.
        path: PathBuf,
    },
}
