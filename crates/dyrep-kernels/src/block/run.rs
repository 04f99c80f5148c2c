//! The block as one operation: what is checked, and which way it goes.

use super::{Block, Branch, MiddleNorm, Moments, Norm, dense, depthwise};
use crate::product::on_workers;
use crate::scratch::Buffer;
use crate::shape::{ConvShape, ShapeError};

/// Computes a block in training mode.
///
/// Writes the output, `[batch, out, height', width']`. Returns each norm's moments, in the order in which
/// [`Block::map`] meets the norms, and, if they are to be kept, the maps that [`backward`] needs.
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn forward(
    block: &Block<&[f32]>,
    output: &mut [f32],
    keep: bool,
) -> Result<(Vec<Moments>, Vec<Buffer>), ShapeError> {
    check(block)?;
    ConvShape::check_len("the output", block.shape.output_len(), output.len())?;
    if depthwise::supports(block) {
        // Nothing is kept: what the backward pass needs is computed again while it is in cache.
        return Ok((on_workers(|| depthwise::forward(block, output)), vec![]));
    }
    Ok(dense::forward(block, output, keep))
}

/// Gradients of a block in training mode, from that of its output.
///
/// `moments` and `saved` are what [`forward`] has returned with `keep`; of what is not `wanted` the gradients of the
/// input and of given maps are left out, since they cost most. Running statistics have none; those of biases are
/// zero, since the norms take biases away again.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    block: &Block<&[f32]>,
    moments: &[Moments],
    saved: &[&[f32]],
    output_gradient: &[f32],
    wanted: &Block<bool>,
) -> Result<Block<Option<Vec<f32>>>, ShapeError> {
    check(block)?;
    ConvShape::check_len("the output's gradient", block.shape.output_len(), output_gradient.len())?;
    let norms = block.branches.iter().map(|branch| 1 + usize::from(branch.middle().is_some()));
    ConvShape::check_len("the list of moments", norms.sum(), moments.len())?;
    ConvShape::check_len("the branches wanted", block.branches.len(), wanted.branches.len())?;
    if depthwise::supports(block) {
        return Ok(on_workers(|| depthwise::backward(block, moments, output_gradient)));
    }
    let own = block.branches.iter().map(|branch| match branch {
        Branch::Identity { .. } | Branch::Given { .. } => 0,
        _ => 1 + usize::from(branch.middle().is_some()),
    });
    ConvShape::check_len("the list of saved maps", own.sum(), saved.len())?;
    Ok(dense::backward(block, moments, saved, output_gradient, wanted))
}

fn check(block: &Block<&[f32]>) -> Result<(), ShapeError> {
    let shape = &block.shape;
    shape.check()?;
    let len = ConvShape::check_len;
    len("the input", shape.input_len(), block.input.len())?;
    if block.branches.is_empty() {
        return Err(ShapeError::Zero { name: "branches" });
    }
    let [inputs, outputs] = shape.channels;
    let [each, _] = shape.per_group();
    let norm_len = |norm: &Norm<&[f32]>, channels: usize| {
        len("a norm's scale", channels, norm.gamma.len())?;
        len("a norm's shift", channels, norm.beta.len())
    };
    let middle_len = |middle: &MiddleNorm<&[f32]>, channels: usize| {
        norm_len(&middle.norm, channels)?;
        len("a running mean", channels, middle.running_mean.len())?;
        len("a running variance", channels, middle.running_variance.len())
    };
    let bias_len = |bias: &Option<&[f32]>| match bias {
        Some(bias) => len("a bias", outputs, bias.len()),
        None => Ok(()),
    };
    for branch in &block.branches {
        norm_len(branch.last_norm(), outputs)?;
        match branch {
            Branch::Conv { window, weight, bias, .. } => {
                for axis in 0..2 {
                    if window.size[axis] == 0 {
                        return Err(ShapeError::Zero { name: "the size of a window" });
                    }
                    let end = window.start[axis] + window.size[axis];
                    len(
                        "the kernel around a window",
                        shape.kernel[axis].max(end),
                        shape.kernel[axis],
                    )?;
                }
                len("a weight", outputs * each * window.size[0] * window.size[1], weight.len())?;
                bias_len(bias)?;
            }
            Branch::Sequence { pointwise, middle, weight, bias, .. } => {
                let channels = middle.norm.gamma.len();
                if channels == 0 || channels % shape.groups != 0 {
                    let channels = [inputs, channels];
                    return Err(ShapeError::Groups { channels, groups: shape.groups });
                }
                middle_len(middle, channels)?;
                len("a 1×1 weight", channels * each, pointwise.len())?;
                len("a weight", outputs * channels / shape.groups * shape.taps(), weight.len())?;
                bias_len(bias)?;
            }
            Branch::Average { first: Some((pointwise, middle)), .. } => {
                middle_len(middle, outputs)?;
                len("a 1×1 weight", outputs * each, pointwise.len())?;
            }
            Branch::Average { first: None, .. } => {
                len("the channels that are averaged", outputs, inputs)?;
            }
            Branch::Identity { .. } => {
                len("the input of an identity", shape.output_len(), block.input.len())?;
            }
            Branch::Given { map, .. } => len("a given map", shape.output_len(), map.len())?,
        }
    }
    Ok(())
}
