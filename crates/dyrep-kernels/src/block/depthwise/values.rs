//! Branches of large kernels: the values of each, one after the other, in cache.
//!
//! Taps have a square of their number of pairs, and of a dilated kernel most are not even used. Where sums over pairs
//! would cost more, a branch's values `y = Σ u_t x_t + Σ v_t in_t` are computed as a convolution of its own, over all
//! images of a channel, and its end takes them as it takes a given map. What an end sends back, `d = A g + B y + C`,
//! then gives `Σ d x_t` for the taps that the branch has, and the input's gradient.
//!
//! Where frames hold `x − m` ([`super::centre`]) `v` is large; values are without the mean of what it adds.

use super::super::{Branch, Core};
use super::call::{Call, Scratch};
use super::centre::moment_of;
use super::flow::narrow;
use super::form::{Form, dot};
use super::pass::{Job, Pass};
use super::sums::Add;
use crate::flat::{Start, add_scaled, correlate, slide};
use crate::lanes::fast;
use crate::norm::affine::Back;

impl Call<'_> {
    /// What a form's values are without.
    pub(super) fn level(&self, form: &Form) -> f64 {
        form.constant + self.mean_of_border(form)
    }

    fn mean_of_border(&self, form: &Form) -> f64 {
        dot(&form.v, &self.geometry.inside) / self.count()
    }

    /// `Σ v_t in_t + constant` at every output, in single precision.
    pub(super) fn border(&self, v: &[f64], constant: f64) -> Vec<f32> {
        narrow(&self.geometry.map_inside(v, constant, self.shape().output()), 1.0).collect()
    }

    /// Fills the frame if it takes all images: it is read for every branch.
    pub(super) fn fill_once(&self, channel: usize, around: f32, scratch: &mut Scratch) {
        if self.is_one_frame() {
            self.fill(&mut scratch.input[self.layout.reach()..], 0, channel, around);
        }
    }

    /// Writes a form's values, less their [`Self::level`], into the scratch memory, image after image.
    pub(super) fn values(
        &self,
        form: &Form,
        (channel, around): (usize, f32),
        scratch: &mut Scratch,
    ) {
        let (shape, layout) = (self.shape(), &self.layout);
        let taps = layout.taps(narrow(&form.u, 1.0));
        let border = (!form.v.is_empty()).then(|| self.border(&form.v, -self.mean_of_border(form)));
        let start = border.as_ref().map_or(Start::Value(0.0), |map| Start::Map(map));
        let Scratch { input, values, .. } = scratch;
        values.resize(shape.batch * shape.pixels_out(), 0.0);
        let planes = values.chunks_exact_mut(shape.pixels_out()).enumerate();
        for (image, plane) in planes {
            let frame = &mut input[layout.reach()..];
            let within = image % layout.images;
            if within == 0 && !self.is_one_frame() {
                self.fill(frame, image, channel, around);
            }
            slide(&frame[within * layout.image_len()..], &taps, layout.rows(), start, plane);
        }
    }
}

/// `Σ d x_t` and `Σ d in_t`, what an end sends back, and the end's gradients.
type Reversed = ([Vec<f64>; 2], Back, [f32; 2]);

impl Pass<'_> {
    /// The way back through a branch whose output's gradient sums to `all`.
    pub(super) fn by_values(
        &self,
        form: &Form,
        branch: &Branch<&[f32]>,
        (all, around): (f64, f32),
        job: &mut Job<'_>,
        scratch: &mut Scratch,
    ) -> Reversed {
        self.call.values(form, (self.channel, around), scratch);
        let planes = scratch.values.chunks_exact(self.call.shape().pixels_out());
        let (moment, of_values) = moment_of(planes.clone());
        let moment = branch.ends_in_norm().then_some(moment);
        let level = if moment.is_some() { 0.0 } else { self.call.level(form) };
        let along = self.with_map(planes, moment, all) + level * all;
        let (back, end) = self.back(&branch.end, moment, [all, along]);
        let line = [back.a as f32, back.b as f32, (back.c + back.b * f64::from(of_values)) as f32];
        let planes = scratch.values.chunks_exact_mut(self.call.shape().pixels_out());
        planes.zip(self.gradient()).for_each(|(plane, g)| mix(plane, g, line, of_values));
        let taps: Vec<usize> = match branch.core {
            Core::Conv { window, .. } => window.taps(self.call.shape().kernel[1]).collect(),
            _ => (0..form.u.len()).collect(),
        };
        let (mut pixels, total) =
            self.back_through((form, &taps), around, job.input.as_mut(), scratch);
        let mut inside = vec![];
        if !form.v.is_empty() {
            let geometry = &self.call.geometry;
            inside = geometry.sums_inside(&total, self.call.layout.pitch, Add::around(around));
            // What `d` sums to is known; what rounding has left of it would be multiplied by `m`.
            let known = if moment.is_some() { 0.0 } else { back.a * all };
            let off = known - total.iter().map(|d| f64::from(*d)).sum::<f64>();
            let parts = inside.iter_mut().zip(&geometry.inside);
            parts.for_each(|(sum, read)| *sum += off * read / self.call.count());
            let pairs = pixels.iter_mut().zip(&inside);
            pairs.for_each(|(pixels, inside)| *pixels += f64::from(around) * inside);
        }
        ([pixels, inside], back, end)
    }

    /// Brings `d`, which the values have become, back to the input, of which frames lack `around`.
    ///
    /// Returns the sums of its products with what the branch's taps read in frames, and its own sum over images.
    fn back_through(
        &self,
        (form, taps): (&Form, &[usize]),
        around: f32,
        input: Option<&mut Vec<&mut [f32]>>,
        scratch: &mut Scratch,
    ) -> (Vec<f64>, Vec<f32>) {
        let (call, layout, shape) = (self.call, &self.call.layout, self.call.shape());
        let offsets: Vec<usize> = taps.iter().map(|tap| layout.offset(*tap)).collect();
        let back_to = layout.taps_back(narrow(&form.u, 1.0));
        let mut found = vec![0.0; offsets.len()];
        let mut total = vec![0.0; layout.image_len()];
        let mut input = input.map(|planes| planes.iter_mut());
        let Scratch { input: frame, outputs, values, back, part, .. } = scratch;
        let frame = &mut frame[layout.reach()..];
        for (image, plane) in values.chunks_exact(shape.pixels_out()).enumerate() {
            let within = image % layout.images;
            if within == 0 && !call.is_one_frame() {
                call.fill(frame, image, self.channel, around);
            }
            layout.fill_outputs(outputs, within, plane);
            if let Some(plane) = input.as_mut().and_then(Iterator::next) {
                layout.slide_back(outputs, &back_to, (within, Start::Value(0.0)), back, part);
                add_scaled(plane, part, 1.0, 0.0);
            }
            if within + 1 == layout.images {
                let outputs = &outputs[layout.outputs()];
                correlate(outputs, frame, &offsets, &mut found);
                let images = outputs.chunks_exact(layout.image_len());
                images.for_each(|image| add_scaled(&mut total, image, 1.0, 0.0));
            }
        }
        let mut pixels = vec![0.0; form.u.len()];
        taps.iter().zip(found).for_each(|(tap, sum)| pixels[*tap] = sum);
        (pixels, total)
    }
}

/// Adds `shift` to all values.
pub(super) fn add(target: &mut [f32], shift: f32) {
    fast!(target.iter_mut().for_each(|target| *target += shift));
}

/// Makes `a · gradient + b · (target - center) + c` of the target.
fn mix(target: &mut [f32], gradient: &[f32], [a, b, c]: [f32; 3], center: f32) {
    fast!(for (target, gradient) in target.iter_mut().zip(gradient) {
        *target = a * gradient + (b * (*target - center) + c);
    });
}
