//! One pass of a batch through a block.
//!
//! ```text
//! layer, input ─▶ Pass (decided once) ─▶ Plan: parts, each with its norm ─▶ an executor, or composed ─▶ output, moments
//!                                                                              moments ─▶ running statistics
//! ```
//!
//! - **A linear block**, in which nothing is a norm, is one convolution while it trains, too: its kernel is the sum of its
//!   branches' (OREPA, arXiv 2204.00826).
//! - **A stack** of layers in sequence is one convolution likewise: its kernel is that of the layers' composed.
//! - **The running variance is the unbiased estimate** (n/(n−1) times the batch's), as in PyTorch and in the published
//!   runs; Burn keeps the biased one. What normalises the batch is biased in both.
//! - A block that has just grown is **calibrated**: statistics of single batches are averaged with equal weights, outside
//!   autodiff, while the rest of the network stays in evaluation mode.

mod composed;
mod merged;
mod plan;
mod stack;
mod sum;

use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use crate::layer::{Block, Branch, RepConv2d};
use crate::ops::{BranchMoments, blend, has_executor, sums};

/// What a pass through a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Norms that train normalise by their batch and move their running statistics.
    Train,
    /// Norms normalise by their running statistics.
    Infer,
    /// Norms normalise by their batch, which is averaged into the running statistics with weight `1 / (seen + 1)`.
    Calibrate {
        /// Batches averaged so far.
        seen: usize,
        /// Which estimate of the variance.
        variance: Variance,
    },
}

/// An estimate of the variance of `n` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variance {
    /// Squares over `n`: what a batch is normalised by while training.
    Biased,
    /// Squares over `n − 1`: what running statistics keep.
    Unbiased,
}

/// How a norm's running statistics take a batch in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// The batch's weight.
    pub(crate) momentum: f64,
    /// What the batch's biased variance is multiplied by.
    pub(crate) unbias: f64,
}

impl Pass {
    /// Decides what an ordinary pass is: training if the layer or its input is on the graph, as Burn's own layers do. An
    /// input off the graph is a constant to a layer that is on it.
    pub(crate) fn of(layer: &RepConv2d, input: &Tensor<4>) -> Self {
        let on_graph = input.is_autodiff() || layer.innermost().weight.lazy_device().is_autodiff();
        if on_graph { Self::Train } else { Self::Infer }
    }

    /// How a norm takes in a batch of which each channel has `count` values; none if it normalises by what it has.
    pub(crate) fn share(self, norm: &BatchNorm, count: usize) -> Option<Share> {
        // A single value has no spread to estimate; its variance of zero is kept as it is.
        let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
        match self {
            Self::Infer => None,
            Self::Train => norm
                .training
                .is_enabled()
                .then_some(Share { momentum: norm.momentum, unbias: unbiased }),
            Self::Calibrate { seen, variance } => Some(Share {
                momentum: 1.0 / (seen as f64 + 1.0),
                unbias: if variance == Variance::Biased { 1.0 } else { unbiased },
            }),
        }
    }
}

impl RepConv2d {
    /// Why a pass of `input` through this layer would be composed from tensor operations, branch by branch; none for a
    /// plain layer, and where an executor computes the block whole.
    #[must_use]
    pub fn composed_because(&self, input: &Tensor<4>) -> Option<&'static str> {
        if self.is_plain() {
            return None;
        }
        let pass = Pass::of(self, input);
        let own = |branch: &Branch| {
            let norms = [&branch.parts.first_norm, &branch.parts.norm];
            norms.into_iter().flatten().any(|norm| pass.share(norm, 2).is_none())
        };
        if self.block().is_some_and(|block| block.running().any(own)) {
            return Some(
                "a norm normalises by its running statistics: only what trains runs whole",
            );
        }
        let weight = self.innermost().weight.val();
        let fits = [input, &weight].into_iter().all(has_executor);
        (!fits).then_some("no executor computes tensors of this device and type")
    }
}

impl Block {
    /// The block's output for `input` `[batch, in, height, width]`; running statistics move as the pass says.
    pub(crate) fn forward_pass(&self, input: &Tensor<4>, pass: Pass) -> Tensor<4> {
        let (output, count_out) = match sums() && self.is_linear() {
            true => self.forward_summed(input),
            false => self.forward_branches(input, pass),
        };
        normalized(self.norm_after.as_ref(), output, count_out, pass)
    }

    /// The sum of the branches' outputs, and how many values of each channel there are.
    fn forward_branches(&self, input: &Tensor<4>, pass: Pass) -> (Tensor<4>, usize) {
        let plan = self.plan(input, pass);
        let [count_in, count_out] = plan::counts(&plan.shape);
        let (output, moments) = composed::execute(plan, pass);
        for (branch, BranchMoments { first, end }) in self.running().zip(moments) {
            let norms =
                [(&branch.parts.first_norm, first, count_in), (&branch.parts.norm, end, count_out)];
            for (norm, moments, count) in norms {
                if let (Some(norm), Some(moments)) = (norm, moments) {
                    take_in(norm, moments, count, pass);
                }
            }
        }
        (output, count_out)
    }
}

/// The output through the norm that follows, of which each channel has `count` values.
fn normalized(norm: Option<&BatchNorm>, output: Tensor<4>, count: usize, pass: Pass) -> Tensor<4> {
    let Some(norm) = norm else { return output };
    let planned = plan::plan_norm(norm, &output, count, pass);
    let (output, moments) = composed::by(planned, output);
    if let Some(moments) = moments {
        take_in(norm, moments, count, pass);
    }
    output
}

/// Moves a norm's running statistics by a batch.
fn take_in(norm: &BatchNorm, moments: [Tensor<1>; 2], count: usize, pass: Pass) {
    if let Some(Share { momentum, unbias }) = pass.share(norm, count) {
        blend(norm, moments, momentum, unbias);
    }
}
