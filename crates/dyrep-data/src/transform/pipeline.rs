//! A chain of transforms, and the chains that the recipes use.

use std::sync::Arc;

use super::{
    CenterCrop, Paint, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, Resize, Transform,
    TransformSpec,
};
use crate::decode::Opened;
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

/// Transforms applied one after the other. Cloning shares them.
///
/// ```
/// use dyrep_data::{CenterCrop, Pipeline, Resize};
///
/// # fn main() -> Result<(), dyrep_data::DataError> {
/// let evaluation = Pipeline::identity().then(Resize::new(256)?).then(CenterCrop::new(224)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    transforms: Vec<Arc<dyn Transform>>,
}

impl Pipeline {
    /// No transforms: images pass as they are.
    #[must_use]
    pub fn identity() -> Self {
        Self::default()
    }

    /// The pipeline with one more transform at its end.
    #[must_use]
    pub fn then(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms.push(Arc::new(transform));
        self
    }

    /// The transforms that a recipe lists, in its order; what they paint with where they name no colour is the data
    /// set's.
    ///
    /// # Errors
    ///
    /// [`DataError::InvalidTransform`] for the first option that makes no sense.
    pub fn from_specs(specs: &[TransformSpec], paint: &Paint) -> Result<Self, DataError> {
        specs.iter().try_fold(Self::identity(), |pipeline, spec| spec.append_to(pipeline, paint))
    }

    /// ImageNet training: [`RandomResizedCrop`] to `size`, then a flip in half of the cases.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn imagenet_train(size: u32) -> Result<Self, DataError> {
        Ok(Self::identity()
            .then(RandomResizedCrop::new(size)?)
            .then(RandomHorizontalFlip::new(0.5)?))
    }

    /// ImageNet evaluation: the shorter side to `resize`, then the central `crop`.
    ///
    /// # Errors
    ///
    /// If one of them is 0 or above 9459, or the crop is larger than the resized image.
    pub fn imagenet_eval(resize: u32, crop: u32) -> Result<Self, DataError> {
        if crop > resize {
            return Err(DataError::InvalidTransform {
                transform: "imagenet_eval",
                option: "crop",
                found: format!("{crop} after resizing to {resize}"),
                expected: "at most the resized side",
            });
        }
        Ok(Self::identity().then(Resize::new(resize)?).then(CenterCrop::new(crop)?))
    }

    /// Training on [`Digits`](crate::Digits): shifted by up to one pixel. Not flipped, since the
    /// mirror image of a digit is none.
    #[must_use]
    pub fn digits_train() -> Self {
        Self::identity().then(RandomCrop::DIGITS)
    }

    /// The image after all transforms.
    ///
    /// # Errors
    ///
    /// The first error of a transform.
    pub fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        apply(&self.transforms, image, rng)
    }

    /// The image of an opened file after all transforms. Where the first one only cuts out a part,
    /// no more than the part is decoded.
    pub(crate) fn open(&self, file: Opened<'_>, rng: &mut SampleRng) -> Result<Image, DataError> {
        let (width, height) = file.size();
        if let Some((first, rest)) = self.transforms.split_first()
            && let Some(window) = first.window(width, height, rng)?
        {
            return apply(rest, file.window(window)?, rng);
        }
        apply(&self.transforms, file.whole()?, rng)
    }
}

fn apply(
    transforms: &[Arc<dyn Transform>],
    image: Image,
    rng: &mut SampleRng,
) -> Result<Image, DataError> {
    transforms.iter().try_fold(image, |image, transform| transform.apply(image, rng))
}
