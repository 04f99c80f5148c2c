//! `[optimizer]`: which method, its own keys and those that every method has.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess};
use serde::{Deserialize, Serialize};

use super::super::bounds::{
    BelowOne, Between, ByName, Count, NotNegative, Positive, Real, Share, by_name, real, some_real,
    whole,
};
use super::{Method, ParameterGroup};

/// Optimisers that a recipe can name.
pub const OPTIMIZERS: &[&str] = &["sgd", "adamw", "adam", "rmsprop", "lamb"];

/// `[optimizer]`: how steps are made from gradients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OptimizerConfig {
    /// The method and its own keys; SGD if `name` is absent.
    #[serde(flatten)]
    pub method: Method,
    /// The highest learning rate of the run. Required.
    pub learning_rate: f64,
    /// Pictures in one pass through the network. Required.
    pub batch_size: usize,
    /// Passes whose gradients are averaged into one step, on each device; 1 if absent. A step sees `batch_size` times as
    /// many pictures; batch norms see `batch_size`.
    pub accumulate: usize,
    /// Weight decay; 1e-4 if absent, as in torchvision's references. `sgd`, `adam` and `rmsprop` add the weight times it
    /// to the gradient, `adamw` takes the learning rate times it off the weight (arXiv 1711.05101), `lamb` adds it to
    /// the update before that is scaled (arXiv 1904.00962).
    pub weight_decay: f64,
    /// Whether batch norms' parameters and biases decay too; true if absent, as in PyTorch.
    pub decay_norms_and_biases: bool,
    /// Gradients are scaled down to this norm over all parameters; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// What a moving average of the weights keeps at each step, between 0 and 1: it is then what is evaluated and
    /// returned; absent: no average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// What the learning rate is multiplied by from each block of layers to the one before it, above 0 and not above 1;
    /// the last has the whole rate (arXiv 1801.06146, section 3.2, and timm's `layer_decay`); absent: one rate. A block is
    /// what has a path with one number, or numbers one behind the other, in common, such as `layer1.0` or `stages.0.1`;
    /// layers without a number in their path are one block with their neighbours of this kind: the stem, the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// Layers that are trained in another way than the rest. Of several groups that match the last one counts; its scale
    /// and that of `layer_decay` are multiplied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl OptimizerConfig {
    /// DyRep's recipe for ImageNet: SGD of momentum 0.9, Nesterov, decay 1e-4, none on norms and biases; 256 pictures at
    /// a rate of 0.1.
    #[must_use]
    pub const fn imagenet() -> Self {
        Self {
            method: Method::Sgd { momentum: 0.9, nesterov: true },
            learning_rate: 0.1,
            batch_size: 256,
            accumulate: 1,
            weight_decay: 1e-4,
            decay_norms_and_biases: false,
            clip_norm: None,
            ema_decay: None,
            layer_decay: None,
            groups: vec![],
        }
    }
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_name(deserializer)
    }
}

impl ByName for OptimizerConfig {
    const PLACE: &str = "[optimizer]";
    const NAMES: &'static [&'static str] = OPTIMIZERS;
    const UNNAMED: Option<&'static str> = Some("sgd");
    const KEYS: &'static [&'static str] = &[
        "name",
        "learning_rate",
        "batch_size",
        "accumulate",
        "momentum",
        "nesterov",
        "betas",
        "alpha",
        "epsilon",
        "weight_decay",
        "decay_norms_and_biases",
        "clip_norm",
        "ema_decay",
        "layer_decay",
        "groups",
    ];

    fn has(name: &str, key: &str) -> bool {
        match key {
            "momentum" => ["sgd", "rmsprop"].contains(&name),
            "nesterov" => name == "sgd",
            "betas" => ["adamw", "adam", "lamb"].contains(&name),
            "alpha" => name == "rmsprop",
            "epsilon" => name != "sgd",
            _ => true,
        }
    }

    fn read<'de, A: MapAccess<'de>>(name: &'static str, keys: A) -> Result<Self, A::Error> {
        Keys::deserialize(MapAccessDeserializer::new(keys)).map(|keys| keys.of(name))
    }
}

/// The section's keys without `name`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(deserialize_with = "real::<Positive, _>")]
    learning_rate: f64,
    #[serde(deserialize_with = "whole::<Count, _>")]
    batch_size: usize,
    #[serde(default = "default::accumulate", deserialize_with = "whole::<Count, _>")]
    accumulate: usize,
    #[serde(default = "default::momentum", deserialize_with = "real::<BelowOne, _>")]
    momentum: f64,
    #[serde(default)]
    nesterov: bool,
    #[serde(default = "default::betas", deserialize_with = "pair")]
    betas: [f64; 2],
    #[serde(default = "default::alpha", deserialize_with = "real::<BelowOne, _>")]
    alpha: f64,
    #[serde(default, deserialize_with = "some_real::<Positive, _>")]
    epsilon: Option<f64>,
    #[serde(default = "default::weight_decay", deserialize_with = "real::<NotNegative, _>")]
    weight_decay: f64,
    #[serde(default = "default::decay_norms_and_biases")]
    decay_norms_and_biases: bool,
    #[serde(default, deserialize_with = "some_real::<Positive, _>")]
    clip_norm: Option<f64>,
    #[serde(default, deserialize_with = "some_real::<Between, _>")]
    ema_decay: Option<f64>,
    #[serde(default, deserialize_with = "some_real::<Share, _>")]
    layer_decay: Option<f64>,
    #[serde(default)]
    groups: Vec<ParameterGroup>,
}

impl Keys {
    fn of(self, name: &str) -> OptimizerConfig {
        let Self { momentum, nesterov, betas, alpha, .. } = self;
        let epsilon = |absent| self.epsilon.unwrap_or(absent);
        let method = match name {
            "adamw" => Method::AdamW { betas, epsilon: epsilon(1e-8) },
            "adam" => Method::Adam { betas, epsilon: epsilon(1e-8) },
            "lamb" => Method::Lamb { betas, epsilon: epsilon(1e-6) },
            "rmsprop" => Method::RmsProp { alpha, epsilon: epsilon(0.0316), momentum },
            _ => Method::Sgd { momentum, nesterov },
        };
        OptimizerConfig {
            method,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            weight_decay: self.weight_decay,
            decay_norms_and_biases: self.decay_norms_and_biases,
            clip_norm: self.clip_norm,
            ema_decay: self.ema_decay,
            layer_decay: self.layer_decay,
            groups: self.groups,
        }
    }
}

/// What two averages keep.
fn pair<'de, D: Deserializer<'de>>(d: D) -> Result<[f64; 2], D::Error> {
    let numbers = Vec::<Real<BelowOne>>::deserialize(d)?;
    match numbers.as_slice() {
        [first, second] => Ok([first.get(), second.get()]),
        _ => Err(D::Error::invalid_length(numbers.len(), &"a list of 2")),
    }
}

mod default {
    pub(super) fn accumulate() -> usize {
        1
    }

    pub(super) fn momentum() -> f64 {
        0.9
    }

    pub(super) fn betas() -> [f64; 2] {
        [0.9, 0.999]
    }

    pub(super) fn alpha() -> f64 {
        0.9
    }

    pub(super) fn weight_decay() -> f64 {
        1e-4
    }

    pub(super) fn decay_norms_and_biases() -> bool {
        true
    }
}
