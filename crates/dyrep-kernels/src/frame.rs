//! Where planes lie so that every tap is a distance in memory.
//!
//! A plane is copied into a frame of zeros. With a stride the frame is split into phases, the pixels whose row
//! and column leave the same remainder: within a phase neighbouring outputs read neighbouring values. Output
//! `i = row · pitch + column` reads tap `t` at `i + offset(t)`; places `i` behind a row's end mean nothing.
//! Several images may lie one below the other.

use std::ops::Range;

use crate::flat::{Rows, SLACK, Start, add_every, copy_every, copy_rows, slide};
use crate::shape::ConvShape;

/// The places of pixels and taps.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) shape: ConvShape,
    /// From one row of outputs, or of a phase, to the next.
    pub(crate) pitch: usize,
    /// Rows of an image within a phase.
    pub(crate) image_rows: usize,
    /// Images that lie one below the other.
    pub(crate) images: usize,
}

impl Layout {
    pub(crate) fn new(shape: &ConvShape, images: usize) -> Self {
        let output = shape.output();
        let [image_rows, pitch] = [0, 1].map(|axis| {
            let reach = (shape.kernel[axis] - 1) * shape.dilation[axis] / shape.stride[axis];
            // Without a stride the gap also keeps apart what lies as far apart as two taps: see `lags`.
            let plane = if shape.stride == [1, 1] { shape.input[axis] } else { 0 };
            output[axis].max(plane) + reach
        });
        Self { shape: *shape, pitch, image_rows, images }
    }

    /// Values of an image within a phase.
    pub(crate) fn image_len(&self) -> usize {
        self.image_rows * self.pitch
    }

    /// Values of a phase.
    pub(crate) fn phase_len(&self) -> usize {
        self.images * self.image_len()
    }

    /// Values of a frame that count.
    pub(crate) fn frame_len(&self) -> usize {
        self.shape.stride[0] * self.shape.stride[1] * self.phase_len()
    }

    /// The largest offset within a phase.
    pub(crate) fn reach(&self) -> usize {
        let [high, wide] = [0, 1].map(|axis| {
            (self.shape.kernel[axis] - 1) * self.shape.dilation[axis] / self.shape.stride[axis]
        });
        high * self.pitch + wide
    }

    /// A tap's phase, and its offset there.
    fn place(&self, tap: usize) -> (usize, usize) {
        let ConvShape { kernel, stride, dilation, .. } = self.shape;
        let (row, column) = (tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]);
        let phase = row % stride[0] * stride[1] + column % stride[1];
        (phase, row / stride[0] * self.pitch + column / stride[1])
    }

    /// What a tap adds to the place of an output.
    pub(crate) fn offset(&self, tap: usize) -> usize {
        let (phase, offset) = self.place(tap);
        phase * self.phase_len() + offset
    }

    /// The offsets of all taps.
    pub(crate) fn offsets(&self) -> Vec<usize> {
        (0..self.shape.taps()).map(|tap| self.offset(tap)).collect()
    }

    /// The taps that read, with their weights; those of weight zero are left out.
    pub(crate) fn taps(&self, weights: impl IntoIterator<Item = f32>) -> Vec<(usize, f32)> {
        let taps = weights.into_iter().enumerate().filter(|(_, weight)| *weight != 0.0);
        taps.map(|(tap, weight)| (self.offset(tap), weight)).collect()
    }

    /// For each phase the taps that bring the outputs' gradient back to it, from [`Self::outputs`].
    pub(crate) fn taps_back(
        &self,
        weights: impl IntoIterator<Item = f32>,
    ) -> Vec<Vec<(usize, f32)>> {
        let mut phases = vec![Vec::new(); self.shape.stride[0] * self.shape.stride[1]];
        for (tap, weight) in weights.into_iter().enumerate().filter(|(_, weight)| *weight != 0.0) {
            let (phase, offset) = self.place(tap);
            phases[phase].push((self.reach() - offset, weight));
        }
        phases
    }

    /// Values of a memory for a frame.
    pub(crate) fn input_memory(&self) -> usize {
        self.frame_len() + self.reach() + SLACK
    }

    /// Values of a memory for outputs: as many zeros before and after as taps reach.
    pub(crate) fn output_memory(&self) -> usize {
        self.phase_len() + 2 * self.reach() + SLACK
    }

    /// Where an image's outputs lie in a memory for outputs.
    pub(crate) fn outputs(&self) -> Range<usize> {
        self.reach()..self.reach() + self.phase_len()
    }

    /// An image's rows of outputs.
    pub(crate) fn rows(&self) -> Rows {
        let [count, width] = self.shape.output();
        Rows { count, width, pitch: self.pitch }
    }

    /// Copies a plane of the input into a frame that was zero, or held another plane at the same place.
    pub(crate) fn fill(&self, frame: &mut [f32], image: usize, plane: &[f32]) {
        let ConvShape { input, stride, padding, .. } = self.shape;
        if stride == [1, 1] {
            let first = image * self.image_len() + padding[0].0 * self.pitch + padding[1].0;
            return copy_rows(plane, input[1], &mut frame[first..], self.pitch);
        }
        self.each_run(image, |place, row, start| {
            let row = &plane[row * input[1]..][..input[1]];
            copy_every(stride[1], &row[start..], &mut frame[place]);
        });
    }

    /// Adds a frame's values to a plane of the input.
    pub(crate) fn add_back(&self, frame: &[f32], image: usize, plane: &mut [f32]) {
        self.each_run(image, |place, row, start| {
            let row = &mut plane[row * self.shape.input[1]..][..self.shape.input[1]];
            add_every(self.shape.stride[1], &frame[place], &mut row[start..]);
        });
    }

    /// Calls `visit` with the places of consecutive values of one phase, their row in the input and the first
    /// of their columns. Pixels that no output reads are left out.
    fn each_run(&self, image: usize, mut visit: impl FnMut(Range<usize>, usize, usize)) {
        let ConvShape { input, stride, padding, .. } = self.shape;
        let (top, left) = (padding[0].0, padding[1].0);
        for row in 0..input[0] {
            let (row_phase, framed) = ((row + top) % stride[0], (row + top) / stride[0]);
            if framed >= self.image_rows {
                continue;
            }
            for phase in 0..stride[1] {
                let start = (phase + stride[1] - left % stride[1]) % stride[1];
                let column = (start + left) / stride[1];
                if start >= input[1] || column >= self.pitch {
                    continue;
                }
                let count = (input[1] - start).div_ceil(stride[1]).min(self.pitch - column);
                let phase = row_phase * stride[1] + phase;
                let place = phase * self.phase_len()
                    + image * self.image_len()
                    + framed * self.pitch
                    + column;
                visit(place..place + count, row, start);
            }
        }
    }

    /// Copies a plane of the output's gradient into a memory for outputs, whose gaps stay as they are.
    pub(crate) fn fill_outputs(&self, memory: &mut [f32], image: usize, plane: &[f32]) {
        let start = self.reach() + image * self.image_len();
        copy_rows(plane, self.shape.output()[1], &mut memory[start..], self.pitch);
    }

    /// Makes zero what lies between the rows and images of outputs.
    pub(crate) fn clear_gaps(&self, memory: &mut [f32]) {
        let [height, width] = self.shape.output();
        let outputs = &mut memory[self.outputs()];
        for (row, values) in outputs.chunks_exact_mut(self.pitch).enumerate() {
            let first = if row % self.image_rows < height { width } else { 0 };
            values[first..].fill(0.0);
        }
    }

    /// Brings outputs of one image back to a plane of the input through `taps` of [`Self::taps_back`], and adds
    /// what the plane starts from.
    pub(crate) fn slide_back(
        &self,
        outputs: &[f32],
        taps: &[Vec<(usize, f32)>],
        (image, start): (usize, Start<'_>),
        frame: &mut Vec<f32>,
        plane: &mut [f32],
    ) {
        let ConvShape { input, stride, padding, .. } = self.shape;
        let below = image * self.image_len();
        if stride == [1, 1] {
            let first = below + padding[0].0 * self.pitch + padding[1].0;
            let rows = Rows { count: input[0], width: input[1], pitch: self.pitch };
            slide(&outputs[first..], &taps[0], rows, start, plane);
            return;
        }
        frame.resize(self.input_memory(), 0.0);
        for (phase, taps) in taps.iter().enumerate() {
            let target = &mut frame[phase * self.phase_len() + below..][..self.image_len()];
            let rows = Rows::one(self.image_len());
            slide(&outputs[below..], taps, rows, Start::Value(0.0), target);
        }
        match start {
            Start::Value(value) => plane.fill(value),
            Start::Map(map) => plane.copy_from_slice(map),
        }
        self.add_back(frame, image, plane);
    }
}
