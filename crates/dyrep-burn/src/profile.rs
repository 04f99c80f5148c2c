//! What layers cost: parameters and multiply-adds, in training form and deployed.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::branch::PointwiseKxk;
use crate::form::{BranchForm, Form};
use crate::geometry::ConvGeometry;
use crate::tap;
use crate::walk::layers;

/// One layer's cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCost {
    /// The layer's path.
    pub path: String,
    /// Multiply-adds for one image, as it is.
    pub macs: u64,
    /// Multiply-adds for one image, deployed.
    pub deployed_macs: u64,
    /// Parameters as it is, without running statistics.
    pub params: usize,
    /// Parameters deployed.
    pub deployed_params: usize,
}

/// The cost of each [`RepConv2d`](crate::RepConv2d) that `forward` reaches; `forward` passes a batch
/// through the model it is given, in evaluation mode.
///
/// Multiply-adds are those of convolutions and pooling: what the field calls FLOPs of a network. A layer
/// called several times counts each time. Layers that are not ours are not counted.
#[must_use]
pub fn profile<M: Module>(model: &M, forward: impl FnOnce(&M)) -> Vec<LayerCost> {
    let model = model.valid();
    let ((), flows) = tap::listen(None, || forward(&model));
    let cost = |(path, layer): (String, crate::RepConv2d)| {
        let (geometry, form) = (layer.geometry(), layer.form());
        let calls = flows.iter().filter(|flow| flow.layer == layer.id());
        let sizes: Vec<[usize; 2]> = calls
            .map(|flow| {
                let [_, _, height, width] = flow.input.dims();
                [height, width]
            })
            .collect();
        let fused = Form::Plain { bias: !layer.is_plain() || form == Form::Plain { bias: true } };
        LayerCost {
            path,
            macs: sizes.iter().map(|&size| form.macs(&geometry, size)).sum(),
            deployed_macs: sizes.iter().map(|&size| geometry.macs(size)).sum(),
            params: form.params(&geometry),
            deployed_params: fused.params(&geometry),
        }
    };
    layers(&model).into_iter().map(cost).collect()
}

impl Form {
    /// Multiply-adds on one image of `[height, width]`, batch norms not counted.
    #[must_use]
    pub fn macs(&self, geometry: &ConvGeometry, input: [usize; 2]) -> u64 {
        let Self::Block(block) = self else {
            return geometry.macs(input);
        };
        let pixels = (input[0] * input[1]) as u64;
        let outputs = geometry.output_size(input);
        let outputs = (outputs[0] * outputs[1] * geometry.out_channels()) as u64;
        let per_tap = (geometry.in_channels() / geometry.groups()) as u64;
        let [height, width] = geometry.kernel_size().map(|size| size as u64);
        let pointwise = |out: usize| pixels * per_tap * out as u64;
        let others = block.branches.iter().map(|branch| match branch {
            BranchForm::Pointwise => outputs * per_tap,
            BranchForm::OneByK => outputs * per_tap * width,
            BranchForm::KByOne => outputs * per_tap * height,
            BranchForm::Identity => 0,
            BranchForm::PointwiseAvg if geometry.is_depthwise() => outputs * height * width,
            BranchForm::PointwiseAvg => {
                pointwise(geometry.out_channels()) + outputs * height * width
            }
            BranchForm::PointwiseKxk { mid_channels, conv } => {
                let pads = geometry.pads(input);
                let padded = [0, 1].map(|axis| input[axis] + pads[axis].0 + pads[axis].1);
                let second = PointwiseKxk::second_geometry(geometry, *mid_channels);
                pointwise(*mid_channels) + conv.macs(&second, padded)
            }
        });
        block.kxk.macs(geometry, input) + others.sum::<u64>()
    }

    /// Parameters, without running statistics.
    #[must_use]
    pub fn params(&self, geometry: &ConvGeometry) -> usize {
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
                mid_channels * per_tap + 2 * mid_channels + conv.params(&second) + norm
            }
        });
        block.kxk.params(geometry) + norm + others.sum::<usize>()
    }
}
