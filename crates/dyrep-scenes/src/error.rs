//! The one error of the crate. Every variant names the file or the numbers, and what was expected.

use std::io;
use std::path::PathBuf;

use dyrep_data::DataError;

/// Everything that can go wrong between annotations on disk and a scene.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A picture or a folder cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),

    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// A file is too long to be read.
    #[error("{}: more than {limit} bytes; expected {expected}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
        /// What the file should be.
        expected: &'static str,
    },

    /// A file is no JSON, or not what was expected; the reason has line and column.
    #[error("{}: {source}; expected {expected}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
        /// What the file should be.
        expected: &'static str,
    },

    /// Two entries have the same id.
    #[error("{}: two {what} have the id {id}; expected each id once", path.display())]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// Of what: images, annotations or categories.
        what: &'static str,
        /// The id.
        id: u64,
    },

    /// An annotation is of a category that is not listed.
    #[error(
        "{}: annotation {id} has the category_id {category}; expected one that `categories` lists",
        path.display()
    )]
    UnknownCategory {
        /// The file.
        path: PathBuf,
        /// The annotation.
        id: u64,
        /// Its category.
        category: u64,
    },

    /// A field of an entry makes no sense.
    #[error("{}: {what} {id}: `{field}` is {found}; expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// What the entry is.
        what: &'static str,
        /// Its id, or its place in a list without ids.
        id: u64,
        /// The field.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },

    /// There is nothing to learn from.
    #[error("{}: no {what}; {told}", path.display())]
    Nothing {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found instead.
        told: String,
    },

    /// A picture has another size than its annotations or its mask.
    #[error(
        "{}: the picture is {}x{}; {by} says {}x{}",
        path.display(), found.0, found.1, expected.0, expected.1
    )]
    SizeDiffers {
        /// The picture's file.
        path: PathBuf,
        /// Its width and height.
        found: (u32, u32),
        /// Who says another.
        by: String,
        /// The width and height that were expected.
        expected: (u32, u32),
    },

    /// Two pictures would have the same mask.
    #[error("{} and {}: both would have the mask {}; expected each stem once", paths[0].display(), paths[1].display(), mask.display())]
    StemTwice {
        /// The pictures.
        paths: [PathBuf; 2],
        /// The mask.
        mask: PathBuf,
    },

    /// A file of a mask is none that is read.
    #[error("{}: {reason}; expected a PNG of grey values or a palette, 8 bits or fewer", path.display())]
    MaskFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A mask has a label that is no class.
    #[error("{}: label {label} in column {}, row {}; expected {expected}", path.display(), at.0, at.1)]
    UnknownLabel {
        /// The mask's file.
        path: PathBuf,
        /// The label.
        label: u8,
        /// Column and row of the first such pixel.
        at: (u32, u32),
        /// The labels that there are.
        expected: String,
    },

    /// An option of a transform, or of scenes that are made up, makes no sense.
    #[error("{transform}: {option} is {found}; expected {expected}")]
    Transform {
        /// The transform, or what makes scenes up.
        transform: &'static str,
        /// The option.
        option: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },

    /// A mask that is none.
    #[error(
        "mask of {width}x{height} with {labels} labels; expected sides of at least 1 and a label a pixel"
    )]
    InvalidMask {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Number of labels.
        labels: usize,
    },

    /// A scene's mask is not of the picture's size.
    #[error("mask of {}x{} for a picture of {}x{}", found.0, found.1, expected.0, expected.1)]
    MaskSize {
        /// Width and height of the mask.
        found: (u32, u32),
        /// Width and height of the picture.
        expected: (u32, u32),
    },

    /// An object does not lie in its scene.
    #[error(
        "object {id}: box {bbox:?}, area {area}; expected x1 < x2 and y1 < y2 within 0 to {width} \
         and 0 to {height}, and a finite area of at least 0"
    )]
    InvalidObject {
        /// The object.
        id: u64,
        /// Its box.
        bbox: [f64; 4],
        /// Its area.
        area: f64,
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
    },
}
