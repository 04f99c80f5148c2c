//! What a fast operation is: functions over slices of `f32`.

use std::fmt::Debug;

use dyrep_kernels::Buffer;

/// A fast operation with a backward pass. Inputs are what it is run with, each contiguous.
///
/// Whoever builds one has checked that the sizes fit: an operation that meets others panics.
pub(super) trait Operation: Debug + Send + Sync + 'static {
    /// Computes; `keep` says that a backward pass will follow.
    fn forward(&self, inputs: &[&[f32]], keep: bool) -> Forward;

    /// What the backward pass will read, given which inputs want a gradient.
    fn needs(&self, wanted: &[bool]) -> Needs;

    /// Gradients of the inputs, at least of those `wanted`.
    fn backward(&self, kept: &Kept<'_>, gradient: &[f32], wanted: &[bool])
    -> Vec<Option<Vec<f32>>>;
}

/// What a forward pass gives.
#[derive(Default)]
pub(super) struct Forward {
    /// What carries gradients on.
    pub(super) output: Vec<f32>,
    /// The output's shape, `[batch, channels, height, width]`.
    pub(super) shape: [usize; 4],
    /// Further results, without gradient.
    pub(super) statistics: Vec<Vec<f32>>,
    /// What the backward pass will want besides; empty if it does not follow.
    pub(super) saved: Vec<Buffer>,
}

/// What a backward pass reads.
pub(super) struct Needs {
    /// Which of the inputs.
    pub(super) inputs: Vec<bool>,
    /// The output.
    pub(super) output: bool,
    /// The statistics.
    pub(super) statistics: bool,
}

/// What a backward pass asked for; what it did not ask for is empty.
pub(super) struct Kept<'a> {
    /// The inputs.
    pub(super) inputs: Vec<&'a [f32]>,
    /// The output.
    pub(super) output: &'a [f32],
    /// The statistics.
    pub(super) statistics: Vec<&'a [f32]>,
    /// What the forward pass saved.
    pub(super) saved: Vec<&'a [f32]>,
}
