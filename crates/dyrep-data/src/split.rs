//! The parts of a data set on disk, as folders or as archives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::ilsvrc;
use crate::image_folder::ImageFolder;
use crate::parts::PartError;
use crate::parts::{ARCHIVES, Layout, TRAINING, VALIDATION};
use crate::reading::Reading;
use crate::scan::Scan;
use crate::tar_folder::TarFolder;

/// A part of a data set.
#[derive(Clone)]
pub struct Part {
    /// Its pictures.
    pub dataset: Arc<dyn Dataset>,
    /// The folder or archive that was taken.
    pub path: PathBuf,
}

/// Which part of a data set is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The pictures to learn from.
    Training,
    /// The pictures to measure on.
    Validation,
}

/// The training and the validation part below `root`.
///
/// The training part is the folder `train` or `training`, or without one the archive `train.tar` or
/// `ILSVRC2012_img_train.tar`, read where it lies. The validation part is the folder `val`, or the
/// first of `validation`, `valid`, `test` and `testing` that is there; its [`Part::path`] says
/// which. It may be flat, as [`ImageFolder::open_flat`] reads it.
///
/// Classes are those of the training part. One without pictures in the validation part keeps its
/// label ([`classes_without_pictures`] names it).
///
/// # Errors
///
/// [`PartError::PartMissing`] if there is no such folder, [`PartError::PartsOrClasses`] if it cannot be
/// told what is a part; [`PartError::ClassesDiffer`] if the validation part has other classes; and as
/// [`ImageFolder::open`] and [`TarFolder::open`].
pub fn open_split(
    root: impl AsRef<Path>,
    reading: impl Into<Reading>,
) -> Result<[Part; 2], DataError> {
    let (root, reading) = (root.as_ref(), reading.into());
    let (training, validation) = match Layout::of(root)? {
        Layout::Parts { training, validation } => (training, validation),
        Layout::Classes => (None, None),
    };
    let training = training.ok_or_else(|| missing(root, Wanted::Training))?;
    let validation = validation.ok_or_else(|| missing(root, Wanted::Validation))?;
    let train = open(root, training, reading, None)?;
    let validation = open(root, validation, reading, Some(train.dataset.classes()))
        .map_err(|error| beside(error, &train))?;
    Ok([train, validation])
}

/// One part below `root`, or all of it where its folders are classes and not parts.
///
/// Its classes are `classes`, in their order, if they are given; else those of the training part, or
/// its own where there is none. A class may have no pictures ([`classes_without_pictures`]).
///
/// # Errors
///
/// As [`open_split`], and [`PartError::UnknownClasses`] for a class that is not among `classes`.
pub fn open_part(
    root: impl AsRef<Path>,
    wanted: Wanted,
    reading: impl Into<Reading>,
    classes: Option<&[String]>,
) -> Result<Part, DataError> {
    let (root, reading) = (root.as_ref(), reading.into());
    let Layout::Parts { training, validation } = Layout::of(root)? else {
        return open(root, root.to_owned(), reading, classes);
    };
    let part = if wanted == Wanted::Training { training.clone() } else { validation };
    let part = part.ok_or_else(|| missing(root, wanted))?;
    match (classes, training) {
        (None, Some(training)) if wanted == Wanted::Validation => {
            let train = open(root, training, reading, None)?;
            open(root, part, reading, Some(train.dataset.classes()))
                .map_err(|error| beside(error, &train))
        }
        _ => open(root, part, reading, classes),
    }
}

/// The classes of which a data set has no picture. An accuracy says nothing of them.
#[must_use]
pub fn classes_without_pictures(dataset: &dyn Dataset) -> Vec<String> {
    let mut found = vec![false; dataset.classes().len()];
    for index in 0..dataset.len() {
        found[dataset.label(index)] = true;
    }
    let names = dataset.classes().iter().zip(found);
    names.filter(|(_, found)| !found).map(|(name, _)| name.clone()).collect()
}

/// What lies at `path`: an archive, a flat folder, or one folder a class.
fn open(
    root: &Path,
    path: PathBuf,
    reading: Reading,
    classes: Option<&[String]>,
) -> Result<Part, DataError> {
    if path.is_file() {
        let archive = match classes {
            Some(classes) => TarFolder::open_of(&path, classes, reading.decoding)?,
            None => TarFolder::open(&path, reading.decoding)?,
        };
        return Ok(Part { dataset: Arc::new(archive), path });
    }
    let opened = match classes {
        Some(classes) => ImageFolder::open_of(&path, classes, reading),
        None => ImageFolder::open(&path, reading),
    };
    let folder = match (opened, classes) {
        (Err(DataError::NoClasses { .. }), Some(classes)) if is_flat(&path, reading)? => {
            let truth = ilsvrc::find(root, &path)?;
            ImageFolder::open_flat(&path, &truth, classes, reading)?
        }
        (opened, _) => opened?,
    };
    Ok(Part { dataset: Arc::new(folder), path })
}

fn is_flat(path: &Path, reading: Reading) -> Result<bool, DataError> {
    Ok(!Scan::new(path, reading.follow_links)?.loose_images()?.is_empty())
}

/// Two parts are compared where one part alone would be refused.
fn beside(error: DataError, train: &Part) -> DataError {
    match error {
        DataError::Parts(PartError::UnknownClasses { path, unknown, missing }) => {
            DataError::Parts(PartError::ClassesDiffer {
                first: train.path.clone(),
                second: path,
                only_first: missing,
                only_second: unknown,
            })
        }
        other => other,
    }
}

fn missing(root: &Path, wanted: Wanted) -> DataError {
    let (part, names) = match wanted {
        Wanted::Training => {
            let (folders, archives) = (TRAINING.join(", "), ARCHIVES.join(", "));
            ("training", format!("a folder named {folders}, or an archive named {archives}"))
        }
        Wanted::Validation => ("validation", format!("a folder named {}", VALIDATION.join(", "))),
    };
    DataError::Parts(PartError::PartMissing { path: root.to_owned(), part, names })
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pictures = self.dataset.len();
        f.debug_struct("Part").field("path", &self.path).field("pictures", &pictures).finish()
    }
}
