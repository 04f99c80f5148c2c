//! Batch norms, with what often follows them, in one pass: `relu?(γ (x − μ) / √(σ² + ε) + β + residual?)`.
//!
//! [`batch_norm`] is for models, and does what Burn's [`BatchNorm`] does before an addition and a ReLU.

use burn::backend::DispatchTensor;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::plan::{BranchMoments, Norm, Normalize, Plan};
use super::run;
use crate::fuse::wide;

/// `relu?(bn(x) + residual?)`: what [`BatchNorm::forward`] does, running statistics included, and what follows.
///
/// # Shapes
/// Input, residual and output `[batch, channels, height, width]`.
///
/// # Panics
/// If the input does not have the norm's channels, or the residual cannot be spread to its shape.
#[must_use]
pub fn batch_norm(norm: &BatchNorm, input: Tensor<4>, tail: Tail) -> Tensor<4> {
    let ([channels], [_, found, _, _]) = (norm.gamma.dims(), input.dims());
    assert_eq!(found, channels, "the input's channels must be those of the batch norm");
    let device = input.device();
    let (gamma, beta, epsilon) = (norm.gamma.val(), norm.beta.val(), norm.epsilon);
    if !(device.is_autodiff() && norm.training.is_enabled()) {
        let mean = norm.running_mean.value().to_device(&device);
        let variance = norm.running_var.value().to_device(&device);
        return normalize_by(input, [gamma, beta], [mean, variance], epsilon, tail);
    }
    let batch = normalize_batch(input, [gamma, beta], epsilon, tail);
    blend(norm, batch.moments, norm.momentum, 1.0);
    batch.output
}

/// What follows a batch norm: `relu?(… + residual?)`; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Added, in the norm's shape.
    pub residual: Option<Tensor<4>>,
    /// Whether a ReLU ends it.
    pub relu: bool,
}

impl Tail {
    /// A ReLU.
    #[must_use]
    pub fn relu() -> Self {
        Self { residual: None, relu: true }
    }

    /// An addition and a ReLU.
    #[must_use]
    pub fn add_relu(residual: Tensor<4>) -> Self {
        Self { residual: Some(residual), relu: true }
    }

    fn after(self, output: Tensor<4>) -> Tensor<4> {
        let output = match self.residual {
            Some(residual) => output + residual,
            None => output,
        };
        if self.relu { relu(output) } else { output }
    }
}

/// A batch normalised by its own moments.
pub(crate) struct Batch {
    /// `[batch, channels, height, width]`.
    pub(crate) output: Tensor<4>,
    /// Mean and biased variance, `[channels]`, off the graph.
    pub(crate) moments: [Tensor<1>; 2],
}

/// Moves running statistics towards a batch's mean and biased variance by `momentum`; the variance counts
/// `unbias` times. They are `f32` at least.
pub(crate) fn blend(norm: &BatchNorm, moments: [Tensor<1>; 2], momentum: f64, unbias: f64) {
    let [mean, variance] = moments;
    let blended = |running: Tensor<1>, batch: Tensor<1>, weight: f64| {
        // Statistics stay where the last update left them, which another device may have been.
        let running = running.to_device(&batch.device()).cast(batch.dtype());
        (running * (1.0 - momentum) + batch * weight).detach()
    };
    norm.running_mean.update(blended(norm.running_mean.value_sync(), mean, momentum));
    norm.running_var.update(blended(norm.running_var.value_sync(), variance, momentum * unbias));
}

/// Normalises by the batch's own moments; `affine` is γ and β.
pub(crate) fn normalize_batch(
    input: Tensor<4>,
    affine: [Tensor<1>; 2],
    epsilon: f64,
    tail: Tail,
) -> Batch {
    if let Some(done) = plan(&input, &affine, None, epsilon, &tail).and_then(run)
        && let [BranchMoments { end: Some(moments), .. }] = &done.moments[..]
    {
        let moments = moments.clone().map(Tensor::from_dispatch);
        return Batch { output: Tensor::from_dispatch(done.output), moments };
    }
    let dtype = input.dtype();
    let [gamma, beta] = affine.map(wide);
    let result = burn::tensor::module::batch_norm_train(wide(input), gamma, beta, epsilon);
    let moments = [result.mean.detach(), result.variance.detach()];
    Batch { output: tail.after(result.output.cast(dtype)), moments }
}

/// Normalises by given moments, mean and variance, through which no gradient flows; `affine` is γ and β.
pub(crate) fn normalize_by(
    input: Tensor<4>,
    affine: [Tensor<1>; 2],
    moments: [Tensor<1>; 2],
    epsilon: f64,
    tail: Tail,
) -> Tensor<4> {
    let moments = moments.map(Tensor::detach);
    if let Some(done) = plan(&input, &affine, Some(&moments), epsilon, &tail).and_then(run) {
        return Tensor::from_dispatch(done.output);
    }
    let dtype = input.dtype();
    let (input, [gamma, beta]) = (wide(input), affine.map(wide));
    let [mean, variance] = moments.map(|moment| moment.cast(input.dtype()));
    let output = burn::tensor::module::batch_norm(input, gamma, beta, mean, variance, epsilon);
    tail.after(output.cast(dtype))
}

/// The plan of a norm, if the sizes fit.
fn plan(
    input: &Tensor<4>,
    affine: &[Tensor<1>; 2],
    moments: Option<&[Tensor<1>; 2]>,
    epsilon: f64,
    tail: &Tail,
) -> Option<Plan<DispatchTensor>> {
    let dims = input.dims();
    let residual = tail.residual.as_ref();
    let mut vectors = affine.iter().chain(moments.into_iter().flatten());
    let fits = vectors.all(|vector| vector.dims() == [dims[1]])
        && residual.is_none_or(|residual| residual.dims() == dims)
        && !dims.contains(&0);
    let taken = |vector: &Tensor<1>| vector.clone().into_dispatch();
    fits.then(|| {
        let then = Normalize {
            gamma: taken(&affine[0]),
            beta: taken(&affine[1]),
            epsilon,
            given: moments.map(|moments| moments.each_ref().map(taken)),
            residual: residual.map(|residual| residual.clone().into_dispatch()),
            relu: tail.relu,
        };
        Plan::Norm(Norm { dims, input: input.clone().into_dispatch(), then })
    })
}
