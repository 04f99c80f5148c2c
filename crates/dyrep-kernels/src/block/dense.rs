//! The block as one operation, for any channels and groups.
//!
//! ```text
//! input ─┬▶ one bundle: k×k, 1×k, k×1, 1×1 ────────────────────────┐ maps and their moments
//!        └▶ one bundle: the 1×1 of sequences and averages ▶ norms ─┤ k×k, pooling of what the norms make of it
//!                                                                   └▶ one pass: Σ scale · map + shift
//! ```
//!
//! The backward pass keeps the maps in front of norms, never what comes behind one: a norm is a multiply-add of its
//! map, done while the map is read for something else. All sums that the norms' gradients need are one pass over
//! gradient and maps; then the gradient of each map is `a · gradient + b · map + c`, mixed where it is used.

use super::affine::{AtBatch, Reversed, add_mix, combine, sums};
use super::average::{average, spread};
use super::maps::{Measured, Seen, convolve, linear, measure, pointwise, second};
use super::{Block, Branch, MiddleNorm, Moments, Norm};
use crate::bundle::{Gradient, Gradients, Source};
use crate::scratch::Buffer;

pub(super) fn forward(
    block: &Block<&[f32]>,
    output: &mut [f32],
    keep: bool,
) -> (Vec<Moments>, Vec<Buffer>) {
    let shape = &block.shape;
    let mut own = convolve(&linear(block)).into_iter();
    let pointwise = pointwise(block);
    let mut firsts = convolve(&pointwise).into_iter();

    // By branch: middle and last map, each with its moments; the last is the caller's where it is.
    let mut middles: Vec<Option<Measured>> = vec![];
    let mut lasts: Vec<(Option<Buffer>, Moments)> = vec![];
    for branch in &block.branches {
        let (middle, last) = match branch {
            Branch::Conv { .. } => (None, own.next()),
            Branch::Sequence { middle, weight, norm, .. } => {
                let first = firsts.next();
                let last = first.as_ref().map(|(map, moments)| {
                    let seen = Seen::new(middle, moments, shape);
                    let bundle = second(shape, seen.source(map), weight, norm);
                    convolve(&bundle).remove(0)
                });
                (first, last)
            }
            Branch::Average { first: Some((_, middle)), .. } => {
                let first = firsts.next();
                let last = first.as_ref().map(|(map, moments)| {
                    let seen = Seen::new(middle, moments, shape);
                    average(shape, &seen.source(map), moments.mean.len())
                });
                (first, last)
            }
            Branch::Average { first: None, .. } => {
                let source = Source { values: block.input, affine: None };
                (None, Some(average(shape, &source, shape.channels[0])))
            }
            Branch::Identity { norm } => {
                lasts.push((None, measure(shape, norm, block.input)));
                middles.push(None);
                continue;
            }
            Branch::Given { map, norm } => {
                lasts.push((None, measure(shape, norm, map)));
                middles.push(None);
                continue;
            }
        };
        middles.push(middle);
        lasts.extend(last.map(|(map, moments)| (Some(map), moments)));
    }

    let norms: Vec<AtBatch> = block
        .branches
        .iter()
        .zip(&lasts)
        .map(|(branch, (_, moments))| AtBatch::new(branch.last_norm(), moments))
        .collect();
    let maps: Vec<(&[f32], &AtBatch)> = block
        .branches
        .iter()
        .zip(&lasts)
        .zip(&norms)
        .map(|((branch, (map, _)), norm)| (last_map(block, branch, map.as_deref()), norm))
        .collect();
    combine(&maps, shape.pixels_out(), output);

    let (mut all, mut saved) = (vec![], vec![]);
    for ((branch, middle), (map, mut moments)) in block.branches.iter().zip(middles).zip(lasts) {
        if let Some((map, moments)) = middle {
            all.push(moments);
            saved.push(map);
        }
        shift_mean(branch, &mut moments, 1.0);
        all.push(moments);
        saved.extend(map);
    }
    (all, if keep { saved } else { vec![] })
}

pub(super) fn backward(
    block: &Block<&[f32]>,
    moments: &[Moments],
    saved: &[&[f32]],
    gradient: &[f32],
    wanted: &Block<bool>,
) -> Block<Option<Vec<f32>>> {
    let shape = &block.shape;
    let [pixels_in, pixels_out] = [shape.pixels_in(), shape.pixels_out()];
    let [count_in, count_out] = [pixels_in, pixels_out].map(|pixels| shape.batch * pixels);
    let passes = recall(block, moments, saved);

    // The last norms: one pass over all maps.
    let maps: Vec<_> = passes.iter().map(|pass| (pass.map, pass.moments.mean.as_slice())).collect();
    let sums_of = sums(gradient, &maps, shape.channels[1], pixels_out);
    let lasts: Vec<Reversed> = block
        .branches
        .iter()
        .zip(&passes)
        .zip(&sums_of)
        .map(|((branch, pass), sums)| {
            Reversed::new(branch.last_norm(), &pass.moments, sums, count_out)
        })
        .collect();
    let behind = |number: usize| Gradient {
        values: gradient,
        mix: Some(lasts[number].mix(passes[number].map)),
    };

    let mut input = wanted.input.then(|| vec![0.0; shape.input_len()]);
    let mut weights: Vec<Vec<f32>> = vec![];
    let mut middles: Vec<Option<(Buffer, Reversed)>> = vec![];
    for (number, branch) in block.branches.iter().enumerate() {
        let weight_len = match branch {
            Branch::Conv { weight, .. } | Branch::Sequence { weight, .. } => weight.len(),
            _ => 0,
        };
        weights.push(vec![0.0; weight_len]);
        let Some((map, of_map)) = passes[number].middle.as_ref() else {
            if let (Branch::Average { .. }, Some(input)) = (branch, &mut input) {
                spread(shape, &behind(number), shape.channels[0], input);
            }
            if let (Branch::Identity { .. }, Some(input)) = (branch, &mut input) {
                add_mix(gradient, &lasts[number].mix(block.input), pixels_out, input);
            }
            middles.push(None);
            continue;
        };
        let channels = of_map.mean.len();
        let mut raised = Buffer::zeros(map.len());
        let norm = match branch {
            Branch::Sequence { middle, weight, norm, .. } => {
                let seen = Seen::new(middle, of_map, shape);
                let bundle = second(shape, seen.source(map), weight, norm);
                let weights = vec![Some(weights[number].as_mut_slice())];
                bundle
                    .backward(&[behind(number)], Gradients { weights, source: Some(&mut raised) });
                &middle.norm
            }
            Branch::Average { first: Some((_, middle)), .. } => {
                spread(shape, &behind(number), channels, &mut raised);
                &middle.norm
            }
            _ => unreachable!("only these have a middle"),
        };
        let sums = sums(&raised, &[(map, &of_map.mean)], channels, pixels_in).remove(0);
        middles.push(Some((raised, Reversed::new(norm, of_map, &sums, count_in))));
    }

    let convs = |branch: &Branch<&[f32]>| matches!(branch, Branch::Conv { .. });
    let bundle = linear(block);
    if !bundle.kernels.is_empty() {
        let numbers = (0..block.branches.len()).filter(|number| convs(&block.branches[*number]));
        let gradients: Vec<_> = numbers.map(behind).collect();
        let weights = weights.iter_mut().zip(&block.branches);
        let weights = weights
            .filter(|(_, branch)| convs(branch))
            .map(|(weight, _)| Some(weight.as_mut_slice()));
        let weights = weights.collect();
        bundle.backward(&gradients, Gradients { weights, source: input.as_deref_mut() });
    }
    let bundle = pointwise(block);
    let mut firsts: Vec<_> =
        bundle.kernels.iter().map(|kernel| vec![0.0; kernel.weight.len()]).collect();
    if !bundle.kernels.is_empty() {
        let maps = passes.iter().filter_map(|pass| pass.middle.as_ref());
        let gradients = maps.zip(middles.iter().flatten()).map(|((map, _), (raised, reversed))| {
            Gradient { values: raised, mix: Some(reversed.mix(map)) }
        });
        let gradients: Vec<_> = gradients.collect();
        let weights = firsts.iter_mut().map(|weight| Some(weight.as_mut_slice())).collect();
        bundle.backward(&gradients, Gradients { weights, source: input.as_deref_mut() });
    }

    let mut firsts = firsts.into_iter();
    let given = |number: usize, map: &[f32]| {
        let mut gradient_of_map = vec![0.0; map.len()];
        add_mix(gradient, &lasts[number].mix(map), pixels_out, &mut gradient_of_map);
        gradient_of_map
    };
    let branches = block.branches.iter().zip(&wanted.branches).enumerate();
    let branches = branches.map(|(number, (branch, wanted))| {
        let norm = norm_gradient(branch.last_norm(), &lasts[number]);
        let weight = Some(std::mem::take(&mut weights[number]));
        let first = firsts_of(&middles[number], branch).map(|middle| (firsts.next(), middle));
        match (branch, wanted) {
            (Branch::Conv { window, bias, .. }, _) => {
                Branch::Conv { window: *window, weight, bias: bias.map(zeros), norm }
            }
            (Branch::Sequence { bias, .. }, _) => {
                let (pointwise, middle) = first.unwrap_or_else(|| unreachable!("it has a middle"));
                Branch::Sequence { pointwise, middle, weight, bias: bias.map(zeros), norm }
            }
            (Branch::Average { .. }, _) => Branch::Average { first, norm },
            (Branch::Identity { .. }, _) => Branch::Identity { norm },
            (Branch::Given { map, .. }, Branch::Given { map: true, .. }) => {
                Branch::Given { map: Some(given(number, map)), norm }
            }
            (Branch::Given { .. }, _) => Branch::Given { map: None, norm },
        }
    });
    Block { shape: *shape, branches: branches.collect(), input }
}

/// The gradient of a bias that a norm takes away again.
fn zeros(bias: &[f32]) -> Option<Vec<f32>> {
    Some(vec![0.0; bias.len()])
}

fn norm_gradient(norm: &Norm<&[f32]>, reversed: &Reversed) -> Norm<Option<Vec<f32>>> {
    Norm {
        gamma: Some(reversed.gamma.clone()),
        beta: Some(reversed.beta.clone()),
        epsilon: norm.epsilon,
    }
}

fn firsts_of(
    middle: &Option<(Buffer, Reversed)>,
    branch: &Branch<&[f32]>,
) -> Option<MiddleNorm<Option<Vec<f32>>>> {
    let (Branch::Sequence { middle: norm, .. } | Branch::Average { first: Some((_, norm)), .. }) =
        branch
    else {
        return None;
    };
    let (_, reversed) = middle.as_ref()?;
    Some(MiddleNorm {
        norm: norm_gradient(&norm.norm, reversed),
        running_mean: None,
        running_variance: None,
        momentum: norm.momentum,
    })
}

/// What the forward pass left of a branch.
struct Recalled<'a> {
    middle: Option<(&'a [f32], Moments)>,
    map: &'a [f32],
    /// Of the map without the bias.
    moments: Moments,
}

fn recall<'a>(
    block: &Block<&'a [f32]>,
    moments: &[Moments],
    saved: &[&'a [f32]],
) -> Vec<Recalled<'a>> {
    let (mut moments, mut saved) = (moments.iter().cloned(), saved.iter().copied());
    let mut next = move || moments.next().unwrap_or_else(|| unreachable!("checked by the caller"));
    let branch = |branch: &Branch<&'a [f32]>| {
        let has_middle =
            matches!(branch, Branch::Sequence { .. } | Branch::Average { first: Some(_), .. });
        let middle = has_middle.then(|| (saved.next().unwrap_or_default(), next()));
        let own = match branch {
            Branch::Identity { .. } | Branch::Given { .. } => None,
            _ => saved.next(),
        };
        let mut moments = next();
        shift_mean(branch, &mut moments, -1.0);
        Recalled { middle, map: last_map(block, branch, own), moments }
    };
    block.branches.iter().map(branch).collect()
}

/// What a branch's last norm sees: its own map, or one that came from outside.
fn last_map<'a>(
    block: &Block<&'a [f32]>,
    branch: &Branch<&'a [f32]>,
    own: Option<&'a [f32]>,
) -> &'a [f32] {
    match branch {
        Branch::Identity { .. } => block.input,
        Branch::Given { map, .. } => map,
        _ => own.unwrap_or_default(),
    }
}

/// Maps are without their bias; the mean that a norm records is with it.
fn shift_mean(branch: &Branch<&[f32]>, moments: &mut Moments, sign: f32) {
    if let Branch::Conv { bias: Some(bias), .. } | Branch::Sequence { bias: Some(bias), .. } =
        branch
    {
        moments.mean.iter_mut().zip(*bias).for_each(|(mean, bias)| *mean += sign * bias);
    }
}
