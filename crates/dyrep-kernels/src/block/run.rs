//! The block as one operation: what is checked, and which way it goes.

use super::depthwise::{self, Tuning};
use super::{Block, Branch, By, Core, Done, End, First, Moments, Norm, Saved, dense};
use crate::product::on_workers;
use crate::scratch::Buffer;
use crate::shape::{ConvShape, ShapeError};

/// Computes a block in training mode.
///
/// Writes the output, `[batch, out, height', width']`. Returns each norm's moments and, if it is to `keep` them, the
/// maps that [`backward`] needs.
///
/// # Errors
/// A shape that cannot be, a slice of another length, or a block that the kernels refuse ([`refuses`]).
pub fn forward(block: &Block<&[f32]>, output: &mut [f32], keep: bool) -> Result<Done, ShapeError> {
    check(block)?;
    ConvShape::check_len("the output", block.shape.output_len(), output.len())?;
    if depthwise::supports(block) {
        // Nothing is kept: what the backward pass needs is computed again while it is in cache.
        return Ok(on_workers(|| depthwise::forward(Tuning::MEASURED, block, output)));
    }
    Ok(dense::forward(block, output, keep))
}

/// Gradients of a block in training mode, from that of its output.
///
/// `done` is what [`forward`] has returned with `keep`. Of what is not `wanted` the gradients of maps and, where
/// that saves anything, of weights are left out, since they cost most. Running statistics have none; those of biases
/// in front of norms are zero, since the norms take biases away again.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// If `wanted` has another structure than the block.
pub fn backward(
    block: &Block<&[f32]>,
    done: &Done,
    output_gradient: &[f32],
    wanted: &Block<bool>,
) -> Result<Block<Option<Vec<f32>>>, ShapeError> {
    check(block)?;
    ConvShape::check_len("the output's gradient", block.shape.output_len(), output_gradient.len())?;
    block.expect_structure_of(wanted);
    let is_depthwise = depthwise::supports(block);
    check_done(block, done, is_depthwise)?;
    if is_depthwise {
        return Ok(on_workers(|| {
            depthwise::backward(Tuning::MEASURED, block, &done.moments, output_gradient, wanted)
        }));
    }
    Ok(dense::backward(block, done, output_gradient, wanted))
}

/// Whether the way back of a block reads maps that [`forward`] keeps; that of depthwise blocks computes them again.
#[must_use]
pub fn keeps_maps(block: &Block<&[f32]>) -> bool {
    !depthwise::supports(block)
}

/// Why these kernels do not compute a block, if they do not.
#[must_use]
pub fn refuses<T>(block: &Block<T>) -> Option<&'static str> {
    let given = |norm: &Norm<T>| matches!(norm.by, By::Given { .. });
    let refused = |branch: &Branch<T>| {
        branch.first.as_ref().is_some_and(|first| given(&first.norm))
            || matches!(&branch.end, End::Norm(norm) if given(norm))
    };
    block.branches.iter().any(refused).then_some("a norm by given statistics")
}

fn check(block: &Block<&[f32]>) -> Result<(), ShapeError> {
    let shape = &block.shape;
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), block.input.len())?;
    if block.branches.is_empty() {
        return Err(ShapeError::Zero { name: "branches" });
    }
    for (number, branch) in block.branches.iter().enumerate() {
        check_branch(block, number, branch)?;
    }
    refuses(block).map_or(Ok(()), |what| Err(ShapeError::Refused { what }))
}

fn check_branch(
    block: &Block<&[f32]>,
    number: usize,
    branch: &Branch<&[f32]>,
) -> Result<(), ShapeError> {
    let len = ConvShape::check_len;
    let (shape, [inputs, outputs]) = (&block.shape, block.shape.channels);
    let channels = match (&branch.first, &branch.core) {
        (None, _) => inputs,
        (Some(_), Core::Input | Core::Given { .. }) => {
            let is_input = matches!(branch.core, Core::Input);
            let core = if is_input { "the input" } else { "a given map" };
            return Err(ShapeError::First { branch: number, core });
        }
        (Some(First { weight, norm }), _) => {
            let channels = norm.gamma.len();
            if channels == 0 || !channels.is_multiple_of(shape.groups) {
                let channels = [inputs, channels];
                return Err(ShapeError::Groups { channels, groups: shape.groups });
            }
            check_norm(norm, channels)?;
            len("a 1×1 weight", channels * shape.per_group()[0], weight.len())?;
            channels
        }
    };
    match &branch.core {
        Core::Conv { window, weight, bias } => {
            window.check(shape.kernel)?;
            len("a weight", outputs * channels / shape.groups * window.count(), weight.len())?;
            bias.map_or(Ok(()), |bias| len("a bias", outputs, bias.len()))?;
        }
        Core::Average => len("the channels that are averaged", outputs, channels)?,
        Core::Input => {
            len("the channels of an identity", outputs, inputs)?;
            len("the rows of an identity", shape.output()[0], shape.input[0])?;
            len("the columns of an identity", shape.output()[1], shape.input[1])?;
        }
        Core::Given { map } => len("a given map", shape.output_len(), map.len())?,
    }
    match &branch.end {
        End::Norm(norm) => check_norm(norm, outputs),
        End::Scale(scale) => len("a scale", outputs, scale.len()),
        End::Nothing => Ok(()),
    }
}

fn check_norm(norm: &Norm<&[f32]>, channels: usize) -> Result<(), ShapeError> {
    let len = ConvShape::check_len;
    len("a norm's scale", channels, norm.gamma.len())?;
    len("a norm's shift", channels, norm.beta.len())?;
    let (By::Batch(super::Running { mean, variance, .. }) | By::Given { mean, variance }) =
        &norm.by;
    len("a running mean", channels, mean.len())?;
    len("a running variance", channels, variance.len())
}

/// Whether a forward pass of this block has left all that its way back needs.
fn check_done(block: &Block<&[f32]>, done: &Done, is_depthwise: bool) -> Result<(), ShapeError> {
    let len = ConvShape::check_len;
    let shape = &block.shape;
    len("the list of moments", block.branches.len(), done.moments.len())?;
    len("the list of saved maps", block.branches.len(), done.saved.len())?;
    let moments_len = |norm: Option<&Norm<&[f32]>>, moments: Option<&Moments>| {
        let channels = norm.map_or(0, |norm| norm.gamma.len());
        len("a list of means", channels, moments.map_or(0, |moments| moments.mean.len()))?;
        len("a list of variances", channels, moments.map_or(0, |moments| moments.variance.len()))
    };
    let map_len = |expected: usize, map: Option<&Buffer>| {
        len("a saved map", expected, map.map_or(0, |map| map.len()))
    };
    for ((branch, moments), saved) in block.branches.iter().zip(&done.moments).zip(&done.saved) {
        let end = if let End::Norm(norm) = &branch.end { Some(norm) } else { None };
        let first = branch.first.as_ref();
        moments_len(first.map(|first| &first.norm), moments.first.as_ref())?;
        moments_len(end, moments.end.as_ref())?;
        if !is_depthwise {
            let Saved { first: map, core } = saved;
            let len_in = |first: &First<_>| shape.batch * first.channels() * shape.pixels_in();
            map_len(first.map_or(0, len_in), map.as_ref())?;
            map_len(if dense::keeps(branch) { shape.output_len() } else { 0 }, core.as_ref())?;
        }
    }
    Ok(())
}
