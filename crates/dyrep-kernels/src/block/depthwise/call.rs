//! What the channels of a depthwise block share, and the sums over what the taps of one read.

use super::super::{Block, Branch, Core};
use super::centre::moment_of;
use super::form::{self, Middle, Seen};
use super::lags::Lags;
use super::sums::{Add, Collector, Geometry, Sums};
use crate::flat::add_around;
use crate::frame::Layout;
use crate::norm::affine::Moment;
use crate::shape::ConvShape;

/// What only speed depends on.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Tuning {
    /// Values of a frame: images go below each other.
    pub(super) frame: usize,
    /// How many products over pairs of taps one over a branch's values costs.
    pub(super) values: usize,
}

impl Tuning {
    /// All of a batch in a frame where it stays in the second-level cache.
    pub(in super::super) const MEASURED: Self = Self { frame: 1 << 15, values: 2 };
}

/// Kernels of more taps have too many pairs, whatever their branches.
const MOST_TAPS: usize = 400;

/// The planes of each channel of a map, image by image.
pub(super) fn by_channel<'m>(map: &'m mut [f32], shape: &ConvShape) -> Vec<Vec<&'m mut [f32]>> {
    let ConvShape { batch, groups, .. } = *shape;
    let mut planes: Vec<Vec<&mut [f32]>> = (0..groups).map(|_| Vec::new()).collect();
    for (place, plane) in map.chunks_exact_mut(map.len() / (batch * groups)).enumerate() {
        planes[place % groups].push(plane);
    }
    planes
}

/// What all channels of a call share.
pub(super) struct Call<'a> {
    pub(super) block: &'a Block<&'a [f32]>,
    pub(super) layout: Layout,
    pub(super) geometry: Geometry,
    /// A frame of ones.
    pub(super) ones: Vec<f32>,
    /// The layout of `ones`.
    pub(super) single: Layout,
    /// The lags of pairs of taps, where there are.
    pub(super) lags: Option<Lags>,
    /// Whether each branch's values are computed: cheaper than sums over pairs of taps.
    pub(super) by_values: bool,
}

/// Memory that a thread uses again for each of its channels.
pub(super) struct Scratch {
    /// A frame behind as many zeros as taps reach.
    pub(super) input: Vec<f32>,
    pub(super) collector: Collector,
    /// The output's gradient, and behind it, if there is a stride, the branches' own values.
    pub(super) outputs: Vec<f32>,
    pub(super) back: Vec<f32>,
    pub(super) part: Vec<f32>,
    /// A branch's values over a batch.
    pub(super) values: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(call: &Call<'_>) -> Self {
        let layout = &call.layout;
        Self {
            input: vec![0.0; layout.reach() + layout.input_memory()],
            collector: Collector::new(layout, call.lags.clone()),
            outputs: vec![0.0; layout.output_memory()],
            back: Vec::new(),
            part: vec![0.0; layout.shape.pixels_in()],
            values: Vec::new(),
        }
    }
}

impl<'a> Call<'a> {
    /// Frames of at most so many values, if one image takes no more; all hold as many images.
    pub(super) fn new(block: &'a Block<&'a [f32]>, tuning: Tuning) -> Self {
        let single = Layout::new(&block.shape, 1);
        let batch = block.shape.batch;
        let most = (tuning.frame / single.frame_len()).clamp(1, batch);
        let images = (1..=most).rev().find(|images| batch.is_multiple_of(*images)).unwrap_or(1);
        let mut ones = vec![0.0; single.input_memory()];
        single.fill(&mut ones, 0, &vec![1.0; block.shape.pixels_in()]);
        let layout = Layout::new(&block.shape, images);
        let mut geometry = Geometry::new(&block.shape);
        let taps = block.shape.taps();
        // Their lists grow as the pairs do: where those are never cheaper they are not even made.
        let lags = (taps <= MOST_TAPS).then(|| Lags::new(&layout, &geometry)).flatten();
        let of_branch = |branch: &Branch<_>| match &branch.core {
            Core::Conv { window, .. } => window.count(),
            Core::Average => taps,
            Core::Input | Core::Given { .. } => 0,
        };
        let products = block.branches.iter().map(of_branch).sum::<usize>() * layout.phase_len();
        let of_pairs = match &lags {
            Some(lags) => lags.cost(&layout),
            None => taps * taps / 2 * layout.phase_len(),
        };
        let by_values = taps > MOST_TAPS || tuning.values * products < of_pairs;
        if !by_values {
            geometry.count_pairs(batch);
        }
        // Every thread has a copy of what it needs.
        let lags = lags.filter(|_| !by_values);
        Self { block, layout, geometry, ones, single, lags, by_values }
    }

    pub(super) fn shape(&self) -> &ConvShape {
        &self.block.shape
    }

    /// A channel's planes of a map, image by image.
    pub(super) fn planes<'m>(
        &self,
        map: &'m [f32],
        channel: usize,
    ) -> impl Iterator<Item = &'m [f32]> + Clone + use<'m> {
        let ConvShape { batch, groups, .. } = *self.shape();
        map.chunks_exact(map.len() / (batch * groups)).skip(channel).step_by(groups)
    }

    /// The input's planes of a channel.
    pub(super) fn input(
        &self,
        channel: usize,
    ) -> impl Iterator<Item = &'a [f32]> + Clone + use<'a> {
        self.planes(self.block.input, channel)
    }

    /// The outputs of a channel over a batch.
    pub(super) fn count(&self) -> f64 {
        (self.shape().batch * self.shape().pixels_out()) as f64
    }

    /// One channel's part of every branch; maps as a whole.
    pub(super) fn branches(&self, channel: usize) -> impl Iterator<Item = Branch<&'a [f32]>> {
        let channels = self.shape().groups;
        let part = move |values: &'a [f32]| {
            let each = values.len() / channels;
            &values[channel * each..][..each]
        };
        self.block.branches.iter().map(move |branch: &Branch<&'a [f32]>| {
            let mut of_channel = branch.clone().map(&mut |values| part(values));
            if let (Core::Given { map: part }, Core::Given { map }) =
                (&mut of_channel.core, &branch.core)
            {
                *part = map;
            }
            of_channel
        })
    }

    /// A channel of a branch before its end; where values are computed, the input is read where it is.
    pub(super) fn seen(
        &self,
        branch: &Branch<&[f32]>,
        middle: Option<Middle>,
        around: f32,
    ) -> Seen {
        if self.by_values && matches!(branch.core, Core::Input) {
            return Seen::Input;
        }
        form::seen(self.shape(), branch, middle, f64::from(around))
    }

    /// Fills a frame with the images of a channel from `first` on, less `centre`.
    pub(super) fn fill(&self, frame: &mut [f32], first: usize, channel: usize, centre: f32) {
        let planes = self.input(channel).skip(first).take(self.layout.images);
        if centre == 0.0 {
            planes.enumerate().for_each(|(image, plane)| self.layout.fill(frame, image, plane));
            return;
        }
        let mut moved = vec![0.0; self.shape().pixels_in()];
        for (image, plane) in planes.enumerate() {
            moved.fill(0.0);
            add_around(&mut moved, plane, 1.0, centre);
            self.layout.fill(frame, image, &moved);
        }
    }

    /// Whether one frame takes all images: then it still holds them when a channel is passed over again.
    pub(super) fn is_one_frame(&self) -> bool {
        self.layout.images == self.shape().batch
    }

    /// The first image of each frame.
    pub(super) fn frames(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.shape().batch).step_by(self.layout.images)
    }

    /// Sums over what the taps of a channel read, less `centre`.
    pub(super) fn sums(&self, channel: usize, centre: f32, scratch: &mut Scratch) -> Sums {
        scratch.collector.start(&self.layout);
        for first in self.frames() {
            let frame = &mut scratch.input[self.layout.reach()..];
            self.fill(frame, first, channel, centre);
            scratch.collector.add(&self.layout, frame);
        }
        scratch.collector.finish(&self.layout, &self.geometry, Add::around(centre))
    }

    /// Mean and variance of a channel of the input, if any branch asks for them, from sums of `x − centre`; and
    /// what is taken off where it is read as it is.
    pub(super) fn input_moment(&self, channel: usize, sums: Option<(&Sums, f32)>) -> (Moment, f32) {
        let shape = self.shape();
        if let (Some(center), Some((sums, centre))) = (form::center(shape), sums) {
            let mean = sums.first[center] / self.count();
            let square = sums.second[center * (shape.taps() + 1)] / self.count();
            let variance = (square - mean * mean).max(0.0);
            return (Moment { mean: mean + f64::from(centre), variance }, centre);
        }
        let asks =
            |branch: &Branch<_>| branch.first.is_some() || matches!(branch.core, Core::Input);
        if self.by_values || self.block.branches.iter().any(asks) {
            moment_of(self.input(channel))
        } else {
            Default::default()
        }
    }
}
