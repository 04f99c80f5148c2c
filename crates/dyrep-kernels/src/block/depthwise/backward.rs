//! Gradients of a depthwise block: every channel by itself, then put together.

use rayon::prelude::*;

use super::super::ends::norm_gradient;
use super::super::{Block, Branch, BranchMoments, Core, End, First};
use super::call::{Call, Scratch, Tuning, by_channel};
use super::pass::{Found, Job, Pass};

/// Gradients of `Σ output · output_gradient`; none for running statistics.
pub(crate) fn backward(
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

    let mut jobs: Vec<Job<'_>> = (0..shape.groups).map(|_| Job::default()).collect();
    if let Some(input) = &mut input {
        let planes = by_channel(input, shape);
        jobs.iter_mut().zip(planes).for_each(|(job, planes)| job.input = Some(planes));
    }
    for (number, map) in maps.iter_mut().enumerate() {
        let planes = map.iter_mut().flat_map(|map| by_channel(map, shape));
        jobs.iter_mut().zip(planes).for_each(|(job, planes)| job.maps.push((number, planes)));
    }
    let channels = jobs.into_par_iter().enumerate().map_init(
        || Scratch::new(&call),
        |scratch, (channel, job)| {
            Pass { call: &call, moments, gradient: output_gradient, channel }.run(job, scratch)
        },
    );
    let channels: Vec<Vec<Found>> = channels.collect();
    let branches = block.branches.iter().zip(maps).enumerate();
    let branches = branches.map(|(number, (branch, map))| {
        together(branch, map, || channels.iter().map(move |found| &found[number]))
    });
    let branches = branches.collect();
    Block { shape: *shape, input, branches }
}

/// The gradients of a branch from those of `each` channel.
fn together<'a, I: Iterator<Item = &'a Found>>(
    branch: &Branch<&[f32]>,
    map: Option<Vec<f32>>,
    each: impl Fn() -> I,
) -> Branch<Option<Vec<f32>>> {
    let list = |part: fn(&Found) -> f32| each().map(part).collect::<Vec<f32>>();
    let first = branch.first.as_ref().map(|First { norm, .. }| First {
        weight: Some(list(|found| found.first[0])),
        norm: norm_gradient(norm, list(|found| found.first[1]), list(|found| found.first[2])),
    });
    let core = match &branch.core {
        Core::Conv { window, bias, .. } => Core::Conv {
            window: *window,
            weight: Some(each().flat_map(|found| &found.weight).copied().collect()),
            bias: bias.map(|_| Some(list(|found| found.bias))),
        },
        Core::Average => Core::Average,
        Core::Input => Core::Input,
        Core::Given { .. } => Core::Given { map },
    };
    let (gamma, beta) = (|| list(|found| found.end[0]), || list(|found| found.end[1]));
    let end = match &branch.end {
        End::Norm(norm) => End::Norm(norm_gradient(norm, gamma(), beta())),
        End::Scale(_) => End::Scale(Some(gamma())),
        End::Nothing => End::Nothing,
    };
    Branch { first, core, end }
}
