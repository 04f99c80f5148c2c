//! What a structure costs: a function of its forms and of the sizes of the layers' inputs.
//!
//! Multiply-adds are those of convolutions and pooling: what the field calls FLOPs of a network. Batch
//! norms and sums are not counted, nor layers that are not ours. Where a count is larger than any number there is, it is
//! the largest.

use std::collections::BTreeMap;

use burn::module::Module;
use dyrep_config::{Core, Cost, End};
use serde::{Deserialize, Serialize};

use super::{BranchForm, Form, LayerStructure, Structure};
use crate::geometry::ConvGeometry;
use crate::look::{layers, tap};

/// The sizes of the inputs that each layer gets, `[height, width]`, once for each time it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputSizes(BTreeMap<String, Vec<[usize; 2]>>);

impl InputSizes {
    /// Listens to one forward pass of `model`, which `forward` gets in evaluation mode.
    #[must_use]
    pub fn measure<M: Module>(model: &M, forward: impl FnOnce(&M)) -> Self {
        let model = model.valid();
        let ((), flows) = tap::listen(None, || forward(&model));
        let sizes = layers(&model).into_iter().map(|(path, layer)| {
            let calls = flows.iter().filter(|flow| flow.layer == layer.id());
            let size = |flow: &tap::Flow| {
                let [_, _, height, width] = flow.input.dims();
                [height, width]
            };
            (path, calls.map(size).collect())
        });
        Self(sizes.collect())
    }

    /// Whether no layer was called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// The cost of a layer with these inputs.
    #[must_use]
    pub fn layer_cost(&self, path: &str, layer: &LayerStructure) -> Cost {
        let sizes = self.0.get(path).map_or(&[][..], Vec::as_slice);
        let macs = sum(sizes.iter().map(|&size| layer.form.macs(&layer.geometry, size)));
        Cost { params: layer.form.params(&layer.geometry), macs }
    }

    /// The cost of all layers of a structure.
    #[must_use]
    pub fn cost(&self, structure: &Structure) -> Cost {
        structure.layers().iter().map(|(path, layer)| self.layer_cost(path, layer)).sum()
    }
}

/// One layer's cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCost {
    /// The layer's path.
    pub path: String,
    /// As it is.
    pub trained: Cost,
    /// Deployed.
    pub deployed: Cost,
}

/// The cost of each [`RepConv2d`](crate::RepConv2d); `forward` passes a batch through the model it is
/// given, in evaluation mode. A layer called several times counts its multiply-adds each time.
#[must_use]
pub fn profile<M: Module>(model: &M, forward: impl FnOnce(&M)) -> Vec<LayerCost> {
    let sizes = InputSizes::measure(model, forward);
    let cost = |(path, layer): (String, crate::RepConv2d)| {
        let layer = LayerStructure::of(&layer);
        LayerCost {
            trained: sizes.layer_cost(&path, &layer),
            deployed: sizes.layer_cost(&path, &layer.deployed()),
            path,
        }
    };
    layers(model).into_iter().map(cost).collect()
}

impl Form {
    /// Multiply-adds on one image of `[height, width]`, batch norms, scales and sums not counted. What rests costs none.
    #[must_use]
    pub fn macs(&self, geometry: &ConvGeometry, input: [usize; 2]) -> u64 {
        match self {
            // Composing a stack's kernel costs the same whatever the image.
            Self::Plain { .. } | Self::Stack(_) => geometry.macs(input),
            // Summing kernels costs the same whatever the image.
            Self::Block(block) if block.is_linear(geometry) => geometry.macs(input),
            Self::Block(block) => sum(block.running().map(|branch| branch.macs(geometry, input))),
        }
    }

    /// Parameters of what runs, without running statistics and what else is not learnt.
    #[must_use]
    pub fn params(&self, geometry: &ConvGeometry) -> u64 {
        match self {
            Self::Plain { bias } => {
                let outputs = geometry.out_channels();
                (outputs * geometry.fan_in() + if *bias { outputs } else { 0 }) as u64
            }
            Self::Block(block) => {
                let after = if block.norm_after { 2 * geometry.out_channels() } else { 0 };
                sum(block.running().map(|branch| branch.params(geometry))) + after as u64
            }
            Self::Stack(stack) => {
                let after = if stack.norm_after { 2 * geometry.out_channels() } else { 0 };
                let own = geometry.in_sequence().unwrap_or_default();
                let layers = stack.layers.iter().zip(&own);
                sum(layers.map(|(layer, own)| layer.params(own))).saturating_add(after as u64)
            }
        }
    }
}

impl Form {
    /// Parameters of what rests, which are there and do nothing: not among [`params`](Self::params).
    #[must_use]
    pub fn resting_params(&self, geometry: &ConvGeometry) -> u64 {
        let Self::Block(block) = self else { return 0 };
        sum(block.branches.iter().map(|branch| {
            let own = if branch.resting { branch.params(geometry) } else { 0 };
            let inside = |conv: &Self| conv.resting_params(&branch.conv_geometry(geometry));
            own.saturating_add(branch.conv.as_deref().map_or(0, inside))
        }))
    }
}

impl BranchForm {
    fn macs(&self, geometry: &ConvGeometry, input: [usize; 2]) -> u64 {
        let kind = self.name.kind;
        let first = self.first_geometry(geometry).map_or(0, |first| first.macs(input));
        // What one output value takes, for all of them.
        let outputs = |each: usize| {
            let [rows, columns] = geometry.output_size(input);
            product([rows, columns, geometry.out_channels(), each])
        };
        let core = match (kind.core(), self.conv.as_deref()) {
            (Core::Conv(_), Some(nested @ Form::Block(_))) => {
                let own = self.conv_geometry(geometry);
                let pads = if kind.has_middle() { geometry.pads(input) } else { [(0, 0); 2] };
                let padded = [0, 1].map(|axis| input[axis] + pads[axis].0 + pads[axis].1);
                nested.macs(&own, padded)
            }
            (Core::Conv(_), _) => outputs(self.conv_geometry(geometry).fan_in()),
            (Core::Average | Core::Prior, _) => outputs(geometry.kernel_size().iter().product()),
            (Core::Input, _) => 0,
        };
        first.saturating_add(core)
    }

    fn params(&self, geometry: &ConvGeometry) -> u64 {
        let outputs = geometry.out_channels();
        // The convolution, and γ and β of the norm behind it, if one is there.
        let first = self.first_geometry(geometry);
        let of_norm = if self.end == End::Linear { 0 } else { 2 };
        let first = first.map_or(0, |first| first.out_channels() * (first.fan_in() + of_norm));
        let conv = self.conv.as_ref().map_or(0, |conv| conv.params(&self.conv_geometry(geometry)));
        let end = match self.end {
            End::Norm => 2 * outputs,
            End::Scale | End::Linear => outputs,
            End::Constant | End::Nothing => 0,
        };
        (first + end) as u64 + conv
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn product<const N: usize>(factors: [usize; N]) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
}
