//! A depthwise block in training as one operation: every channel by itself, over all images.
//!
//! Before their ends all branches of a channel are linear forms of what its taps read ([`form`]). Their means
//! and variances, and the gradients of their weights, follow from sums over the taps ([`sums`]) without any
//! branch being computed. With the statistics known the norms are linear too, and all branches together are
//! one convolution:
//!
//! ```text
//! statistics: one pass over the input       output: one convolution of the input
//! gradients:  one pass over input and the output's gradient, then the input's gradient from both
//! ```
//!
//! Large kernels have too many pairs of taps for that: there each branch is computed, in cache ([`values`]).
//!
//! Nothing is kept for the way back but the norms' moments. Channels whose mean is large against their spread are
//! summed around it ([`centre`]).

mod backward;
mod call;
mod centre;
mod flow;
mod form;
mod lags;
mod pass;
mod sums;
#[cfg(test)]
mod tests;
mod values;

use rayon::prelude::*;

pub(super) use backward::backward;
pub(super) use call::Tuning;

use self::call::{Call, Scratch, by_channel};
use self::centre::{centre, moment_of};
use self::flow::narrow;
use self::form::{Form, Middle, Seen};
use self::values::add;
use super::{Block, Branch, BranchMoments, Core, Done, Moments, Saved};
use crate::flat::{Start, add_around, slide};
use crate::norm::affine::Moment;
use crate::shape::ConvShape;

/// Whether the block is one that this module computes: every channel by itself, from the input to the output.
pub(super) fn supports<T: AsRef<[f32]>>(block: &Block<T>) -> bool {
    let ConvShape { channels: [inputs, outputs], groups, .. } = block.shape;
    let one_middle = |branch: &Branch<T>| {
        branch.first.as_ref().is_none_or(|first| first.weight.as_ref().len() == groups)
    };
    groups == inputs && groups == outputs && block.branches.iter().all(one_middle)
}

/// The moments of a branch's norms in one channel.
type OfBranch = [Option<Moment>; 2];

/// Writes the sum of the branches.
pub(super) fn forward(tuning: Tuning, block: &Block<&[f32]>, output: &mut [f32]) -> Done {
    let call = Call::new(block, tuning);
    let moments = by_channel(output, call.shape()).into_par_iter().enumerate().map_init(
        || Scratch::new(&call),
        |scratch, (channel, planes)| call.forward_channel(channel, planes, scratch),
    );
    let moments: Vec<Vec<OfBranch>> = moments.collect();
    let of_norm = |branch: usize, norm: usize| {
        let of_channel = || moments.iter().filter_map(|moments| moments[branch][norm]);
        let mean: Vec<f32> = of_channel().map(|moment| moment.mean as f32).collect();
        let variance = of_channel().map(|moment| moment.variance as f32).collect();
        (!mean.is_empty()).then_some(Moments { mean, variance })
    };
    let of_branch = |branch| BranchMoments { first: of_norm(branch, 0), end: of_norm(branch, 1) };
    let branches = block.branches.len();
    Done {
        moments: (0..branches).map(of_branch).collect(),
        saved: (0..branches).map(|_| Saved::default()).collect(),
    }
}

impl Call<'_> {
    fn forward_channel(
        &self,
        channel: usize,
        mut output: Vec<&mut [f32]>,
        scratch: &mut Scratch,
    ) -> Vec<OfBranch> {
        let shape = self.shape();
        let tapped = |branch: &Branch<_>| !self.by_values && form::is_tapped(shape, branch);
        let tapped = self.block.branches.iter().any(tapped);
        let mut sums = tapped.then(|| self.sums(channel, 0.0, scratch));
        let mut around = sums.as_ref().map_or(0.0, |sums| centre(sums, &self.geometry));
        if around != 0.0 {
            sums = Some(self.sums(channel, around, scratch));
        }
        let sums = sums.as_ref().map(|sums| (sums, around));
        let (pixels, of_pixels) = self.input_moment(channel, sums);
        if self.by_values {
            around = of_pixels;
            self.fill_once(channel, around, scratch);
            output.iter_mut().for_each(|plane| plane.fill(0.0));
        }
        let mut moments = Vec::with_capacity(self.block.branches.len());
        let mut merged = Merged::new(shape.taps());
        let mut maps = Vec::new();
        for branch in self.branches(channel) {
            let first = branch.first.as_ref();
            let first = first.map(|first| (first, scaled(pixels, f64::from(first.weight[0]))));
            let middle = first.map(|(first, moment)| Middle::new(first, moment));
            let in_norm = |moment: Moment| branch.ends_in_norm().then_some(moment);
            let moment = match (self.seen(&branch, middle, around), sums) {
                (Seen::Taps(form, _), Some((sums, _))) => {
                    let asked = branch.ends_in_norm();
                    let moment = asked.then(|| form.moment(sums, &self.geometry, self.count()));
                    let (slope, shift) = form::line(&branch.end, moment);
                    merged.add(&form, slope, shift);
                    moment
                }
                (Seen::Taps(form, _), None) => {
                    self.values(&form, (channel, around), scratch);
                    let planes = scratch.values.chunks_exact(shape.pixels_out());
                    let (moment, of_values) = moment_of(planes.clone());
                    let (slope, shift) = form::line(&branch.end, in_norm(moment));
                    let level = self.level(&form);
                    // A norm takes the level away again.
                    let seen = if branch.ends_in_norm() { 0.0 } else { level };
                    merged.constant += shift + slope * (f64::from(of_values) + seen);
                    let pairs = output.iter_mut().zip(planes);
                    pairs.for_each(|(sum, plane)| add_around(sum, plane, slope as f32, of_values));
                    in_norm(Moment { mean: moment.mean + level, ..moment })
                }
                (seen, _) => {
                    let (map, (moment, around)) = match branch.core {
                        Core::Given { map } if matches!(seen, Seen::Given) => {
                            (map, moment_of(self.planes(map, channel)))
                        }
                        _ => (self.block.input, (pixels, of_pixels)),
                    };
                    let (slope, shift) = form::line(&branch.end, in_norm(moment));
                    merged.constant += shift + slope * f64::from(around);
                    maps.push((map, slope as f32, around));
                    in_norm(moment)
                }
            };
            moments.push([first.map(|(_, moment)| moment), moment]);
        }
        if self.by_values {
            let shift = merged.constant as f32;
            output.iter_mut().for_each(|plane| add(plane, shift));
        } else {
            self.write(channel, &merged, &mut output, (scratch, tapped, around));
        }
        for (map, slope, around) in maps {
            let pairs = output.iter_mut().zip(self.planes(map, channel));
            pairs.for_each(|(output, plane)| add_around(output, plane, slope, around));
        }
        moments
    }

    /// The output of all branches that are forms.
    fn write(
        &self,
        channel: usize,
        merged: &Merged,
        output: &mut [&mut [f32]],
        (scratch, tapped, around): (&mut Scratch, bool, f32),
    ) {
        let layout = &self.layout;
        let taps = layout.taps(narrow(&merged.u, 1.0));
        let constant = Start::Value(merged.constant as f32);
        let map = merged.v.iter().any(|weight| *weight != 0.0).then(|| {
            if around != 0.0 {
                return self.border(&merged.v, merged.constant);
            }
            let mut map = vec![0.0; self.shape().pixels_out()];
            let taps = self.single.taps(narrow(&merged.v, 1.0));
            slide(&self.ones, &taps, self.single.rows(), constant, &mut map);
            map
        });
        let start = map.as_ref().map_or(constant, |map| Start::Map(map));
        for first in self.frames() {
            let frame = &mut scratch.input[layout.reach()..];
            if !(tapped && self.is_one_frame()) {
                self.fill(frame, first, channel, around);
            }
            let planes = output[first..].iter_mut().take(layout.images).enumerate();
            for (image, plane) in planes {
                let frame = &frame[image * layout.image_len()..];
                slide(frame, &taps, layout.rows(), start, plane);
            }
        }
    }
}

/// Forms added up.
#[derive(Default)]
struct Merged {
    u: Vec<f64>,
    v: Vec<f64>,
    constant: f64,
}

impl Merged {
    fn new(taps: usize) -> Self {
        Self { u: vec![0.0; taps], v: vec![0.0; taps], constant: 0.0 }
    }

    /// Adds a form times `slope`, plus `shift`.
    fn add(&mut self, form: &Form, slope: f64, shift: f64) {
        self.u.iter_mut().zip(&form.u).for_each(|(sum, weight)| *sum += slope * weight);
        self.v.iter_mut().zip(&form.v).for_each(|(sum, weight)| *sum += slope * weight);
        self.constant += slope * form.constant + shift;
    }
}

/// The moments of a map times `scale`.
fn scaled(moment: Moment, scale: f64) -> Moment {
    Moment { mean: scale * moment.mean, variance: scale * scale * moment.variance }
}
