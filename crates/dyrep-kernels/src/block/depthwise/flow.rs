//! The gradient of a depthwise block's input.
//!
//! What all norms send back to one channel's pixels is a sum of four: the output's gradient through all branches
//! merged, each branch's own values through that branch, outputs of one through all branches, and multiples of
//! the input and of one. Without a stride the second is a convolution of the input itself, by [`Lags`].

use super::Merged;
use super::call::Scratch;
use super::form::Form;
use super::lags::Lags;
use super::pass::Pass;
use super::values::add;
use crate::flat::{Rows, Start, add_around, add_scaled, slide};
use crate::norm::affine::Back;

/// Offsets and weights.
type Taps = Vec<(usize, f32)>;

/// Values times `scale`, in single precision.
pub(super) fn narrow(values: &[f64], scale: f64) -> impl Iterator<Item = f32> {
    values.iter().map(move |value| (value * scale) as f32)
}

/// What flows back into the input.
#[derive(Default)]
pub(super) struct Flow {
    /// All branches' ways for the output's gradient.
    pub(super) merged: Merged,
    /// Branches, and what their ends send back; where their own values do, those with `v` also have a map of constants.
    pub(super) forms: Vec<(Form, Back)>,
    /// What flows back from outputs that are all one, by tap.
    pub(super) constants: Vec<f64>,
    /// What the frames lack, and what is taken off the input where it is read as it is.
    pub(super) centre: f32,
    pub(super) around: f32,
    /// Multiples of the input, and of one.
    pub(super) scale: f64,
    pub(super) shift: f64,
    /// Multiples of the output's gradient, where it has the input's size.
    pub(super) gradient: f64,
}

impl Flow {
    pub(super) fn new(taps: usize, [centre, around]: [f32; 2]) -> Self {
        Self {
            centre,
            around,
            merged: Merged::new(taps),
            constants: vec![0.0; taps],
            ..Self::default()
        }
    }

    /// Adds a branch whose end sends back `back`.
    pub(super) fn add(&mut self, form: Form, back: Back) {
        self.merged.add(&form, back.a, 0.0);
        let constant = back.b * form.constant + back.c;
        self.constants.iter_mut().zip(&form.u).for_each(|(sum, u)| *sum += constant * u);
        if back.b != 0.0 || back.c != 0.0 {
            self.forms.push((form, back));
        }
    }

    /// How much of what tap `s` reads flows back through tap `t`, `[taps, taps]`.
    fn pairs(&self) -> Vec<f64> {
        let taps = self.merged.u.len();
        let mut pairs = vec![0.0; taps * taps];
        for (form, Back { b: scale, .. }) in &self.forms {
            for (row, u) in pairs.chunks_exact_mut(taps).zip(&form.u) {
                row.iter_mut().zip(&form.u).for_each(|(sum, other)| *sum += scale * u * other);
            }
        }
        pairs
    }
}

impl Pass<'_> {
    /// The gradient of the input; added to what is there where each branch has brought its own back.
    pub(super) fn write(&self, flow: &Flow, input: &mut [&mut [f32]], scratch: &mut Scratch) {
        if self.call.by_values {
            let shift = (flow.shift + flow.scale * f64::from(flow.around)) as f32;
            input.iter_mut().for_each(|plane| add(plane, shift));
        } else {
            self.write_forms(flow, input, scratch);
        }
        if flow.scale != 0.0 {
            let planes = input.iter_mut().zip(self.call.input(self.channel));
            planes.for_each(|(plane, x)| add_around(plane, x, flow.scale as f32, flow.around));
        }
        if flow.gradient != 0.0 {
            let planes = input.iter_mut().zip(self.gradient());
            planes.for_each(|(plane, g)| add_scaled(plane, g, flow.gradient as f32, 0.0));
        }
    }

    /// What flows back through all forms.
    fn write_forms(&self, flow: &Flow, input: &mut [&mut [f32]], scratch: &mut Scratch) {
        let (call, layout) = (self.call, &self.call.layout);
        let start = self.constants(flow, scratch);
        let mut taps = layout.taps_back(narrow(&flow.merged.u, 1.0));
        let with_lags = scratch.collector.lags.is_some();
        let mut forms = Vec::new();
        if !with_lags {
            let len = layout.output_memory();
            scratch.outputs.resize(len * (flow.forms.len() + 1), 0.0);
            for (number, (form, Back { b: scale, .. })) in flow.forms.iter().enumerate() {
                forms.push(layout.taps(narrow(&form.u, 1.0)));
                let back = layout.taps_back(narrow(&form.u, *scale)).into_iter().zip(&mut taps);
                let behind = |(offset, weight)| (offset + (number + 1) * len, weight);
                back.for_each(|(back, taps)| taps.extend(back.into_iter().map(behind)));
            }
        }
        let pairs = if with_lags { flow.pairs() } else { Vec::new() };
        let through = Lags::taps(layout, &pairs);
        for first in call.frames() {
            if !call.is_one_frame() {
                call.fill(&mut scratch.input[layout.reach()..], first, self.channel, flow.centre);
                self.fill_gradient(&mut scratch.outputs[..layout.output_memory()], first);
            }
            let last = input.len().min(first + layout.images);
            let planes = &mut input[first..last];
            self.own_values(&forms, scratch);
            for (image, plane) in planes.iter_mut().enumerate() {
                let Scratch { input, outputs, back, part, .. } = &mut *scratch;
                let start = (image, Start::Map(&start));
                if !with_lags {
                    layout.slide_back(outputs, &taps, start, back, plane);
                    continue;
                }
                layout.slide_back(outputs, &taps, start, back, part);
                let [(top, _), (left, _)] = layout.shape.padding;
                let pixels = &input[image * layout.image_len() + top * layout.pitch + left..];
                let [count, width] = layout.shape.input;
                let rows = Rows { count, width, pitch: layout.pitch };
                slide(pixels, &through, rows, Start::Map(part), plane);
            }
            if let Some(lags) = &mut scratch.collector.lags {
                lags.take_off(layout, &scratch.input[layout.reach()..], &pairs, planes);
            }
        }
    }

    /// Each form's own values, behind the output's gradient.
    fn own_values(&self, forms: &[Taps], scratch: &mut Scratch) {
        let layout = &self.call.layout;
        let Scratch { input, outputs, .. } = scratch;
        let memories = outputs.chunks_exact_mut(layout.output_memory()).skip(1);
        for (taps, memory) in forms.iter().zip(memories) {
            let (rows, start) = (Rows::one(layout.phase_len()), Start::Value(0.0));
            slide(&input[layout.reach()..], taps, rows, start, &mut memory[layout.outputs()]);
            layout.clear_gaps(memory);
        }
    }

    /// What flows back into every image alike, for input of which the centre is taken off.
    fn constants(&self, flow: &Flow, scratch: &mut Scratch) -> Vec<f32> {
        let (layout, ones) = (&self.call.single, &self.call.ones);
        let shift = flow.shift + flow.scale * f64::from(flow.around);
        let mut map = vec![shift as f32; self.call.shape().pixels_in()];
        let mut part = vec![0.0; map.len()];
        let mut outputs = vec![0.0; layout.output_memory()];
        let mut bring_back = |outputs: &[f32], weights: &[f64], back: &mut Vec<f32>| {
            let taps = layout.taps_back(narrow(weights, 1.0));
            layout.slide_back(outputs, &taps, (0, Start::Value(0.0)), back, &mut part);
            add_scaled(&mut map, &part, 1.0, 0.0);
        };
        let mut back = std::mem::take(&mut scratch.back);
        back.clear();
        if flow.centre != 0.0 {
            // What the forms and the ends add is large and cancels: it is rounded when it has.
            for (form, Back { b, c, .. }) in &flow.forms {
                let size = self.call.shape().output();
                let plane = self.call.geometry.map_inside(&form.v, form.constant, size);
                let plane: Vec<f32> = plane.iter().map(|value| (b * value + c) as f32).collect();
                layout.fill_outputs(&mut outputs, 0, &plane);
                bring_back(&outputs, &form.u, &mut back);
            }
            return map;
        }
        outputs[layout.outputs()].fill(1.0);
        layout.clear_gaps(&mut outputs);
        bring_back(&outputs, &flow.constants, &mut back);
        for (form, Back { b: scale, .. }) in
            flow.forms.iter().filter(|(form, _)| !form.v.is_empty())
        {
            let taps = layout.taps(narrow(&form.v, *scale));
            let rows = Rows::one(layout.phase_len());
            slide(ones, &taps, rows, Start::Value(0.0), &mut outputs[layout.outputs()]);
            layout.clear_gaps(&mut outputs);
            bring_back(&outputs, &form.u, &mut back);
        }
        map
    }
}
