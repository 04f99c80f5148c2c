//! What may be wrong with CIFAR's files.

use std::path::PathBuf;

/// Files of CIFAR-10 or CIFAR-100 that are not there or not as published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CifarError {
    /// None of the places where the files may lie has them.
    #[error("{}: no {set} here; looked for {}", root.display(), crate::text::paths(looked_for))]
    NotFound {
        /// `CIFAR-10` or `CIFAR-100`.
        set: &'static str,
        /// The path that was asked for.
        root: PathBuf,
        /// The files that would have been accepted, any of them.
        looked_for: Vec<PathBuf>,
    },

    /// An archive lacks a file.
    #[error("{}: the archive holds no file {missing}", path.display())]
    NotInArchive {
        /// The archive.
        path: PathBuf,
        /// Name of the file.
        missing: &'static str,
    },

    /// A file of records has another length than the published one.
    #[error("{}: {found} bytes; expected {expected}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The published length in bytes.
        expected: u64,
    },

    /// A record's label is no class.
    #[error("{}: record {record} has the {kind} label {found}; expected 0 to {}", path.display(), classes - 1)]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Number of the record in the file, from 0.
        record: usize,
        /// `class`, `fine` or `coarse`.
        kind: &'static str,
        /// The label.
        found: u8,
        /// Number of classes.
        classes: usize,
    },

    /// A list of class names has too few or too many.
    #[error("{}: {found} class names; expected {expected}", path.display())]
    WrongNameCount {
        /// The file.
        path: PathBuf,
        /// Names in it.
        found: usize,
        /// Number of classes.
        expected: usize,
    },
}
