//! Batch norms, with what often follows them, in one pass: `relu?(γ (x − μ) / √(σ² + ε) + β + residual?)`.
//!
//! [`batch_norm`] is for models, and does what Burn's [`BatchNorm`] does before an addition and a ReLU.

use burn::backend::DispatchTensor;
use burn::nn::BatchNorm;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, module};

use super::plan::{Norm, Normalize, Plan};
use super::{in_numbers_of, is_half, run, widely};
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
    // In training mode it normalises by the batch, and else by its running statistics.
    let given = (!(device.is_autodiff() && norm.training.is_enabled())).then(|| {
        [&norm.running_mean, &norm.running_var].map(|state| state.value().to_device(&device))
    });
    let (output, moments) = normalize(input, [gamma, beta], given, epsilon, tail);
    if let Some(moments) = moments {
        blend(norm, moments, norm.momentum, 1.0);
    }
    output
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

/// Normalises by given moments, mean and variance, through which no gradient flows, or by the batch's own, which are told
/// then: mean and biased variance, `[channels]`, off the graph. `affine` is γ and β. What has 16 bits is normalised, added
/// to and cut off in 32.
pub(crate) fn normalize(
    input: Tensor<4>,
    affine: [Tensor<1>; 2],
    given: Option<[Tensor<1>; 2]>,
    epsilon: f64,
    tail: Tail,
) -> (Tensor<4>, Option<[Tensor<1>; 2]>) {
    let given = given.map(|moments| moments.map(Tensor::detach));
    #[cfg(test)]
    super::launched::add(1);
    if is_half(&input) {
        let mut found = None;
        let output = widely(input, |input| {
            let tail = Tail { residual: tail.residual.map(wide), ..tail };
            let (output, moments) = normalize(input, affine.map(wide), given, epsilon, tail);
            found = moments;
            output
        });
        return (output, found);
    }
    let dims = input.dims();
    let plan = then(dims, &affine, given.as_ref(), epsilon, &tail).map(|then| {
        let input = input.clone().into_dispatch();
        Plan::Norm(Norm { dims, input, then })
    });
    if let Some(done) = plan.and_then(run) {
        let moments = done.moments.into_iter().find_map(|branch| branch.end);
        let moments = moments.map(|moments| moments.map(Tensor::from_dispatch));
        return (Tensor::from_dispatch(done.output), moments);
    }
    let [gamma, beta] = affine.map(|vector| in_numbers_of(&input, vector));
    let (output, moments) = match given {
        Some(moments) => {
            let [mean, variance] = moments.map(|moment| in_numbers_of(&input, moment));
            (module::batch_norm(input, gamma, beta, mean, variance, epsilon), None)
        }
        None => {
            let result = module::batch_norm_train(input, gamma, beta, epsilon);
            (result.output, Some([result.mean.detach(), result.variance.detach()]))
        }
    };
    (tail.after(output), moments)
}

/// What a plan does after an input, or a convolution's output, of these dimensions, if the sizes fit.
pub(super) fn then(
    dims: [usize; 4],
    affine: &[Tensor<1>; 2],
    given: Option<&[Tensor<1>; 2]>,
    epsilon: f64,
    tail: &Tail,
) -> Option<Normalize<DispatchTensor>> {
    let residual = tail.residual.as_ref();
    let mut vectors = affine.iter().chain(given.into_iter().flatten());
    let fits = vectors.all(|vector| vector.dims() == [dims[1]])
        && residual.is_none_or(|residual| residual.dims() == dims)
        && !dims.contains(&0);
    let taken = |vector: &Tensor<1>| vector.clone().into_dispatch();
    fits.then(|| Normalize {
        gamma: taken(&affine[0]),
        beta: taken(&affine[1]),
        epsilon,
        given: given.map(|moments| moments.each_ref().map(taken)),
        residual: residual.map(|residual| residual.clone().into_dispatch()),
        relu: tail.relu,
    })
}
