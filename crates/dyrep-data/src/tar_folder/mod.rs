//! Images in a tar archive, read where they lie.

mod error;
mod index;
mod names;
mod shared_file;
mod walk;

use std::path::{Path, PathBuf};

pub use self::error::TarError;

use self::index::{Index, Sample, index};
use self::shared_file::SharedFile;
use crate::dataset::{Contents, Dataset, decoded};
use crate::decode::Decoding;
use crate::error::DataError;
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::parts::check_among;
use crate::scan::{MAX_BYTES, check_regular, unreadable};

/// A tar of one folder per class, or of one tar per class as `ILSVRC2012_img_train.tar` is.
///
/// Nothing is unpacked: opening goes from header to header, and a sample is one read at its place,
/// by any number of threads. Classes, labels and indices are those of an [`ImageFolder`] of the
/// unpacked archive:
///
/// * `<class>/…/<image>` is a sample. An archive inside the archive, such as `n01440764.tar`, counts
///   as the folder `n01440764`. Folders around all classes, as in a tar of `train/<class>/<image>`,
///   are passed over.
/// * Hidden entries and files with other extensions are ignored, and so is what follows the first
///   empty block.
/// * Links, devices, pipes and sparse files are refused, and so are names that begin with `/` or
///   contain `..`, and two entries of one name.
///
/// A compressed archive has to be unpacked first: there is no way to its middle.
///
/// [`ImageFolder`]: crate::ImageFolder
pub struct TarFolder {
    path: PathBuf,
    file: SharedFile,
    decoding: Decoding,
    classes: Vec<String>,
    samples: Vec<Sample>,
    left_out: LeftOut,
}

impl TarFolder {
    /// The data set in the archive at `path`. Its files are decoded to the given channels, or as
    /// [`Decoding`] says more closely.
    ///
    /// # Errors
    ///
    /// [`TarError`] if it is no tar, ends too early or holds what is refused; or if there are no
    /// classes, a class without images or with a name that is not UTF-8, or the file cannot be read.
    pub fn open(path: impl AsRef<Path>, decoding: impl Into<Decoding>) -> Result<Self, DataError> {
        let (path, decoding) = (path.as_ref().to_owned(), decoding.into());
        let length = check_regular(&path)?;
        let file = SharedFile::open(&path).map_err(|source| unreadable(&path, source))?;
        let Index { classes, samples, left_out } = index(&file, &path, length)?;
        Ok(Self { path, file, decoding, classes, samples, left_out })
    }

    /// The same with the given classes in their order, whatever the order of the archive's: the labels
    /// are those of the part, or of the network, that the classes are of. A class may be missing; then
    /// it has no samples.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`PartError::UnknownClasses`](crate::PartError::UnknownClasses) if the
    /// archive has a class that is none of them, [`PartError::ClassTwice`](crate::PartError::ClassTwice)
    /// if one is named twice.
    pub fn open_of(
        path: impl AsRef<Path>,
        classes: &[String],
        decoding: impl Into<Decoding>,
    ) -> Result<Self, DataError> {
        let mut opened = Self::open(path, decoding)?;
        check_among(&opened.path, &opened.classes, classes)?;
        let label = |name: &String| classes.iter().position(|class| class == name);
        let labels: Vec<usize> = opened.classes.iter().filter_map(label).collect();
        for sample in &mut opened.samples {
            sample.class = labels[sample.class as usize] as u32;
        }
        opened.samples.sort_by_key(|sample| sample.class);
        opened.classes = classes.to_vec();
        Ok(opened)
    }

    /// A sample as if it were a file below the archive.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    #[must_use]
    pub fn path(&self, index: usize) -> PathBuf {
        self.path.join(&self.samples[index].file)
    }
}

impl Dataset for TarFolder {
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
        decoded(self, index)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        let Sample { offset, length, .. } = self.samples[index];
        let path = self.path(index);
        if length > MAX_BYTES {
            return Err(DataError::FileTooLarge { path, limit: MAX_BYTES });
        }
        buffer.resize(length as usize, 0);
        self.file.read(buffer, offset).map_err(|source| unreadable(&path, source))?;
        Ok(Contents::File { path, decoding: self.decoding })
    }

    fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }

    fn left_out(&self) -> LeftOut {
        self.left_out.clone()
    }
}

/// The counts without the samples, which may be millions.
impl std::fmt::Debug for TarFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarFolder")
            .field("path", &self.path)
            .field("decoding", &self.decoding)
            .field("classes", &self.classes.len())
            .field("samples", &self.samples.len())
            .finish()
    }
}
