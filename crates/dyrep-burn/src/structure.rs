//! What is grown where: the structure of a model, without its weights.
//!
//! A checkpoint of a grown model is its weights and its structure: applied to a fresh model, the structure
//! rebuilds the same tree, which then takes the weights. Reading parses into validity: a structure with a
//! branch that cannot exist is refused, never built.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::build::{Builder, Source};
use crate::error::StructureError;
use crate::file::write_atomically;
use crate::form::Form;
use crate::geometry::ConvGeometry;
use crate::rep_conv2d::RepConv2d;
use crate::walk::{layers, map_layers};

/// The version written; the only one read.
const VERSION: u64 = 1;

/// The form of every [`RepConv2d`] of a model, by path.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    layers: BTreeMap<String, LayerStructure>,
}

/// One layer: the convolution that it stands for, and its form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerStructure {
    /// The convolution.
    pub geometry: ConvGeometry,
    /// Plain, or a block.
    pub form: Form,
}

/// What a file holds before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u64,
    layers: BTreeMap<String, LayerStructure>,
}

/// Read first, so that a file of another version is called that and not malformed.
#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

impl Structure {
    /// The structure of a model.
    #[must_use]
    pub fn of<M: Module>(model: &M) -> Self {
        let layers = layers(model).into_iter().map(|(path, layer)| {
            (path, LayerStructure { geometry: layer.geometry(), form: layer.form() })
        });
        Self { layers: layers.collect() }
    }

    /// The layers by path.
    #[must_use]
    pub fn layers(&self) -> &BTreeMap<String, LayerStructure> {
        &self.layers
    }

    /// The structure after deployment: every block a plain convolution with a bias.
    #[must_use]
    pub fn deployed(&self) -> Self {
        let fused = |layer: &LayerStructure| match &layer.form {
            Form::Plain { .. } => layer.clone(),
            Form::Block(_) => LayerStructure { form: Form::Plain { bias: true }, ..layer.clone() },
        };
        let layers = self.layers.iter().map(|(path, layer)| (path.clone(), fused(layer)));
        Self { layers: layers.collect() }
    }

    /// Rebuilds this structure in `model`, which must be the same network.
    ///
    /// Layers whose form differs get parameters that are functions of their path; load the weights next.
    ///
    /// # Errors
    /// If the model's layers are not this structure's, or stand for other convolutions.
    pub fn apply<M: Module>(&self, model: M) -> Result<M, StructureError> {
        self.check_network(&model)?;
        Ok(map_layers(model, |path, layer| {
            let Some(wanted) = self.layers.get(path) else {
                return layer;
            };
            if layer.form() == wanted.form {
                return layer;
            }
            rebuild(path, &layer, wanted)
        }))
    }

    fn check_network<M: Module>(&self, model: &M) -> Result<(), StructureError> {
        let other = |difference: String| Err(StructureError::OtherNetwork { difference });
        let found = Self::of(model);
        for (path, wanted) in &self.layers {
            match found.layers.get(path) {
                None => return other(format!("the model has no layer `{path}`")),
                Some(layer) if layer.geometry != wanted.geometry => {
                    return other(format!(
                        "layer `{path}` is {} in the model, {} in the structure",
                        layer.geometry, wanted.geometry
                    ));
                }
                Some(_) => {}
            }
        }
        match found.layers.keys().find(|path| !self.layers.contains_key(*path)) {
            Some(path) => other(format!("the structure has no layer `{path}`")),
            None => Ok(()),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let raw = Raw { version: VERSION, layers: self.layers.clone() };
        serde_json::to_string_pretty(&raw)
            .unwrap_or_else(|e| unreachable!("strings and sizes: {e}"))
    }

    /// Reads JSON that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// Text that is not a whole structure, of another version, or with branches that cannot exist.
    pub fn from_json(text: &str) -> Result<Self, StructureError> {
        Self::parse(text, "structure")
    }

    fn parse(text: &str, origin: &str) -> Result<Self, StructureError> {
        let malformed = |source| StructureError::Malformed { origin: origin.to_owned(), source };
        let VersionOnly { version } = serde_json::from_str(text).map_err(malformed)?;
        if version != VERSION {
            let (found, expected, origin) = (version, VERSION, origin.to_owned());
            return Err(StructureError::Version { origin, found, expected });
        }
        let raw: Raw = serde_json::from_str(text).map_err(malformed)?;
        for (path, layer) in &raw.layers {
            layer.form.check(&layer.geometry).map_err(|source| StructureError::Layer {
                origin: origin.to_owned(),
                layer: path.clone(),
                source,
            })?;
        }
        Ok(Self { layers: raw.layers })
    }

    /// Writes the structure to a file: to a temporary one beside it, synced, then renamed.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), StructureError> {
        let path = path.as_ref();
        let failed = |source| StructureError::Io { path: path.to_owned(), source };
        write_atomically(path, self.to_json().as_bytes()).map_err(failed)
    }

    /// Reads a structure file.
    ///
    /// # Errors
    /// A file that cannot be read, or as [`from_json`](Self::from_json); the file is named.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, StructureError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| StructureError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }
}

fn rebuild(path: &str, layer: &RepConv2d, wanted: &LayerStructure) -> RepConv2d {
    let device = layer.innermost().weight.val().device().inner();
    let mut builder = Builder::new(Source::Seeded { seed: 0, event: 0 }, &device, path);
    let built = RepConv2d::build(&wanted.geometry, &wanted.form, &mut builder);
    if layer.trains() { built.train() } else { built.valid() }
}
