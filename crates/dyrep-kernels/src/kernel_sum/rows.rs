//! What a term that is no sequence of convolutions has to do with one output channel: its row of the sum, and the way back from it.

use super::{Form, KernelSum};
use crate::block::Window;

/// Sums that are kept side by side: the compiler puts them into one register.
const LANES: usize = 16;

/// Calls a function of the number of taps, which the compiler knows where kernels have a usual size.
macro_rules! by_taps {
    ($taps:expr, $function:ident($($argument:expr),*)) => {
        match $taps {
            9 => $function::<9>($($argument),*, 9),
            25 => $function::<25>($($argument),*, 25),
            49 => $function::<49>($($argument),*, 49),
            taps => $function::<0>($($argument),*, taps),
        }
    };
}

/// What is wanted of one output channel, and of what.
pub(super) struct Own<'a> {
    /// The channel's part of the term's first tensor, of a sequence of its 1×1.
    pub(super) weight: &'a mut [f32],
    /// Of its filter.
    pub(super) filter: &'a mut [f32],
}

impl KernelSum<&[f32]> {
    /// Adds an output channel of a term to its row of the sum.
    #[inline(always)]
    pub(super) fn add(&self, row: &mut [f32], output: usize, form: &Form<&[f32]>, scale: f32) {
        let (taps, inputs) = (self.taps(), self.inputs());
        match form {
            Form::Kernel { window, weight } => {
                let count = window.count();
                let own = &weight[output * inputs * count..][..inputs * count];
                if count == taps {
                    row.iter_mut().zip(own).for_each(|(sum, value)| *sum += scale * value);
                    return;
                }
                match count {
                    1 => add_taps(row, own, taps, self.places::<1>(*window), scale),
                    3 => add_taps(row, own, taps, self.places::<3>(*window), scale),
                    _ => add_window(row, own, *window, self.kernel, scale),
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
                by_taps!(taps, add_filtered(row, own, filter, scale));
            }
            Form::Identity { tap } => row[output % inputs * taps + tap] += scale,
            Form::Product { .. } | Form::Depthwise { .. } => {
                unreachable!("it is computed as a whole")
            }
        }
    }

    /// The gradients of an output channel of a term, from its row of the sum's; returned that of its scale.
    #[inline(always)]
    pub(super) fn back(
        &self,
        row: &[f32],
        output: usize,
        form: &Form<&[f32]>,
        by: f32,
        own: Own<'_>,
    ) -> f32 {
        let (taps, inputs) = (self.taps(), self.inputs());
        let Own { weight: own, filter: of_filter } = own;
        match form {
            Form::Kernel { window, weight } => {
                let count = window.count();
                let values = &weight[output * inputs * count..][..inputs * count];
                if count == taps {
                    own.iter_mut().zip(row).for_each(|(own, row)| *own = by * row);
                    return dot(values, row);
                }
                match count {
                    1 => back_taps(row, values, own, taps, self.places::<1>(*window), by),
                    3 => back_taps(row, values, own, taps, self.places::<3>(*window), by),
                    _ => back_window(row, values, own, *window, self.kernel, by),
                }
            }
            Form::Average { first } => {
                let values = &first[output * inputs..][..inputs];
                let mut sum = 0.0;
                for ((own, value), row) in own.iter_mut().zip(values).zip(row.chunks_exact(taps)) {
                    let mean = row.iter().sum::<f32>() / taps as f32;
                    *own = by * mean;
                    sum += value * mean;
                }
                sum
            }
            Form::Filtered { first, filter } => {
                let first = &first[output * inputs..][..inputs];
                let filter = &filter[output * taps..][..taps];
                by_taps!(taps, back_filtered(row, first, filter, own, of_filter, by))
            }
            Form::Identity { tap } => row[output % inputs * taps + tap],
            Form::Product { .. } | Form::Depthwise { .. } => {
                unreachable!("it has a way back of its own")
            }
        }
    }

    /// The taps of a window of so many.
    #[inline(always)]
    fn places<const N: usize>(&self, window: Window) -> [usize; N] {
        let mut places = [0; N];
        places.iter_mut().zip(window.taps(self.kernel[1])).for_each(|(place, tap)| *place = tap);
        places
    }
}

/// The number of taps: the compiler's, if it knows.
#[inline(always)]
const fn known<const T: usize>(taps: usize) -> usize {
    if T == 0 { taps } else { T }
}

#[inline(always)]
fn add_filtered<const T: usize>(
    row: &mut [f32],
    first: &[f32],
    filter: &[f32],
    scale: f32,
    taps: usize,
) {
    let taps = known::<T>(taps);
    let filter = &filter[..taps];
    for (row, value) in row.chunks_exact_mut(taps).zip(first) {
        add_times(row, filter, scale * value);
    }
}

#[inline(always)]
fn back_filtered<const T: usize>(
    row: &[f32],
    first: &[f32],
    filter: &[f32],
    own: &mut [f32],
    of_filter: &mut [f32],
    by: f32,
    taps: usize,
) -> f32 {
    let taps = known::<T>(taps);
    let (filter, of_filter) = (&filter[..taps], &mut of_filter[..taps]);
    let mut sum = 0.0;
    for ((row, value), own) in row.chunks_exact(taps).zip(first).zip(own) {
        let through = along(row, filter);
        *own = by * through;
        sum += value * through;
        add_times(of_filter, row, by * value);
    }
    sum
}

#[inline(always)]
fn add_times(sums: &mut [f32], values: &[f32], by: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += by * value;
    }
}

#[inline(always)]
fn along(left: &[f32], right: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (left, right) in left.iter().zip(right) {
        sum += left * right;
    }
    sum
}

/// The sum of all products.
#[inline(always)]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}

/// Adds a kernel with some of the taps.
#[inline(always)]
fn add_taps<const N: usize>(
    row: &mut [f32],
    own: &[f32],
    taps: usize,
    places: [usize; N],
    scale: f32,
) {
    for (row, own) in row.chunks_exact_mut(taps).zip(own.as_chunks::<N>().0) {
        for (place, value) in places.into_iter().zip(own) {
            row[place] += scale * value;
        }
    }
}

/// The same of any number of taps.
#[inline(always)]
fn add_window(row: &mut [f32], own: &[f32], window: Window, kernel: [usize; 2], scale: f32) {
    let (count, taps) = (window.count(), kernel[0] * kernel[1]);
    for (row, own) in row.chunks_exact_mut(taps).zip(own.chunks_exact(count)) {
        let all = window.taps(kernel[1]).zip(own);
        all.for_each(|(tap, value)| row[tap] += scale * value);
    }
}

/// The way back of [`add_taps`].
#[inline(always)]
fn back_taps<const N: usize>(
    row: &[f32],
    values: &[f32],
    own: &mut [f32],
    taps: usize,
    places: [usize; N],
    by: f32,
) -> f32 {
    // As many sums as there are taps, which do not wait for each other.
    let mut sums = [0.0; N];
    let own = own.as_chunks_mut::<N>().0.iter_mut().zip(values.as_chunks::<N>().0);
    for ((own, values), row) in own.zip(row.chunks_exact(taps)) {
        for (number, place) in places.into_iter().enumerate() {
            own[number] = by * row[place];
            sums[number] += values[number] * row[place];
        }
    }
    sums.iter().sum()
}

/// The way back of [`add_window`].
#[inline(always)]
fn back_window(
    row: &[f32],
    values: &[f32],
    own: &mut [f32],
    window: Window,
    kernel: [usize; 2],
    by: f32,
) -> f32 {
    let (count, taps) = (window.count(), kernel[0] * kernel[1]);
    let mut sum = 0.0;
    let own = own.chunks_exact_mut(count).zip(values.chunks_exact(count));
    for ((own, values), row) in own.zip(row.chunks_exact(taps)) {
        let places = window.taps(kernel[1]);
        for ((own, value), tap) in own.iter_mut().zip(values).zip(places) {
            *own = by * row[tap];
            sum += value * row[tap];
        }
    }
    sum
}
