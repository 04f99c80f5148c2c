//! The way back of a sum of kernels.

use rayon::prelude::*;

use super::{Form, KernelSum, Term, tap_of};
use crate::product::{Matrix, MatrixMut, Product, multiply_all, on_workers};
use crate::shape::{ConvShape, ShapeError};

impl KernelSum<&[f32]> {
    /// The gradients of all that is `wanted`, from that of the sum.
    ///
    /// # Errors
    /// As [`sum`](Self::sum); a gradient of another length.
    pub fn backward(
        &self,
        gradient: &[f32],
        wanted: &KernelSum<bool>,
    ) -> Result<KernelSum<Option<Vec<f32>>>, ShapeError> {
        self.check()?;
        ConvShape::check_len("the sum's gradient", self.len(), gradient.len())?;
        let of = |(term, wanted): (&Term<&[f32]>, &Term<bool>)| match &term.form {
            Form::Product { .. } => self.product_backward(term, wanted, gradient),
            Form::Depthwise { .. } => self.depthwise_backward(term, gradient),
            Form::Filtered { .. } => self.filtered_backward(term, gradient),
            _ => self.term_backward(term, gradient),
        };
        let terms = on_workers(|| self.terms.iter().zip(&wanted.terms).map(of).collect());
        let (channels, groups, kernel) = (self.channels, self.groups, self.kernel);
        Ok(KernelSum { channels, groups, kernel, terms })
    }

    fn term_backward(&self, term: &Term<&[f32]>, gradient: &[f32]) -> Term<Option<Vec<f32>>> {
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.channels[1]);
        let each = match &term.form {
            Form::Kernel { window, .. } => inputs * window.count(),
            Form::Average { .. } => inputs,
            _ => 0,
        };
        let mut own = vec![0.0; outputs * each];
        let mut scale = vec![0.0; outputs];
        let rows = gradient.par_chunks_exact(self.row()).zip(&mut scale).enumerate();
        let one = |output: usize, row: &[f32], own: &mut [f32]| -> f32 {
            let by = term.scale.map_or(1.0, |scale| scale[output]);
            match &term.form {
                Form::Kernel { window, weight } => {
                    let values = &weight[output * each..][..each];
                    let count = window.count();
                    let mut sum = 0.0;
                    for ((own, values), row) in own
                        .chunks_exact_mut(count)
                        .zip(values.chunks_exact(count))
                        .zip(row.chunks_exact(taps))
                    {
                        let places = window.taps(self.kernel[1]);
                        for ((own, value), tap) in own.iter_mut().zip(values).zip(places) {
                            *own = by * row[tap];
                            sum += value * row[tap];
                        }
                    }
                    sum
                }
                Form::Average { first } => {
                    let values = &first[output * inputs..][..inputs];
                    let mut sum = 0.0;
                    for ((own, value), row) in
                        own.iter_mut().zip(values).zip(row.chunks_exact(taps))
                    {
                        let mean = row.iter().sum::<f32>() / taps as f32;
                        *own = by * mean;
                        sum += value * mean;
                    }
                    sum
                }
                Form::Identity { tap } => row[output % inputs * taps + tap],
                _ => unreachable!("it has a way back of its own"),
            }
        };
        match each {
            0 => rows.for_each(|(output, (row, scale))| *scale = one(output, row, &mut [])),
            each => rows
                .zip(own.par_chunks_exact_mut(each))
                .for_each(|((output, (row, scale)), own)| *scale = one(output, row, own)),
        }
        let form = match term.form {
            Form::Kernel { window, .. } => Form::Kernel { window, weight: Some(own) },
            Form::Average { .. } => Form::Average { first: Some(own) },
            Form::Identity { tap } => Form::Identity { tap },
            _ => unreachable!("it has a way back of its own"),
        };
        Term { form, scale: term.scale.map(|_| Some(scale)) }
    }

    fn filtered_backward(&self, term: &Term<&[f32]>, gradient: &[f32]) -> Term<Option<Vec<f32>>> {
        let Form::Filtered { first, filter } = term.form else { unreachable!("it was matched") };
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.channels[1]);
        let mut of_first = vec![0.0; outputs * inputs];
        let (mut of_filter, mut scale) = (vec![0.0; outputs * taps], vec![0.0; outputs]);
        let own = of_first.par_chunks_exact_mut(inputs).zip(of_filter.par_chunks_exact_mut(taps));
        let rows = gradient.par_chunks_exact(self.row()).zip(own).zip(&mut scale).enumerate();
        rows.for_each(|(output, ((row, (of_first, of_filter)), scale))| {
            let by = term.scale.map_or(1.0, |scale| scale[output]);
            let first = &first[output * inputs..][..inputs];
            let filter = &filter[output * taps..][..taps];
            for ((row, value), own) in row.chunks_exact(taps).zip(first).zip(of_first) {
                let through: f32 = row.iter().zip(filter).map(|(row, tap)| row * tap).sum();
                *own = by * through;
                *scale += value * through;
                of_filter.iter_mut().zip(row).for_each(|(own, row)| *own += by * value * row);
            }
        });
        let form = Form::Filtered { first: Some(of_first), filter: Some(of_filter) };
        Term { form, scale: term.scale.map(|_| Some(scale)) }
    }

    fn depthwise_backward(&self, term: &Term<&[f32]>, gradient: &[f32]) -> Term<Option<Vec<f32>>> {
        let Form::Depthwise { depthwise, pointwise } = term.form else {
            unreachable!("it was matched")
        };
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.outputs());
        let times = pointwise.len() / self.channels[1] / inputs;
        let (mut of_pointwise, mut scale) =
            (vec![0.0; pointwise.len()], vec![0.0; self.channels[1]]);
        let own = of_pointwise.par_chunks_exact_mut(inputs * times).zip(&mut scale);
        let rows = gradient.par_chunks_exact(self.row()).zip(own).enumerate();
        rows.for_each(|(output, (row, (own, scale)))| {
            let by = term.scale.map_or(1.0, |scale| scale[output]);
            let (kernels, values) = self.of_output(output, depthwise, pointwise);
            for (number, (own, value)) in own.iter_mut().zip(values).enumerate() {
                let row = &row[number / times * taps..][..taps];
                let kernel = &kernels[number * taps..][..taps];
                let through: f32 = row.iter().zip(kernel).map(|(row, tap)| row * tap).sum();
                *own = by * through;
                *scale += value * through;
            }
        });
        // An input's kernels lie together, and so do its taps in every output channel of its group.
        let mut of_depthwise = vec![0.0; depthwise.len()];
        of_depthwise.par_chunks_exact_mut(times * taps).enumerate().for_each(|(input, own)| {
            let (group, input) = (input / inputs, input % inputs);
            for output in group * outputs..(group + 1) * outputs {
                let by = term.scale.map_or(1.0, |scale| scale[output]);
                let row = &gradient[output * self.row() + input * taps..][..taps];
                let values = &pointwise[(output * inputs + input) * times..][..times];
                for (own, value) in own.chunks_exact_mut(taps).zip(values) {
                    own.iter_mut().zip(row).for_each(|(own, row)| *own += by * value * row);
                }
            }
        });
        let form = Form::Depthwise { depthwise: Some(of_depthwise), pointwise: Some(of_pointwise) };
        Term { form, scale: term.scale.map(|_| Some(scale)) }
    }

    fn product_backward(
        &self,
        term: &Term<&[f32]>,
        wanted: &Term<bool>,
        gradient: &[f32],
    ) -> Term<Option<Vec<f32>>> {
        let (Form::Product { window, first, weight }, Form::Product { first: of_first, .. }) =
            (&term.form, &wanted.form)
        else {
            unreachable!("sums of one structure")
        };
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.outputs());
        let (count, middle) = (window.count(), first.len() / inputs / self.groups);
        let places: Vec<usize> = window.taps(self.kernel[1]).collect();
        let row = self.row();
        // Of the kernel without its scale, tap by tap: the gradient through the 1×1.
        let mut through = vec![0.0; count * self.channels[1] * middle];
        let targets = through.chunks_exact_mut(outputs * middle).enumerate();
        multiply_all(targets.map(|(place, target)| {
            let (tap, group) = (place / self.groups, place % self.groups);
            let from = &gradient[group * outputs * row + places[tap]..];
            let from = Matrix::strided(from, [outputs, inputs], [row, taps]);
            let first = Matrix::new(&first[group * middle * inputs..], middle, inputs, inputs);
            let target = MatrixMut::new(target, outputs, middle, middle);
            Product::new(target, from, first.transposed())
        }));
        let each = middle * count;
        let (mut own, mut scale) = (vec![0.0; weight.len()], vec![0.0; self.channels[1]]);
        own.par_chunks_exact_mut(each).zip(&mut scale).enumerate().for_each(
            |(output, (own, scale))| {
                let by = term.scale.map_or(1.0, |scale| scale[output]);
                let values = &weight[output * each..][..each];
                let mut sum = 0.0;
                for tap in 0..count {
                    let through = &through[(tap * self.channels[1] + output) * middle..][..middle];
                    for (m, through) in through.iter().enumerate() {
                        own[m * count + tap] = by * through;
                        sum += values[m * count + tap] * through;
                    }
                }
                *scale = sum;
            },
        );
        let first = of_first.then(|| {
            // The scaled kernel, by which the gradient goes back to the 1×1.
            let mut scaled = weight.to_vec();
            if let Some(scale) = term.scale {
                let rows = scaled.par_chunks_exact_mut(each).zip(scale);
                rows.for_each(|(row, by)| row.iter_mut().for_each(|value| *value *= by));
            }
            let mut found = vec![0.0; first.len()];
            let targets = found.chunks_exact_mut(middle * inputs).enumerate();
            multiply_all(targets.map(|(group, target)| {
                let term = |tap: usize| {
                    let from = &gradient[group * outputs * row + places[tap]..];
                    let from = Matrix::strided(from, [outputs, inputs], [row, taps]);
                    [tap_of(&scaled, [outputs, middle, count], group, tap).transposed(), from]
                };
                let target = MatrixMut::new(target, middle, inputs, inputs);
                Product { target, terms: (0..count).map(term).collect(), add: false }
            }));
            found
        });
        let form = Form::Product { window: *window, first, weight: Some(own) };
        Term { form, scale: term.scale.map(|_| Some(scale)) }
    }
}
