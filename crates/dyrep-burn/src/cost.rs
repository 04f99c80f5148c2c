//! What a structure costs: a function of its forms and of the sizes of the layers' inputs.
//!
//! Multiply-adds are those of convolutions and pooling: what the field calls FLOPs of a network. Batch
//! norms and sums are not counted, nor layers that are not ours. Where a count is larger than any number there is, it is
//! the largest.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::branch::PointwiseKxk;
use crate::form::{BranchForm, Form};
use crate::geometry::ConvGeometry;
use crate::structure::{LayerStructure, Structure};
use crate::tap;
use crate::walk::layers;

/// Parameters and multiply-adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Parameters, without running statistics.
    pub params: u64,
    /// Multiply-adds for one image.
    pub macs: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            params: self.params.saturating_add(other.params),
            macs: self.macs.saturating_add(other.macs),
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parameters, {:.1} M multiply-adds", self.params, self.macs as f64 / 1e6)
    }
}

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
        let trained = LayerStructure { geometry: layer.geometry(), form: layer.form() };
        let deployed = LayerStructure { form: trained.form.deployed(), ..trained.clone() };
        LayerCost {
            trained: sizes.layer_cost(&path, &trained),
            deployed: sizes.layer_cost(&path, &deployed),
            path,
        }
    };
    layers(model).into_iter().map(cost).collect()
}

impl Form {
    /// Multiply-adds on one image of `[height, width]`, batch norms not counted.
    #[must_use]
    pub fn macs(&self, geometry: &ConvGeometry, input: [usize; 2]) -> u64 {
        let Self::Block(block) = self else {
            return geometry.macs(input);
        };
        let [rows, columns] = geometry.output_size(input);
        let per_tap = geometry.in_channels() / geometry.groups();
        let [height, width] = geometry.kernel_size();
        // Each output value of each channel, so many times.
        let each = |times: usize| product([rows, columns, geometry.out_channels(), times]);
        let pointwise = |out: usize| product([input[0], input[1], per_tap, out]);
        let others = block.branches.iter().map(|branch| match branch {
            BranchForm::Pointwise => each(per_tap),
            BranchForm::OneByK => each(per_tap * width),
            BranchForm::KByOne => each(per_tap * height),
            BranchForm::Identity => 0,
            BranchForm::PointwiseAvg if geometry.is_depthwise() => each(height * width),
            BranchForm::PointwiseAvg => {
                pointwise(geometry.out_channels()).saturating_add(each(height * width))
            }
            BranchForm::PointwiseKxk { mid_channels, conv } => {
                let pads = geometry.pads(input);
                let padded = [0, 1].map(|axis| input[axis] + pads[axis].0 + pads[axis].1);
                let second = PointwiseKxk::second_geometry(geometry, *mid_channels);
                pointwise(*mid_channels).saturating_add(conv.macs(&second, padded))
            }
        });
        block.kxk.macs(geometry, input).saturating_add(sum(others))
    }

    /// Parameters, without running statistics.
    #[must_use]
    pub fn params(&self, geometry: &ConvGeometry) -> u64 {
        self.count_params(geometry) as u64
    }

    fn count_params(&self, geometry: &ConvGeometry) -> usize {
        let outputs = geometry.out_channels();
        let block = match self {
            Self::Plain { bias } => {
                return outputs * geometry.fan_in() + if *bias { outputs } else { 0 };
            }
            Self::Block(block) => block,
        };
        let norm = 2 * outputs;
        let per_tap = geometry.in_channels() / geometry.groups();
        let [height, width] = geometry.kernel_size();
        let others = block.branches.iter().map(|branch| match branch {
            BranchForm::Pointwise => outputs * per_tap + norm,
            BranchForm::OneByK => outputs * per_tap * width + norm,
            BranchForm::KByOne => outputs * per_tap * height + norm,
            BranchForm::Identity => norm,
            BranchForm::PointwiseAvg if geometry.is_depthwise() => norm,
            BranchForm::PointwiseAvg => outputs * per_tap + 2 * norm,
            BranchForm::PointwiseKxk { mid_channels, conv } => {
                let second = PointwiseKxk::second_geometry(geometry, *mid_channels);
                mid_channels * per_tap + 2 * mid_channels + conv.count_params(&second) + norm
            }
        });
        block.kxk.count_params(geometry) + norm + others.sum::<usize>()
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

pub(crate) fn product<const N: usize>(factors: [usize; N]) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
}
