//! torchvision's `RandomCrop` with padding: a black border, then a square at any position alike.

use dyrep_resample::{Region, Resampler};

use super::Transform;
use super::checks::checked_side;
use crate::error::DataError;
use crate::image::Image;
use crate::resample::Window;
use crate::rng::SampleRng;

/// Pads with black and cuts a square at a random position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomCrop {
    size: u32,
    padding: u32,
}

impl RandomCrop {
    /// A digit shifted by up to one pixel.
    pub(super) const DIGITS: Self = Self { size: 8, padding: 1 };

    /// A crop of `size × size` pixels from an image with `padding` black pixels on every side.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32, padding: u32) -> Result<Self, DataError> {
        Ok(Self { size: checked_side("RandomCrop", size)?, padding })
    }

    /// A square of an image of `width × height`, its border included.
    fn draw(&self, width: u32, height: u32, rng: &mut SampleRng) -> Result<Window, DataError> {
        let size = self.size;
        if width < size || height < size {
            return Err(DataError::ImageTooSmall { width, height, size });
        }
        let top = rng.below(height - size + 1);
        let left = rng.below(width - size + 1);
        Ok(Window::crop(Region { left, top, width: size, height: size }))
    }
}

impl Transform for RandomCrop {
    fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        let padded = if self.padding == 0 { image } else { image.pad(self.padding)? };
        let window = self.draw(padded.width(), padded.height(), rng)?;
        window.of(padded.view(), &mut Resampler::default())
    }

    fn window(
        &self,
        width: u32,
        height: u32,
        rng: &mut SampleRng,
    ) -> Result<Option<Window>, DataError> {
        // With a border, the part may lie outside of the image.
        if self.padding > 0 { Ok(None) } else { self.draw(width, height, rng).map(Some) }
    }
}
