//! From a block and its input to a plan: which taps of which tensors, and what every norm normalises by.
//!
//! A block nested inside runs first, as a plan of its own; the outer one takes its output for a branch.

use burn::backend::DispatchTensor;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use dyrep_config::{Core, First as FirstKind, Window};
use dyrep_kernels::ConvShape;
use dyrep_kernels::block::{
    Block as Plan, Branch as Part, By, Core as Computed, End, First, Norm, Running, Window as Read,
};

use super::composed::{as_first, compose_first};
use super::{Pass, Share, take_in};
use crate::geometry::{ConvGeometry, checked_window};
use crate::layer::{Block, Branch, RepConv2d};
use crate::ops::conv2d;

impl Block {
    /// What a pass computes of the block, before the norm that follows it.
    ///
    /// # Panics
    /// If the input does not have the block's channels, or is smaller than its kernel.
    pub(super) fn plan(&self, input: &Tensor<4>, pass: Pass) -> Plan<DispatchTensor> {
        let planning = self.planning(input, pass);
        let branches = self.running().map(|branch| planning.part(branch)).collect();
        Plan { shape: planning.shape, input: input.clone().into_dispatch(), branches }
    }

    /// What the convolution of a branch sees of the block's input: behind a 1×1 and its norm the padded middle.
    pub(crate) fn seen_by(&self, branch: &Branch, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        let planning = self.planning(&input, pass);
        let shape = planning.shape;
        if let Some(first) = branch.linear_first() {
            if branch.kind().first() == FirstKind::Depthwise {
                let groups = self.geometry.in_channels();
                let own = self.geometry.clone().with_outputs(first.dims()[0], groups);
                let options = own.options(&input);
                return conv2d(input, first, None, options);
            }
            let options = as_first(&input, &shape).options;
            // Zero stays zero.
            return conv2d(input, first, None, options).pad(shape.padding, 0.0);
        }
        let Some((first, norm)) = planning.first(branch).zip(branch.parts.first_norm.as_ref())
        else {
            return input;
        };
        let (seen, moments) = compose_first(first, &shape, input);
        if let Some(moments) = moments {
            take_in(norm, moments, counts(&shape)[0], pass);
        }
        seen
    }

    /// The convolution that the block stands for, on this input.
    ///
    /// # Panics
    /// If the input does not have the block's channels, or is smaller than its kernel.
    pub(super) fn shape(&self, input: &Tensor<4>) -> ConvShape {
        shape_on("a block", &self.geometry, input)
    }

    fn planning<'a>(&'a self, input: &'a Tensor<4>, pass: Pass) -> Planning<'a> {
        Planning { block: self, input, pass, shape: self.shape(input) }
    }
}

/// A convolution on this input, which `what` stands for.
///
/// # Panics
/// If the input does not have its channels, or is smaller than its kernel.
pub(super) fn shape_on(what: &str, geometry: &ConvGeometry, input: &Tensor<4>) -> ConvShape {
    let dims = input.dims();
    let [batch, channels, height, width] = dims;
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
    let refuse = |why: String| panic!("{what} for {geometry} on {dims:?}: {why}");
    shape.check().unwrap_or_else(|error| refuse(error.to_string()));
    if channels != geometry.in_channels() {
        refuse(format!("the input has {channels} channels"));
    }
    shape
}

/// Values of each channel over a batch, before and behind the convolution.
pub(super) fn counts(shape: &ConvShape) -> [usize; 2] {
    [shape.input, shape.output()].map(|[height, width]| shape.batch * height * width)
}

struct Planning<'a> {
    block: &'a Block,
    input: &'a Tensor<4>,
    pass: Pass,
    shape: ConvShape,
}

/// A branch's taps as the kernels have them.
pub(super) fn read(Window { start, size, step }: Window) -> Read {
    Read { start, size, step }
}

impl Planning<'_> {
    fn part(&self, branch: &Branch) -> Part<DispatchTensor> {
        let [_, count_out] = counts(&self.shape);
        let parts = &branch.parts;
        let nested = parts.conv.as_ref().is_some_and(|conv| !conv.is_plain());
        let first = if nested { None } else { self.first(branch) };
        // A nested block with norms must be run, and what stands before it.
        let sequence = if branch.is_linear() { branch.sequence() } else { None };
        let core = match (branch.kind().core(), &parts.conv) {
            _ if let Some(kernel) = sequence => Computed::Conv {
                window: read(checked_window(branch.kind(), &self.block.geometry)),
                weight: kernel.weight().into_dispatch(),
                bias: kernel.bias().map(Tensor::into_dispatch),
            },
            (Core::Conv(_), Some(RepConv2d::Plain(conv))) => Computed::Conv {
                window: read(checked_window(branch.kind(), &self.block.geometry)),
                weight: conv.weight.val().into_dispatch(),
                bias: conv.bias.as_ref().map(|bias| bias.val().into_dispatch()),
            },
            (Core::Conv(_), Some(nested)) => {
                let seen = self.block.seen_by(branch, self.input.clone(), self.pass);
                Computed::Given { map: nested.forward_pass(seen, self.pass).into_dispatch() }
            }
            (Core::Average, _) => Computed::Average,
            (Core::Input, _) => Computed::Input,
            (Core::Conv(_), None) | (Core::Prior, _) => unreachable!("its form was checked"),
        };
        let end = match (&parts.norm, branch.scale()) {
            (Some(norm), _) => End::Norm(plan_norm(norm, self.input, count_out, self.pass)),
            (None, Some(scale)) => End::Scale(scale.into_dispatch()),
            (None, None) => End::Nothing,
        };
        Part { first, core, end }
    }

    fn first(&self, branch: &Branch) -> Option<First<DispatchTensor>> {
        let (weight, norm) = branch.first_weight().zip(branch.parts.first_norm.as_ref())?;
        let norm = plan_norm(norm, self.input, counts(&self.shape)[0], self.pass);
        Some(First { weight: weight.into_dispatch(), norm })
    }
}

/// What a norm over `count` values a channel normalises by, on the device of `like`.
pub(super) fn plan_norm(
    norm: &BatchNorm,
    like: &Tensor<4>,
    count: usize,
    pass: Pass,
) -> Norm<DispatchTensor> {
    let device = like.device();
    // Statistics stay where the last update left them, which another device may have been.
    let [mean, variance] = [&norm.running_mean, &norm.running_var]
        .map(|state| state.value_sync().to_device(&device).detach().into_dispatch());
    let by = match pass.share(norm, count) {
        None => By::Given { mean, variance },
        Some(Share { momentum, unbias }) => By::Batch(Running { mean, variance, momentum, unbias }),
    };
    let [gamma, beta] = [&norm.gamma, &norm.beta].map(|vector| vector.val().into_dispatch());
    Norm { gamma, beta, epsilon: norm.epsilon, by }
}
