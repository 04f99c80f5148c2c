//! What a loader needs from a data set: how many samples, their labels, and one image at a time.

use crate::error::DataError;
use crate::image::Image;

/// Labelled images with random access.
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

    /// What to call a sample in an error. Data sets on disk answer with the path.
    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
