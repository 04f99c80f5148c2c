//! Kernels summed before anything is convolved: what a block without norms is while it trains (OREPA, arXiv 2204.00826).
//!
//! ```text
//! W[o] = Σ_terms s[o] · (kernel | product of a 1×1 and a kernel | 1×1 spread evenly | identity)[o]
//! ```
//!
//! One pass over the sum adds all terms but products, which are matrix products tap by tap. The way back needs nothing
//! but the terms themselves.

mod backward;
mod structure;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::block::Window;
use crate::product::{Matrix, MatrixMut, Product, multiply_all, on_workers};
use crate::shape::{ConvShape, ShapeError};

/// A sum of kernels, `[out, in / groups, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelSum<T> {
    /// Channels `[in, out]`.
    pub channels: [usize; 2],
    /// Groups, which divide both.
    pub groups: usize,
    /// Height and width.
    pub kernel: [usize; 2],
    /// What is summed.
    pub terms: Vec<Term<T>>,
}

/// One of the kernels of a sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Term<T> {
    /// What it is.
    pub form: Form<T>,
    /// What each output channel is multiplied by, `[out]`; none: 1.
    pub scale: Option<T>,
}

/// What a kernel is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Form<T> {
    /// A kernel `[out, in / groups, window]`.
    Kernel {
        /// Its taps among those of the sum.
        window: Window,
        /// Its values.
        weight: T,
    },
    /// A 1×1 convolution `[mid, in / groups]`, then a kernel `[out, mid / groups, window]`.
    Product {
        /// The kernel's taps among those of the sum.
        window: Window,
        /// The 1×1.
        first: T,
        /// The kernel.
        weight: T,
    },
    /// A 1×1 convolution `[out, in / groups]`, spread evenly over all taps.
    Average {
        /// The 1×1.
        first: T,
    },
    /// A 1×1 convolution `[out, in / groups]`, then a filter `[out, height, width]` of each output channel.
    Filtered {
        /// The 1×1.
        first: T,
        /// The filters.
        filter: T,
    },
    /// A depthwise convolution `[mid, height, width]`, whose channels `n·i` to `n·i + n − 1` read input `i`, then a 1×1
    /// `[out, mid / groups]`.
    Depthwise {
        /// The depthwise convolution.
        depthwise: T,
        /// The 1×1.
        pointwise: T,
    },
    /// Each channel from itself, at one tap. It has as many channels on both sides.
    Identity {
        /// The tap, among those of the sum, row by row.
        tap: usize,
    },
}

impl<T> KernelSum<T> {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn inputs(&self) -> usize {
        self.channels[0] / self.groups
    }

    fn outputs(&self) -> usize {
        self.channels[1] / self.groups
    }

    /// Values of an output channel.
    fn row(&self) -> usize {
        self.inputs() * self.taps()
    }

    /// Values of the sum.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels[1] * self.row()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KernelSum<&[f32]> {
    fn check(&self) -> Result<(), ShapeError> {
        let len = ConvShape::check_len;
        let ([inputs, outputs], groups) = (self.channels, self.groups);
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(ShapeError::Groups { channels: self.channels, groups });
        }
        let inputs = self.inputs();
        for Term { form, scale } in &self.terms {
            scale.map_or(Ok(()), |scale| len("a scale", outputs, scale.len()))?;
            match form {
                Form::Kernel { window, weight } => {
                    window.check(self.kernel)?;
                    len("a weight", outputs * inputs * window.count(), weight.len())?;
                }
                Form::Product { window, first, weight } => {
                    window.check(self.kernel)?;
                    let middle = first.len().checked_div(inputs).unwrap_or(0);
                    if middle == 0 || !middle.is_multiple_of(groups) {
                        return Err(ShapeError::Groups { channels: [inputs, middle], groups });
                    }
                    len("a 1×1 weight", middle * inputs, first.len())?;
                    let each = middle / groups * window.count();
                    len("a weight", outputs * each, weight.len())?;
                }
                Form::Average { first } => len("a 1×1 weight", outputs * inputs, first.len())?,
                Form::Filtered { first, filter } => {
                    len("a 1×1 weight", outputs * inputs, first.len())?;
                    len("the filters", outputs * self.taps(), filter.len())?;
                }
                Form::Depthwise { depthwise, pointwise } => {
                    let each = self.channels[0] * self.taps();
                    let times = (depthwise.len() / each).max(1);
                    len("a depthwise weight", times * each, depthwise.len())?;
                    len("a 1×1 weight", outputs * inputs * times, pointwise.len())?;
                }
                Form::Identity { tap } => {
                    len("the channels of an identity", self.channels[1], self.channels[0])?;
                    len("the taps of an identity", self.taps(), self.taps().max(tap + 1))?;
                }
            }
        }
        Ok(())
    }

    /// The sum, `[out, in / groups, height, width]`.
    ///
    /// # Errors
    /// Slices of other lengths, windows beyond the kernel.
    pub fn sum(&self) -> Result<Vec<f32>, ShapeError> {
        self.check()?;
        let mut sum = vec![0.0; self.len()];
        let products = on_workers(|| self.products());
        on_workers(|| {
            sum.par_chunks_exact_mut(self.row()).enumerate().for_each(|(output, row)| {
                let mut products = products.iter();
                for term in &self.terms {
                    let scale = term.scale.map_or(1.0, |scale| scale[output]);
                    match &term.form {
                        Form::Product { window, .. } => {
                            let product = products.next().map_or(&[][..], |it| &it[..]);
                            self.add_product(row, output, *window, scale, product);
                        }
                        form => self.add(row, output, form, scale),
                    }
                }
            });
        });
        Ok(sum)
    }

    /// Adds a term that is no product to an output channel.
    fn add(&self, row: &mut [f32], output: usize, form: &Form<&[f32]>, scale: f32) {
        let (taps, inputs) = (self.taps(), self.inputs());
        match form {
            Form::Kernel { window, weight } => {
                let count = window.count();
                let own = &weight[output * inputs * count..][..inputs * count];
                if count == taps {
                    row.iter_mut().zip(own).for_each(|(sum, value)| *sum += scale * value);
                    return;
                }
                for (row, own) in row.chunks_exact_mut(taps).zip(own.chunks_exact(count)) {
                    let places = window.taps(self.kernel[1]);
                    places.zip(own).for_each(|(tap, value)| row[tap] += scale * value);
                }
            }
            Form::Average { first } => {
                let scale = scale / taps as f32;
                let own = &first[output * inputs..][..inputs];
                for (row, value) in row.chunks_exact_mut(taps).zip(own) {
                    row.iter_mut().for_each(|sum| *sum += scale * value);
                }
            }
            Form::Filtered { first, filter } => {
                let own = &first[output * inputs..][..inputs];
                let filter = &filter[output * taps..][..taps];
                for (row, value) in row.chunks_exact_mut(taps).zip(own) {
                    let by = scale * value;
                    row.iter_mut().zip(filter).for_each(|(sum, tap)| *sum += by * tap);
                }
            }
            Form::Depthwise { depthwise, pointwise } => {
                let (depthwise, own) = self.of_output(output, depthwise, pointwise);
                let times = own.len() / inputs;
                let each = own.chunks_exact(times).zip(depthwise.chunks_exact(times * taps));
                for (row, (own, kernels)) in row.chunks_exact_mut(taps).zip(each) {
                    for (value, kernel) in own.iter().zip(kernels.chunks_exact(taps)) {
                        let by = scale * value;
                        row.iter_mut().zip(kernel).for_each(|(sum, tap)| *sum += by * tap);
                    }
                }
            }
            Form::Identity { tap } => row[output % inputs * taps + tap] += scale,
            Form::Product { .. } => unreachable!("it is computed as a whole"),
        }
    }

    /// What an output channel reads of a depthwise convolution, and with which weights.
    fn of_output<'a>(
        &self,
        output: usize,
        depthwise: &'a [f32],
        pointwise: &'a [f32],
    ) -> (&'a [f32], &'a [f32]) {
        let own = pointwise.len() / self.channels[1];
        let read = depthwise.len() / self.groups;
        let group = output / self.outputs();
        (&depthwise[group * read..][..read], &pointwise[output * own..][..own])
    }

    /// Adds an output channel of a product, which lies tap by tap.
    fn add_product(
        &self,
        row: &mut [f32],
        output: usize,
        window: Window,
        scale: f32,
        product: &[f32],
    ) {
        let (taps, inputs) = (self.taps(), self.inputs());
        for (number, tap) in window.taps(self.kernel[1]).enumerate() {
            let own = &product[(number * self.channels[1] + output) * inputs..][..inputs];
            let sums = row[tap..].iter_mut().step_by(taps);
            sums.zip(own).for_each(|(sum, value)| *sum += scale * value);
        }
    }

    /// The products without their scales, `[taps of the window, out, in / groups]`.
    fn products(&self) -> Vec<Vec<f32>> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let of = |term: &Term<&[f32]>| {
            let Form::Product { window, first, weight } = &term.form else { return None };
            let (count, middle) = (window.count(), first.len() / self.inputs() / self.groups);
            let mut product = vec![0.0; count * self.channels[1] * inputs];
            let targets = product.chunks_exact_mut(outputs * inputs).enumerate();
            multiply_all(targets.map(|(place, target)| {
                let (tap, group) = (place / self.groups, place % self.groups);
                let weight = tap_of(weight, [outputs, middle, count], group, tap);
                let first = Matrix::new(&first[group * middle * inputs..], middle, inputs, inputs);
                Product::new(MatrixMut::new(target, outputs, inputs, inputs), weight, first)
            }));
            Some(product)
        };
        self.terms.iter().filter_map(of).collect()
    }
}

/// The matrix `[out, mid]` of a group's kernel at a tap.
fn tap_of(
    weight: &[f32],
    [outputs, middle, count]: [usize; 3],
    group: usize,
    tap: usize,
) -> Matrix<'_> {
    let each = middle * count;
    let values = &weight[group * outputs * each + tap..];
    Matrix::strided(values, [outputs, middle], [each, count])
}
