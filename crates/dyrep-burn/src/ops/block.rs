//! A whole block in training as one operation: one pass over the input for all branches, their batch norms and
//! their sum.
//!
//! A block nested inside runs first, as an operation of its own; the outer one takes its output for a branch.

use burn::backend::DispatchTensor;
use burn::module::Param;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use dyrep_kernels::ConvShape;
use dyrep_kernels::block::{
    Block as Parts, Branch as Part, MiddleNorm, Moments, Norm, Window, backward, forward,
};

use super::conv::fits;
use super::norm::blend;
use super::operation::{Forward, Kept, Needs, Operation};
use super::{Inputs, is_fast, run};
use crate::block::Block;
use crate::branch::{Branch, Pass, PointwiseAvg, PointwiseKxk, SmallConv};
use crate::rep_conv2d::RepConv2d;

/// The output of a block that trains, where the kernels can compute it; running statistics are updated as the
/// block's own pass does.
///
/// # Panics
/// If tensors of the block are neither `f32` nor on its input's device.
pub(crate) fn train_block(block: &Block, input: &Tensor<4>) -> Option<Tensor<4>> {
    let trains =
        input.device().is_autodiff() && norms(block).all(|norm| norm.training.is_enabled());
    if !trains || !is_fast(input) {
        return None;
    }
    let shape = shape(block, input).filter(|_| !block.branches.iter().any(starts_with_bias))?;
    let mut assembly = Assembly { shape, input, norms: vec![] };
    let parts = assembly.block(block);
    let mut inputs = Inputs::default();
    let parts = parts.map(|tensor| inputs.0.push(tensor));
    let Some((output, statistics)) = run(WholeBlock(parts), inputs) else {
        panic!("all tensors of a block must be f32 and on the device of its input");
    };
    for ((norm, count), moments) in assembly.norms.into_iter().zip(statistics.chunks_exact(2)) {
        let unbias = Pass::Ordinary.unbias(count);
        blend(norm, [moments[0].clone(), moments[1].clone()], norm.momentum, unbias);
    }
    Some(output)
}

/// The block's own batch norms, without those of blocks nested inside.
fn norms(block: &Block) -> impl Iterator<Item = &BatchNorm> {
    let middles = block.branches.iter().filter_map(|branch| match branch {
        Branch::PointwiseKxk(branch) => Some(&branch.bn1),
        Branch::PointwiseAvg(branch) => branch.bn.as_ref(),
        _ => None,
    });
    let lasts = block.branches.iter().map(Branch::last_norm);
    std::iter::once(&block.kxk.bn).chain(middles).chain(lasts)
}

/// Whether somebody gave a branch's first convolution a bias: no branch is built with one.
fn starts_with_bias(branch: &Branch) -> bool {
    match branch {
        Branch::PointwiseKxk(branch) => branch.conv1.bias.is_some(),
        Branch::PointwiseAvg(branch) => {
            branch.conv.as_ref().is_some_and(|conv| conv.bias.is_some())
        }
        _ => false,
    }
}

/// The convolution that a block stands for; `None` if it cannot be.
fn shape(block: &Block, input: &Tensor<4>) -> Option<ConvShape> {
    let geometry = block.geometry();
    let [batch, channels, height, width] = input.dims();
    let shape = ConvShape {
        batch,
        channels: [geometry.in_channels(), geometry.out_channels()],
        input: [height, width],
        kernel: geometry.kernel_size(),
        stride: geometry.stride(),
        dilation: geometry.dilation(),
        padding: geometry.pads([height, width]),
        groups: geometry.groups(),
    };
    (channels == geometry.in_channels() && shape.check().is_ok()).then_some(shape)
}

/// Takes a block apart, and notes its norms in the order of their moments.
struct Assembly<'a> {
    shape: ConvShape,
    input: &'a Tensor<4>,
    /// Each with the number of values that a channel's moments are of.
    norms: Vec<(&'a BatchNorm, usize)>,
}

impl<'a> Assembly<'a> {
    fn block(&mut self, block: &'a Block) -> Parts<DispatchTensor> {
        let mut branches = vec![self.kxk(block)];
        branches.extend(block.branches.iter().map(|branch| self.branch(branch)));
        Parts { shape: self.shape, input: taken(self.input.clone()), branches }
    }

    fn kxk(&mut self, block: &'a Block) -> Part<DispatchTensor> {
        let norm = self.last(&block.kxk.bn);
        match &block.kxk.conv {
            RepConv2d::Plain(conv) => Part::Conv {
                window: Window { start: [0, 0], size: self.shape.kernel },
                weight: taken(conv.weight.val()),
                bias: conv.bias.as_ref().map(|bias| taken(bias.val())),
                norm,
            },
            nested @ RepConv2d::Block(_) => {
                let map = nested.forward_pass(self.input.clone(), Pass::Ordinary);
                Part::Given { map: taken(map), norm }
            }
        }
    }

    fn branch(&mut self, branch: &'a Branch) -> Part<DispatchTensor> {
        match branch {
            Branch::Pointwise(branch) | Branch::OneByK(branch) | Branch::KByOne(branch) => {
                self.small(branch)
            }
            Branch::PointwiseKxk(branch) => self.sequence(branch),
            Branch::PointwiseAvg(branch) => self.average(branch),
            Branch::Identity(branch) => Part::Identity { norm: self.last(&branch.bn) },
        }
    }

    fn small(&mut self, branch: &'a SmallConv) -> Part<DispatchTensor> {
        let [_, _, height, width] = branch.conv.weight.dims();
        Part::Conv {
            window: Window { start: branch.offset(), size: [height, width] },
            weight: taken(branch.conv.weight.val()),
            bias: branch.conv.bias.as_ref().map(|bias| taken(bias.val())),
            norm: self.last(&branch.bn),
        }
    }

    fn sequence(&mut self, branch: &'a PointwiseKxk) -> Part<DispatchTensor> {
        match &branch.conv2 {
            RepConv2d::Plain(conv) => Part::Sequence {
                pointwise: taken(branch.conv1.weight.val()),
                middle: self.middle(&branch.bn1),
                weight: taken(conv.weight.val()),
                bias: conv.bias.as_ref().map(Param::val).map(taken),
                norm: self.last(&branch.bn2),
            },
            nested @ RepConv2d::Block(_) => {
                let middle = branch.middle(self.input.clone(), Pass::Ordinary);
                let map = nested.forward_pass(middle, Pass::Ordinary);
                Part::Given { map: taken(map), norm: self.last(&branch.bn2) }
            }
        }
    }

    fn average(&mut self, branch: &'a PointwiseAvg) -> Part<DispatchTensor> {
        let first = branch.conv.as_ref().zip(branch.bn.as_ref());
        let first = first.map(|(conv, norm)| (taken(conv.weight.val()), self.middle(norm)));
        Part::Average { first, norm: self.last(&branch.avgbn) }
    }

    fn last(&mut self, norm: &'a BatchNorm) -> Norm<DispatchTensor> {
        let [height, width] = self.shape.output();
        self.norms.push((norm, self.shape.batch * height * width));
        parameters(norm)
    }

    fn middle(&mut self, norm: &'a BatchNorm) -> MiddleNorm<DispatchTensor> {
        let [height, width] = self.shape.input;
        self.norms.push((norm, self.shape.batch * height * width));
        let device = self.input.device();
        let running = [&norm.running_mean, &norm.running_var];
        let [running_mean, running_variance] =
            running.map(|state| taken(state.value_sync().to_device(&device).detach()));
        let momentum = norm.momentum as f32;
        MiddleNorm { norm: parameters(norm), running_mean, running_variance, momentum }
    }
}

fn parameters(norm: &BatchNorm) -> Norm<DispatchTensor> {
    let (gamma, beta) = (taken(norm.gamma.val()), taken(norm.beta.val()));
    Norm { gamma, beta, epsilon: norm.epsilon as f32 }
}

fn taken<const D: usize>(tensor: Tensor<D>) -> DispatchTensor {
    tensor.into_dispatch()
}

/// Everything that the parts hold to the sum of the branches, and the moments of their norms.
#[derive(Debug)]
struct WholeBlock(Parts<()>);

impl WholeBlock {
    /// The parts, holding `values` in the order in which the block was taken apart.
    fn holding<T: Copy>(&self, values: &[T]) -> Parts<T> {
        let mut values = values.iter();
        let mut next = || values.next().copied();
        self.0.clone().map(|()| next().unwrap_or_else(|| unreachable!("one value for each part")))
    }
}

impl Operation for WholeBlock {
    fn forward(&self, inputs: &[&[f32]], keep: bool) -> Forward {
        let ConvShape { batch, channels: [_, outputs], .. } = self.0.shape;
        let [height, width] = self.0.shape.output();
        let mut output = vec![0.0; self.0.shape.output_len()];
        let (moments, saved) = fits(forward(&self.holding(inputs), &mut output, keep));
        let statistics =
            moments.into_iter().flat_map(|Moments { mean, variance }| [mean, variance]);
        let shape = [batch, outputs, height, width];
        Forward { output, shape, statistics: statistics.collect(), saved }
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        Needs { inputs: vec![true; wanted.len()], output: false, statistics: true }
    }

    fn backward(
        &self,
        kept: &Kept<'_>,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let moments: Vec<Moments> = kept
            .statistics
            .chunks_exact(2)
            .map(|pair| Moments { mean: pair[0].to_vec(), variance: pair[1].to_vec() })
            .collect();
        let parts = self.holding(&kept.inputs);
        let wanted = self.holding(wanted);
        let found = fits(backward(&parts, &moments, &kept.saved, gradient, &wanted));
        let mut gradients = vec![];
        found.map(|gradient| gradients.push(gradient));
        gradients
    }
}
