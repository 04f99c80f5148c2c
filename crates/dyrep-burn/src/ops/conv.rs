//! Convolution: [`conv2d`] by the kernels, or Burn's.

use burn::module::Param;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use dyrep_kernels::{ConvShape, Finish, ShapeError, backward, forward, forward_then};

use super::operation::{Forward, Kept, Needs, Operation};
use super::{Inputs, Tail, run};
use crate::geometry::ConvGeometry;

/// Convolves `[batch, in, height, width]` with `[out, in / groups, kernel height, kernel width]` and adds a bias
/// `[out]`.
///
/// # Panics
/// As Burn's function of the same name, for shapes that do not fit.
pub(crate) fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let inputs = || Inputs::default().with(&input).with(&weight).with_some(bias.as_ref());
    // What makes no sense is left to Burn, which says why.
    let shape = shape(&input, &weight, bias.as_ref(), &options);
    match shape.and_then(|shape| run(Conv(shape), inputs())) {
        Some((output, _)) => output,
        None => burn::tensor::module::conv2d(input, weight, bias, options),
    }
}

/// What [`Conv2d::forward`] does.
pub(crate) fn convolve(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    let options = options(conv, &input);
    conv2d(input, conv.weight.val(), conv.bias.as_ref().map(Param::val), options)
}

fn options(conv: &Conv2d, input: &Tensor<4>) -> ConvOptions<2> {
    let [_, _, height, width] = input.dims();
    let pads = ConvGeometry::of(conv).pads([height, width]);
    ConvOptions::new_with_padding(conv.stride, pads, conv.dilation, conv.groups)
}

/// `relu?(bn(conv(x)) + residual?)` in one pass, where nothing is learnt and the kernels can.
pub(crate) fn convolve_norm(
    conv: &Conv2d,
    norm: &BatchNorm,
    input: &Tensor<4>,
    tail: &Tail,
) -> Option<Tensor<4>> {
    let device = input.device();
    if device.is_autodiff() {
        return None;
    }
    let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().map(Param::val));
    let shape = shape(input, &weight, bias.as_ref(), &options(conv, input))?;
    let residual = tail.residual.as_ref();
    let fits = norm.gamma.dims() == [shape.channels[1]]
        && residual.is_none_or(|residual| residual.dims() == dims(&shape));
    if !fits {
        return None;
    }
    let statistics = [&norm.running_mean, &norm.running_var];
    let [mean, variance] = statistics.map(|state| state.value().to_device(&device));
    let inputs = Inputs::default().with(input).with(&weight);
    let vectors = [norm.gamma.val(), norm.beta.val(), mean, variance];
    let inputs = vectors.iter().fold(inputs, Inputs::with);
    let inputs = inputs.with_some(bias.as_ref()).with_some(residual);
    let operation = ConvNorm {
        shape,
        epsilon: norm.epsilon,
        bias: bias.is_some(),
        residual: residual.is_some(),
        relu: tail.relu,
    };
    run(operation, inputs).map(|(output, _)| output)
}

fn shape(
    input: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    options: &ConvOptions<2>,
) -> Option<ConvShape> {
    let [batch, inputs, height, width] = input.dims();
    let [outputs, per_group, kernel_height, kernel_width] = weight.dims();
    let shape = ConvShape {
        batch,
        channels: [inputs, outputs],
        input: [height, width],
        kernel: [kernel_height, kernel_width],
        stride: options.stride,
        dilation: options.dilation,
        padding: options.padding,
        groups: options.groups,
    };
    shape.check().ok()?;
    let fits =
        inputs == per_group * options.groups && bias.is_none_or(|bias| bias.dims() == [outputs]);
    fits.then_some(shape)
}

/// Input, weight and perhaps a bias to their convolution.
#[derive(Debug)]
struct Conv(ConvShape);

impl Operation for Conv {
    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> Forward {
        let Self(shape) = self;
        let mut output = vec![0.0; shape.output_len()];
        fits(forward(shape, inputs[0], inputs[1], inputs.get(2).copied(), &mut output));
        Forward { output, shape: dims(shape), ..Forward::default() }
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        let mut inputs = vec![wanted[1], wanted[0]];
        inputs.resize(wanted.len(), false);
        Needs { inputs, output: false, statistics: false }
    }

    fn backward(
        &self,
        kept: &Kept<'_>,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let Self(shape) = self;
        let space = |wanted: bool, len: usize| wanted.then(|| vec![0.0; len]);
        let mut input = space(wanted[0], shape.input_len());
        let mut weight = space(wanted[1], shape.weight_len());
        let [x, w] = [kept.inputs[0], kept.inputs[1]];
        fits(backward(shape, x, w, gradient, input.as_deref_mut(), weight.as_deref_mut()));
        let mut found = vec![input, weight];
        if let Some(wanted) = wanted.get(2) {
            found.push(wanted.then(|| sums_of_channels(gradient, shape)));
        }
        found
    }
}

/// Input, weight, γ, β, running mean and variance, perhaps a bias and a residual, to what follows the norm. Off the
/// graph only.
#[derive(Debug)]
struct ConvNorm {
    shape: ConvShape,
    epsilon: f64,
    bias: bool,
    residual: bool,
    relu: bool,
}

impl ConvNorm {
    /// The norm and the bias as one line a channel.
    fn lines(&self, inputs: &[&[f32]]) -> Vec<[f32; 2]> {
        let bias = self.bias.then(|| inputs[6]);
        let line = |channel: usize| {
            let [gamma, beta, mean, variance] =
                [2, 3, 4, 5].map(|input| f64::from(inputs[input][channel]));
            let scale = gamma / (variance + self.epsilon).sqrt();
            let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
            [scale as f32, (beta + (bias - mean) * scale) as f32]
        };
        (0..self.shape.channels[1]).map(line).collect()
    }
}

impl Operation for ConvNorm {
    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> Forward {
        let residual = self.residual.then(|| inputs[6 + usize::from(self.bias)]);
        let lines = self.lines(inputs);
        let finish = Finish { lines: &lines, residual, relu: self.relu };
        let mut output = vec![0.0; self.shape.output_len()];
        fits(forward_then(&self.shape, inputs[0], inputs[1], finish, &mut output));
        Forward { output, shape: dims(&self.shape), ..Forward::default() }
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        unreachable!("runs off the graph only")
    }

    fn backward(
        &self,
        _kept: &Kept<'_>,
        _gradient: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        unreachable!("runs off the graph only")
    }
}

/// Of the output, `[batch, out, height', width']`.
fn dims(shape: &ConvShape) -> [usize; 4] {
    let [height, width] = shape.output();
    [shape.batch, shape.channels[1], height, width]
}

/// Sums of the output's gradient, `[out]`: the bias's gradient.
fn sums_of_channels(gradient: &[f32], shape: &ConvShape) -> Vec<f32> {
    let [height, width] = shape.output();
    let mut sums = vec![0.0_f64; shape.channels[1]];
    for image in gradient.chunks_exact(shape.channels[1] * height * width) {
        for (sum, plane) in sums.iter_mut().zip(image.chunks_exact(height * width)) {
            *sum += plane.iter().copied().map(f64::from).sum::<f64>();
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// Sizes were checked when the operation was built.
pub(super) fn fits<T>(result: Result<T, ShapeError>) -> T {
    result.unwrap_or_else(|error| unreachable!("sizes were checked: {error}"))
}
