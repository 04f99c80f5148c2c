//! What is trained, and on what.

use std::path::PathBuf;

use dyrep_models::Activation;
use serde::{Deserialize, Serialize};

use super::bounds::{Count, Names, Pixels, name, some_whole};

/// Networks that a recipe can name: those of the zoo.
pub const MODELS: &[&str] = dyrep_models::MODELS;

struct Models;

impl Names for Models {
    fn all() -> &'static [&'static str] {
        MODELS
    }
}

/// `[model]`: the network. Its classes are the data's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// One of [`MODELS`]. Required.
    #[serde(deserialize_with = "name::<Models, _>")]
    pub name: String,
    /// Channels of the first convolution, to which all others keep their ratio; absent: as published.
    #[serde(
        default,
        deserialize_with = "some_whole::<Count, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub width: Option<usize>,
    /// The first layers; absent: as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<StemRecipe>,
    /// What follows each norm, where a network has the option; absent: as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Weights that the training starts from, in any file that `dyrep-weights` opens; absent: drawn by the run's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Of a file that holds several: `average` for the moving average of the weights, or the key under which they lie;
    /// absent: those that were trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Changes of the file's names, each as `pattern=replacement` with a regular expression, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<String>,
    /// What the norms of the file's network add to their variances; absent: 1e-5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm_epsilon: Option<f64>,
    /// Whether parameters for which `weights` has nothing that fits, such as those of a classifier for other classes, start
    /// as drawn; otherwise that is an error.
    #[serde(default)]
    pub partial: bool,
}

/// How the first layers treat the picture (arXiv 1512.03385, sections 4.1 and 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StemRecipe {
    /// As published, for pictures of about 224×224.
    Imagenet,
    /// 3×3 of stride 1 without pooling, for pictures of up to about 64×64; a VGG gets a global average and one linear
    /// layer.
    Small,
}

/// `[data]`: the pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// The set. Required.
    pub set: DataSet,
    /// Where it lies; the digits are part of the program. A recipe for many machines leaves it out, and
    /// whoever runs it names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Side of the square that is evaluated on, in pixels; absent: see [`side`](Self::side).
    #[serde(
        default,
        deserialize_with = "some_whole::<Pixels, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_size: Option<usize>,
    /// For evaluation, the shorter side is resized to so many pixels, and the square cut from the centre;
    /// absent: see [`resized_side`](Self::resized_side).
    #[serde(
        default,
        deserialize_with = "some_whole::<Pixels, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub evaluation_resize: Option<usize>,
}

impl DataRecipe {
    /// The side of the square that is evaluated on, in pixels: as asked for, or the set's own.
    #[must_use]
    pub fn side(&self) -> usize {
        self.image_size.or(self.set.fixed_side()).unwrap_or(224)
    }

    /// The shorter side in front of the central crop, in pixels: as asked for, or 256/224 of the square's,
    /// as is usual on ImageNet. Sets of one size are not resized.
    #[must_use]
    pub fn resized_side(&self) -> usize {
        match self.set.fixed_side() {
            Some(side) => side,
            None => self.evaluation_resize.unwrap_or(self.side() * 256 / 224),
        }
    }
}

/// A data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSet {
    /// The shipped digits: 8×8, one channel, 10 classes.
    Digits,
    /// CIFAR-10: 32×32, 10 classes.
    Cifar10,
    /// CIFAR-100: 32×32, 100 classes.
    Cifar100,
    /// ImageNet (ILSVRC 2012): a folder with `train/<class>/*.JPEG` and `val/<class>/*.JPEG`. The training part may
    /// be the published tar, the validation part flat with its ground truth beside it.
    Imagenet,
    /// Any folder in ImageNet's layout.
    ImageFolder,
}

impl DataSet {
    /// The side of all pictures of a set, in pixels, where they have one.
    #[must_use]
    pub const fn fixed_side(self) -> Option<usize> {
        match self {
            Self::Digits => Some(8),
            Self::Cifar10 | Self::Cifar100 => Some(32),
            Self::Imagenet | Self::ImageFolder => None,
        }
    }

    /// The name in a recipe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Imagenet => "imagenet",
            Self::ImageFolder => "image_folder",
        }
    }
}
