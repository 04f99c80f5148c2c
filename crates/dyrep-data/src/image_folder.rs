//! Images on disk in ImageNet's layout: `<root>/<class>/…/<image>`.

use std::path::{Path, PathBuf};

use crate::dataset::{Contents, Dataset};
use crate::decode::Decoding;
use crate::error::DataError;
use crate::image::Image;
use crate::scan::{Scan, read_file};

/// A folder with one folder per class, as torchvision's `ImageFolder` reads it.
///
/// Classes are sorted by the bytes of their names and numbered from 0; the samples follow class by
/// class, in torchvision's order, so labels and indices agree with it. Images are files named
/// `.jpeg`, `.jpg` or `.png` in any case, at any depth below their class. Hidden entries and other
/// files are ignored. Links to folders, and out of the root, are refused.
///
/// Opening reads names only, so a broken file is reported when its sample is loaded.
#[derive(Clone)]
pub struct ImageFolder {
    root: PathBuf,
    /// The root without links, to hold links against.
    resolved: PathBuf,
    decoding: Decoding,
    classes: Vec<String>,
    samples: Vec<Sample>,
}

/// Kept small, since ImageNet has 1.3 million: the path below the class, in a box of exact length.
#[derive(Clone)]
struct Sample {
    class: u32,
    file: Box<Path>,
}

impl ImageFolder {
    /// The data set below `root`. Its files are decoded to the given channels, or as
    /// [`Decoding`] says more closely.
    ///
    /// # Errors
    ///
    /// If `root` is missing, is no folder or holds no class folders; if a class holds no images or
    /// its name is not UTF-8; if a folder cannot be read; or if there is a symbolic link to a folder
    /// or to an image outside `root`.
    pub fn open(root: impl AsRef<Path>, decoding: impl Into<Decoding>) -> Result<Self, DataError> {
        let (root, decoding) = (root.as_ref(), decoding.into());
        let scan = Scan::new(root)?;
        let classes = scan.classes()?;
        let mut samples = Vec::new();
        for (class, name) in (0..).zip(&classes) {
            let files = scan.images(name)?;
            samples.extend(files.into_iter().map(|file| Sample { class, file: file.into() }));
        }
        let resolved = scan.into_resolved();
        Ok(Self { root: root.to_owned(), resolved, decoding, classes, samples })
    }

    /// The training and the validation part: `<root>/train` and `<root>/val`.
    ///
    /// # Errors
    ///
    /// As [`ImageFolder::open`], and [`DataError::ClassesDiffer`] if the two do not have the same
    /// classes.
    pub fn open_split(
        root: impl AsRef<Path>,
        decoding: impl Into<Decoding>,
    ) -> Result<(Self, Self), DataError> {
        let decoding = decoding.into();
        let train = Self::open(root.as_ref().join("train"), decoding)?;
        let val = Self::open(root.as_ref().join("val"), decoding)?;
        if train.classes == val.classes {
            return Ok((train, val));
        }
        Err(DataError::ClassesDiffer {
            only_first: train.classes_missing_in(&val),
            only_second: val.classes_missing_in(&train),
            first: train.root,
            second: val.root,
        })
    }

    /// Path of a sample's file.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    #[must_use]
    pub fn path(&self, index: usize) -> PathBuf {
        let Sample { class, file } = &self.samples[index];
        self.root.join(&self.classes[*class as usize]).join(file)
    }

    fn classes_missing_in(&self, other: &Self) -> Vec<String> {
        // Sorted on both sides.
        let missing = |class: &&String| other.classes.binary_search(class).is_err();
        self.classes.iter().filter(missing).cloned().collect()
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        self.decoding.channels.count()
    }

    fn label(&self, index: usize) -> usize {
        self.samples[index].class as usize
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let mut buffer = Vec::new();
        self.read(index, &mut buffer)?.decode(&buffer)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        let path = self.path(index);
        read_file(&self.resolved, &path, buffer)?;
        Ok(Contents::File { path, decoding: self.decoding })
    }

    fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }
}

/// The counts without the samples, which may be millions.
impl std::fmt::Debug for ImageFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageFolder")
            .field("root", &self.root)
            .field("decoding", &self.decoding)
            .field("classes", &self.classes.len())
            .field("samples", &self.samples.len())
            .finish()
    }
}
