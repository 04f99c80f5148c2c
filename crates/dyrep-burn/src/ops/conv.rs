//! Convolution: [`conv2d`] by the kernels, or Burn's.

use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use dyrep_kernels::{ConvShape, ShapeError, backward, forward};

use super::operation::{Forward, Kept, Needs, Operation};
use super::{Inputs, run};
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
    let [_, _, height, width] = input.dims();
    let pads = ConvGeometry::of(conv).pads([height, width]);
    let options = ConvOptions::new_with_padding(conv.stride, pads, conv.dilation, conv.groups);
    let bias = conv.bias.as_ref().map(burn::module::Param::val);
    conv2d(input, conv.weight.val(), bias, options)
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
        let [height, width] = shape.output();
        let shape = [shape.batch, shape.channels[1], height, width];
        Forward { output, shape, ..Forward::default() }
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
