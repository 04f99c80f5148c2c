//! Transforms of one image with torchvision's semantics, on 8-bit pixels.
//!
//! A transform is plain validated options; its randomness comes from the [`SampleRng`] it is handed.
//! One file a transform, each with the formulas it follows; `ops/` holds what the colour and shape
//! transforms do to pixels, `spec.rs` how a recipe file names them all. Normalisation is not among
//! them: pixels stay `u8` until they are on the device.

mod center_crop;
pub(crate) mod checks;
mod color_jitter;
mod cutout;
mod fill;
mod horizontal_flip;
mod ops;
mod pipeline;
mod rand_augment;
mod random_crop;
mod random_erasing;
mod random_resized_crop;
mod resize;
mod spec;

use std::fmt::Debug;

use dyrep_resample::Resampler;

pub use self::center_crop::CenterCrop;
pub use self::color_jitter::ColorJitter;
pub use self::cutout::Cutout;
pub use self::fill::Fill;
pub use self::horizontal_flip::RandomHorizontalFlip;
pub use self::pipeline::Pipeline;
pub use self::rand_augment::RandAugment;
pub use self::random_crop::RandomCrop;
pub use self::random_erasing::{Erase, RandomErasing};
pub use self::random_resized_crop::RandomResizedCrop;
pub use self::resize::Resize;
pub use self::spec::{ErasingMode, Paint, TransformSpec};

use crate::error::DataError;
use crate::image::Image;
use crate::resample::Window;
use crate::rng::SampleRng;

/// One step of a [`Pipeline`].
///
/// An implementation must be a function of the image and of the numbers drawn from `rng`, and of
/// nothing else: that is what makes an epoch repeatable.
pub trait Transform: Debug + Send + Sync {
    /// The transformed image.
    ///
    /// # Errors
    ///
    /// If the image does not suit the transform, for example if it is too small.
    fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, DataError>;

    /// For a transform that only cuts out a part and scales it: which part of an image of `width ×
    /// height`, so that no more than it need be decoded. Draws what [`apply`](Self::apply) draws,
    /// and nothing where it answers `None`, as transforms do that do more.
    ///
    /// # Errors
    ///
    /// If an image of this size does not suit the transform.
    #[doc(hidden)]
    fn window(
        &self,
        _width: u32,
        _height: u32,
        _rng: &mut SampleRng,
    ) -> Result<Option<Window>, DataError> {
        Ok(None)
    }
}

/// A transform that cuts out a part and scales it, and nothing else.
trait Cut: Debug + Send + Sync {
    /// The part of an image of `width × height`.
    fn cut(&self, width: u32, height: u32, rng: &mut SampleRng) -> Result<Window, DataError>;
}

/// Applying it and announcing its window cannot differ: both are the cut.
impl<T: Cut> Transform for T {
    fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        let window = self.cut(image.width(), image.height(), rng)?;
        window.of(image.view(), &mut Resampler::default())
    }

    fn window(
        &self,
        width: u32,
        height: u32,
        rng: &mut SampleRng,
    ) -> Result<Option<Window>, DataError> {
        self.cut(width, height, rng).map(Some)
    }
}
