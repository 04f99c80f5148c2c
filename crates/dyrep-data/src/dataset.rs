//! What a loader needs from a data set: how many samples, their labels, and one image at a time.

use std::path::PathBuf;

use crate::decode::{Decoder, Decoding};
use crate::error::DataError;
use crate::image::Image;
use crate::left_out::LeftOut;

/// What [`Dataset::read`] found.
#[derive(Debug)]
pub enum Contents {
    /// The image itself.
    Image(Image),
    /// A file of a picture, whose bytes are in the buffer.
    File {
        /// What to call it in errors.
        path: PathBuf,
        /// How it becomes an image.
        decoding: Decoding,
    },
}

impl Contents {
    /// The image, all of it.
    ///
    /// # Errors
    ///
    /// If the file in `buffer` cannot be decoded; the error has its path.
    pub fn decode(self, buffer: &[u8]) -> Result<Image, DataError> {
        match self {
            Self::Image(image) => Ok(image),
            Self::File { path, decoding } => {
                Decoder::default().open(&path, buffer, decoding)?.whole()
            }
        }
    }
}

/// The image of a data set that gives files: `image` by way of `read`.
pub(crate) fn decoded(dataset: &impl Dataset, index: usize) -> Result<Image, DataError> {
    let mut buffer = Vec::new();
    dataset.read(index, &mut buffer)?.decode(&buffer)
}

/// Labelled images with random access.
///
/// A label is one class a picture. Sets with boxes or masks, such as COCO and Cityscapes, would have
/// a trait beside this one and could share the reading of files.
///
/// The same index must always give the same label and the same image, from any thread: a loader's
/// determinism rests on it.
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Names of the classes; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Channels of every image: 1 for grey, 3 for RGB.
    fn channels(&self) -> usize;

    /// Class of a sample, below `classes().len()`.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    fn label(&self, index: usize) -> usize;

    /// The image of a sample, before any transform.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or decoded; the error names it.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    fn image(&self, index: usize) -> Result<Image, DataError>;

    /// Reads a sample without decoding it, for data sets of files: the loader then decodes no more
    /// than the transforms need. A file's bytes replace what is in `buffer`, which is used again.
    ///
    /// # Errors
    ///
    /// As [`image`](Self::image).
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    fn read(&self, index: usize, _buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        self.image(index).map(Contents::Image)
    }

    /// What to call a sample in an error. Data sets on disk answer with the path.
    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }

    /// What lies among its files and is none of its samples.
    fn left_out(&self) -> LeftOut {
        LeftOut::default()
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
