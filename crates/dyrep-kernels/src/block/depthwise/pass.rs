//! The way back through one channel.
//!
//! An end sends back `A g + B y + C`, so a weight's gradient `Σ (A g + B y + C) x_t` comes from sums over the
//! taps, and the input's from the output's gradient through all branches merged, plus each branch's own `y`.

use super::super::{Branch, BranchMoments, Core, End, Moments};
use super::call::{Call, Scratch};
use super::centre::{centre, is_far, moment_of};
use super::flow::Flow;
use super::form::{Form, Middle, Seen, dot};
use super::scaled;
use super::sums::{Add, Sums};
use crate::flat::{add_around, add_scaled, correlate, product, sum};
use crate::norm::affine::{Back, Moment};

/// Where a channel's gradients of maps go.
#[derive(Default)]
pub(super) struct Job<'a> {
    pub(super) input: Option<Vec<&'a mut [f32]>>,
    /// Numbers of branches that are given maps, with the maps' planes.
    pub(super) maps: Vec<(usize, Vec<&'a mut [f32]>)>,
}

/// Gradients of a branch's parameters in one channel; zero of those that it does not have.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Of the first convolution's weight, and of its norm's `γ` and `β`.
    pub(super) first: [f32; 3],
    /// Of the taps' weights, and of the bias.
    pub(super) weight: Vec<f32>,
    pub(super) bias: f32,
    /// Of `γ` or the scale, and of `β`.
    pub(super) end: [f32; 2],
}

/// Sums of the output's gradient with what the taps read.
struct GradientSums {
    /// `Σ g`.
    all: f64,
    /// `Σ g x_t`.
    pixels: Vec<f64>,
    /// `Σ g in_t`.
    inside: Vec<f64>,
}

/// The way back through one channel.
pub(super) struct Pass<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) moments: &'a [BranchMoments],
    pub(super) gradient: &'a [f32],
    pub(super) channel: usize,
}

impl<'a> Pass<'a> {
    pub(super) fn gradient(&self) -> impl Iterator<Item = &'a [f32]> + Clone + use<'a> {
        self.call.planes(self.gradient, self.channel)
    }

    pub(super) fn fill_gradient(&self, memory: &mut [f32], first: usize) {
        let layout = &self.call.layout;
        for (image, plane) in self.gradient().skip(first).take(layout.images).enumerate() {
            layout.fill_outputs(memory, image, plane);
        }
    }

    /// The input's sums and the gradient's, in one pass; `around` is taken off the input.
    fn sums(&self, around: f32, scratch: &mut Scratch) -> (Sums, GradientSums) {
        let (call, layout) = (self.call, &self.call.layout);
        let offsets = layout.offsets();
        let mut pixels = vec![0.0; offsets.len()];
        let mut total = vec![0.0; layout.phase_len()];
        scratch.collector.start(layout);
        for first in call.frames() {
            let frame = &mut scratch.input[layout.reach()..];
            call.fill(frame, first, self.channel, around);
            scratch.collector.add(layout, frame);
            let outputs = &mut scratch.outputs[..layout.output_memory()];
            self.fill_gradient(outputs, first);
            let outputs = &outputs[layout.outputs()];
            correlate(outputs, frame, &offsets, &mut pixels);
            add_scaled(&mut total, outputs, 1.0, 0.0);
        }
        let add = Add::around(around);
        let sums = scratch.collector.finish(layout, &call.geometry, add);
        let (image, others) = total.split_at_mut(layout.image_len());
        let others = others.chunks_exact(layout.image_len());
        others.for_each(|other| add_scaled(image, other, 1.0, 0.0));
        let inside = call.geometry.sums_inside(image, layout.pitch, add);
        let all = match add {
            Add::InLanes => sum(image),
            Add::Exactly => image.iter().map(|value| f64::from(*value)).sum(),
        };
        (sums, GradientSums { all, pixels, inside })
    }

    /// The input's sums and the gradient's, and what is taken off the input; where values are computed only the
    /// gradient's own.
    fn pairs(&self, scratch: &mut Scratch) -> (Option<Sums>, GradientSums, f32) {
        if self.call.by_values {
            let all = self.gradient().map(sum).sum();
            return (None, GradientSums { all, pixels: Vec::new(), inside: Vec::new() }, 0.0);
        }
        let (mut sums, mut gradient) = self.sums(0.0, scratch);
        let around = centre(&sums, &self.call.geometry);
        if around != 0.0 {
            (sums, gradient) = self.sums(around, scratch);
        }
        (Some(sums), gradient, around)
    }

    /// The moments that the forward pass has found in this channel.
    fn moment(&self, moments: Option<&Moments>) -> Option<Moment> {
        let of = |values: &[f32]| f64::from(values[self.channel]);
        moments.map(|Moments { mean, variance }| Moment { mean: of(mean), variance: of(variance) })
    }

    /// Gradients of the parameters, by branch; those of maps go into `job`.
    pub(super) fn run(&self, mut job: Job<'_>, scratch: &mut Scratch) -> Vec<Found> {
        let (call, shape) = (self.call, self.call.shape());
        let (sums, gradient, mut around) = self.pairs(scratch);
        let of_sums = sums.as_ref().map(|sums| (sums, around));
        let (pixels, of_pixels) = call.input_moment(self.channel, of_sums);
        if call.by_values {
            around = of_pixels;
            call.fill_once(self.channel, around, scratch);
        }
        let far = around != 0.0;
        let mut flow = Flow::new(shape.taps(), [around, of_pixels]);
        let mut found = vec![Found::default(); self.moments.len()];
        for (number, branch) in call.branches(self.channel).enumerate() {
            let moments = &self.moments[number];
            // Single precision would cost a mean far from zero more than the spread allows: it is found again.
            let first = branch.first.as_ref().zip(self.moment(moments.first.as_ref()));
            let middle = first.map(|(first, moment)| {
                let again = scaled(pixels, f64::from(first.weight[0]));
                Middle::new(first, if far || is_far(moment) { again } else { moment })
            });
            let end = self.moment(moments.end.as_ref());
            let found = &mut found[number];
            found.end = match (call.seen(&branch, middle, around), &branch.core) {
                (Seen::Taps(form, weights), _) => {
                    let (taps, back, end) = if let Some(sums) = &sums {
                        let again = |_| form.moment(sums, &call.geometry, call.count());
                        let moment = if far { end.map(again) } else { end };
                        let mean = moment.map_or(0.0, |moment| moment.mean);
                        let along = dot(&form.u, &gradient.pixels)
                            + dot(&form.v, &gradient.inside)
                            + (form.constant - mean) * gradient.all;
                        let (back, end) = self.back(&branch.end, moment, [gradient.all, along]);
                        let taps = self.taps(&form, back, (sums, around), &gradient);
                        flow.add(form, back);
                        (taps, back, end)
                    } else {
                        self.by_values(&form, &branch, (gradient.all, around), &mut job, scratch)
                    };
                    if let Some(middle) = middle {
                        found.first = self.first(middle, &weights, &taps, pixels, &mut flow);
                    }
                    // What a norm sends back sums to zero.
                    let all = if branch.ends_in_norm() { 0.0 } else { back.a * gradient.all };
                    found.bias = all as f32;
                    found.weight = self.weight(&branch, &taps, middle, all);
                    end
                }
                (_, Core::Given { map }) => {
                    let map = call.planes(map, self.channel);
                    let (moment, of_map) = match end {
                        Some(found) if is_far(found) => {
                            let (again, of_map) = moment_of(map.clone());
                            (Some(again), of_map)
                        }
                        _ => (end, 0.0),
                    };
                    let along = self.with_map(map.clone(), moment, gradient.all);
                    let (back, end) = self.back(&branch.end, moment, [gradient.all, along]);
                    let level = (back.c + back.b * f64::from(of_map)) as f32;
                    let of_branch = job.maps.iter_mut().find(|(branch, _)| *branch == number);
                    let planes = of_branch.into_iter().flat_map(|(_, planes)| planes);
                    for ((target, map), g) in planes.zip(map).zip(self.gradient()) {
                        add_scaled(target, g, back.a as f32, level);
                        add_around(target, map, back.b as f32, of_map);
                    }
                    end
                }
                _ => {
                    let moment = if of_pixels == 0.0 { end } else { end.map(|_| pixels) };
                    let along = self.with_map(call.input(self.channel), moment, gradient.all);
                    let (back, end) = self.back(&branch.end, moment, [gradient.all, along]);
                    flow.gradient += back.a;
                    flow.scale += back.b;
                    flow.shift += back.c;
                    end
                }
            };
        }
        if let Some(input) = &mut job.input {
            self.write(&flow, input, scratch);
        }
        found
    }

    /// What an end sends back, and the gradients of its parameters, from `Σ g` and `Σ g (y − mean)`, or `Σ g y` without a
    /// norm.
    pub(super) fn back(
        &self,
        end: &End<&[f32]>,
        moment: Option<Moment>,
        [sum, along]: [f64; 2],
    ) -> (Back, [f32; 2]) {
        let through = |a| Back { a, b: 0.0, c: 0.0 };
        match (end, moment) {
            (End::Norm(norm), Some(moment)) => {
                let parameters = (norm.gamma[0], norm.epsilon);
                let (back, gamma) =
                    Back::of_forms(parameters, moment, [sum, along], self.call.count());
                (back, [gamma as f32, sum as f32])
            }
            (End::Scale(scale), _) => (through(f64::from(scale[0])), [along as f32, 0.0]),
            _ => (through(1.0), [0.0; 2]),
        }
    }

    /// `Σ g (y − mean)`, or `Σ g y` without a norm.
    pub(super) fn with_map<'m>(
        &self,
        map: impl Iterator<Item = &'m [f32]>,
        moment: Option<Moment>,
        all: f64,
    ) -> f64 {
        let mean = moment.map_or(0.0, |moment| moment.mean);
        let center = mean as f32;
        let along: f64 = self.gradient().zip(map).map(|(g, map)| product(g, map, center)).sum();
        along + (f64::from(center) - mean) * all
    }

    /// `Σ d x_t` and `Σ d in_t` for what the end sends back.
    fn taps(
        &self,
        form: &Form,
        back: Back,
        (sums, around): (&Sums, f32),
        gradient: &GradientSums,
    ) -> [Vec<f64>; 2] {
        let geometry = &self.call.geometry;
        let constant = back.b * form.constant + back.c;
        let sum = |g: &[f64], mut y: Vec<f64>, one: &[f64]| {
            for ((y, g), one) in y.iter_mut().zip(g).zip(one) {
                *y = back.a * g + back.b * *y + constant * one;
            }
            y
        };
        let mut pixels = sum(&gradient.pixels, form.with_pixels(sums), &sums.first);
        if form.v.is_empty() {
            return [pixels, Vec::new()];
        }
        let with_inside = form.with_inside(sums, geometry);
        let inside = sum(&gradient.inside, with_inside, &geometry.inside);
        if around != 0.0 {
            let pairs = pixels.iter_mut().zip(&inside);
            pairs.for_each(|(pixels, inside)| *pixels += f64::from(around) * inside);
        }
        [pixels, inside]
    }

    /// Gradients of a first convolution and its norm's `γ` and `β`.
    fn first(
        &self,
        middle: Middle,
        weights: &[f64],
        [with_pixels, with_inside]: &[Vec<f64>; 2],
        input: Moment,
        flow: &mut Flow,
    ) -> [f32; 3] {
        let shape = self.call.shape();
        // Sums over the middle map's gradient, and over its product with the input.
        let (sum, with_x) = (dot(weights, with_inside), dot(weights, with_pixels));
        let count = (shape.batch * shape.pixels_in()) as f64;
        let gamma = middle.inverse * (middle.scale * with_x - middle.moment.mean * sum);
        let slope = middle.gamma * middle.inverse;
        let spread = middle.inverse * middle.scale * input.variance;
        let weight = slope * (with_x - sum * input.mean - gamma * spread);
        // What the norm sends back besides its gradient times a slope, which the form contains.
        let through = middle.scale * slope / count;
        flow.scale -= through * gamma * middle.inverse * middle.scale;
        flow.shift -= through * (sum - gamma * middle.inverse * middle.moment.mean);
        [weight, gamma, sum].map(|value| value as f32)
    }

    /// Gradients of what the taps are multiplied by; `sum` is that of what the end sends back.
    fn weight(
        &self,
        branch: &Branch<&[f32]>,
        [with_pixels, with_inside]: &[Vec<f64>; 2],
        middle: Option<Middle>,
        sum: f64,
    ) -> Vec<f32> {
        let Core::Conv { window, .. } = &branch.core else { return Vec::new() };
        let of_tap = |tap: usize| match middle {
            // Where the taps read the border there is no more than that sum.
            Some(middle) => {
                let inside = middle.slope * with_pixels[tap] + middle.step * with_inside[tap];
                inside + middle.border * sum
            }
            None => with_pixels[tap],
        };
        window.taps(self.call.shape().kernel[1]).map(|tap| of_tap(tap) as f32).collect()
    }
}
