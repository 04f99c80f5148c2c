//! How training pictures are changed.

use serde::{Deserialize, Serialize};

use super::bounds::{
    Border, Count, HalfTurn, NotNegative, Pixels, Positive, Probability, Share, Ten, range, real,
    whole,
};

/// `[augmentation]`: what is done to training pictures, and to whole batches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentationRecipe {
    /// Steps, one after the other; none: pictures pass as they are.
    pub train: Vec<AugmentationStep>,
    /// Blending two pictures and their classes (arXiv 1710.09412); absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<MixRecipe>,
    /// Pasting a part of one picture into another (arXiv 1905.04899); absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<MixRecipe>,
}

/// How two pictures are mixed. A batch gets `mixup`, `cutmix` or neither, never both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixRecipe {
    /// The share is drawn from Beta(α, α). Required.
    #[serde(deserialize_with = "real::<Positive, _>")]
    pub alpha: f64,
    /// The share of batches that are mixed, 0 to 1; 1 if absent.
    #[serde(default = "default::always", deserialize_with = "real::<Probability, _>")]
    pub probability: f64,
}

/// One step, named as in torchvision or in the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AugmentationStep {
    /// The shorter side to a length, proportions kept.
    Resize {
        /// Pixels. Required.
        #[serde(deserialize_with = "whole::<Pixels, _>")]
        size: usize,
    },
    /// The central square.
    CenterCrop {
        /// Its side in pixels. Required.
        #[serde(deserialize_with = "whole::<Pixels, _>")]
        size: usize,
    },
    /// A border of black, then a square anywhere.
    RandomCrop {
        /// The square's side in pixels. Required.
        #[serde(deserialize_with = "whole::<Pixels, _>")]
        size: usize,
        /// The border in pixels, on every side; 0 if absent.
        #[serde(default, deserialize_with = "whole::<Border, _>")]
        padding: usize,
    },
    /// A part of random area and aspect, scaled to a square (arXiv 1409.4842, section 6).
    RandomResizedCrop {
        /// The square's side in pixels. Required.
        #[serde(deserialize_with = "whole::<Pixels, _>")]
        size: usize,
        /// The least and the largest share of the area, in (0, 1]; 0.08 and 1 if absent.
        #[serde(default = "default::scale", deserialize_with = "range::<Share, _>")]
        scale: [f64; 2],
        /// The least and the largest width over height; 3/4 and 4/3 if absent.
        #[serde(default = "default::ratio", deserialize_with = "range::<Positive, _>")]
        ratio: [f64; 2],
    },
    /// Left and right exchanged.
    HorizontalFlip {
        /// In so many of the cases, 0 to 1; 0.5 if absent.
        #[serde(default = "default::half", deserialize_with = "real::<Probability, _>")]
        probability: f64,
    },
    /// Brightness, contrast and saturation times a factor from [max(0, 1 − x), 1 + x], in random order, and
    /// hue shifted by up to a share of the circle; 0, which is no change, if absent.
    ColorJitter {
        /// x of the brightness.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        brightness: f64,
        /// x of the contrast.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        contrast: f64,
        /// x of the saturation.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        saturation: f64,
        /// The largest shift of the hue, in turns, 0 to 0.5.
        #[serde(default, deserialize_with = "real::<HalfTurn, _>")]
        hue: f64,
    },
    /// Random operations of one strength (arXiv 1909.13719), which timm calls `rand-m9-mstd0.5` with
    /// magnitude 9 and deviation 0.5.
    RandAugment {
        /// The mean strength, 0 to 10. Required.
        #[serde(deserialize_with = "real::<Ten, _>")]
        magnitude: f64,
        /// The standard deviation of the strength; 0 if absent.
        #[serde(default, deserialize_with = "real::<NotNegative, _>")]
        magnitude_std: f64,
        /// Operations on each picture; 2 if absent.
        #[serde(default = "default::operations", deserialize_with = "whole::<Count, _>")]
        operations: usize,
    },
    /// One square of one colour, its centre anywhere (arXiv 1708.04552).
    Cutout {
        /// Its side in pixels. Required.
        #[serde(deserialize_with = "whole::<Pixels, _>")]
        size: usize,
    },
    /// A rectangle of random size painted over (arXiv 1708.04896).
    RandomErasing {
        /// In so many of the cases, 0 to 1. Required.
        #[serde(deserialize_with = "real::<Probability, _>")]
        probability: f64,
        /// With what; `constant` if absent.
        #[serde(default)]
        mode: ErasingMode,
    },
}

/// What an erased rectangle is painted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasingMode {
    /// The same colour always.
    #[default]
    Constant,
    /// Noise, each pixel by itself.
    Pixel,
}

mod default {
    pub(super) fn always() -> f64 {
        1.0
    }

    pub(super) fn half() -> f64 {
        0.5
    }

    pub(super) fn scale() -> [f64; 2] {
        [0.08, 1.0]
    }

    pub(super) fn ratio() -> [f64; 2] {
        [3.0 / 4.0, 4.0 / 3.0]
    }

    pub(super) fn operations() -> usize {
        2
    }
}
