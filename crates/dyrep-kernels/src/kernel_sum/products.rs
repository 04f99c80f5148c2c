//! A 1×1 and a kernel composed, some outputs of a group at a time: all taps of them are the rows of one matrix product.

use super::chunks::Piece;
use super::rows::dot;
use super::{Form, KernelSum, Term};
use crate::lanes::fast;
use crate::product::{Matrix, MatrixMut, Product};
use crate::scratch::Buffer;

/// Below so many values a 1×1 is not worth a matrix product.
const TINY: usize = 256;

/// What the composition of a piece is made of.
pub(super) struct Composition<'a> {
    /// Of the window, in the sum's kernel.
    places: Vec<usize>,
    inputs: usize,
    middle: usize,
    taps: usize,
    /// The group's 1×1, `[middle, inputs]`.
    first: &'a [f32],
    /// The piece's kernels, `[outputs, middle, window]`.
    weight: &'a [f32],
    /// The piece's scales.
    scale: Option<&'a [f32]>,
}

impl<'a> KernelSum<&'a [f32]> {
    /// The composition of a piece by a term, if it is one.
    pub(super) fn composition(
        &self,
        term: &Term<&'a [f32]>,
        piece: &Piece,
    ) -> Option<Composition<'a>> {
        let Form::Product { window, first, weight } = &term.form else { return None };
        let inputs = self.inputs();
        let middle = first.len() / inputs / self.groups;
        let (outputs, each) = (piece.outputs.clone(), middle * window.count());
        Some(Composition {
            places: window.taps(self.kernel[1]).collect(),
            inputs,
            middle,
            taps: self.taps(),
            first: &first[piece.group * middle * inputs..][..middle * inputs],
            weight: &weight[outputs.start * each..outputs.end * each],
            scale: term.scale.map(|scale| &scale[outputs]),
        })
    }
}

impl Composition<'_> {
    fn outputs(&self) -> usize {
        self.weight.len() / (self.middle * self.places.len())
    }

    fn scale(&self, output: usize) -> f32 {
        self.scale.map_or(1.0, |scale| scale[output])
    }

    fn is_tiny(&self) -> bool {
        self.middle * self.inputs < TINY
    }

    /// The first as a matrix, `[middle, inputs]`.
    fn first(&self) -> Matrix<'_> {
        Matrix::new(self.first, self.middle, self.inputs, self.inputs)
    }

    /// The kernels tap by tap, `[window, outputs, middle]`, each times what `scale` says.
    fn by_tap(&self, scale: impl Fn(usize) -> f32) -> Buffer {
        let (outputs, middle, count) = (self.outputs(), self.middle, self.places.len());
        let mut values = Buffer::any(self.weight.len());
        for (output, kernels) in self.weight.chunks_exact(middle * count).enumerate() {
            let by = scale(output);
            for tap in 0..count {
                let row = &mut values[(tap * outputs + output) * middle..][..middle];
                let taken = kernels[tap..].iter().step_by(count);
                row.iter_mut().zip(taken).for_each(|(value, kernel)| *value = by * kernel);
            }
        }
        values
    }

    /// The sum's gradient tap by tap, `[window, outputs, inputs]`.
    fn gradient_by_tap(&self, gradient: &[f32]) -> Buffer {
        let (outputs, inputs) = (self.outputs(), self.inputs);
        let mut values = Buffer::any(self.places.len() * outputs * inputs);
        for (output, row) in gradient.chunks_exact(inputs * self.taps).enumerate() {
            for (tap, place) in self.places.iter().enumerate() {
                let own = &mut values[(tap * outputs + output) * inputs..][..inputs];
                let taken = row[*place..].iter().step_by(self.taps);
                own.iter_mut().zip(taken).for_each(|(own, value)| *own = *value);
            }
        }
        values
    }

    /// Adds it to the piece's rows of the sum.
    pub(super) fn add_to(&self, rows: &mut [f32]) {
        let (outputs, inputs, count) = (self.outputs(), self.inputs, self.places.len());
        if self.is_tiny() {
            return self.add_tiny(rows);
        }
        let kernels = self.by_tap(|output| self.scale(output));
        let mut composed = Buffer::any(count * outputs * inputs);
        let target = MatrixMut::new(&mut composed, count * outputs, inputs, inputs);
        let kernels = Matrix::new(&kernels, count * outputs, self.middle, self.middle);
        Product::new(target, kernels, self.first()).run();
        for (output, row) in rows.chunks_exact_mut(inputs * self.taps).enumerate() {
            for (tap, place) in self.places.iter().enumerate() {
                let own = &composed[(tap * outputs + output) * inputs..][..inputs];
                let sums = row[*place..].iter_mut().step_by(self.taps);
                sums.zip(own).for_each(|(sum, value)| *sum += value);
            }
        }
    }

    fn add_tiny(&self, rows: &mut [f32]) {
        let (inputs, count) = (self.inputs, self.places.len());
        let kernels = self.weight.chunks_exact(self.middle * count);
        for (output, (row, kernels)) in
            rows.chunks_exact_mut(inputs * self.taps).zip(kernels).enumerate()
        {
            let by = self.scale(output);
            for (kernel, first) in kernels.chunks_exact(count).zip(self.first.chunks_exact(inputs))
            {
                for (row, first) in row.chunks_exact_mut(self.taps).zip(first) {
                    let by = by * first;
                    let taps = self.places.iter().zip(kernel);
                    taps.for_each(|(place, value)| row[*place] += by * value);
                }
            }
        }
    }

    /// The gradients of the piece's kernels and scales, from its rows of the sum's, and what it adds to that of the 1×1, unless
    /// there is no room for it.
    pub(super) fn backward(
        &self,
        gradient: &[f32],
        of_weight: &mut [f32],
        of_scale: &mut [f32],
        of_first: &mut [f32],
    ) {
        if self.is_tiny() {
            return self.backward_tiny(gradient, of_weight, of_scale, of_first);
        }
        let (outputs, inputs, middle) = (self.outputs(), self.inputs, self.middle);
        let count = self.places.len();
        let gradient = self.gradient_by_tap(gradient);
        let gradient = Matrix::new(&gradient, count * outputs, inputs, inputs);
        // Of the composed kernel without its scale, through the 1×1.
        let mut through = Buffer::any(count * outputs * middle);
        let target = MatrixMut::new(&mut through, count * outputs, middle, middle);
        Product::new(target, gradient, self.first().transposed()).run();
        let mut kernels = self.by_tap(|_| 1.0);
        let own = of_weight.chunks_exact_mut(middle * count).zip(of_scale);
        for (output, (own, of_scale)) in own.enumerate() {
            let by = self.scale(output);
            for tap in 0..count {
                let place = (tap * outputs + output) * middle;
                let (through, kernels) =
                    (&through[place..][..middle], &mut kernels[place..][..middle]);
                *of_scale += fast!(dot(kernels, through));
                kernels.iter_mut().for_each(|value| *value *= by);
                let own = own[tap..].iter_mut().step_by(count);
                own.zip(through).for_each(|(own, through)| *own = by * through);
            }
        }
        if !of_first.is_empty() {
            let kernels = Matrix::new(&kernels, count * outputs, middle, middle);
            let target = MatrixMut::new(of_first, middle, inputs, inputs);
            Product { add: true, ..Product::new(target, kernels.transposed(), gradient) }.run();
        }
    }

    fn backward_tiny(
        &self,
        gradient: &[f32],
        of_weight: &mut [f32],
        of_scale: &mut [f32],
        of_first: &mut [f32],
    ) {
        let (inputs, count) = (self.inputs, self.places.len());
        let rows = gradient.chunks_exact(inputs * self.taps);
        let kernels = self.weight.chunks_exact(self.middle * count);
        let own = of_weight.chunks_exact_mut(self.middle * count);
        let all = rows.zip(kernels).zip(own).zip(of_scale).enumerate();
        for (output, (((row, kernels), own), of_scale)) in all {
            let by = self.scale(output);
            let each = kernels.chunks_exact(count).zip(own.chunks_exact_mut(count));
            for (m, (kernel, own)) in each.enumerate() {
                let first = &self.first[m * inputs..][..inputs];
                for (tap, place) in self.places.iter().enumerate() {
                    let row = row[*place..].iter().step_by(self.taps);
                    let through: f32 = row.zip(first).map(|(row, first)| row * first).sum();
                    own[tap] = by * through;
                    *of_scale += kernel[tap] * through;
                }
                if of_first.is_empty() {
                    continue;
                }
                let of_first = &mut of_first[m * inputs..][..inputs];
                for (own, row) in of_first.iter_mut().zip(row.chunks_exact(self.taps)) {
                    let taps = self.places.iter().zip(kernel);
                    *own += by * taps.map(|(place, value)| row[*place] * value).sum::<f32>();
                }
            }
        }
    }
}
