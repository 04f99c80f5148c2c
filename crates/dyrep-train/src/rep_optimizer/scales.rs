//! The scales of CSLA's blocks, by the paths of a network's convolutions, as plain data and in a file.
//!
//! ```text
//! {"version":1,"layers":{"layer1.0.conv1":{"kxk":1.5,"1x1":[0.5,0.75],"identity":1.0}, …}}
//! ```
//!
//! A number is for all output channels, a list has one for each. `identity` is only what the block's learnt scale starts
//! with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Tensor, TensorData};
use dyrep_burn::{
    Block, BranchKind, BranchName, Branches, Preset, RepConv2d, RepConv2dConfig, layers,
};
use dyrep_models::{SelectLayers, Selection};
use serde::{Deserialize, Serialize};

use super::Ends;
use crate::error::TrainError;

/// The version written; the only one read.
const VERSION: u64 = 1;

/// The scales of blocks that stand, or are imagined, in place of a network's convolutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scales {
    version: u64,
    layers: BTreeMap<String, LayerScales>,
}

/// The scales of one block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerScales {
    /// Of the k×k convolution.
    pub kxk: Values,
    /// Of the 1×1 convolution.
    #[serde(rename = "1x1")]
    pub pointwise: Values,
    /// What the identity's learnt scale starts with, if the block has an identity; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Values>,
}

/// A scale for each output channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// The same for all.
    One(f32),
    /// One for each, `[out]`.
    Each(Vec<f32>),
}

impl Scales {
    /// Those of blocks by the paths of convolutions.
    #[must_use]
    pub fn new(layers: impl IntoIterator<Item = (String, LayerScales)>) -> Self {
        Self { version: VERSION, layers: layers.into_iter().collect() }
    }

    /// Those that the published search starts from: √(2 / i) for block i of a stage, counted from 0, and 1 for block 0; 1
    /// for the identity. A stage there begins with a stride; here with every block that has no identity, as its channels or
    /// its resolution change.
    ///
    /// # Errors
    /// A choice of convolutions that the network does not have.
    pub fn initial<M: Module>(network: &M, only: &Selection) -> Result<Self, TrainError> {
        let chosen = only.paths(network)?;
        let mut place = 0_u32;
        let mut scales = BTreeMap::new();
        for (path, layer) in layers(network).into_iter().filter(|(path, _)| chosen.contains(path)) {
            let identity = BranchKind::IDENTITY.exists(&layer.geometry());
            place = if identity { place + 1 } else { 0 };
            let scale = if place == 0 { 1.0 } else { (2.0 / f64::from(place)).sqrt() as f32 };
            let [kxk, pointwise] = [Values::One(scale), Values::One(scale)];
            let identity = identity.then_some(Values::One(1.0));
            scales.insert(path, LayerScales { kxk, pointwise, identity });
        }
        Ok(Self::new(scales))
    }

    /// Those of a network's blocks, learnt or not.
    ///
    /// # Errors
    /// A block whose k×k or 1×1 branch does not end in a scale; a network without blocks.
    pub fn of_blocks<M: Module>(network: &M) -> Result<Self, TrainError> {
        let mut scales = BTreeMap::new();
        for (path, layer) in layers(network) {
            let Some(block) = layer.block() else { continue };
            let values = |name| {
                let scale = block.branch(name)?.scale()?;
                Some(Values::Each(scale.into_data().iter::<f32>().collect()))
            };
            let (Some(kxk), Some(pointwise)) = (values(BranchName::MAIN), values(POINTWISE)) else {
                let form = layer.form();
                return Err(refused(format!(
                    "layer `{path}` is {form}: expected scales at the end of `kxk` and `1x1`"
                )));
            };
            let identity = values(IDENTITY);
            scales.insert(path, LayerScales { kxk, pointwise, identity });
        }
        match scales.is_empty() {
            true => Err(refused("the network has no blocks, and so no scales".to_owned())),
            false => Ok(Self::new(scales)),
        }
    }

    /// Those of a file, of the chosen convolutions of a network.
    ///
    /// # Errors
    /// A file that cannot be read or is none of scales; a path that the network does not have, a chosen convolution that
    /// the file lacks.
    pub fn open<M: Module>(path: &Path, network: &M, only: &Selection) -> Result<Self, TrainError> {
        let told = |reason| TrainError::Scales { file: path.display().to_string(), reason };
        let text = fs::read(path).map_err(|error| told(format!("cannot be read: {error}")))?;
        let not_scales = |error| told(format!("expected a file of scales: {error}"));
        let read: Self = serde_json::from_slice(&text).map_err(not_scales)?;
        if read.version != VERSION {
            let found = read.version;
            return Err(told(format!("version {found}, expected {VERSION}")));
        }
        let mut layers = BTreeMap::new();
        for chosen in only.paths(network)? {
            let own = read.layers.get(&chosen);
            let own = own.ok_or_else(|| told(format!("it has no scales for layer `{chosen}`")))?;
            layers.insert(chosen, own.clone());
        }
        read.check(network).map_err(|error| match error {
            TrainError::Scales { reason, .. } => told(reason),
            other => other,
        })?;
        Ok(Self::new(layers))
    }

    /// The file, whole. The same scales give the same bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("paths and numbers: {error}"))
    }

    /// What tells them from others.
    pub(crate) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.bytes())
    }

    /// The scales of the block at a path.
    #[must_use]
    pub fn layer(&self, path: &str) -> Option<&LayerScales> {
        self.layers.get(path)
    }

    /// Whether these are scales of convolutions of the network.
    pub(super) fn check<M: Module>(&self, network: &M) -> Result<(), TrainError> {
        let all: BTreeMap<_, _> = layers(network).into_iter().collect();
        for (path, own) in &self.layers {
            let Some(layer) = all.get(path) else {
                let known: Vec<_> = all.keys().map(String::as_str).collect();
                let known = known.join(", ");
                return Err(refused(format!(
                    "the network has no layer `{path}`; its convolutions are {known}"
                )));
            };
            own.check(path, layer)?;
        }
        Ok(())
    }
}

const POINTWISE: BranchName = BranchName { kind: BranchKind::POINTWISE, nth: 1 };
const IDENTITY: BranchName = BranchName { kind: BranchKind::IDENTITY, nth: 1 };

/// What scales are called where they are of no file.
fn refused(reason: String) -> TrainError {
    TrainError::Scales { file: "scales".to_owned(), reason }
}

impl LayerScales {
    fn check(&self, path: &str, layer: &RepConv2d) -> Result<(), TrainError> {
        let geometry = layer.geometry();
        let outputs = geometry.out_channels();
        if self.identity.is_some() && !BranchKind::IDENTITY.exists(&geometry) {
            return Err(refused(format!(
                "layer `{path}`: `identity` is given, where a block of {geometry} has none"
            )));
        }
        let identity = self.identity.iter().map(|values| ("identity", values));
        let all = [("kxk", &self.kxk), ("1x1", &self.pointwise)].into_iter().chain(identity);
        for (name, values) in all {
            let values = match values {
                Values::One(value) => std::slice::from_ref(value),
                Values::Each(values) if values.len() == outputs => values,
                Values::Each(values) => {
                    let found = values.len();
                    return Err(refused(format!(
                        "layer `{path}`: `{name}` has {found} numbers, expected one for each of the {outputs} channels"
                    )));
                }
            };
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(refused(format!(
                    "layer `{path}`: `{name}` is {value}, expected a number"
                )));
            }
        }
        Ok(())
    }

    /// The block in place of a plain convolution at `path`.
    pub(super) fn block(
        &self,
        path: &str,
        layer: &RepConv2d,
        ends: Ends,
        start: Initializer,
    ) -> Result<RepConv2d, TrainError> {
        let RepConv2d::Plain(conv) = layer else {
            let form = layer.form();
            return Err(refused(format!("layer `{path}` is {form}: expected a plain convolution")));
        };
        let geometry = layer.geometry();
        let branches = match ends {
            Ends::Constant => Branches::from(Preset::Csla),
            Ends::Learnt => Branches::Online(Preset::RepVgg),
        };
        let config = RepConv2dConfig::of(&geometry)
            .with_bias(conv.bias.is_some())
            .with_initializer(start)
            .with_branches(branches)
            .with_norm_after(false);
        let device = conv.weight.lazy_device();
        let refuse = |source| refused(format!("layer `{path}`: {source}"));
        let RepConv2d::Block(block) = config.try_init(&device).map_err(refuse)? else {
            unreachable!("`kxk` and `1x1` exist for every convolution");
        };
        let outputs = geometry.out_channels();
        let tensor = |values: &Values| {
            let values = match values {
                Values::One(value) => vec![*value; outputs],
                Values::Each(values) => values.clone(),
            };
            Tensor::from_data(TensorData::new(values, [outputs]), &device)
        };
        let identity = self.identity.as_ref().unwrap_or(&Values::One(1.0));
        let all = [(BranchName::MAIN, &self.kxk), (POINTWISE, &self.pointwise)];
        let all = all.into_iter().chain([(IDENTITY, identity)]);
        let with = |block: Block, (name, values)| block.with_scale(name, tensor(values));
        Ok(RepConv2d::Block(Box::new(all.fold(*block, with))))
    }
}
