//! The note beside the tensors: which network they are for, so that one file name says all.
//!
//! JSON in a file's metadata, under [`KEY`]. It comes from a file, so every size in it is bounded before anything is
//! built.

use std::path::Path;

use dyrep_burn::Structure;
use dyrep_models::{Branching, ModelConfig, ModelName, Stem};
use serde::{Deserialize, Serialize};

use crate::error::WeightsError;

/// The metadata's key.
pub(crate) const KEY: &str = "dyrep";
/// The version written; the only one read.
const VERSION: u64 = 1;
/// The most channels, and the most classes, that a network is built with because a file says so.
const LARGEST: [usize; 2] = [1 << 14, 1 << 20];

/// Which network weights are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
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
}

impl Network {
    fn config(&self) -> Result<ModelConfig, String> {
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
        Ok(config.with_branches(self.branches.clone()))
    }
}

impl Description {
    pub(crate) fn of_structure(structure: Structure) -> Self {
        Self { version: VERSION, network: None, structure, folded: false, quantized: false }
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

    /// Names the network.
    ///
    /// # Errors
    /// A configuration that is not the one of that name but for classes, channels, width, stem and branches.
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
        };
        if network.config().as_ref() != Ok(config) {
            return Err(WeightsError::NotByName { model: model.name().to_owned() });
        }
        self.network = Some(network);
        Ok(self)
    }

    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, WeightsError> {
        let refused = |reason: String| WeightsError::NotDescribed { file: file.to_owned(), reason };
        let parsed: Self =
            serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        match parsed.version {
            VERSION => Ok(parsed),
            found => Err(refused(format!("its note is of version {found}, not {VERSION}"))),
        }
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

    /// The network's configuration.
    pub(crate) fn config(&self) -> Result<ModelConfig, String> {
        self.network.as_ref().ok_or("its note names no network")?.config()
    }
}
