//! The norm forward: in training with the batch's own mean and variance, in inference with given ones.

use super::part::{Part, each_part, each_piece};
use super::{Moments, NormCall, NormShape, Tail, on_line};
use crate::finish::{floor, raised};
use crate::shape::ShapeError;
use crate::tile::Shared;

/// Values of a channel whose mean the sums start from, spread over images and pixels.
const SAMPLE: usize = 8;
/// How far, in variances, the square of the distance between that mean and the true one may be.
const FAR: f64 = 4.0;

impl NormCall<'_> {
    /// Normalises by the batch's own mean and biased variance, which it writes too.
    ///
    /// # Shapes
    /// Input, output and residual `[batch, channels, pixels]`.
    ///
    /// # Errors
    /// A size of zero, or a slice of another length.
    pub fn train(
        &self,
        input: &[f32],
        tail: Tail<'_>,
        output: &mut [f32],
        moments: Moments<&mut [f32]>,
    ) -> Result<(), ShapeError> {
        self.check_forward(input, tail, output)?;
        self.check_moments(moments.mean, moments.variance)?;
        let output = Shared::new(output);
        let found = each_part(&self.shape, |part| {
            let found = self.moments(&part, input);
            let lines = part
                .channels
                .clone()
                .zip(&found)
                .map(|(channel, &[mean, variance])| self.line(channel, mean, variance));
            apply(&part, &lines.collect::<Vec<_>>(), input, tail, &output);
            found
        });
        for ((mean, variance), found) in moments.mean.iter_mut().zip(moments.variance).zip(found) {
            [*mean, *variance] = found;
        }
        Ok(())
    }

    /// Normalises by a given mean and variance.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn infer(
        &self,
        moments: Moments<&[f32]>,
        input: &[f32],
        tail: Tail<'_>,
        output: &mut [f32],
    ) -> Result<(), ShapeError> {
        let Moments { mean, variance } = moments;
        self.check_forward(input, tail, output)?;
        self.check_moments(mean, variance)?;
        let line = |channel| self.line(channel, mean[channel], variance[channel]);
        let lines: Vec<[f32; 3]> = (0..self.shape.channels).map(line).collect();
        let output = Shared::new(output);
        each_piece(&self.shape, |part| {
            apply(&part, &lines[part.channels.clone()], input, tail, &output);
        });
        Ok(())
    }

    fn check_forward(
        &self,
        input: &[f32],
        tail: Tail<'_>,
        output: &[f32],
    ) -> Result<(), ShapeError> {
        self.check()?;
        self.shape.check_batch("the input", input)?;
        self.shape.check_batch("the output", output)?;
        tail.residual.map_or(Ok(()), |values| self.shape.check_batch("the residual", values))
    }

    /// Mean and biased variance of each channel of the part.
    ///
    /// Sums are of distances from a mean over a few values, since squares of the values themselves would lose a
    /// small variance next to a large mean. Where those few values are not like the others, the sums are taken
    /// again around the mean found.
    fn moments(&self, part: &Part, input: &[f32]) -> Vec<[f32; 2]> {
        let count = self.shape.per_channel();
        let mut centres: Vec<[f32; 1]> =
            part.channels.clone().map(|channel| [self.sample_mean(input, channel)]).collect();
        let around = |centres: &[[f32; 1]]| {
            let sums = part.sums(
                [input],
                centres,
                #[inline(always)]
                |[centre], [value]| {
                    let distance = value - centre;
                    [distance, distance * distance]
                },
            );
            sums.into_iter().map(|[sum, squares]| {
                let distance = sum / count;
                [distance, (squares / count - distance * distance).max(0.0)]
            })
        };
        let mut found: Vec<[f64; 2]> = around(&centres).collect();
        let far = |[distance, variance]: &[f64; 2]| distance * distance > FAR * variance;
        if found.iter().any(far) {
            for ([centre], [distance, _]) in centres.iter_mut().zip(&found) {
                *centre = (f64::from(*centre) + distance) as f32;
            }
            found = around(&centres).collect();
        }
        let mean = |([distance, variance], [centre]): ([f64; 2], [f32; 1])| {
            [(f64::from(centre) + distance) as f32, variance as f32]
        };
        found.into_iter().zip(centres).map(mean).collect()
    }

    /// The mean of a few of a channel's values.
    fn sample_mean(&self, input: &[f32], channel: usize) -> f32 {
        let NormShape { batch, channels, pixels } = self.shape;
        let (images, each) = (batch.min(SAMPLE), (SAMPLE / batch).clamp(1, pixels));
        let step = pixels / (images * each).min(pixels);
        let (mut sum, mut pixel) = (0.0, 0);
        for image in 0..images {
            let start = (image * channels + channel) * pixels;
            for _ in 0..each {
                sum += input[start + pixel];
                pixel = if pixel + step < pixels { pixel + step } else { 0 };
            }
        }
        sum / (images * each) as f32
    }
}

/// Writes the part's output.
fn apply(
    part: &Part,
    lines: &[[f32; 3]],
    input: &[f32],
    Tail { residual, relu }: Tail<'_>,
    output: &Shared<'_>,
) {
    let floor = floor(relu);
    match residual {
        None => part.write(
            output,
            [input],
            lines,
            #[inline(always)]
            move |line, [value]| raised(on_line(line, value), floor),
        ),
        Some(residual) => part.write(
            output,
            [input, residual],
            lines,
            #[inline(always)]
            move |line, [value, residual]| raised(on_line(line, value) + residual, floor),
        ),
    }
}
