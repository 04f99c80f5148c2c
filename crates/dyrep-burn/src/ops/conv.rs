//! Convolution: [`conv2d`] by an executor, or Burn's.

use burn::backend::DispatchTensor;
use burn::module::Param;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use dyrep_kernels::ConvShape;

use super::norm::then;
use super::plan::{Conv, Plan, output_dims};
use super::{Tail, has_wide_executor, in_numbers_of, is_half, run, widely};
use crate::fuse::wide;
use crate::geometry::ConvGeometry;

/// Convolves `[batch, in, height, width]` with `[out, in / groups, kernel height, kernel width]` and adds a bias
/// `[out]`, in the input's numbers. What has 16 bits an executor adds up in 32.
///
/// # Panics
/// As Burn's function of the same name, for shapes that do not fit.
pub(crate) fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let (weight, bias) = (in_numbers_of(&input, weight), bias.map(|it| in_numbers_of(&input, it)));
    if is_half(&input) && has_wide_executor(&input) {
        let (weight, bias) = (wide(weight), bias.map(wide));
        return widely(input, |input| conv2d(input, weight, bias, options));
    }
    #[cfg(test)]
    super::launched::add(1);
    // What makes no sense is left to Burn, which says why.
    match plan(&input, &weight, bias.as_ref(), &options).and_then(|plan| run(Plan::Conv(plan))) {
        Some(done) => Tensor::from_dispatch(done.output),
        None => burn::tensor::module::conv2d(input, weight, bias, options),
    }
}

/// What [`Conv2d::forward`] does.
pub(crate) fn convolve(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    let options = ConvGeometry::of(conv).options(&input);
    conv2d(input, conv.weight.val(), conv.bias.as_ref().map(Param::val), options)
}

/// `relu?(bn(conv(x)) + residual?)` in one pass, where nothing is learnt and an executor can.
pub(crate) fn convolve_norm(
    conv: &Conv2d,
    norm: &BatchNorm,
    input: &Tensor<4>,
    tail: &Tail,
) -> Option<Tensor<4>> {
    let device = input.device();
    let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().map(Param::val));
    let [gamma, beta] = [norm.gamma.val(), norm.beta.val()];
    let residual = tail.residual.as_ref();
    // Parameters on the graph are learnt from whatever passes; so is a residual.
    let vectors = bias.iter().chain([&gamma, &beta]).any(Tensor::is_autodiff);
    let maps = residual.into_iter().chain([input, &weight]).any(Tensor::is_autodiff);
    if vectors || maps {
        return None;
    }
    let options = ConvGeometry::of(conv).options(input);
    let mut plan = plan(input, &weight, bias.as_ref(), &options)?;
    let given = [&norm.running_mean, &norm.running_var];
    let given = given.map(|state| state.value().to_device(&device));
    let dims = output_dims(&plan.shape);
    plan.then = Some(then(dims, &[gamma, beta], Some(&given), norm.epsilon, tail)?);
    Some(Tensor::from_dispatch(run(Plan::Conv(plan))?.output))
}

/// The plan of a convolution, if the sizes fit.
fn plan(
    input: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    options: &ConvOptions<2>,
) -> Option<Conv<DispatchTensor>> {
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
    let taken = |tensor: &Tensor<4>| tensor.clone().into_dispatch();
    let bias = bias.map(|bias| bias.clone().into_dispatch());
    fits.then(|| Conv { shape, input: taken(input), weight: taken(weight), bias, then: None })
}
