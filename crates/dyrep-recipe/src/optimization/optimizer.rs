//! `[optimizer]`: which method, its own keys and those that every method has.
//!
//! `name` decides which keys may stand beside it. A key that belongs to another method is refused where it stands.

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::super::bounds::{
    BelowOne, Between, Count, Name, Names, NotNegative, Positive, Real, Share, real, some_real,
    whole,
};
use super::GroupRecipe;

/// Optimisers that a recipe can name.
pub const OPTIMIZERS: &[&str] = &["sgd", "adamw", "adam", "rmsprop", "lamb"];

struct Optimizers;

impl Names for Optimizers {
    fn all() -> &'static [&'static str] {
        OPTIMIZERS
    }
}

/// Every key that the section can have.
const KEYS: &[&str] = &[
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

/// Keys that some optimisers have, with their names; all other keys go with every one.
const OF_SOME: &[(&str, &[&str])] = &[
    ("momentum", &["sgd", "rmsprop"]),
    ("nesterov", &["sgd"]),
    ("betas", &["adamw", "adam", "lamb"]),
    ("alpha", &["rmsprop"]),
    ("epsilon", &["adamw", "adam", "lamb", "rmsprop"]),
];

/// Whether the optimiser `name` has `key`.
pub(in super::super) fn has_key(name: &str, key: &str) -> bool {
    OF_SOME.iter().find(|(known, _)| *known == key).is_none_or(|(_, names)| names.contains(&name))
}

/// `[optimizer]`: how steps are made from gradients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OptimizerRecipe {
    /// The method and its own keys; SGD if `name` is absent.
    #[serde(flatten)]
    pub method: MethodRecipe,
    /// The highest learning rate of the run. Required.
    pub learning_rate: f64,
    /// Pictures in one pass through the network. Required.
    pub batch_size: usize,
    /// Passes whose gradients are averaged into one step; 1 if absent. A step sees `batch_size` times as many
    /// pictures; batch norms see `batch_size`.
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
    /// What a moving average of the weights keeps at each step, between 0 and 1; absent: no average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// What the learning rate is multiplied by from each block of layers to the one before it, above 0 and not above 1
    /// (arXiv 1801.06146, section 3.2); absent: one rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// Layers that are trained in another way than the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupRecipe>,
}

/// An optimiser and the keys that it does not share with all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum MethodRecipe {
    /// SGD with PyTorch's semantics.
    Sgd {
        /// Momentum, 0 to below 1, without dampening; 0.9 if absent.
        momentum: f64,
        /// Nesterov's variant; false if absent, as in PyTorch.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (arXiv 1711.05101).
    AdamW(MomentsRecipe),
    /// Adam (arXiv 1412.6980).
    Adam(MomentsRecipe),
    /// `RMSprop` with PyTorch's semantics: ε is added behind the root.
    RmsProp {
        /// What the average of squared gradients keeps at each step, 0 to below 1; 0.9 if absent, as in torchvision's
        /// references and timm.
        alpha: f64,
        /// Added to the root of that average, above 0; 0.0316 if absent, as in torchvision's references.
        epsilon: f64,
        /// Momentum of the scaled gradients, 0 to below 1; 0.9 if absent.
        momentum: f64,
    },
    /// Adam whose step is scaled, parameter by parameter, to the parameter's own norm (arXiv 1904.00962).
    Lamb(MomentsRecipe),
}

impl MethodRecipe {
    /// The name in a recipe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::AdamW(_) => "adamw",
            Self::Adam(_) => "adam",
            Self::RmsProp { .. } => "rmsprop",
            Self::Lamb(_) => "lamb",
        }
    }
}

/// Averages of gradients and of their squares, from which Adam and its relatives make a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MomentsRecipe {
    /// What each average keeps at a step, 0 to below 1; `[0.9, 0.999]` if absent.
    pub betas: [f64; 2],
    /// Added to the root of the squares' average, above 0; 1e-8 if absent, as in PyTorch, for `lamb` 1e-6, as in timm.
    pub epsilon: f64,
}

/// The section's keys without `name`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
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
    groups: Vec<GroupRecipe>,
}

impl Raw {
    fn of(self, name: &str) -> OptimizerRecipe {
        let Self { momentum, nesterov, betas, alpha, .. } = self;
        let epsilon = |absent| self.epsilon.unwrap_or(absent);
        let method = match name {
            "adamw" => MethodRecipe::AdamW(MomentsRecipe { betas, epsilon: epsilon(1e-8) }),
            "adam" => MethodRecipe::Adam(MomentsRecipe { betas, epsilon: epsilon(1e-8) }),
            "lamb" => MethodRecipe::Lamb(MomentsRecipe { betas, epsilon: epsilon(1e-6) }),
            "rmsprop" => MethodRecipe::RmsProp { alpha, epsilon: epsilon(0.0316), momentum },
            _ => MethodRecipe::Sgd { momentum, nesterov },
        };
        OptimizerRecipe {
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

impl<'de> Deserialize<'de> for OptimizerRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

/// Reads the section; a name comes first, and decides which keys may follow.
struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = OptimizerRecipe;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OptimizerRecipe, A::Error> {
        let mut first = map.next_key_seed(Key { optimizer: "sgd" })?;
        let mut name = "sgd".to_owned();
        if first.as_deref() == Some("name") {
            name = map.next_value::<Name<Optimizers>>()?.into_inner();
            first = None;
        }
        let keys = Allowed { map, first, optimizer: &name };
        Raw::deserialize(MapAccessDeserializer::new(keys)).map(|raw| raw.of(&name))
    }
}

/// The keys that go with an optimiser. What is wrong is found on reading a key, so that the fault has the key's place.
struct Allowed<'a, A> {
    map: A,
    /// A key that was read already.
    first: Option<String>,
    optimizer: &'a str,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Allowed<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let key = match self.first.take() {
            Some(key) => Some(key),
            None => self.map.next_key_seed(Key { optimizer: self.optimizer })?,
        };
        key.map(|key| seed.deserialize(StrDeserializer::new(&key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key of the section that goes with an optimiser.
struct Key<'a> {
    optimizer: &'a str,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        if !KEYS.contains(&key.as_str()) {
            return Err(D::Error::unknown_field(&key, KEYS));
        }
        if has_key(self.optimizer, &key) {
            return Ok(key);
        }
        let of = OF_SOME.iter().find(|(known, _)| *known == key);
        let names: Vec<_> = of.iter().flat_map(|(_, names)| *names).copied().collect();
        let (names, optimizer) = (names.join("`, `"), self.optimizer);
        let message = format!("`{key}` in [optimizer] goes with `{names}`, not with `{optimizer}`");
        Err(D::Error::custom(message))
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
