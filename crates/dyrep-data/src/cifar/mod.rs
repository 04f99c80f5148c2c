//! CIFAR-10 and CIFAR-100 from their published binary files.
//!
//! A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009.
//!
//! | | files | a record |
//! |---|---|---|
//! | CIFAR-10 | `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`: 10,000 records each; `batches.meta.txt` | class, 3072 pixels |
//! | CIFAR-100 | `train.bin`: 50,000 records, `test.bin`: 10,000; `fine_label_names.txt`, `coarse_label_names.txt` | coarse class, fine class, 3072 pixels |
//!
//! Everything is read and checked at opening: lengths, labels, the number of names. 60,000 pictures
//! take 184 MB. Indices are those of the files, and so torchvision's.

mod error;
mod records;
mod source;

use std::io;
use std::path::Path;

pub use self::error::CifarError;

use self::records::{Labels, Records, length};
use self::source::{Found, Length, Published, Wanted};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::image::Image;
use crate::scan::unreadable;

/// A list of names, of some hundred bytes as published.
const NAMES: Length = Length::AtMost(1 << 16);

/// 60,000 pictures of 32×32 in 10 classes: 50,000 for training and 10,000 for testing.
///
/// The path may be the folder with the files, the folder around the published
/// `cifar-10-batches-bin`, the folder with the archive `cifar-10-binary.tar.gz`, or that archive.
pub struct Cifar10(Set);

impl Cifar10 {
    const PUBLISHED: Published = Published {
        set: "CIFAR-10",
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
    };
    const LABELS: [(&'static str, usize); 1] = [("class", 10)];

    /// The 50,000 pictures for training.
    ///
    /// # Errors
    ///
    /// [`CifarError`] if a file is missing, has another length than the published one or a label
    /// out of range, or if there are not 10 names; and if a file cannot be read.
    pub fn train(root: impl AsRef<Path>) -> Result<Self, DataError> {
        let files = [
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ];
        Self::open(root.as_ref(), &files)
    }

    /// The 10,000 pictures for testing.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn test(root: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open(root.as_ref(), &["test_batch.bin"])
    }

    fn open(root: &Path, files: &[&'static str]) -> Result<Self, DataError> {
        let length = length(10_000, Self::LABELS.len());
        let names = ["batches.meta.txt"];
        Set::open(root, &Self::PUBLISHED, files, length, &names, &Self::LABELS).map(Self)
    }
}

/// 60,000 pictures of 32×32 in 100 classes: 50,000 for training and 10,000 for testing. The classes
/// form 20 coarse ones, which are used on request.
///
/// The path may be the folder with the files, the folder around the published `cifar-100-binary`,
/// the folder with the archive `cifar-100-binary.tar.gz`, or that archive.
pub struct Cifar100(Set);

impl Cifar100 {
    const PUBLISHED: Published = Published {
        set: "CIFAR-100",
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
    };
    const LABELS: [(&'static str, usize); 2] = [("coarse", 20), ("fine", 100)];
    const COARSE: usize = 0;
    const FINE: usize = 1;

    /// The 50,000 pictures for training, with the 100 fine classes.
    ///
    /// # Errors
    ///
    /// [`CifarError`] if a file is missing, has another length than the published one or a label
    /// out of range, or if there are not 20 and 100 names; and if a file cannot be read.
    pub fn train(root: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open(root.as_ref(), "train.bin", 50_000)
    }

    /// The 10,000 pictures for testing, with the 100 fine classes.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn test(root: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open(root.as_ref(), "test.bin", 10_000)
    }

    fn open(root: &Path, file: &'static str, records: usize) -> Result<Self, DataError> {
        let length = length(records, Self::LABELS.len());
        let names = ["coarse_label_names.txt", "fine_label_names.txt"];
        let mut set = Set::open(root, &Self::PUBLISHED, &[file], length, &names, &Self::LABELS)?;
        set.used = Self::FINE;
        Ok(Self(set))
    }

    /// The same pictures with the 20 coarse classes.
    #[must_use]
    pub fn coarse(mut self) -> Self {
        self.0.used = Self::COARSE;
        self
    }
}

/// What the two sets have in common.
struct Set {
    records: Records,
    /// The classes of each label of a record.
    classes: Vec<Vec<String>>,
    /// Which label is used.
    used: usize,
}

impl Set {
    fn open(
        root: &Path,
        published: &Published,
        files: &[&'static str],
        length: u64,
        names: &[&'static str],
        labels: &Labels,
    ) -> Result<Self, DataError> {
        let files = files.iter().map(|&name| Wanted { name, length: Length::Exactly(length) });
        let names = names.iter().map(|&name| Wanted { name, length: NAMES });
        let wanted: Vec<_> = files.chain(names).collect();
        let mut found = source::read(root, published, &wanted)?;
        let names = found.split_off(found.len() - labels.len());
        let classes = names.iter().zip(labels).map(|(file, &(_, classes))| read(file, classes));
        let classes = classes.collect::<Result<_, _>>()?;
        Ok(Self { records: Records::new(found, labels)?, classes, used: 0 })
    }
}

/// A list of class names, one a line. The published ones end with an empty line.
fn read(file: &Found, expected: usize) -> Result<Vec<String>, DataError> {
    let text = str::from_utf8(&file.bytes).map_err(|error| {
        unreadable(&file.path, io::Error::new(io::ErrorKind::InvalidData, error))
    })?;
    let names: Vec<String> = text.trim().lines().map(|name| name.trim().to_owned()).collect();
    let found = names.iter().filter(|name| !name.is_empty()).count();
    if found != expected || names.len() != expected {
        let path = file.path.clone();
        return Err(CifarError::WrongNameCount { path, found, expected }.into());
    }
    Ok(names)
}

macro_rules! dataset {
    ($name:ident) => {
        impl Dataset for $name {
            fn len(&self) -> usize {
                self.0.records.len()
            }

            fn classes(&self) -> &[String] {
                &self.0.classes[self.0.used]
            }

            fn channels(&self) -> usize {
                3
            }

            fn label(&self, index: usize) -> usize {
                self.0.records.label(index, self.0.used)
            }

            fn image(&self, index: usize) -> Result<Image, DataError> {
                self.0.records.image(index)
            }
        }

        /// The counts without the pictures.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let (samples, classes) = (self.len(), self.classes().len());
                write!(f, "{}({samples} pictures, {classes} classes)", stringify!($name))
            }
        }
    };
}

dataset!(Cifar10);
dataset!(Cifar100);
