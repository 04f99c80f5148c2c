//! What is trained, and on what.

use std::path::PathBuf;

use dyrep_config::{Activation, Stem};
use dyrep_data::Channels;
use serde::{Deserialize, Serialize};

use super::bounds::{
    Count, Names, Pixels, Probability, Share, name, some_colour, some_reals, some_whole,
};

/// Networks that a recipe can name: those of the zoo.
pub const MODELS: &[&str] = dyrep_config::MODELS;

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
    pub stem: Option<Stem>,
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
    /// Channels that the pictures of a folder are read in; absent: see [`channels`](Self::channels).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// Mean of each channel, where the largest byte is 1; absent: the set's own, or ImageNet's.
    #[serde(
        default,
        deserialize_with = "some_reals::<Probability, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub mean: Option<Vec<f64>>,
    /// Standard deviation of each channel, likewise.
    #[serde(
        default,
        deserialize_with = "some_reals::<Share, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub std: Option<Vec<f64>>,
    /// What shows through transparent pictures of a folder: red, green, blue, 0 to 255 each; absent: white.
    #[serde(default, deserialize_with = "some_colour", skip_serializing_if = "Option::is_none")]
    pub background: Option<[u8; 3]>,
    /// The most pixels that a picture of a folder may declare; absent: 89478485.
    #[serde(
        default,
        deserialize_with = "some_whole::<Count, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_pixels: Option<usize>,
    /// Whether links to folders, and out of the set's folder, are followed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub follow_links: bool,
    /// Which pictures a training epoch holds; each once if absent.
    #[serde(default, skip_serializing_if = "SamplerRecipe::is_default")]
    pub sampler: SamplerRecipe,
}

/// Which pictures a training epoch holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerRecipe {
    /// Each once, in an order of its own.
    #[default]
    Shuffled,
    /// As many draws, with replacement: every class equally often, every picture of a class equally likely.
    Balanced,
}

impl SamplerRecipe {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !value
}

impl DataRecipe {
    /// A set as it is where nothing else is asked for.
    #[must_use]
    pub fn new(set: DataSet) -> Self {
        Self {
            set,
            path: None,
            image_size: None,
            evaluation_resize: None,
            channels: None,
            mean: None,
            std: None,
            background: None,
            max_pixels: None,
            follow_links: false,
            sampler: SamplerRecipe::Shuffled,
        }
    }

    /// The channels of the pictures: as asked for, or the set's own.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.channels.unwrap_or(self.set.channels())
    }

    /// The side of the square that is evaluated on, in pixels: as asked for, or the set's own.
    #[must_use]
    pub fn side(&self) -> usize {
        self.image_size.or(self.set.fixed_side()).unwrap_or(self.set.usual_side())
    }

    /// The shorter side in front of the central crop, in pixels: as asked for, or 256/224 of the square's,
    /// as is usual on ImageNet. Sets of one size are not resized.
    #[must_use]
    pub fn resized_side(&self) -> usize {
        match self.set.fixed_side() {
            Some(side) => side,
            // Small pictures are not cropped.
            None if self.set == DataSet::Idx => self.evaluation_resize.unwrap_or(self.side()),
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
    /// Any folder in ImageNet's layout; the validation part may be called `validation`, `valid` or `test`, too.
    ImageFolder,
    /// IDX files of grey pictures: `train-images-idx3-ubyte` and so on, packed or not.
    Idx,
    /// MNIST, in IDX files: 28×28, one channel, 10 classes.
    Mnist,
    /// Fashion-MNIST, in IDX files: 28×28, one channel, 10 classes.
    FashionMnist,
}

impl DataSet {
    /// The side of all pictures of a set, in pixels, where they have one.
    #[must_use]
    pub const fn fixed_side(self) -> Option<usize> {
        match self {
            Self::Digits => Some(8),
            Self::Cifar10 | Self::Cifar100 => Some(32),
            Self::Mnist | Self::FashionMnist => Some(28),
            Self::Imagenet | Self::ImageFolder | Self::Idx => None,
        }
    }

    /// The side that pictures are made to where they have none of their own, in pixels.
    const fn usual_side(self) -> usize {
        if matches!(self, Self::Idx) { 28 } else { 224 }
    }

    /// The channels of its pictures; those of a folder may be read in others.
    #[must_use]
    pub const fn channels(self) -> Channels {
        match self {
            Self::Digits | Self::Idx | Self::Mnist | Self::FashionMnist => Channels::Grey,
            Self::Cifar10 | Self::Cifar100 | Self::Imagenet | Self::ImageFolder => Channels::Rgb,
        }
    }

    /// Whether it is a folder of files of any kind.
    #[must_use]
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Imagenet | Self::ImageFolder)
    }

    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ImageFolder,
        Self::Imagenet,
        Self::Cifar10,
        Self::Cifar100,
        Self::Idx,
        Self::Mnist,
        Self::FashionMnist,
        Self::Digits,
    ];

    /// The name in a recipe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Imagenet => "imagenet",
            Self::ImageFolder => "image_folder",
            Self::Idx => "idx",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion_mnist",
        }
    }
}
