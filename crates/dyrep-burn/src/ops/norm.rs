//! Batch norms, with what often follows them, in one pass: `relu?(γ (x − μ) / √(σ² + ε) + β + residual?)`.
//!
//! [`batch_norm`] is for models, and does what Burn's [`BatchNorm`] does before an addition and a ReLU.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use dyrep_kernels::{Gradients, Moments, MomentsMut, Norm, NormShape, Passed, Tail as NormTail};

use super::conv::fits;
use super::operation::{Forward, Kept, Needs, Operation};
use super::{Inputs, run};

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
/// `unbias` times.
pub(crate) fn blend(norm: &BatchNorm, moments: [Tensor<1>; 2], momentum: f64, unbias: f64) {
    let [mean, variance] = moments;
    let blended = |running: Tensor<1>, batch: Tensor<1>, weight: f64| {
        // Statistics stay where the last update left them, which another device may have been.
        let running = running.to_device(&batch.device());
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
    let done = Normalize::of(&input, &affine, None, epsilon, &tail)
        .and_then(|(operation, inputs)| run(operation, inputs));
    if let Some((output, statistics)) = done
        && let Ok(moments) = <[Tensor<1>; 2]>::try_from(statistics)
    {
        return Batch { output, moments };
    }
    let [gamma, beta] = affine;
    let result = burn::tensor::module::batch_norm_train(input, gamma, beta, epsilon);
    let moments = [result.mean.detach(), result.variance.detach()];
    Batch { output: tail.after(result.output), moments }
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
    let done = Normalize::of(&input, &affine, Some(&moments), epsilon, &tail)
        .and_then(|(operation, inputs)| run(operation, inputs));
    if let Some((output, _)) = done {
        return output;
    }
    let ([gamma, beta], [mean, variance]) = (affine, moments);
    tail.after(burn::tensor::module::batch_norm(input, gamma, beta, mean, variance, epsilon))
}

/// Input, γ, β, mean and variance where they are given, and perhaps a residual, to the normalised input; the
/// statistics are the batch's mean and variance where they are not given.
#[derive(Debug)]
struct Normalize {
    /// Of the input, `[batch, channels, height, width]`.
    dims: [usize; 4],
    epsilon: f32,
    /// Whether the moments are given.
    given: bool,
    residual: bool,
    relu: bool,
}

impl Normalize {
    /// The operation and its inputs, if the sizes fit.
    fn of(
        input: &Tensor<4>,
        affine: &[Tensor<1>; 2],
        moments: Option<&[Tensor<1>; 2]>,
        epsilon: f64,
        tail: &Tail,
    ) -> Option<(Self, Inputs)> {
        let dims = input.dims();
        let residual = tail.residual.as_ref();
        let mut vectors = affine.iter().chain(moments.into_iter().flatten());
        let fits = vectors.all(|vector| vector.dims() == [dims[1]])
            && residual.is_none_or(|residual| residual.dims() == dims)
            && !dims.contains(&0);
        let operation = Self {
            dims,
            epsilon: epsilon as f32,
            given: moments.is_some(),
            residual: residual.is_some(),
            relu: tail.relu,
        };
        let inputs = Inputs::default().with(input).with(&affine[0]).with(&affine[1]);
        let inputs = moments.into_iter().flatten().fold(inputs, Inputs::with);
        fits.then(|| (operation, inputs.with_some(residual)))
    }

    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Norm<'a> {
        let [batch, channels, height, width] = self.dims;
        let shape = NormShape { batch, channels, pixels: height * width };
        Norm { shape, gamma: inputs[1], beta: inputs[2], epsilon: self.epsilon }
    }

    /// Where the residual lies among the inputs.
    fn residual(&self) -> Option<usize> {
        self.residual.then_some(if self.given { 5 } else { 3 })
    }
}

impl Operation for Normalize {
    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> Forward {
        let norm = self.norm(inputs);
        let channels = norm.shape.channels;
        let tail = NormTail { residual: self.residual().map(|at| inputs[at]), relu: self.relu };
        let mut output = vec![0.0; norm.shape.len()];
        let mut statistics = vec![];
        if self.given {
            let moments = Moments { mean: inputs[3], variance: inputs[4] };
            fits(norm.infer(moments, inputs[0], tail, &mut output));
        } else {
            let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
            let moments = MomentsMut { mean: &mut mean, variance: &mut variance };
            fits(norm.train(inputs[0], tail, &mut output, moments));
            statistics = vec![mean, variance];
        }
        Forward { output, shape: self.dims, statistics, saved: vec![] }
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        let mut inputs = vec![true; wanted.len()];
        if let Some(residual) = self.residual() {
            inputs[residual] = false;
        }
        Needs { inputs, output: self.relu && self.residual, statistics: !self.given }
    }

    fn backward(
        &self,
        kept: &Kept<'_>,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let norm = self.norm(&kept.inputs);
        let channels = norm.shape.channels;
        let passed = match (self.relu, self.residual) {
            (false, _) => Passed::All,
            (true, false) => Passed::OfNorm,
            (true, true) => Passed::OfOutput(kept.output),
        };
        let mut of_input = vec![0.0; norm.shape.len()];
        let mut of_affine = [vec![0.0; channels], vec![0.0; channels]];
        let [gamma, beta] = &mut of_affine;
        let mut of_residual = self.residual().filter(|at| wanted[*at]).map(|_| match self.relu {
            true => vec![0.0; gradient.len()],
            false => gradient.to_vec(),
        });
        let residual = of_residual.as_deref_mut().filter(|_| self.relu);
        let gradients = Gradients { input: &mut of_input, residual, gamma, beta };
        let input = kept.inputs[0];
        fits(if self.given {
            let moments = Moments { mean: kept.inputs[3], variance: kept.inputs[4] };
            norm.infer_backward(moments, input, passed, gradient, gradients)
        } else {
            let moments = Moments { mean: kept.statistics[0], variance: kept.statistics[1] };
            norm.train_backward(moments, input, passed, gradient, gradients)
        });
        let mut found: Vec<Option<Vec<f32>>> =
            std::iter::once(of_input).chain(of_affine).map(Some).collect();
        found.resize(wanted.len(), None);
        if let Some(at) = self.residual() {
            found[at] = of_residual;
        }
        found
    }
}
