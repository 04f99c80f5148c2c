//! Gradients of a depthwise block.
//!
//! A norm sends back `A g + B y + C`, so a weight's gradient `Σ (A g + B y + C) x_t` comes from sums over the
//! taps, and the input's from the output's gradient through all branches merged, plus each branch's own `y`.

use rayon::prelude::*;

use super::super::{Block, Branch, Moments};
use super::flow::{Flow, narrow};
use super::form::{self, Form, Middle, Moment, Seen, dot};
use super::sums::Sums;
use super::{Call, FRAME, Scratch, by_channel, planes_of};
use crate::flat::{add_scaled, correlate, product, sum};

/// Gradients of `Σ output · output_gradient`; none for running statistics.
pub(crate) fn backward(
    block: &Block<&[f32]>,
    moments: &[Moments],
    output_gradient: &[f32],
) -> Block<Option<Vec<f32>>> {
    backward_in(FRAME, block, moments, output_gradient)
}

pub(super) fn backward_in(
    frame: usize,
    block: &Block<&[f32]>,
    moments: &[Moments],
    output_gradient: &[f32],
) -> Block<Option<Vec<f32>>> {
    let call = Call::new(block, frame);
    let shape = call.shape();
    let mut input = vec![0.0; shape.input_len()];
    let given = block.branches.iter().filter(|branch| matches!(branch, Branch::Given { .. }));
    let mut maps: Vec<Vec<f32>> = given.map(|_| vec![0.0; shape.output_len()]).collect();

    let mut jobs: Vec<Job<'_>> = by_channel(&mut input, shape.pixels_in(), shape.groups)
        .into_iter()
        .map(|input| Job { input, maps: Vec::new() })
        .collect();
    for map in &mut maps {
        let planes = by_channel(map, shape.pixels_out(), shape.groups);
        jobs.iter_mut().zip(planes).for_each(|(job, planes)| job.maps.push(planes));
    }
    let parameters = jobs.into_par_iter().enumerate().map_init(
        || Scratch::new(&call),
        |scratch, (channel, job)| {
            let pass = Pass::new(&call, moments, output_gradient, channel);
            pass.run(job, scratch)
        },
    );
    let parameters: Vec<Vec<Option<Vec<f32>>>> = parameters.collect();
    // Each channel listed its part of every tensor in the block's order, maps left out.
    let mut of_all: Vec<Option<Vec<f32>>> = Vec::new();
    for channel in parameters {
        of_all.resize(channel.len(), None);
        for (all, part) in of_all.iter_mut().zip(channel) {
            if let Some(part) = part {
                all.get_or_insert_default().extend(part);
            }
        }
    }
    let (mut of_all, mut maps) = (of_all.into_iter(), maps.into_iter());
    let branches = block.branches.iter().map(|branch| match branch {
        Branch::Given { norm, .. } => Branch::Given {
            map: maps.next(),
            norm: norm.clone().map(&mut |_| of_all.next().flatten()),
        },
        branch => branch.clone().map(&mut |_| of_all.next().flatten()),
    });
    let branches = branches.collect();
    Block { shape: *shape, input: Some(input), branches }
}

/// Where a channel's gradients go.
struct Job<'a> {
    input: Vec<&'a mut [f32]>,
    /// For each given map.
    maps: Vec<Vec<&'a mut [f32]>>,
}

/// What a norm sends back: `a · g + b · y + c`.
#[derive(Clone, Copy)]
pub(super) struct Back {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) c: f64,
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
    moments: &'a [Moments],
    gradient: &'a [f32],
    pub(super) channel: usize,
}

impl<'a> Pass<'a> {
    fn new(
        call: &'a Call<'a>,
        moments: &'a [Moments],
        gradient: &'a [f32],
        channel: usize,
    ) -> Self {
        Self { call, moments, gradient, channel }
    }

    pub(super) fn gradient(&self) -> impl Iterator<Item = &'a [f32]> + Clone + use<'a> {
        let shape = self.call.shape();
        planes_of(self.gradient, shape.pixels_out(), shape.groups, self.channel)
    }

    pub(super) fn fill_gradient(&self, memory: &mut [f32], first: usize) {
        let layout = &self.call.layout;
        for (image, plane) in self.gradient().skip(first).take(layout.images).enumerate() {
            layout.fill_outputs(memory, image, plane);
        }
    }

    /// The input's sums and the gradient's, in one pass.
    fn sums(&self, scratch: &mut Scratch) -> (Sums, GradientSums) {
        let (call, layout) = (self.call, &self.call.layout);
        let offsets = layout.offsets();
        let mut pixels = vec![0.0; offsets.len()];
        let mut total = vec![0.0; layout.phase_len()];
        scratch.collector.start(layout);
        for first in call.frames() {
            let frame = &mut scratch.input[layout.reach()..];
            call.fill(frame, first, call.input(self.channel));
            scratch.collector.add(layout, frame);
            let outputs = &mut scratch.outputs[..layout.output_memory()];
            self.fill_gradient(outputs, first);
            let outputs = &outputs[layout.outputs()];
            correlate(outputs, frame, &offsets, &mut pixels);
            add_scaled(&mut total, outputs, 1.0, 0.0);
        }
        let sums = scratch.collector.finish(layout, &call.geometry);
        let (image, others) = total.split_at_mut(layout.image_len());
        let others = others.chunks_exact(layout.image_len());
        others.for_each(|other| add_scaled(image, other, 1.0, 0.0));
        let with_inside = call.geometry.sums_inside(image, layout.pitch);
        let all = sum(image);
        (sums, GradientSums { all, pixels, inside: with_inside })
    }

    /// Gradients of the parameters, in the block's order, and of maps into `job`.
    fn run(&self, mut job: Job<'_>, scratch: &mut Scratch) -> Vec<Option<Vec<f32>>> {
        let (call, shape) = (self.call, self.call.shape());
        let branches = call.branches(self.channel);
        let (sums, gradient) = self.sums(scratch);
        let pixels = call.input_moment(self.channel, &branches, Some(&sums));
        let mut moments = self.moments.iter().map(|moments| Moment {
            mean: f64::from(moments.mean[self.channel]),
            variance: f64::from(moments.variance[self.channel]),
        });
        let mut next = || moments.next().unwrap_or_default();
        let mut flow = Flow::new(shape.taps());
        let mut parameters = Vec::new();
        let mut maps = job.maps.iter_mut();
        for branch in &branches {
            let middle = form::middle(branch).map(|(pointwise, norm)| {
                Middle::new(pointwise, norm, next(), shape.batch * shape.pixels_in())
            });
            let (moment, norm) = (next(), branch.last_norm());
            let (a, inverse) = form::slope(norm, moment);
            let back = |with_y: f64| {
                let gamma = inverse * with_y;
                let b = -a * gamma / call.count() * inverse;
                let c = -a * gradient.all / call.count() - b * moment.mean;
                (Back { a, b, c }, [Some(vec![gamma as f32]), Some(vec![gradient.all as f32])])
            };
            match (form::seen(shape, branch, middle), branch) {
                (Seen::Taps(form, middle), _) => {
                    let with_y = dot(&form.u, &gradient.pixels)
                        + dot(&form.v, &gradient.inside)
                        + (form.constant - moment.mean) * gradient.all;
                    let (back, norm) = back(with_y);
                    let taps = self.taps(&form, back, &sums, &gradient);
                    flow.add(&form, back);
                    parameters.extend(self.of_branch(branch, &taps, middle, pixels, &mut flow));
                    parameters.extend(norm);
                }
                (_, Branch::Given { map, .. }) => {
                    let map = planes_of(map, shape.pixels_out(), shape.groups, self.channel);
                    let (back, norm) = back(self.with_map(map.clone(), moment));
                    let planes = maps.next().into_iter().flatten();
                    for ((target, map), g) in planes.zip(map).zip(self.gradient()) {
                        add_scaled(target, g, back.a as f32, back.c as f32);
                        add_scaled(target, map, back.b as f32, 0.0);
                    }
                    parameters.extend(norm);
                }
                _ => {
                    let (back, norm) = back(self.with_map(call.input(self.channel), moment));
                    flow.gradient += back.a;
                    flow.scale += back.b;
                    flow.shift += back.c;
                    parameters.extend(norm);
                }
            }
        }
        self.write(&flow, &mut job.input, scratch);
        parameters
    }

    /// `Σ g (y − mean)`.
    fn with_map(&self, map: impl Iterator<Item = &'a [f32]>, moment: Moment) -> f64 {
        let center = moment.mean as f32;
        self.gradient().zip(map).map(|(g, map)| product(g, map, center)).sum()
    }

    /// `Σ d x_t` and `Σ d in_t` for what the norm sends back.
    fn taps(&self, form: &Form, back: Back, sums: &Sums, gradient: &GradientSums) -> [Vec<f64>; 2] {
        let geometry = &self.call.geometry;
        let constant = back.b * form.constant + back.c;
        let sum = |g: &[f64], y: Vec<f64>, one: &[f64]| -> Vec<f64> {
            let terms = g.iter().zip(y).zip(one);
            terms.map(|((g, y), one)| back.a * g + back.b * y + constant * one).collect()
        };
        let pixels = sum(&gradient.pixels, form.with_pixels(sums), &sums.first);
        if form.v.is_empty() {
            return [pixels, Vec::new()];
        }
        let with_inside = form.with_inside(sums, geometry);
        [pixels, sum(&gradient.inside, with_inside, &geometry.inside)]
    }

    /// Gradients of a branch's parameters before its last norm, in the order of its fields.
    fn of_branch(
        &self,
        branch: &Branch<&[f32]>,
        [with_pixels, with_inside]: &[Vec<f64>; 2],
        middle: Option<(Middle, Vec<f64>)>,
        input: Moment,
        flow: &mut Flow,
    ) -> Vec<Option<Vec<f32>>> {
        let shape = self.call.shape();
        let zero = |bias: &Option<&[f32]>| bias.as_ref().map(|_| Some(vec![0.0]));
        let mut parameters = Vec::new();
        if let Some((middle, weights)) = &middle {
            // Sums over the middle map's gradient, and over its product with the input.
            let (sum, with_x) = (dot(weights, with_inside), dot(weights, with_pixels));
            let count = (shape.batch * shape.pixels_in()) as f64;
            let gamma = middle.inverse * (middle.scale * with_x - middle.moment.mean * sum);
            let slope = middle.gamma * middle.inverse;
            let spread = middle.inverse * middle.scale * input.variance;
            let pointwise = slope * (with_x - sum * input.mean - gamma * spread);
            // What the middle norm sends back besides its gradient times a slope, which the form contains.
            let through = middle.scale * slope / count;
            flow.scale -= through * gamma * middle.inverse * middle.scale;
            flow.shift -= through * (sum - gamma * middle.inverse * middle.moment.mean);
            let one = |value: f64| Some(vec![value as f32]);
            parameters.extend([one(pointwise), one(gamma), one(sum), None, None]);
        }
        match (branch, middle) {
            (Branch::Conv { window, bias, .. }, _) => {
                let weight: Vec<f64> =
                    window.taps(shape.kernel).map(|tap| with_pixels[tap]).collect();
                parameters.push(Some(narrow(&weight, 1.0)));
                parameters.extend(zero(bias));
            }
            (Branch::Sequence { bias, .. }, Some((middle, _))) => {
                // Where the taps read the border there is no more than the sum of all that the norm sends
                // back, which is zero.
                let pairs = with_pixels.iter().zip(with_inside);
                let weight = pairs.map(|(x, inside)| middle.slope * x + middle.step * inside);
                parameters.push(Some(narrow(&weight.collect::<Vec<f64>>(), 1.0)));
                parameters.extend(zero(bias));
            }
            _ => {}
        }
        parameters
    }
}
