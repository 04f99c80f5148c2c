//! Batch norms with what follows them, over slices.

use dyrep_kernels::{Gradients, Moments, NormCall, NormShape, Passed, Tail, zeros};

use super::{Computed, Kept, fits};
use crate::ops::plan::{BranchMoments, Norm, Normalize};

fn norm<'a>(plan: &Norm<&'a [f32]>) -> NormCall<'a> {
    let [batch, channels, height, width] = plan.dims;
    let shape = NormShape { batch, channels, pixels: height * width };
    let Normalize { gamma, beta, epsilon, .. } = plan.then;
    NormCall { shape, gamma, beta, epsilon }
}

pub(super) fn forward(plan: &Norm<&[f32]>) -> Computed {
    let norm = norm(plan);
    let channels = norm.shape.channels;
    let tail = Tail { residual: plan.then.residual, relu: plan.then.relu };
    let mut output = zeros(norm.shape.len());
    let moments = match plan.then.given {
        Some([mean, variance]) => {
            fits(norm.infer(Moments { mean, variance }, plan.input, tail, &mut output));
            None
        }
        None => {
            let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
            let moments = Moments { mean: &mut mean[..], variance: &mut variance[..] };
            fits(norm.train(plan.input, tail, &mut output, moments));
            Some([mean, variance])
        }
    };
    let of_norm = BranchMoments { first: None, end: moments.clone() };
    Computed { output, moments: vec![of_norm], kept: Kept::Norm { moments, output: None } }
}

/// `moments` are the batch's, where they were not given; `output` is there where a residual came before a ReLU.
pub(super) fn backward(
    plan: &Norm<&[f32]>,
    moments: Option<&[Vec<f32>; 2]>,
    output: &[f32],
    gradient: &[f32],
    wanted: &Norm<bool>,
) -> Norm<Option<Vec<f32>>> {
    let norm = norm(plan);
    let channels = norm.shape.channels;
    let passed = match (plan.then.relu, plan.then.residual) {
        (false, _) => Passed::All,
        (true, None) => Passed::OfNorm,
        (true, Some(_)) => Passed::OfOutput(output),
    };
    let mut input = zeros(norm.shape.len());
    let [mut gamma, mut beta] = [vec![0.0; channels], vec![0.0; channels]];
    let mut residual = wanted.then.residual.map(|wanted| {
        wanted.then(|| match plan.then.relu {
            true => zeros(gradient.len()),
            false => gradient.to_vec(),
        })
    });
    let of_residual = residual.as_mut().and_then(Option::as_deref_mut).filter(|_| plan.then.relu);
    let gradients =
        Gradients { input: &mut input, residual: of_residual, gamma: &mut gamma, beta: &mut beta };
    fits(match (plan.then.given, moments) {
        (Some([mean, variance]), _) => {
            let moments = Moments { mean, variance };
            norm.infer_backward(moments, plan.input, passed, gradient, gradients)
        }
        (None, Some([mean, variance])) => {
            let moments = Moments { mean: &mean[..], variance: &variance[..] };
            norm.train_backward(moments, plan.input, passed, gradient, gradients)
        }
        (None, None) => unreachable!("the forward pass keeps them"),
    });
    let then = Normalize {
        gamma: Some(gamma),
        beta: Some(beta),
        given: plan.then.given.map(|_| [None, None]),
        residual,
        epsilon: plan.then.epsilon,
        relu: plan.then.relu,
    };
    Norm { dims: plan.dims, input: Some(input), then }
}
