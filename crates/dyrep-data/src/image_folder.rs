//! Images on disk in ImageNet's layouts: `<root>/<class>/…/<image>`, and `<root>/<image>` with the
//! classes in a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::dataset::{Contents, Dataset, decoded};
use crate::error::DataError;
use crate::ilsvrc::{GroundTruth, GroundTruthError};
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::parts::{check_among, refuse_parts};
use crate::reading::Reading;
use crate::scan::{Bounds, Found, Scan, read_file};

/// A folder with one folder per class, as torchvision's `ImageFolder` reads it.
///
/// Classes are sorted by the bytes of their names and numbered from 0; the samples follow class by
/// class, in torchvision's order, so labels and indices agree with it. Images are files at any depth below
/// their class whose names end, in any case, in one of torchvision's endings, or in `.jpe`, `.jfif`,
/// `.gif`, `.pbm` or `.pnm`; what they are is told by their contents. Hidden entries are
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
    /// If `root` is missing, is no folder or holds no class folders; if its folders are the parts of a
    /// data set and no classes ([`open_split`](crate::open_split)); if a class holds no images or its
    /// name is not UTF-8; if a folder cannot be read; or if there is a symbolic link to a folder or to
    /// an image outside `root`, or one to a folder that is read already.
    pub fn open(root: impl AsRef<Path>, reading: impl Into<Reading>) -> Result<Self, DataError> {
        let (root, reading) = (root.as_ref(), reading.into());
        let mut scan = Scan::new(root, reading.follow_links)?;
        let classes = scan.classes()?;
        refuse_parts(root, &classes)?;
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

    /// The data set below `root` with the given classes in their order, whatever the order of its
    /// folders: the labels are those of the part, or of the network, that the classes are of. A class
    /// may have no folder, or an empty one; then it has no samples.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`PartError::UnknownClasses`](crate::PartError::UnknownClasses) if a
    /// folder is none of the classes, [`PartError::ClassTwice`](crate::PartError::ClassTwice) if one is
    /// named twice; [`DataError::EmptyClass`] if a class has files, but none of them is a picture.
    pub fn open_of(
        root: impl AsRef<Path>,
        classes: &[String],
        reading: impl Into<Reading>,
    ) -> Result<Self, DataError> {
        let (root, reading) = (root.as_ref(), reading.into());
        let mut scan = Scan::new(root, reading.follow_links)?;
        let folders = scan.classes()?;
        check_among(root, &folders, classes)?;
        let mut samples = Vec::new();
        for (class, name) in (0..).zip(classes).filter(|(_, name)| folders.contains(name)) {
            let Found { images, left_out } = scan.images(name)?;
            if images.is_empty() && !left_out.is_empty() {
                return Err(DataError::EmptyClass { path: root.join(name), left_out });
            }
            samples.extend(images.into_iter().map(|file| Sample { class, file: file.into() }));
        }
        if samples.is_empty() {
            let (path, left_out) = (root.to_owned(), scan.into_left_out());
            return Err(DataError::NoImages { path, left_out });
        }
        Ok(Self::of_scan(root, scan, reading, classes.to_owned(), samples))
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

    /// The images in `root` itself, as ILSVRC's validation part is published, of the classes that `truth` tells. `classes` are those of the
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
