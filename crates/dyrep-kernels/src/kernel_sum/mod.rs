//! Kernels summed before anything is convolved: what a block without norms is while it trains (OREPA, arXiv 2204.00826).
//!
//! ```text
//! W[o] = Σ_terms s[o] · (kernel | product of a 1×1 and a kernel | 1×1 spread evenly | identity)[o]
//! ```
//!
//! Chunk by chunk of the outputs: a row of the sum takes all terms but sequences while it is near, and those of a chunk are
//! one matrix product for all taps, or one for each input. The way back goes the same way, and needs nothing but the terms themselves.

mod backward;
mod chunks;
mod depthwise;
mod products;
mod rows;
mod structure;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::chunks::made;
use crate::block::Window;
use crate::lanes::fast;
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

impl<T> Form<T> {
    /// Whether it is two convolutions with channels in between.
    fn is_sequence(&self) -> bool {
        matches!(self, Self::Product { .. } | Self::Depthwise { .. })
    }
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
        let (mut sums, _) = made(&self.chunks(), &[self.row()], |chunk, mut rows| {
            rows.iter_mut().for_each(|rows| self.sum_chunk(rows, chunk));
        });
        Ok(sums.swap_remove(0))
    }

    /// The rows of some outputs.
    fn sum_chunk(&self, rows: &mut [f32], chunk: &Range<usize>) {
        let row = self.row();
        for (number, row) in rows.chunks_exact_mut(row).enumerate() {
            let output = chunk.start + number;
            for Term { form, scale } in &self.terms {
                if !form.is_sequence() {
                    let scale = scale.map_or(1.0, |scale| scale[output]);
                    fast!(self.add(row, output, form, scale));
                }
            }
        }
        for piece in self.pieces(chunk) {
            let own = piece.outputs.start - chunk.start..piece.outputs.end - chunk.start;
            let rows = &mut rows[own.start * row..own.end * row];
            for term in &self.terms {
                if let Some(composition) = self.composition(term, &piece) {
                    composition.add_to(rows);
                }
                if let Some(depthwise) = self.depthwise(term, &piece) {
                    depthwise.add_to(rows);
                }
            }
        }
    }
}
