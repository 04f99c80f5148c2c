//! Convolutions over slices, with the batch norm behind them where nothing is learnt.

use dyrep_kernels::{Finish, channel_sums, zeros};

use super::{Computed, Kept, fits};
use crate::ops::plan::{Conv, Normalize};

pub(super) fn forward(plan: &Conv<&[f32]>) -> Computed {
    let Conv { shape, input, weight, bias, then } = plan;
    let mut output = zeros(shape.output_len());
    fits(match then {
        None => dyrep_kernels::forward(shape, input, weight, *bias, &mut output),
        Some(norm) => {
            let lines = lines(norm, *bias, shape.channels[1]);
            let finish = Finish { lines: &lines, residual: norm.residual, relu: norm.relu };
            dyrep_kernels::forward_then(shape, input, weight, finish, &mut output)
        }
    });
    Computed { output, moments: vec![], kept: Kept::Nothing }
}

/// A norm by given moments and the bias before it as one line a channel.
fn lines(norm: &Normalize<&[f32]>, bias: Option<&[f32]>, channels: usize) -> Vec<[f32; 2]> {
    let Normalize { gamma, beta, epsilon, given, .. } = norm;
    let Some([mean, variance]) = given else {
        unreachable!("behind a convolution moments are given")
    };
    let line = |channel: usize| {
        let [gamma, beta, mean, variance] =
            [gamma, beta, mean, variance].map(|values| f64::from(values[channel]));
        let scale = gamma / (variance + epsilon).sqrt();
        let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
        [scale as f32, (beta + (bias - mean) * scale) as f32]
    };
    (0..channels).map(line).collect()
}

/// Without a norm behind it: with one nothing is learnt.
pub(super) fn backward(
    plan: &Conv<&[f32]>,
    gradient: &[f32],
    wanted: &Conv<bool>,
) -> Conv<Option<Vec<f32>>> {
    let shape = &plan.shape;
    let space = |wanted: bool, len: usize| wanted.then(|| zeros(len));
    let mut input = space(wanted.input, shape.input_len());
    let mut weight = space(wanted.weight, shape.weight_len());
    let targets = (input.as_deref_mut(), weight.as_deref_mut());
    let (x, w) = (plan.input, plan.weight);
    fits(dyrep_kernels::backward(shape, x, w, gradient, targets.0, targets.1));
    let [height, width] = shape.output();
    let sums = || channel_sums(gradient, shape.channels[1], height * width);
    let bias = wanted.bias.map(|wanted| wanted.then(sums));
    Conv { shape: *shape, input, weight, bias, then: None }
}
