//! The two parts of a data set on disk, as folders or as archives.

use std::path::Path;
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::image_folder::ImageFolder;
use crate::reading::Reading;
use crate::tar_folder::TarFolder;

/// The archives that the training part may be, in place of a folder.
const ARCHIVES: [&str; 2] = ["train.tar", "ILSVRC2012_img_train.tar"];

/// The training and the validation part below `root`.
///
/// The training part is the folder `train`, or without one the archive `train.tar` or
/// `ILSVRC2012_img_train.tar`, read where it lies. The validation part is the folder `val`; it may be
/// flat, as [`ImageFolder::open_split`] says.
///
/// # Errors
///
/// As [`ImageFolder::open_split`] and [`TarFolder::open`].
pub fn open_split(
    root: impl AsRef<Path>,
    reading: impl Into<Reading>,
) -> Result<[Arc<dyn Dataset>; 2], DataError> {
    let (root, reading) = (root.as_ref(), reading.into());
    let archive = ARCHIVES.iter().map(|name| root.join(name)).find(|path| path.exists());
    let Some(path) = archive.filter(|_| !root.join("train").exists()) else {
        let (train, val) = ImageFolder::open_split(root, reading)?;
        return Ok([Arc::new(train), Arc::new(val)]);
    };
    let train = TarFolder::open(&path, reading.decoding)?;
    let val = ImageFolder::open_val(root, &path, train.classes(), reading)?;
    Ok([Arc::new(train), Arc::new(val)])
}
