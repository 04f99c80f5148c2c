//! The loops over values: sums in lanes, and outputs value by value.
//!
//! All are plain loops that `pulp` compiles for each set of instructions, hence inlined always. Nothing is
//! contracted into fused multiply-adds, so every set of instructions gives the same bits.

/// Partial sums, so that additions do not wait for each other.
const LANES: usize = 32;
/// Values that the lanes take before they are added up in double precision.
const HELD: usize = 4096;

/// Two sums over the same values.
#[derive(Default)]
pub(super) struct Sums {
    lanes: [[f32; LANES]; 2],
    held: usize,
    total: [f64; 2],
}

impl Sums {
    /// Adds both terms of each value of `slices`, all of one length.
    #[inline(always)]
    pub(super) fn add<const N: usize>(
        &mut self,
        slices: [&[f32]; N],
        term: impl Fn([f32; N]) -> [f32; 2],
    ) {
        let len = slices[0].len();
        for start in (0..len).step_by(HELD) {
            let end = (start + HELD).min(len);
            add_lanes(&mut self.lanes, slices.map(|slice| &slice[start..end]), &term);
            self.held += end - start;
            if self.held >= HELD {
                self.settle();
            }
        }
    }

    /// The two sums.
    #[inline(always)]
    pub(super) fn total(mut self) -> [f64; 2] {
        self.settle();
        self.total
    }

    #[inline(always)]
    fn settle(&mut self) {
        for (total, lanes) in self.total.iter_mut().zip(&mut self.lanes) {
            *total += wide_sum(lanes);
            *lanes = [0.0; LANES];
        }
        self.held = 0;
    }
}

#[inline(always)]
fn add_lanes<const N: usize>(
    lanes: &mut [[f32; LANES]; 2],
    slices: [&[f32]; N],
    term: impl Fn([f32; N]) -> [f32; 2],
) {
    let split = slices.map(|slice| slice.as_chunks::<LANES>());
    let [mut first, mut second] = *lanes;
    for chunk in 0..split[0].0.len() {
        let values = split.map(|(whole, _)| &whole[chunk]);
        for lane in 0..LANES {
            let [one, two] = term(values.map(|values| values[lane]));
            first[lane] += one;
            second[lane] += two;
        }
    }
    let rest = split.map(|(_, rest)| rest);
    for lane in 0..rest[0].len() {
        let [one, two] = term(rest.map(|rest| rest[lane]));
        first[lane] += one;
        second[lane] += two;
    }
    *lanes = [first, second];
}

/// The sum in double precision.
#[inline(always)]
pub(super) fn wide_sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for chunk in chunks {
        for lane in 0..4 {
            sums[lane] += f64::from(chunk[lane]);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// Coefficients of each value of a run: the same for all, or one set for each.
pub(super) trait Along<const K: usize>: Copy {
    /// Those of the first `len` values.
    fn cut(self, len: usize) -> Self;
    /// Those of one value.
    fn at(self, place: usize) -> [f32; K];
}

impl<const K: usize> Along<K> for [f32; K] {
    #[inline(always)]
    fn cut(self, _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn at(self, _: usize) -> [f32; K] {
        self
    }
}

impl<const K: usize> Along<K> for [&[f32]; K] {
    #[inline(always)]
    fn cut(self, len: usize) -> Self {
        self.map(|slice| &slice[..len])
    }

    #[inline(always)]
    fn at(self, place: usize) -> [f32; K] {
        self.map(|slice| slice[place])
    }
}

/// Adds both terms of each value to that place's own two sums.
#[inline(always)]
pub(super) fn add_places<const K: usize, const N: usize>(
    first: &mut [f32],
    second: &mut [f32],
    slices: [&[f32]; N],
    coefficients: impl Along<K>,
    term: impl Fn([f32; K], [f32; N]) -> [f32; 2],
) {
    let len = first.len();
    let (second, coefficients) = (&mut second[..len], coefficients.cut(len));
    let slices = slices.map(|slice| &slice[..len]);
    for place in 0..len {
        let [one, two] = term(coefficients.at(place), slices.map(|slice| slice[place]));
        first[place] += one;
        second[place] += two;
    }
}

/// Writes what `value` makes of each place of the slices.
#[inline(always)]
pub(super) fn write<const K: usize, const N: usize>(
    target: &mut [f32],
    slices: [&[f32]; N],
    coefficients: impl Along<K>,
    value: impl Fn([f32; K], [f32; N]) -> f32,
) {
    let len = target.len();
    let coefficients = coefficients.cut(len);
    let slices = slices.map(|slice| &slice[..len]);
    for (place, target) in target.iter_mut().enumerate() {
        *target = value(coefficients.at(place), slices.map(|slice| slice[place]));
    }
}

/// As [`write`], into two targets at once.
#[inline(always)]
pub(super) fn write_two<const K: usize, const N: usize>(
    first: &mut [f32],
    second: &mut [f32],
    slices: [&[f32]; N],
    coefficients: impl Along<K>,
    value: impl Fn([f32; K], [f32; N]) -> [f32; 2],
) {
    let len = first.len();
    let (second, coefficients) = (&mut second[..len], coefficients.cut(len));
    let slices = slices.map(|slice| &slice[..len]);
    for place in 0..len {
        [first[place], second[place]] =
            value(coefficients.at(place), slices.map(|slice| slice[place]));
    }
}
