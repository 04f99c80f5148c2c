//! The norm's gradients.
//!
//! With `g` the output's gradient where the ReLU passed, `d = x − μ`, `i = 1 / √(σ² + ε)` and means over a channel:
//!
//! ```text
//! ∂β = Σ g      ∂γ = i · Σ g·d      ∂x = γ·i · (g − mean(g) − d · i² · mean(g·d))      ∂residual = g
//! ```
//!
//! The two means come from the statistics' own dependence on `x`, and are left out where these are given.

use super::affine::inverse_deviation;
use super::part::{Part, each_part};
use super::{Moments, NormCall, Passed, on_line};
use crate::finish::floor;
use crate::shape::ShapeError;
use crate::tile::Shared;

/// Where gradients are written.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the input, `[batch, channels, pixels]`.
    pub input: &'a mut [f32],
    /// Of the residual, `[batch, channels, pixels]`, if it is wanted. Without a ReLU it is the output's gradient
    /// itself and need not be written.
    pub residual: Option<&'a mut [f32]>,
    /// Of γ, `[channels]`.
    pub gamma: &'a mut [f32],
    /// Of β, `[channels]`.
    pub beta: &'a mut [f32],
}

/// Whether mean and variance are the batch's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statistics {
    OfBatch,
    Given,
}

impl NormCall<'_> {
    /// Gradients of [`train`](Self::train), from the moments it wrote.
    ///
    /// # Shapes
    /// Input and the output's gradient `[batch, channels, pixels]`.
    ///
    /// # Errors
    /// A size of zero, or a slice of another length.
    pub fn train_backward(
        &self,
        moments: Moments<&[f32]>,
        input: &[f32],
        passed: Passed<'_>,
        output_gradient: &[f32],
        gradients: Gradients<'_>,
    ) -> Result<(), ShapeError> {
        self.backward(moments, Statistics::OfBatch, [input, output_gradient], passed, gradients)
    }

    /// Gradients of [`infer`](Self::infer), mean and variance being constants.
    ///
    /// # Errors
    /// As [`train_backward`](Self::train_backward).
    pub fn infer_backward(
        &self,
        moments: Moments<&[f32]>,
        input: &[f32],
        passed: Passed<'_>,
        output_gradient: &[f32],
        gradients: Gradients<'_>,
    ) -> Result<(), ShapeError> {
        self.backward(moments, Statistics::Given, [input, output_gradient], passed, gradients)
    }

    fn backward(
        &self,
        moments: Moments<&[f32]>,
        statistics: Statistics,
        [input, output_gradient]: [&[f32]; 2],
        passed: Passed<'_>,
        gradients: Gradients<'_>,
    ) -> Result<(), ShapeError> {
        self.check()?;
        self.check_moments(moments.mean, moments.variance)?;
        self.shape.check_batch("the input", input)?;
        self.shape.check_batch("the output's gradient", output_gradient)?;
        self.shape.check_batch("the input's gradient", gradients.input)?;
        self.shape.check_channels("gamma's gradient", gradients.gamma)?;
        self.shape.check_channels("beta's gradient", gradients.beta)?;
        if let Some(residual) = &gradients.residual {
            self.shape.check_batch("the residual's gradient", residual)?;
        }
        if let Passed::OfOutput(output) = passed {
            self.shape.check_batch("the output", output)?;
        }
        let of_input = Shared::new(gradients.input);
        let of_residual = gradients.residual.map(Shared::new);
        let found = each_part(&self.shape, |part| {
            let sweep = Sweep { norm: self, part: &part, moments, statistics };
            let (x, g) = (input, output_gradient);
            let (of_input, of_residual) = (&of_input, of_residual.as_ref());
            let least = floor(!matches!(passed, Passed::All));
            match passed {
                Passed::OfOutput(y) => sweep.run(
                    [x, g, y],
                    #[inline(always)]
                    |_, [_, g, y]| if y <= 0.0 { 0.0 } else { g },
                    of_input,
                    of_residual,
                ),
                Passed::All | Passed::OfNorm => sweep.run(
                    [x, g],
                    #[inline(always)]
                    move |line, [x, g]| if on_line(line, x) <= least { 0.0 } else { g },
                    of_input,
                    of_residual,
                ),
            }
        });
        for ((gamma, beta), found) in gradients.gamma.iter_mut().zip(gradients.beta).zip(found) {
            [*gamma, *beta] = found;
        }
        Ok(())
    }
}

/// The two sweeps over a part: sums, then gradients.
struct Sweep<'a> {
    norm: &'a NormCall<'a>,
    part: &'a Part,
    moments: Moments<&'a [f32]>,
    statistics: Statistics,
}

impl Sweep<'_> {
    /// `passed` makes the gradient behind the ReLU of a channel's line and of the values of `slices`, the first
    /// of which is the norm's input. Gives the gradients of γ and β.
    fn run<const N: usize>(
        &self,
        slices: [&[f32]; N],
        passed: impl Fn([f32; 3], [f32; N]) -> f32 + Copy + Sync,
        of_input: &Shared<'_>,
        of_residual: Option<&Shared<'_>>,
    ) -> Vec<[f32; 2]> {
        let Self { norm, part, moments: Moments { mean, variance }, statistics } = *self;
        let line = |channel| norm.line(channel, mean[channel], variance[channel]);
        let lines: Vec<[f32; 3]> = part.channels.clone().map(line).collect();
        let sums = part.sums(
            slices,
            &lines,
            #[inline(always)]
            move |line, values| {
                let gradient = passed(line, values);
                [gradient, gradient * (values[0] - line[0])]
            },
        );
        let (mut slopes, mut found) =
            (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        for (place, ([sum, along], line)) in sums.into_iter().zip(lines).enumerate() {
            let variance = f64::from(variance[part.channels.start + place]);
            let inverse = inverse_deviation(variance, norm.epsilon);
            found.push([(along * inverse) as f32, sum as f32]);
            let own = match statistics {
                Statistics::OfBatch => -f64::from(line[1]) / norm.shape.per_channel(),
                Statistics::Given => 0.0,
            };
            let [centre, scale, shift] = line;
            let (slope, offset) = (own * along * inverse * inverse, own * sum);
            slopes.push([centre, scale, shift, slope as f32, offset as f32]);
        }
        match of_residual {
            Some(of_residual) => part.write_two(
                [of_input, of_residual],
                slices,
                &slopes,
                #[inline(always)]
                move |slopes, values| both(slopes, values, passed),
            ),
            None => part.write(
                of_input,
                slices,
                &slopes,
                #[inline(always)]
                move |slopes, values| both(slopes, values, passed)[0],
            ),
        }
        found
    }
}

/// Gradients of a value of the input and of the residual.
#[inline(always)]
fn both<const N: usize>(
    [centre, scale, shift, slope, offset]: [f32; 5],
    values: [f32; N],
    passed: impl Fn([f32; 3], [f32; N]) -> f32,
) -> [f32; 2] {
    let gradient = passed([centre, scale, shift], values);
    [gradient * scale + ((values[0] - centre) * slope + offset), gradient]
}
