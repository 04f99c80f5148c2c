//! Gradients of a depthwise block: every channel by itself, then put together.

use rayon::prelude::*;

use super::super::{Block, Branch, BranchMoments, Core};
use super::call::{Call, Scratch, Tuning, by_channel};
use super::pass::{Job, Pass};

/// Gradients of `Σ output · output_gradient`; none for running statistics.
pub(crate) fn backward(
    block: &Block<&[f32]>,
    moments: &[BranchMoments],
    output_gradient: &[f32],
    wanted: &Block<bool>,
) -> Block<Option<Vec<f32>>> {
    backward_by(Tuning::MEASURED, block, moments, output_gradient, wanted)
}

pub(super) fn backward_by(
    tuning: Tuning,
    block: &Block<&[f32]>,
    moments: &[BranchMoments],
    output_gradient: &[f32],
    wanted: &Block<bool>,
) -> Block<Option<Vec<f32>>> {
    let call = Call::new(block, tuning);
    let shape = call.shape();
    let mut input = wanted.input.then(|| vec![0.0; shape.input_len()]);
    let is_given = |branch: &Branch<bool>| matches!(branch.core, Core::Given { map: true });
    let map = |branch| is_given(branch).then(|| vec![0.0; shape.output_len()]);
    let mut maps: Vec<Option<Vec<f32>>> = wanted.branches.iter().map(map).collect();

    let new = || Job { input: None, maps: Vec::new() };
    let mut jobs: Vec<Job<'_>> = (0..shape.groups).map(|_| new()).collect();
    if let Some(input) = &mut input {
        let planes = by_channel(input, shape.pixels_in(), shape.groups);
        jobs.iter_mut().zip(planes).for_each(|(job, planes)| job.input = Some(planes));
    }
    for map in &mut maps {
        let planes = map.as_mut().map(|map| by_channel(map, shape.pixels_out(), shape.groups));
        let mut planes = planes.into_iter().flatten();
        jobs.iter_mut().for_each(|job| job.maps.push(planes.next()));
    }
    let channels = jobs.into_par_iter().enumerate().map_init(
        || Scratch::new(&call),
        |scratch, (channel, job)| {
            Pass { call: &call, moments, gradient: output_gradient, channel }.run(job, scratch)
        },
    );
    let channels: Vec<Vec<Branch<Option<Vec<f32>>>>> = channels.collect();
    // All channels' parts of a tensor make the tensor.
    let mut tensors: Vec<Option<Vec<f32>>> = Vec::new();
    for branches in channels {
        let mut place = 0..;
        let mut join = |part: Option<Vec<f32>>| {
            let place = place.next().unwrap_or_default();
            tensors.resize(tensors.len().max(place + 1), None);
            if let Some(part) = part {
                tensors[place].get_or_insert_default().extend(part);
            }
        };
        for branch in branches {
            branch.map(&mut join);
        }
    }
    let mut tensors = tensors.into_iter();
    let branches = block.branches.iter().zip(maps).map(|(branch, map)| {
        let mut branch = branch.clone().map(&mut |_| tensors.next().flatten());
        if let Core::Given { map: gradient } = &mut branch.core {
            *gradient = map;
        }
        branch
    });
    let branches = branches.collect();
    Block { shape: *shape, input, branches }
}
