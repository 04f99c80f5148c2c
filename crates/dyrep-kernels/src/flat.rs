//! Sums over flat memory, compiled for each set of instructions: what depthwise convolutions are made of.
//!
//! In a plane with a gap of zeros between its rows a tap is a distance in memory, whatever row or column it
//! reads. Sliding the taps over the plane then is a sum over distances, and so is every gradient:
//!
//! ```text
//! slide:      target[i] = start[i] + Σ_t weight_t · source[i + offset_t]
//! correlate:  sum_t     = Σ_i left[i] · right[i + offset_t]
//! ```

use pulp::{Arch, Simd, WithSimd};

use crate::lanes::fast;

/// Values that may be read behind the last one that counts: the widest vector.
pub(crate) const SLACK: usize = 16;

/// Vectors that one tap is applied to at once: enough to hide the latency of a multiply-add.
const BLOCK: usize = 8;

/// Vectors after which sums go from single to double precision.
const FLUSH: usize = 128;

/// Rows of outputs: packed in the target, a pitch apart in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) count: usize,
    pub(crate) width: usize,
    pub(crate) pitch: usize,
}

impl Rows {
    /// All of a flat target in one row.
    pub(crate) fn one(width: usize) -> Self {
        Self { count: 1, width, pitch: width }
    }
}

/// What a sliding sum starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    Value(f32),
    /// As long as the target.
    Map(&'a [f32]),
}

#[inline(always)]
fn load<S: Simd>(source: &[f32], at: usize) -> S::f32s {
    debug_assert!(at + S::F32_LANES <= source.len(), "{at} of {}", source.len());
    const { assert!(S::F32_LANES <= SLACK, "no vector is wider") }
    // SAFETY: `slide` and `correlate` assert before their loops that the last place they read, and the slack
    // behind it, lie within the slice; others look at the length first. No vector is wider than the slack.
    unsafe { source.as_ptr().add(at).cast::<S::f32s>().read_unaligned() }
}

/// As many values as there are, and zeros.
#[inline(always)]
fn load_part<S: Simd>(simd: S, source: &[f32]) -> S::f32s {
    if source.len() < S::F32_LANES { simd.partial_load_f32s(source) } else { load::<S>(source, 0) }
}

#[inline(always)]
fn store<S: Simd>(simd: S, target: &mut [f32], values: S::f32s) {
    if target.len() < S::F32_LANES {
        simd.partial_store_f32s(target, values);
        return;
    }
    // SAFETY: the slice has room for a vector.
    unsafe { target.as_mut_ptr().cast::<S::f32s>().write_unaligned(values) }
}

struct Slide<'a> {
    source: &'a [f32],
    taps: &'a [(usize, f32)],
    rows: Rows,
    start: Start<'a>,
    target: &'a mut [f32],
}

/// Slides `taps`, pairs of offset and weight, over `source`.
///
/// # Panics
/// If the taps read further than [`SLACK`] before the source's end.
pub(crate) fn slide(
    source: &[f32],
    taps: &[(usize, f32)],
    rows: Rows,
    start: Start<'_>,
    target: &mut [f32],
) {
    let furthest = taps.iter().map(|(offset, _)| *offset).max().unwrap_or(0);
    let last = (rows.count - 1) * rows.pitch + rows.width;
    assert!(furthest + last + SLACK <= source.len(), "taps within the source");
    assert_eq!(target.len(), rows.count * rows.width, "length of the target");
    if let Start::Map(map) = start {
        assert_eq!(map.len(), target.len(), "length of the start");
    }
    Arch::new().dispatch(Slide { source, taps, rows, start, target });
}

impl WithSimd for Slide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let mut left = self.rows.count * self.rows.width.div_ceil(lanes);
        let mut place = Place { row: 0, column: 0 };
        while left >= BLOCK {
            self.block::<S, BLOCK>(simd, &mut place);
            left -= BLOCK;
        }
        if left >= BLOCK / 2 {
            self.block::<S, { BLOCK / 2 }>(simd, &mut place);
            left -= BLOCK / 2;
        }
        for _ in 0..left {
            self.block::<S, 1>(simd, &mut place);
        }
    }
}

/// Where the next vector starts.
struct Place {
    row: usize,
    column: usize,
}

impl Slide<'_> {
    /// The next `N` vectors. One that ends a row spills into the next row, which is written later.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&mut self, simd: S, place: &mut Place) {
        let (mut read, mut write) = ([self.source; N], [0; N]);
        let mut sums = [simd.splat_f32s(0.0); N];
        for vector in 0..N {
            read[vector] = &self.source[place.row * self.rows.pitch + place.column..];
            write[vector] = place.row * self.rows.width + place.column;
            place.column += S::F32_LANES;
            if place.column >= self.rows.width {
                (place.row, place.column) = (place.row + 1, 0);
            }
            sums[vector] = match self.start {
                Start::Value(value) => simd.splat_f32s(value),
                Start::Map(map) => load_part(simd, &map[write[vector]..]),
            };
        }
        for &(offset, weight) in self.taps {
            let weight = simd.splat_f32s(weight);
            for vector in 0..N {
                let value = load::<S>(read[vector], offset);
                sums[vector] = simd.mul_add_e_f32s(weight, value, sums[vector]);
            }
        }
        for vector in 0..N {
            store(simd, &mut self.target[write[vector]..], sums[vector]);
        }
    }
}

struct CopyRows<'a> {
    source: &'a [f32],
    width: usize,
    target: &'a mut [f32],
    pitch: usize,
}

/// Copies rows that lie one behind the other to where they are a pitch apart; what lies between stays.
pub(crate) fn copy_rows(source: &[f32], width: usize, target: &mut [f32], pitch: usize) {
    Arch::new().dispatch(CopyRows { source, width, target, pitch });
}

impl WithSimd for CopyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.source.chunks_exact(self.width).zip(self.target.chunks_mut(self.pitch));
        for (source, target) in rows {
            let target = &mut target[..self.width];
            if self.width < S::F32_LANES {
                target.iter_mut().zip(source).for_each(|(target, source)| *target = *source);
                continue;
            }
            let mut at = 0;
            while at < self.width {
                // The last vector ends where the row does.
                let place = at.min(self.width - S::F32_LANES);
                store(simd, &mut target[place..], load_part(simd, &source[place..]));
                at += S::F32_LANES;
            }
        }
    }
}

/// Copies values that are `step` apart in the source.
#[inline(always)]
pub(crate) fn copy_every(step: usize, source: &[f32], target: &mut [f32]) {
    let copy = |step: usize, target: &mut [f32]| {
        let pairs = target.iter_mut().zip(source.iter().step_by(step));
        pairs.for_each(|(target, source)| *target = *source);
    };
    // Loops of their own, so that the compiler knows the step.
    match step {
        1 => target.copy_from_slice(&source[..target.len()]),
        2 => copy(2, target),
        _ => copy(step, target),
    }
}

/// Adds values to those that are `step` apart in the target.
#[inline(always)]
pub(crate) fn add_every(step: usize, source: &[f32], target: &mut [f32]) {
    let add = |step: usize, target: &mut [f32]| {
        let pairs = target.iter_mut().step_by(step).zip(source);
        pairs.for_each(|(target, source)| *target += source);
    };
    // As above.
    match step {
        1 => target.iter_mut().zip(source).for_each(|(target, source)| *target += source),
        2 => add(2, target),
        _ => add(step, target),
    }
}

struct Correlate<'a> {
    left: &'a [f32],
    right: &'a [f32],
    offsets: &'a [usize],
    sums: &'a mut [f64],
}

/// Adds each offset's scalar product of `left` with `right` to `sums`.
///
/// # Panics
/// If an offset reads further than [`SLACK`] before the end of `right`.
pub(crate) fn correlate(left: &[f32], right: &[f32], offsets: &[usize], sums: &mut [f64]) {
    let furthest = offsets.iter().max().copied().unwrap_or(0);
    assert!(furthest + left.len() + SLACK <= right.len(), "offsets within the right side");
    assert_eq!(offsets.len(), sums.len(), "one sum for each offset");
    Arch::new().dispatch(Correlate { left, right, offsets, sums });
}

/// Calls `$name::<S, N>` for the largest of the listed N that fits, until nothing is left.
macro_rules! by_parts {
    ($self:ident, $simd:ident, $($n:literal)*) => {
        let (mut offsets, mut sums) = ($self.offsets, $self.sums);
        while !offsets.is_empty() {
            let part = match offsets.len() {
                $($n => $n,)*
                // Thirteen sums and two operands fill the registers of AVX2.
                14..26 => offsets.len().div_ceil(2),
                _ => 13,
            };
            let (now, later) = offsets.split_at(part);
            let (into, rest) = sums.split_at_mut(part);
            match part {
                $($n => correlate_part::<S, $n>($simd, $self.left, $self.right, now, into),)*
                _ => {}
            }
            (offsets, sums) = (later, rest);
        }
    };
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_parts!(self, simd, 1 2 3 4 5 6 7 8 9 10 11 12 13);
    }
}

#[inline(always)]
fn correlate_part<S: Simd, const N: usize>(
    simd: S,
    left: &[f32],
    right: &[f32],
    offsets: &[usize],
    totals: &mut [f64],
) {
    let lanes = S::F32_LANES;
    let offsets: [usize; N] = std::array::from_fn(|tap| offsets[tap]);
    let full = left.len() / lanes * lanes;
    let mut at = 0;
    while at < left.len() {
        let mut sums = [simd.splat_f32s(0.0); N];
        let end = full.min(at + FLUSH * lanes);
        while at < end {
            let value = load::<S>(left, at);
            for tap in 0..N {
                let other = load::<S>(right, at + offsets[tap]);
                sums[tap] = simd.mul_add_e_f32s(value, other, sums[tap]);
            }
            at += lanes;
        }
        if at == full && at < left.len() {
            let value = simd.partial_load_f32s(&left[at..]);
            for tap in 0..N {
                let other = load::<S>(right, at + offsets[tap]);
                sums[tap] = simd.mul_add_e_f32s(value, other, sums[tap]);
            }
            at = left.len();
        }
        for tap in 0..N {
            totals[tap] += f64::from(simd.reduce_sum_f32s(sums[tap]));
        }
    }
}

/// Partial sums of the loops below.
const LANES: usize = 32;

/// Sums `f` over values in double precision: lanes in single precision over short stretches.
fn total<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f64 {
    fast!({
        let len = slices[0].len();
        let slices = slices.map(|slice| &slice[..len]);
        let mut total = 0.0;
        let mut at = 0;
        while at < len {
            let end = len.min(at + LANES * 64);
            let stretch = slices.map(|slice| &slice[at..end]);
            let mut sums = [0.0_f32; LANES];
            let parts = stretch.map(|stretch| stretch.as_chunks::<LANES>().0);
            for place in 0..parts[0].len() {
                for lane in 0..LANES {
                    sums[lane] += f(parts.map(|part| part[place][lane]));
                }
            }
            let done = parts[0].len() * LANES;
            for place in done..end - at {
                sums[place - done] += f(stretch.map(|stretch| stretch[place]));
            }
            total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
            at = end;
        }
        total
    })
}

/// Sum of all values.
pub(crate) fn sum(values: &[f32]) -> f64 {
    total(
        [values],
        #[inline(always)]
        |[value]| value,
    )
}

/// Sum of distances from `center`.
pub(crate) fn sum_around(values: &[f32], center: f32) -> f64 {
    total(
        [values],
        #[inline(always)]
        |[value]| value - center,
    )
}

/// Sum of squared distances from `center`.
pub(crate) fn squares(values: &[f32], center: f32) -> f64 {
    total(
        [values],
        #[inline(always)]
        |[value]| (value - center) * (value - center),
    )
}

/// Sum of `left · (right - center)`.
pub(crate) fn product(left: &[f32], right: &[f32], center: f32) -> f64 {
    total(
        [left, right],
        #[inline(always)]
        |[left, right]| left * (right - center),
    )
}

/// Adds `scale · source + shift` to `target`.
pub(crate) fn add_scaled(target: &mut [f32], source: &[f32], scale: f32, shift: f32) {
    fast!(for (target, source) in target.iter_mut().zip(source) {
        *target += scale * source + shift;
    });
}

/// Adds `scale · (source - center)` to `target`.
pub(crate) fn add_around(target: &mut [f32], source: &[f32], scale: f32, center: f32) {
    fast!(for (target, source) in target.iter_mut().zip(source) {
        *target += scale * (source - center);
    });
}
