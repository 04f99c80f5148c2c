//! Transforms by name and options, as a recipe lists them.
//!
//! Values are held to their bounds while they are read, so that what is wrong has a place; a spec that is made in Rust is
//! checked by each transform in [`Pipeline::from_specs`]. What a transform paints with depends on the data set and is given
//! there.

use dyrep_schema::{
    Border, Count, HalfTurn, NotNegative, Pixels, Positive, Probability, Share, Ten, range, real,
    whole_u32,
};
use serde::{Deserialize, Serialize};

use super::{
    CenterCrop, ColorJitter, Cutout, Erase, Fill, Pipeline, RandAugment, RandomCrop, RandomErasing,
    RandomHorizontalFlip, RandomResizedCrop, Resize,
};
use crate::error::DataError;

/// A transform's name and options, the name as in torchvision or in the paper. Sizes are in pixels, ranges `[smallest,
/// largest]`.
///
/// ```
/// use dyrep_data::{Paint, Pipeline, TransformSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let recipe = r#"[
///     { "random_resized_crop": { "size": 224 } },
///     { "horizontal_flip": {} },
///     { "rand_augment": { "magnitude": 9, "magnitude_std": 0.5 } },
///     { "random_erasing": { "probability": 0.25, "mode": "pixel" } }
/// ]"#;
/// let specs: Vec<TransformSpec> = serde_json::from_str(recipe)?;
/// let paint = Paint::new(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], 255.0)?;
/// let pipeline = Pipeline::from_specs(&specs, &paint)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TransformSpec {
    /// [`Resize`]: the shorter side to a length, proportions kept.
    Resize {
        /// The shorter side.
        #[serde(deserialize_with = "whole_u32::<Pixels, _>")]
        size: u32,
    },
    /// [`CenterCrop`]: the central square.
    CenterCrop {
        /// Its side.
        #[serde(deserialize_with = "whole_u32::<Pixels, _>")]
        size: u32,
    },
    /// [`RandomCrop`]: a border of black, then a square anywhere.
    RandomCrop {
        /// The square's side.
        #[serde(deserialize_with = "whole_u32::<Pixels, _>")]
        size: u32,
        /// The border, on every side; 0 unless given.
        #[serde(default, deserialize_with = "whole_u32::<Border, _>")]
        padding: u32,
    },
    /// [`RandomResizedCrop`]: a part of random area and aspect, scaled to a square (arXiv 1409.4842, section 6).
    RandomResizedCrop {
        /// The square's side.
        #[serde(deserialize_with = "whole_u32::<Pixels, _>")]
        size: u32,
        /// Shares of the area, in (0, 1]; 0.08 to 1 unless given.
        #[serde(default = "default::crop_scale", deserialize_with = "range::<Share, _>")]
        scale: [f64; 2],
        /// Width over height; 3/4 to 4/3 unless given.
        #[serde(default = "default::crop_ratio", deserialize_with = "range::<Positive, _>")]
        ratio: [f64; 2],
    },
    /// [`RandomHorizontalFlip`]: left and right exchanged.
    #[serde(rename = "horizontal_flip")]
    RandomHorizontalFlip {
        /// In so many of the cases; ½ unless given.
        #[serde(default = "default::half", deserialize_with = "real::<Probability, _>")]
        probability: f64,
    },
    /// [`ColorJitter`]. What is not given is left alone.
    ColorJitter {
        /// Factors up to 1 ± this.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        brightness: f64,
        /// Factors up to 1 ± this.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        contrast: f64,
        /// Factors up to 1 ± this.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        saturation: f64,
        /// Shifts up to ± this share of the circle, at most ½.
        #[serde(default, deserialize_with = "real::<HalfTurn, _>")]
        hue: f64,
    },
    /// [`RandAugment`]: random operations of one strength (arXiv 1909.13719). timm's `rand-m9-mstd0.5` has the magnitude 9
    /// and the deviation ½.
    RandAugment {
        /// The mean level, 0 to 10.
        #[serde(deserialize_with = "real::<Ten, _>")]
        magnitude: f64,
        /// The level's standard deviation; 0 unless given.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        magnitude_std: f64,
        /// Operations drawn for each image; 2 unless given.
        #[serde(default = "default::operations", deserialize_with = "whole_u32::<Count, _>")]
        operations: u32,
        /// Whether higher levels are always stronger, timm's `inc1`; not unless given.
        #[serde(default)]
        increasing: bool,
        /// What uncovered pixels get; the data set's mean unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<Fill>,
    },
    /// [`Cutout`]: one square of one colour, its centre anywhere (arXiv 1708.04552).
    Cutout {
        /// The square's side.
        #[serde(deserialize_with = "whole_u32::<Pixels, _>")]
        size: u32,
        /// Its colour; the data set's mean unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<Fill>,
    },
    /// [`RandomErasing`]: a rectangle of random size painted over (arXiv 1708.04896).
    RandomErasing {
        /// In so many of the cases.
        #[serde(deserialize_with = "real::<Probability, _>")]
        probability: f64,
        /// With what; one colour unless given.
        #[serde(default)]
        mode: ErasingMode,
        /// Shares of the area, in (0, 1]; 0.02 to 1/3 unless given, as in timm.
        #[serde(default = "default::erased_scale", deserialize_with = "range::<Share, _>")]
        scale: [f64; 2],
        /// Height over width; 0.3 to 1/0.3 unless given, as in timm.
        #[serde(default = "default::erased_ratio", deserialize_with = "range::<Positive, _>")]
        ratio: [f64; 2],
    },
}

/// What an erased rectangle is painted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ErasingMode {
    /// The same colour always.
    Constant {
        /// The colour; the data set's mean unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<Fill>,
    },
    /// Noise of the data set's mean and deviation, each pixel by itself.
    Pixel,
}

impl Default for ErasingMode {
    fn default() -> Self {
        Self::Constant { fill: None }
    }
}

/// What is painted with where a spec does not say it: a data set's mean, which is zero once it is normalised, or its noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Paint {
    fill: Fill,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Paint {
    /// Of a data set that is normalised by this mean and standard deviation of each channel, where the byte `scale` is 1.
    ///
    /// # Errors
    /// No channel, or more than 4.
    pub fn new(mean: &[f32], std: &[f32], scale: f32) -> Result<Self, DataError> {
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect();
        let bytes: Vec<u8> = mean.iter().map(|mean| (mean * scale).round() as u8).collect();
        Ok(Self { fill: Fill::new(bytes)?, mean: wide(mean), std: wide(std) })
    }

    fn or(&self, fill: &Option<Fill>) -> Fill {
        fill.as_ref().unwrap_or(&self.fill).clone()
    }

    fn erasing(&self, mode: &ErasingMode) -> Erase {
        match mode {
            ErasingMode::Constant { fill } => Erase::Constant(self.or(fill)),
            ErasingMode::Pixel => Erase::Pixel { mean: self.mean.clone(), std: self.std.clone() },
        }
    }
}

impl TransformSpec {
    /// The colour that it paints with, if it names one.
    #[must_use]
    pub fn fill(&self) -> Option<&Fill> {
        match self {
            Self::RandAugment { fill, .. }
            | Self::Cutout { fill, .. }
            | Self::RandomErasing { mode: ErasingMode::Constant { fill }, .. } => fill.as_ref(),
            _ => None,
        }
    }

    /// The pipeline with this transform at its end.
    pub(super) fn append_to(
        &self,
        pipeline: Pipeline,
        paint: &Paint,
    ) -> Result<Pipeline, DataError> {
        Ok(match *self {
            Self::Resize { size } => pipeline.then(Resize::new(size)?),
            Self::CenterCrop { size } => pipeline.then(CenterCrop::new(size)?),
            Self::RandomCrop { size, padding } => pipeline.then(RandomCrop::new(size, padding)?),
            Self::RandomResizedCrop { size, scale: [least, most], ratio: [low, high] } => pipeline
                .then(
                    RandomResizedCrop::new(size)?
                        .with_scale(least..=most)?
                        .with_ratio(low..=high)?,
                ),
            Self::RandomHorizontalFlip { probability } => {
                pipeline.then(RandomHorizontalFlip::new(probability)?)
            }
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                pipeline.then(ColorJitter::new(brightness, contrast, saturation, hue)?)
            }
            Self::RandAugment { magnitude, magnitude_std, operations, increasing, ref fill } => {
                let augment = RandAugment::new(operations, magnitude, magnitude_std)?;
                pipeline.then(augment.with_increasing(increasing).with_fill(paint.or(fill)))
            }
            Self::Cutout { size, ref fill } => {
                pipeline.then(Cutout::new(size)?.with_fill(paint.or(fill)))
            }
            Self::RandomErasing {
                probability,
                ref mode,
                scale: [least, most],
                ratio: [low, high],
            } => pipeline.then(
                RandomErasing::new(probability, paint.erasing(mode))?
                    .with_scale(least..=most)?
                    .with_ratio(low..=high)?,
            ),
        })
    }
}

mod default {
    pub(super) const fn crop_scale() -> [f64; 2] {
        [0.08, 1.0]
    }

    pub(super) const fn crop_ratio() -> [f64; 2] {
        [3.0 / 4.0, 4.0 / 3.0]
    }

    pub(super) const fn erased_scale() -> [f64; 2] {
        [0.02, 1.0 / 3.0]
    }

    pub(super) const fn erased_ratio() -> [f64; 2] {
        [0.3, 1.0 / 0.3]
    }

    pub(super) const fn half() -> f64 {
        0.5
    }

    pub(super) const fn operations() -> u32 {
        2
    }
}
