//! What may be wrong with the labels of a flat folder.

use std::path::PathBuf;

/// A ground truth that is missing, malformed, or does not fit the pictures or the classes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroundTruthError {
    /// A folder holds pictures and no class folders, and nothing tells their classes.
    #[error(
        "{}: pictures without class folders or ground truth; looked for {}",
        folder.display(), crate::text::paths(looked_for)
    )]
    Missing {
        /// The folder of the pictures.
        folder: PathBuf,
        /// The files that would have been accepted, any of them.
        looked_for: Vec<PathBuf>,
    },

    /// The ground truth numbers the classes, and no list says which class has which number.
    #[error(
        "{}: the classes are numbers; expected a list of classes that says which is which{}",
        path.display(), looked(looked_for)
    )]
    NoSynsets {
        /// The ground truth.
        path: PathBuf,
        /// The lists that would have been accepted, any of them; none if they were not looked for.
        looked_for: Vec<PathBuf>,
    },

    /// A list of classes in alphabetical order, which is not that of ILSVRC's numbers.
    #[error(
        "{}: classes in alphabetical order; expected the order of the ILSVRC2012_ID, or lines that \
         say it: `wnid id name`",
        path.display()
    )]
    Alphabetical {
        /// The list of classes.
        path: PathBuf,
    },

    /// A line of a text file is not as it should be.
    #[error("{}, line {line}: {found:?}; expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },

    /// A picture's class is none of the training set's.
    #[error("{}: {image} is of class {class}, which the training set lacks", path.display())]
    UnknownClass {
        /// The ground truth.
        path: PathBuf,
        /// Name of the picture.
        image: String,
        /// Its class.
        class: String,
    },

    /// The ground truth does not know a picture.
    #[error("{}: no line for it in {}", image.display(), path.display())]
    Unlabelled {
        /// The picture.
        image: PathBuf,
        /// The ground truth.
        path: PathBuf,
    },

    /// Two pictures have one line of the ground truth, as `1.jpg` and `1.png` would.
    #[error("{}: its line in {} belongs to another picture already", image.display(), path.display())]
    LabelledTwice {
        /// The second picture.
        image: PathBuf,
        /// The ground truth.
        path: PathBuf,
    },

    /// The ground truth has lines for pictures that are not there.
    #[error(
        "{}: {found} pictures; expected {expected}, as {} has; the first without: {missing}",
        folder.display(), path.display()
    )]
    ImagesMissing {
        /// The folder of the pictures.
        folder: PathBuf,
        /// The ground truth.
        path: PathBuf,
        /// Pictures in the folder.
        found: usize,
        /// Lines of the ground truth.
        expected: usize,
        /// Name or number of a picture that is missing.
        missing: String,
    },
}

fn looked(paths: &[PathBuf]) -> String {
    match paths {
        [] => String::new(),
        some => format!("; looked for {}", crate::text::paths(some)),
    }
}
