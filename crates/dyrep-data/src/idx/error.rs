//! What may be wrong with IDX files.

use std::path::PathBuf;

/// IDX files that are not there, or whose fields do not fit one another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// A file is in none of the spellings that are known.
    #[error("{}: no {what} here; looked for {}, packed (.gz) or not", root.display(), looked_for.join(", "))]
    NotFound {
        /// `training pictures`, `test labels` and so on.
        what: &'static str,
        /// The folder that was asked for.
        root: PathBuf,
        /// The names that would have been accepted.
        looked_for: Vec<String>,
    },

    /// A field of the header is not what it must be.
    #[error("{}: its {field} is {found}; expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// `magic number`, `count`, `height` or `width`.
        field: &'static str,
        /// The value in the file.
        found: u64,
        /// What would have been accepted.
        expected: String,
    },

    /// A file, unpacked if it is packed, has another length than its header declares.
    #[error("{}: {found} bytes; its header declares {expected}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes; of a packed one that is too long, one more than expected.
        found: u64,
        /// The length by its header, in bytes.
        expected: u64,
    },

    /// Pictures and labels are not as many.
    #[error("{} holds {pictures} pictures, {} {labels} labels", of_pictures.display(), of_labels.display())]
    CountsDiffer {
        /// The file of the pictures.
        of_pictures: PathBuf,
        /// Their number.
        pictures: u64,
        /// The file of the labels.
        of_labels: PathBuf,
        /// Their number.
        labels: u64,
    },

    /// A label is no class.
    #[error("{}: label {record} is {found}; there are {classes} classes, from 0", path.display())]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Number of the label in the file, from 0.
        record: usize,
        /// The label.
        found: u8,
        /// Number of classes.
        classes: usize,
    },
}
