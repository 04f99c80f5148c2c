//! What is grown where: the structure of a model, without its weights.
//!
//! A checkpoint of a grown model is its weights and its structure: applied to a fresh model, the structure
//! rebuilds the same tree, which then takes the weights. Reading parses into validity: a structure with a
//! branch that cannot exist is refused, never built.

use std::collections::BTreeMap;
use std::fmt;

use burn::module::Module;
use dyrep_config::{BranchName, Branches, DEEPEST};
use serde::{Deserialize, Serialize};

pub use form::{BlockForm, BranchForm, Form};
pub use stack::StackForm;
pub(crate) use version::{NEEDS, check_version, parse_versioned, versioned_file};

use crate::error::{ConfigError, StructureError};
use crate::geometry::ConvGeometry;
use crate::layer::{Builder, RepConv2d, Source, in_state_of};
use crate::look::{layers, map_layers, nest};

pub(crate) mod cost;
mod form;
mod found;
mod raw;
mod stack;
mod version;

/// The version written; all up to it are read.
const VERSION: u64 = 2;

/// The form of every [`RepConv2d`] of a model, by path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
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
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u64,
    /// The oldest program that reads this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    layers: BTreeMap<String, LayerStructure>,
}

impl TryFrom<Raw> for Structure {
    type Error = StructureError;

    fn try_from(raw: Raw) -> Result<Self, StructureError> {
        raw.check("structure")
    }
}

impl From<Structure> for Raw {
    fn from(structure: Structure) -> Self {
        Self { version: VERSION, needs: Some(NEEDS.to_owned()), layers: structure.layers }
    }
}

impl Raw {
    fn check(self, origin: &str) -> Result<Structure, StructureError> {
        check_version(self.version, self.needs.as_deref(), VERSION, origin)?;
        for (path, layer) in &self.layers {
            layer.form.check(&layer.geometry).map_err(|source| StructureError::Layer {
                origin: origin.to_owned(),
                layer: path.clone(),
                source,
            })?;
        }
        Ok(Structure { layers: self.layers })
    }
}

impl Structure {
    /// A structure of the given layers, by path.
    ///
    /// # Errors
    /// A layer with branches that it cannot have.
    pub fn new(layers: BTreeMap<String, LayerStructure>) -> Result<Self, StructureError> {
        Raw { version: VERSION, needs: None, layers }.check("structure")
    }

    /// The structure of a model.
    #[must_use]
    pub fn of<M: Module>(model: &M) -> Self {
        let layers = layers(model).into_iter();
        Self { layers: layers.map(|(path, layer)| (path, LayerStructure::of(&layer))).collect() }
    }

    /// The layers by path.
    #[must_use]
    pub fn layers(&self) -> &BTreeMap<String, LayerStructure> {
        &self.layers
    }

    /// The structure after deployment: every block a plain convolution with a bias.
    #[must_use]
    pub fn deployed(&self) -> Self {
        let layers = self.layers.iter();
        Self { layers: layers.map(|(path, layer)| (path.clone(), layer.deployed())).collect() }
    }

    /// Grows the plain convolution at `path` into a block, as [`grow`](crate::grow) does with tensors.
    ///
    /// # Errors
    /// No such convolution, one that is a block already or lies too deep, or a branch named that does not exist
    /// there. The structure is then unchanged.
    pub fn grow(&mut self, path: &str, branches: &Branches) -> Result<(), StructureError> {
        let (form, geometry, depth) = self.conv_mut(path)?;
        if depth >= DEEPEST {
            return Err(refused(path, ConfigError::TooDeep { limit: DEEPEST }));
        }
        match form {
            Form::Plain { .. } => {}
            Form::Block(_) => return Err(refused(path, "it is a block already")),
            Form::Stack(_) => return Err(refused(path, STAYS)),
        }
        let block = BlockForm::grown(branches, &geometry);
        *form = Form::Block(block.map_err(|error| refused(path, error))?);
        Ok(())
    }

    /// Takes branches from the block at `path`, as [`cut`](crate::cut) does with tensors; with none left
    /// it becomes a convolution.
    ///
    /// # Errors
    /// No block there, or none with such a branch. The structure is then unchanged.
    pub fn cut(&mut self, path: &str, names: &[BranchName]) -> Result<(), StructureError> {
        let (form, ..) = self.conv_mut(path)?;
        let block = match form {
            Form::Plain { .. } => {
                return Err(refused(path, "it is plain, there is nothing to cut"));
            }
            Form::Block(block) => block,
            Form::Stack(_) => return Err(refused(path, STAYS)),
        };
        let others = || block.branches[1..].iter().map(|branch| branch.name);
        if let Some(name) = names.iter().find(|name| !others().any(|other| other == **name)) {
            return Err(refused(path, format!("it has no branch `{name}` to cut")));
        }
        if names.is_empty() && others().next().is_some() {
            return Err(refused(path, "no branch was named"));
        }
        block.branches.retain(|branch| !names.contains(&branch.name));
        block.main_conv_mut().give_bias_to_innermost();
        if let [_] = block.branches[..] {
            *form = block.main_conv_mut().clone();
        }
        Ok(())
    }

    /// The form of the convolution at `path`, its geometry, and how many blocks it lies in.
    fn conv_mut(&mut self, path: &str) -> Result<(&mut Form, ConvGeometry, usize), StructureError> {
        let paths = self.layers.keys().map(String::as_str);
        let located = nest::locate(path, paths).map(|(layer, address)| (layer.to_owned(), address));
        let found = located.and_then(|(layer, address)| {
            let LayerStructure { geometry, form } = self.layers.get_mut(&layer)?;
            let (form, geometry) = form.at_mut(&address, geometry)?;
            Some((form, geometry, address.len()))
        });
        found.ok_or_else(|| refused(path, "no convolution there"))
    }

    /// The geometry of the convolution at `path`, in a layer or inside its blocks.
    pub(crate) fn geometry_at(&self, path: &str) -> Option<ConvGeometry> {
        let (layer, address) = nest::locate(path, self.layers.keys().map(String::as_str))?;
        let LayerStructure { geometry, form } = self.layers.get(layer)?;
        form.clone().at_mut(&address, geometry).map(|(_, geometry)| geometry)
    }

    /// Rebuilds this structure in `model`, which must be the same network.
    ///
    /// Layers whose form differs get parameters that are functions of their path; load the weights next.
    ///
    /// # Errors
    /// If the model's layers are not this structure's, or stand for other convolutions.
    pub fn apply<M: Module>(&self, model: M) -> Result<M, StructureError> {
        self.begin(model, 0)
    }

    /// The same, to be trained from scratch: what differs starts with values drawn by `seed`, weights from
    /// N(0, √(2 / fan-out)), every norm as the identity.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn begin<M: Module>(&self, model: M, seed: u64) -> Result<M, StructureError> {
        self.check_network(&model)?;
        Ok(map_layers(model, |path, layer| {
            let Some(wanted) = self.layers.get(path) else {
                return layer;
            };
            if layer.form() == wanted.form {
                return layer;
            }
            rebuild(path, &layer, wanted, seed)
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

    fn parse(text: &str, origin: &str) -> Result<Self, StructureError> {
        parse_versioned::<Raw>(text, VERSION, origin)?.check(origin)
    }
}

versioned_file!(Structure, "structure", "with branches that cannot exist");

impl LayerStructure {
    /// That of a layer.
    pub(crate) fn of(layer: &RepConv2d) -> Self {
        Self { geometry: layer.geometry(), form: layer.form() }
    }

    /// After deployment.
    fn deployed(&self) -> Self {
        Self { geometry: self.geometry.clone(), form: self.form.deployed(&self.geometry) }
    }
}

/// Why nothing changes there.
const STAYS: &str = "it is a stack of layers, which stays as it is";

fn refused(path: &str, reason: impl fmt::Display) -> StructureError {
    StructureError::Change { path: path.to_owned(), reason: reason.to_string() }
}

fn rebuild(path: &str, layer: &RepConv2d, wanted: &LayerStructure, seed: u64) -> RepConv2d {
    let device = layer.innermost().weight.lazy_device().inner();
    let mut builder = Builder::new(Source::Seeded { seed, event: 0 }, &device, path);
    let built = RepConv2d::build(&wanted.geometry, &wanted.form, &mut builder);
    in_state_of(layer, &built)
}
