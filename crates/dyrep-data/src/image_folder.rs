//! Images on disk in ImageNet's layouts: `<root>/<class>/…/<image>`, and `<root>/<image>` with the
//! classes in a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::dataset::{Contents, Dataset, decoded};
use crate::error::DataError;
use crate::ilsvrc::{self, GroundTruth, GroundTruthError};
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::reading::Reading;
use crate::scan::{Bounds, Found, Scan, read_file};

/// A folder with one folder per class, as torchvision's `ImageFolder` reads it.
///
/// Classes are sorted by the bytes of their names and numbered from 0; the samples follow class by
/// class, in torchvision's order, so labels and indices agree with it. Images are files at any depth below
/// their class whose names end, in any case, in one of torchvision's endings but `.mat`, or in `.jpe`,
/// `.jfif`, `.gif`, `.pbm` or `.pnm`; what they are is told by their contents. Hidden entries are
/// ignored, other files counted ([`Dataset::left_out`]). Links to folders, and out of the root, are
/// refused unless [`Reading::follow_links`].
///
/// A flat folder is read with a [`GroundTruth`], which tells the class of each image
/// ([`open_flat`](Self::open_flat)).
///
/// Opening reads names only, so a broken file is reported when its sample is loaded.
#[derive(Clone)]
pub struct ImageFolder {
    root: PathBuf,
    /// Where its files may lie.
    bounds: Bounds,
    /// Whether there are no class folders.
    flat: bool,
    reading: Reading,
    classes: Vec<String>,
    samples: Vec<Sample>,
    left_out: LeftOut,
}

/// Kept small, since ImageNet has 1.3 million: the path below the class, or below the root of a
/// flat folder, in a box of exact length.
#[derive(Clone)]
struct Sample {
    class: u32,
    file: Box<Path>,
}

impl ImageFolder {
    /// The data set below `root`. Its files are decoded to the given channels, or as a
    /// [`Decoding`](crate::Decoding) or [`Reading`] says more closely.
    ///
    /// # Errors
    ///
    /// If `root` is missing, is no folder or holds no class folders; if a class holds no images or
    /// its name is not UTF-8; if a folder cannot be read; or if there is a symbolic link to a folder
    /// or to an image outside `root`, or one to a folder that is read already.
    pub fn open(root: impl AsRef<Path>, reading: impl Into<Reading>) -> Result<Self, DataError> {
        let (root, reading) = (root.as_ref(), reading.into());
        let mut scan = Scan::new(root, reading.follow_links)?;
        let classes = scan.classes()?;
        let mut samples = Vec::new();
        for (class, name) in (0..).zip(&classes) {
            let Found { images, left_out } = scan.images(name)?;
            if images.is_empty() {
                return Err(DataError::EmptyClass { path: root.join(name), left_out });
            }
            samples.extend(images.into_iter().map(|file| Sample { class, file: file.into() }));
        }
        Ok(Self::of_scan(root, scan, reading, classes, samples))
    }

    fn of_scan(
        root: &Path,
        scan: Scan,
        reading: Reading,
        classes: Vec<String>,
        samples: Vec<Sample>,
    ) -> Self {
        let (bounds, flat) = (scan.bounds(), false);
        let (root, left_out) = (root.to_owned(), scan.into_left_out());
        Self { root, bounds, flat, reading, classes, samples, left_out }
    }

    /// The images in `root` itself, of the classes that `truth` tells. `classes` are those of the
    /// training set, so that labels agree; the samples are sorted by name.
    ///
    /// ```no_run
    /// use dyrep_data::{Channels, Dataset, GroundTruth, ImageFolder, Synsets};
    ///
    /// # fn main() -> Result<(), dyrep_data::DataError> {
    /// let train = ImageFolder::open("train", Channels::Rgb)?;
    /// let numbers = Synsets::read("map_clsloc.txt")?;
    /// let truth = GroundTruth::read("ILSVRC2012_validation_ground_truth.txt", Some(&numbers))?;
    /// let val = ImageFolder::open_flat("val", &truth, train.classes(), Channels::Rgb)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GroundTruthError`] if an image and a line are not there for each other, or a class is not
    /// among `classes`; and as
    /// [`open`](Self::open).
    pub fn open_flat(
        root: impl AsRef<Path>,
        truth: &GroundTruth,
        classes: &[String],
        reading: impl Into<Reading>,
    ) -> Result<Self, DataError> {
        let (root, reading) = (root.as_ref(), reading.into());
        let mut scan = Scan::new(root, reading.follow_links)?;
        let images = scan.loose_images()?;
        let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let mut used = vec![false; truth.len()];
        let mut samples = Vec::with_capacity(images.len());
        for file in images {
            let image = || root.join(&file);
            let path = || truth.path().to_owned();
            let line = truth.line(file.as_os_str());
            let line =
                line.ok_or_else(|| GroundTruthError::Unlabelled { image: image(), path: path() })?;
            if std::mem::replace(&mut used[line], true) {
                let twice = GroundTruthError::LabelledTwice { image: image(), path: path() };
                return Err(twice.into());
            }
            let name = truth.class(line);
            let class = *labels.get(name).ok_or_else(|| GroundTruthError::UnknownClass {
                path: path(),
                image: file.display().to_string(),
                class: name.to_owned(),
            })?;
            samples.push(Sample { class, file: file.into() });
        }
        if let Some(missing) = used.iter().position(|used| !used) {
            let (folder, path) = (root.to_owned(), truth.path().to_owned());
            let (found, expected) = (samples.len(), truth.len());
            let missing = truth.image(missing);
            let error = GroundTruthError::ImagesMissing { folder, path, found, expected, missing };
            return Err(error.into());
        }
        let folder = Self::of_scan(root, scan, reading, classes.to_owned(), samples);
        Ok(Self { flat: true, ..folder })
    }

    /// The training and the validation part: `<root>/train` and `<root>/val`.
    ///
    /// If `val` is flat, as ILSVRC's is published, its ground truth is taken from `root`:
    /// `LOC_val_solution.csv`, or `ILSVRC2012_validation_ground_truth.txt` there or in
    /// `ILSVRC2012_devkit_t12/data`, with `map_clsloc.txt` or `synsets.txt` in either place.
    ///
    /// # Errors
    ///
    /// As [`ImageFolder::open`] and [`ImageFolder::open_flat`], and [`DataError::ClassesDiffer`] if
    /// the two do not have the same classes.
    pub fn open_split(
        root: impl AsRef<Path>,
        reading: impl Into<Reading>,
    ) -> Result<(Self, Self), DataError> {
        let (path, reading) = (root.as_ref().join("train"), reading.into());
        let train = Self::open(&path, reading)?;
        let val = Self::open_val(root.as_ref(), &path, &train.classes, reading)?;
        Ok((train, val))
    }

    /// The validation part below `root`, of the same classes as the training part at `train`.
    pub(crate) fn open_val(
        root: &Path,
        train: &Path,
        classes: &[String],
        reading: Reading,
    ) -> Result<Self, DataError> {
        let path = root.join("val");
        let val = match Self::open(&path, reading) {
            Err(DataError::NoClasses { .. })
                if !Scan::new(&path, reading.follow_links)?.loose_images()?.is_empty() =>
            {
                Self::open_flat(&path, &ilsvrc::find(root)?, classes, reading)?
            }
            opened => opened?,
        };
        if val.classes == classes {
            return Ok(val);
        }
        Err(DataError::ClassesDiffer {
            only_first: missing(classes, &val.classes),
            only_second: missing(&val.classes, classes),
            first: train.to_owned(),
            second: path,
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
        if self.flat {
            return self.root.join(file);
        }
        self.root.join(&self.classes[*class as usize]).join(file)
    }
}

/// Those of the classes that the others lack; both are sorted.
fn missing(classes: &[String], others: &[String]) -> Vec<String> {
    let missing = |class: &&String| others.binary_search(class).is_err();
    classes.iter().filter(missing).cloned().collect()
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        self.reading.decoding.channels.count()
    }

    fn label(&self, index: usize) -> usize {
        self.samples[index].class as usize
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decoded(self, index)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        let path = self.path(index);
        read_file(&self.bounds, &path, buffer)?;
        Ok(Contents::File { path, decoding: self.reading.decoding })
    }

    fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }

    fn left_out(&self) -> LeftOut {
        self.left_out.clone()
    }
}

/// The counts without the samples, which may be millions.
impl std::fmt::Debug for ImageFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageFolder")
            .field("root", &self.root)
            .field("reading", &self.reading)
            .field("classes", &self.classes.len())
            .field("samples", &self.samples.len())
            .finish()
    }
}
