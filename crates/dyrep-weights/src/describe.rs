//! The note beside the tensors: which network they are for and what it reads, so that one file name says all.
//!
//! JSON in a file's metadata, under [`KEY`]. It comes from a file, so every size in it is bounded before anything is
//! built.

use std::path::Path;

use dyrep_burn::Structure;
use dyrep_models::{Activation, Branching, ModelConfig, ModelName, Stem};
use serde::{Deserialize, Serialize};

use crate::error::WeightsError;

/// The metadata's key.
pub(crate) const KEY: &str = "dyrep";
/// The version written; the only one read.
const VERSION: u64 = 1;
/// The most channels, and the most classes, that a network is built with because a file says so.
pub(crate) const LARGEST: [usize; 2] = [1 << 14, 1 << 20];
/// The largest side of a picture that a file may ask for, in pixels.
const LARGEST_SIDE: usize = 1 << 14;

/// Which network weights are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Input>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    class_names: Vec<String>,
    structure: Structure,
    /// Whether norms are folded into the convolutions in front of them and missing.
    #[serde(default, skip_serializing_if = "is_false")]
    folded: bool,
    /// Whether weights are INT8 with scales beside them; then norms are folded, too.
    #[serde(default, skip_serializing_if = "is_false")]
    quantized: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What whoever uses a network must know beside its weights; a file may tell some of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Label {
    /// Which network of the zoo it is.
    pub network: Option<(ModelName, ModelConfig)>,
    /// What pictures must be made into.
    pub input: Option<Input>,
    /// The classes' names, in the order of the logits; empty if they are not known.
    pub class_names: Vec<String>,
}

/// How pictures become a network's input: the shorter side resized, the middle cut out, and of each channel
/// `(byte / scale − mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The shorter side is resized to so many pixels; absent where pictures have the right size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// The side of the square that is cut out of the middle, in pixels.
    pub side: usize,
    /// The byte that stands for 1.
    pub scale: f32,
    /// Mean of each channel after scaling.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel after scaling.
    pub std: Vec<f32>,
}

impl Input {
    /// What can be wrong with one from a file.
    fn check(&self) -> Result<(), String> {
        let sides = [self.resize.unwrap_or(self.side), self.side];
        if sides.iter().any(|side| !(1..=LARGEST_SIDE).contains(side)) {
            return Err(format!("its pictures have sides of {sides:?}, not 1 to {LARGEST_SIDE}"));
        }
        let (means, stds) = (self.mean.len(), self.std.len());
        if means == 0 || means != stds {
            return Err(format!("its input has {means} means and {stds} deviations"));
        }
        let positive = |value: &f32| value.is_finite() && *value > 0.0;
        let usable = self.mean.iter().all(|mean| mean.is_finite());
        match usable && positive(&self.scale) && self.std.iter().all(positive) {
            true => Ok(()),
            false => Err("its input is not normalised by finite numbers above 0".to_owned()),
        }
    }
}

/// A network of the zoo: its name, and how it differs from the published one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    model: String,
    classes: usize,
    in_channels: usize,
    width: usize,
    stem: Stem,
    branches: Branching,
    #[serde(default, skip_serializing_if = "is_usual")]
    activation: Activation,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_usual(activation: &Activation) -> bool {
    *activation == Activation::default()
}

impl Network {
    fn config(&self) -> Result<(ModelName, ModelConfig), String> {
        let name: ModelName = self.model.parse().map_err(|error| format!("{error}"))?;
        let [channels, classes] = LARGEST;
        for (option, size, largest) in [
            ("classes", self.classes, classes),
            ("in_channels", self.in_channels, channels),
            ("width", self.width, channels),
        ] {
            if size > largest {
                return Err(format!("its {option} are {size}, more than {largest}"));
            }
        }
        let config = name.config(self.classes).with_in_channels(self.in_channels);
        let config = config.with_width(self.width).with_stem(self.stem);
        let config = config.with_branches(self.branches.clone());
        let config = config.with_activation(self.activation);
        Ok((name, config.map_err(|error| error.to_string())?))
    }
}

impl Description {
    pub(crate) fn of_structure(structure: Structure) -> Self {
        Self {
            version: VERSION,
            network: None,
            input: None,
            class_names: vec![],
            structure,
            folded: false,
            quantized: false,
        }
    }

    /// Says that norms are folded away.
    pub(crate) fn folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// Says that weights are INT8, or, for what was made of such a file, that they are not any more.
    pub(crate) fn quantized(mut self, quantized: bool) -> Self {
        self.quantized = quantized;
        self
    }

    /// Takes what `label` says.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub(crate) fn labelled(mut self, label: &Label) -> Result<Self, WeightsError> {
        if let Some((model, config)) = &label.network {
            self = self.named(*model, config)?;
        }
        self.input.clone_from(&label.input);
        self.class_names.clone_from(&label.class_names);
        Ok(self)
    }

    /// Names the network.
    ///
    /// # Errors
    /// A configuration that is not the one of that name but for classes, channels, width, stem, branches and activation.
    pub(crate) fn named(
        mut self,
        model: ModelName,
        config: &ModelConfig,
    ) -> Result<Self, WeightsError> {
        let network = Network {
            model: model.name().to_owned(),
            classes: config.classes(),
            in_channels: config.in_channels(),
            width: config.width(),
            stem: config.stem(),
            branches: config.branches().clone(),
            activation: config.activation(),
        };
        if network.config().map(|(_, config)| config).as_ref() != Ok(config) {
            return Err(WeightsError::NotByName { model: model.name().to_owned() });
        }
        self.network = Some(network);
        Ok(self)
    }

    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, WeightsError> {
        let refused = |reason: String| WeightsError::NotDescribed { file: file.to_owned(), reason };
        let parsed: Self =
            serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        if parsed.version != VERSION {
            let found = parsed.version;
            return Err(refused(format!("its note is of version {found}, not {VERSION}")));
        }
        let usable = parsed.input.as_ref().map_or(Ok(()), Input::check);
        usable.map(|()| parsed).map_err(refused)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("strings and sizes: {error}"))
    }

    /// The network's name, if it is one of the zoo's.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.network.as_ref().map(|network| network.model.as_str())
    }

    /// Its classes.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        self.network.as_ref().map(|network| network.classes)
    }

    /// How pictures become its input.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.input.as_ref()
    }

    /// The classes' names, in the order of the logits; empty if they are not known.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The form of each layer.
    #[must_use]
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Whether norms are folded into the convolutions in front of them:
    /// [`Export::folded`](crate::Export::folded), [`Export::quantized`](crate::Export::quantized).
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// Whether weights are INT8: [`Export::quantized`](crate::Export::quantized).
    #[must_use]
    pub fn is_quantized(&self) -> bool {
        self.quantized
    }

    /// The network's name and configuration, if it names one.
    pub(crate) fn config(&self) -> Result<Option<(ModelName, ModelConfig)>, String> {
        self.network.as_ref().map(Network::config).transpose()
    }
}
