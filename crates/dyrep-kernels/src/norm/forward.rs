//! The norm forward: in training with the batch's own mean and variance, in inference with given ones.

use rayon::prelude::*;

use super::part::{Part, channels_of_part, part};
use super::{Moments, MomentsMut, Norm, Tail, floor, on_line};
use crate::shape::ShapeError;
use crate::tile::Shared;

/// Values of a channel whose mean the sums start from.
const SAMPLE: usize = 256;
/// How far, in variances, the square of the distance between that mean and the true one may be.
const FAR: f64 = 4.0;
/// Fewer values are not worth a second thread.
const ALONE: usize = 1 << 14;

impl Norm<'_> {
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
        moments: MomentsMut<'_>,
    ) -> Result<(), ShapeError> {
        self.check_forward(input, tail, output)?;
        self.check_moments(moments.mean, moments.variance)?;
        let output = Shared::new(output);
        let each = channels_of_part(&self.shape);
        let means = moments.mean.par_chunks_mut(each);
        let parts = means.zip(moments.variance.par_chunks_mut(each)).enumerate();
        parts.with_min_len(self.parts_of_a_thread()).for_each(|(number, (mean, variance))| {
            let part = part(&self.shape, number);
            for (channel, [mean_of, variance_of]) in self.moments(&part, input).iter().enumerate() {
                mean[channel] = *mean_of as f32;
                variance[channel] = *variance_of as f32;
            }
            self.apply(&part, Moments { mean, variance }, Some(input), tail, &output);
        });
        Ok(())
    }

    /// Normalises by a given mean and variance.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn infer(
        &self,
        moments: Moments<'_>,
        input: &[f32],
        tail: Tail<'_>,
        output: &mut [f32],
    ) -> Result<(), ShapeError> {
        self.check_forward(input, tail, output)?;
        self.infer_parts(moments, Some(input), tail, output)
    }

    /// As [`infer`](Self::infer), over the input.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn infer_in_place(
        &self,
        moments: Moments<'_>,
        values: &mut [f32],
        tail: Tail<'_>,
    ) -> Result<(), ShapeError> {
        self.check_forward(values, tail, values)?;
        self.infer_parts(moments, None, tail, values)
    }

    /// Images of parts go side by side, in the order of memory.
    fn infer_parts(
        &self,
        moments: Moments<'_>,
        input: Option<&[f32]>,
        tail: Tail<'_>,
        output: &mut [f32],
    ) -> Result<(), ShapeError> {
        self.check_moments(moments.mean, moments.variance)?;
        let output = Shared::new(output);
        let parts = self.shape.channels.div_ceil(channels_of_part(&self.shape));
        let least = (ALONE * self.shape.batch * parts / self.shape.len()).max(1);
        let images = (0..self.shape.batch * parts).into_par_iter().with_min_len(least);
        images.for_each(|number| {
            let part = part(&self.shape, number % parts).of_image(number / parts);
            let Moments { mean, variance } = moments;
            let of_part = Moments {
                mean: &mean[part.channels.clone()],
                variance: &variance[part.channels.clone()],
            };
            self.apply(&part, of_part, input, tail, &output);
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

    /// Parts that one thread takes at least.
    pub(super) fn parts_of_a_thread(&self) -> usize {
        let parts = self.shape.channels.div_ceil(channels_of_part(&self.shape));
        (ALONE * parts / self.shape.len()).max(1)
    }

    /// Mean and biased variance of each channel of the part.
    ///
    /// Sums are of distances from a mean over a few values, since squares of the values themselves would lose a
    /// small variance next to a large mean. Where those few values were not like the others, the sums are taken
    /// again around the mean found.
    fn moments(&self, part: &Part, input: &[f32]) -> Vec<[f64; 2]> {
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
        for ([distance, _], [centre]) in found.iter_mut().zip(centres) {
            *distance += f64::from(centre);
        }
        found
    }

    /// The mean of a channel's first few values.
    fn sample_mean(&self, input: &[f32], channel: usize) -> f32 {
        let pixels = self.shape.pixels;
        let images = SAMPLE.div_ceil(pixels).min(self.shape.batch);
        let each = pixels.min(SAMPLE);
        let plane = |image: usize| {
            let start = (image * self.shape.channels + channel) * pixels;
            input[start..start + each].iter().map(|value| f64::from(*value)).sum::<f64>()
        };
        ((0..images).map(plane).sum::<f64>() / (images * each) as f64) as f32
    }

    /// Writes the part's output; without `input`, over the output itself.
    fn apply(
        &self,
        part: &Part,
        Moments { mean, variance }: Moments<'_>,
        input: Option<&[f32]>,
        Tail { residual, relu }: Tail<'_>,
        output: &Shared<'_>,
    ) {
        let line = |(place, channel)| self.line(channel, mean[place], variance[place]).values();
        let lines: Vec<[f32; 3]> = part.channels.clone().enumerate().map(line).collect();
        let floor = floor(relu);
        match (input, residual) {
            (Some(input), None) => {
                part.write(
                    output,
                    [input],
                    &lines,
                    #[inline(always)]
                    move |line, _, [value]| raised(on_line(line, value), floor),
                );
            }
            (Some(input), Some(residual)) => {
                part.write(
                    output,
                    [input, residual],
                    &lines,
                    #[inline(always)]
                    move |line, _, [value, residual]| {
                        raised(on_line(line, value) + residual, floor)
                    },
                );
            }
            (None, None) => {
                part.write(
                    output,
                    [],
                    &lines,
                    #[inline(always)]
                    move |line, value, []| raised(on_line(line, value), floor),
                );
            }
            (None, Some(residual)) => {
                part.write(
                    output,
                    [residual],
                    &lines,
                    #[inline(always)]
                    move |line, value, [residual]| raised(on_line(line, value) + residual, floor),
                );
            }
        }
    }
}

/// The value, or `floor` where that is greater. Not-a-number stays.
#[inline(always)]
fn raised(value: f32, floor: f32) -> f32 {
    if value < floor { floor } else { value }
}
