//! Depthwise convolution: each plane by itself, taps slid over a plane in its frame of zeros.

use rayon::prelude::*;

use crate::finish::Finish;
use crate::flat::{Start, add_scaled, correlate, slide};
use crate::frame::Layout;
use crate::shape::ConvShape;

/// Memory that a thread uses again for each of its planes.
#[derive(Default)]
struct Scratch {
    input: Vec<f32>,
    outputs: Vec<f32>,
}

impl Scratch {
    fn new(layout: &Layout) -> Self {
        Self { input: vec![0.0; layout.input_memory()], outputs: vec![0.0; layout.output_memory()] }
    }
}

pub(crate) fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    finish: Option<Finish<'_>>,
    output: &mut [f32],
) {
    let outputs = shape.channels[1];
    let layout = Layout::new(shape, 1);
    let taps: Vec<_> = weight.chunks_exact(shape.taps()).map(|w| layout.taps(w.to_vec())).collect();
    let planes = output.par_chunks_exact_mut(shape.pixels_out()).enumerate();
    let memory = || vec![0.0; layout.input_memory()];
    planes.for_each_init(memory, |frame, (plane, target)| {
        let (image, channel) = (plane / outputs, plane % outputs);
        layout.fill(frame, 0, input_plane(shape, input, image, channel));
        slide(frame, &taps[channel], layout.rows(), Start::Value(0.0), target);
        if let Some(finish) = finish {
            finish.apply_to_plane(plane, target);
        }
    });
}

pub(crate) fn backward_input(
    shape: &ConvShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) {
    let [inputs, outputs] = shape.channels;
    let each = outputs / inputs;
    let layout = Layout::new(shape, 1);
    let taps = weight.chunks_exact(shape.taps()).map(|w| layout.taps_back(w.to_vec()));
    let taps: Vec<_> = taps.collect();
    let planes = input_gradient.par_chunks_exact_mut(shape.pixels_in()).enumerate();
    planes.for_each_init(
        || (Scratch::new(&layout), Vec::new()),
        |(scratch, part), (plane, target)| {
            let (image, input) = (plane / inputs, plane % inputs);
            let taps = &taps[input * each..][..each];
            let first = image * outputs + input * each;
            let gradients =
                output_gradient[first * shape.pixels_out()..].chunks(shape.pixels_out());
            for (number, (gradient, taps)) in gradients.zip(taps).enumerate() {
                layout.fill_outputs(&mut scratch.outputs, 0, gradient);
                let (outputs, frame) = (&scratch.outputs, &mut scratch.input);
                let zero = (0, Start::Value(0.0));
                if number == 0 {
                    layout.slide_back(outputs, taps, zero, frame, target);
                } else {
                    part.resize(target.len(), 0.0);
                    layout.slide_back(outputs, taps, zero, frame, part);
                    add_scaled(target, part, 1.0, 0.0);
                }
            }
        },
    );
}

pub(crate) fn backward_weight(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    let outputs = shape.channels[1];
    let layout = Layout::new(shape, 1);
    let offsets = layout.offsets();
    let channels = weight_gradient.par_chunks_exact_mut(shape.taps()).enumerate();
    channels.for_each_init(
        || Scratch::new(&layout),
        |scratch, (channel, target)| {
            let mut sums = vec![0.0; shape.taps()];
            for image in 0..shape.batch {
                layout.fill(&mut scratch.input, 0, input_plane(shape, input, image, channel));
                let start = (image * outputs + channel) * shape.pixels_out();
                let gradient = &output_gradient[start..][..shape.pixels_out()];
                layout.fill_outputs(&mut scratch.outputs, 0, gradient);
                let outputs = &scratch.outputs[layout.outputs()];
                correlate(outputs, &scratch.input, &offsets, &mut sums);
            }
            target.iter_mut().zip(&sums).for_each(|(target, sum)| *target = *sum as f32);
        },
    );
}

/// The input plane of an output channel.
fn input_plane<'a>(shape: &ConvShape, input: &'a [f32], image: usize, channel: usize) -> &'a [f32] {
    let [inputs, outputs] = shape.channels;
    let plane = image * inputs + channel * inputs / outputs;
    &input[plane * shape.pixels_in()..][..shape.pixels_in()]
}
