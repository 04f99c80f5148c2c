//! Transforms by name and options, as a recipe file lists them.
//!
//! Only shape is checked while reading: names, types, and that no option is unknown. Whether the
//! values make sense is each transform's to say, once, in [`Pipeline::from_specs`].

use serde::{Deserialize, Serialize};

use super::{
    CenterCrop, ColorJitter, Cutout, Erase, Fill, Pipeline, RandAugment, RandomCrop, RandomErasing,
    RandomHorizontalFlip, RandomResizedCrop, Resize,
};
use crate::error::DataError;

/// A transform's name and options. Sizes are in pixels, ranges `[smallest, largest]`.
///
/// ```
/// use dyrep_data::{Pipeline, TransformSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let recipe = r#"[
///     { "name": "random_resized_crop", "size": 224 },
///     { "name": "random_horizontal_flip" },
///     { "name": "rand_augment", "magnitude": 9, "fill": [124, 116, 104] },
///     { "name": "random_erasing", "probability": 0.25,
///       "fill": { "pixel": { "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225] } } }
/// ]"#;
/// let specs: Vec<TransformSpec> = serde_json::from_str(recipe)?;
/// let pipeline = Pipeline::from_specs(&specs)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum TransformSpec {
    /// [`Resize`].
    Resize {
        /// The shorter side.
        size: u32,
    },
    /// [`CenterCrop`].
    CenterCrop {
        /// The side.
        size: u32,
    },
    /// [`RandomCrop`].
    RandomCrop {
        /// The side.
        size: u32,
        /// The black border; 0 unless given.
        #[serde(default)]
        padding: u32,
    },
    /// [`RandomResizedCrop`].
    RandomResizedCrop {
        /// The side.
        size: u32,
        /// Shares of the area; 0.08 to 1 unless given.
        #[serde(default = "crop_scale")]
        scale: [f64; 2],
        /// Width over height; 3/4 to 4/3 unless given.
        #[serde(default = "crop_ratio")]
        ratio: [f64; 2],
    },
    /// [`RandomHorizontalFlip`].
    RandomHorizontalFlip {
        /// ½ unless given.
        #[serde(default = "half")]
        probability: f64,
    },
    /// [`ColorJitter`]. What is not given is left alone.
    ColorJitter {
        /// Factors up to 1 ± this.
        #[serde(default)]
        brightness: f64,
        /// Factors up to 1 ± this.
        #[serde(default)]
        contrast: f64,
        /// Factors up to 1 ± this.
        #[serde(default)]
        saturation: f64,
        /// Shifts up to ± this share of the circle.
        #[serde(default)]
        hue: f64,
    },
    /// [`RandAugment`]; timm's `rand-m9-mstd0.5` unless given.
    RandAugment {
        /// Operations drawn for each image; 2 unless given.
        #[serde(default = "two")]
        operations: u32,
        /// Level, 0 to 10; 9 unless given.
        #[serde(default = "nine")]
        magnitude: f64,
        /// The level's standard deviation; ½ unless given.
        #[serde(default = "half")]
        magnitude_std: f64,
        /// Whether higher levels are always stronger, timm's `inc1`; not unless given.
        #[serde(default)]
        increasing: bool,
        /// What uncovered pixels get; a mid grey of 128 unless given.
        #[serde(default = "mid_grey")]
        fill: Fill,
    },
    /// [`Cutout`].
    Cutout {
        /// The square's side.
        size: u32,
        /// Its colour; black unless given.
        #[serde(default = "black")]
        fill: Fill,
    },
    /// [`RandomErasing`].
    RandomErasing {
        /// ½ unless given.
        #[serde(default = "half")]
        probability: f64,
        /// Shares of the area; 0.02 to 0.33 unless given.
        #[serde(default = "erased_scale")]
        scale: [f64; 2],
        /// Height over width; 0.3 to 3.3 unless given.
        #[serde(default = "erased_ratio")]
        ratio: [f64; 2],
        /// `constant` or `pixel`; constant black unless given.
        #[serde(default = "constant_black")]
        fill: Erase,
    },
}

impl TransformSpec {
    /// The pipeline with this transform at its end.
    pub(super) fn append_to(&self, pipeline: Pipeline) -> Result<Pipeline, DataError> {
        Ok(match self.clone() {
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
            Self::RandAugment { operations, magnitude, magnitude_std, increasing, fill } => {
                let augment = RandAugment::new(operations, magnitude, magnitude_std)?;
                pipeline.then(augment.with_increasing(increasing).with_fill(fill))
            }
            Self::Cutout { size, fill } => pipeline.then(Cutout::new(size)?.with_fill(fill)),
            Self::RandomErasing { probability, scale: [least, most], ratio: [low, high], fill } => {
                pipeline.then(
                    RandomErasing::new(probability, fill)?
                        .with_scale(least..=most)?
                        .with_ratio(low..=high)?,
                )
            }
        })
    }
}

fn crop_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn crop_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

fn erased_scale() -> [f64; 2] {
    [0.02, 0.33]
}

fn erased_ratio() -> [f64; 2] {
    [0.3, 3.3]
}

fn half() -> f64 {
    0.5
}

fn nine() -> f64 {
    9.0
}

fn two() -> u32 {
    2
}

fn black() -> Fill {
    Fill::grey(0)
}

fn mid_grey() -> Fill {
    Fill::grey(128)
}

fn constant_black() -> Erase {
    Erase::Constant(black())
}
