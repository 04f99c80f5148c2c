//! A block's plan by fewer and wider tensor operations than branch by branch: for devices where an operation's start
//! costs more than the values that are copied to make it wide.
//!
//! Convolutions that read the block's input through the same taps are one, with the outputs of all; norms are one over
//! all their channels, and one sum over branches follows. The values are those of [`compose`](super::composed), up to
//! rounding.

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use dyrep_kernels::block::{Block as Plan, Branch, By, Core, End, First, Norm};

use super::composed::{
    Moments, Reading, as_first, by_taps, compute, crop, finish, image_of_zero, pad_with,
};
use crate::fuse::options_of;
use crate::ops::{BranchMoments, Tail, conv2d, normalize, sum_axis};

/// The output of a plan and the moments of its norms, by branch.
pub(super) fn merge_all(plan: Plan<DispatchTensor>) -> (Tensor<4>, Vec<BranchMoments<Tensor<1>>>) {
    let input = Tensor::<4>::from_dispatch(plan.input.clone());
    let mut maps = convolve(&input, readers(&plan, &input), plan.shape.groups, plan.branches.len());
    let Plan { shape, branches, .. } = plan;
    let mut moments: Vec<_> =
        branches.iter().map(|_| BranchMoments { first: None, end: None }).collect();

    let (mut firsts, mut rest) = (vec![], vec![]);
    for (at, Branch { first, core, end }) in branches.into_iter().enumerate() {
        if let Some(First { norm, .. }) = first {
            firsts.extend(maps[at].take().map(|map| (at, map, norm)));
        }
        rest.push((core, end));
    }
    let mut seen = vec![None; rest.len()];
    for (wide, parts) in normalize_alike(firsts) {
        let channels = parts.iter().map(|part| part.channels).collect();
        let maps = wide.split_with_sizes(channels, 1);
        for (map, Normed { at, norm, moments: found, .. }) in maps.into_iter().zip(parts) {
            let image = image_of_zero(norm, found.as_ref());
            seen[at] = Some(pad_with(map, image, shape.padding));
            moments[at].first = found;
        }
    }

    let (mut ends, mut outputs) = (vec![], vec![]);
    for (at, (core, end)) in rest.into_iter().enumerate() {
        let map = match (maps[at].take(), seen[at].take()) {
            (Some(map), _) => map,
            (None, Some(seen)) => compute(core, seen, [(0, 0); 2], &shape),
            (None, None) => compute(core, input.clone(), shape.padding, &shape),
        };
        match end {
            End::Norm(norm) => ends.push((at, map, norm)),
            end => outputs.push(finish(end, map).0),
        }
    }
    for (wide, parts) in normalize_alike(ends) {
        let [batch, channels, height, width] = wide.dims();
        let by_branch = wide.reshape([batch, parts.len(), channels / parts.len(), height, width]);
        outputs.push(sum_axis(by_branch, 1).squeeze_dim(1));
        for Normed { at, moments: found, .. } in parts {
            moments[at].end = found;
        }
    }
    let sum = outputs.into_iter().reduce(|sum, output| sum + output);
    (sum.unwrap_or_else(|| unreachable!("a plan has a branch")), moments)
}

/// A convolution of the block's input.
struct Reader {
    /// Its branch.
    at: usize,
    reading: Reading,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

/// All that read the input of a plan.
fn readers(plan: &Plan<DispatchTensor>, input: &Tensor<4>) -> Vec<Reader> {
    let Plan { shape, branches, .. } = plan;
    let of = |(at, branch): (usize, &Branch<DispatchTensor>)| match branch {
        Branch { first: Some(First { weight, .. }), .. } => {
            let weight = Tensor::from_dispatch(weight.clone());
            Some(Reader { at, reading: as_first(input, shape), weight, bias: None })
        }
        Branch { core: Core::Conv { window, weight, bias }, .. } => {
            let reading = by_taps(input, shape, *window, shape.padding);
            let weight = Tensor::from_dispatch(weight.clone());
            let bias = bias.clone().map(Tensor::from_dispatch);
            Some(Reader { at, reading, weight, bias })
        }
        _ => None,
    };
    branches.iter().enumerate().filter_map(of).collect()
}

/// Convolutions that can be one: the same taps of the same part.
fn taps(reader: &Reader) -> (Reading, [usize; 2]) {
    let [_, _, height, width] = reader.weight.dims();
    (reader.reading.clone(), [height, width])
}

/// What all of them give, by branch: those that read alike as one convolution.
fn convolve(
    input: &Tensor<4>,
    readers: Vec<Reader>,
    groups: usize,
    branches: usize,
) -> Vec<Option<Tensor<4>>> {
    let mut maps = vec![None; branches];
    for readers in alike(readers, taps) {
        if let [Reader { at, reading, weight, bias }] = &readers[..] {
            let seen = crop(input.clone(), reading);
            let options = reading.options.clone();
            maps[*at] = Some(conv2d(seen, weight.clone(), bias.clone(), options));
            continue;
        }
        let options = readers[0].reading.options.clone();
        let seen = crop(input.clone(), &readers[0].reading);
        // The channels of a group lie together.
        let outputs: Vec<_> = readers.iter().map(|reader| reader.weight.dims()[0]).collect();
        let shares: Vec<_> = outputs.iter().map(|channels| channels / groups).collect();
        let wide: usize = shares.iter().sum();
        let [_, inputs, height, width] = readers[0].weight.dims();
        let weights = readers.iter().zip(&shares).map(|(reader, share)| {
            reader.weight.clone().reshape([groups, share * inputs, height, width])
        });
        let weight = Tensor::cat(weights.collect(), 1);
        let weight = weight.reshape([groups * wide, inputs, height, width]);
        let bias = readers.iter().any(|reader| reader.bias.is_some()).then(|| {
            let biases =
                readers.iter().zip(&outputs).zip(&shares).map(|((reader, outputs), share)| {
                    let none = || Tensor::zeros([*outputs], options_of(&reader.weight));
                    reader.bias.clone().unwrap_or_else(none).reshape([groups, *share])
                });
            Tensor::cat(biases.collect(), 1).reshape([groups * wide])
        });
        let map = conv2d(seen, weight, bias, options);
        let [batch, _, height, width] = map.dims();
        let by_group = map.reshape([batch, groups, wide, height * width]);
        let split = by_group.split_with_sizes(shares, 2);
        for ((reader, map), channels) in readers.into_iter().zip(split).zip(outputs) {
            maps[reader.at] = Some(map.reshape([batch, channels, height, width]));
        }
    }
    maps
}

/// Norms that can be one: by the batch or by what is given, with the same ε.
fn kind_of<T>(norm: &Norm<T>) -> (bool, u64) {
    (matches!(norm.by, By::Batch(_)), norm.epsilon.to_bits())
}

/// A norm's part of a wide one.
struct Normed {
    /// Its branch.
    at: usize,
    channels: usize,
    norm: Norm<DispatchTensor>,
    /// By its batch.
    moments: Option<Moments>,
}

/// Maps of branches, each behind its norm: norms [of one kind](kind_of) as one over the channels of all.
fn normalize_alike(
    behind: Vec<(usize, Tensor<4>, Norm<DispatchTensor>)>,
) -> Vec<(Tensor<4>, Vec<Normed>)> {
    let groups = alike(behind, |(_, _, norm)| kind_of(norm)).into_iter();
    let wide = groups.map(|group| {
        let (mut maps, mut parts) = (vec![], vec![]);
        for (at, map, norm) in group {
            parts.push(Normed { at, channels: map.dims()[1], norm, moments: None });
            maps.push(map);
        }
        let wide = |of: &dyn Fn(&Norm<DispatchTensor>) -> &DispatchTensor| -> Tensor<1> {
            let vectors = parts.iter().map(|part| Tensor::from_dispatch(of(&part.norm).clone()));
            Tensor::cat(vectors.collect(), 0)
        };
        let affine = [wide(&|norm| &norm.gamma), wide(&|norm| &norm.beta)];
        let given = matches!(parts[0].norm.by, By::Given { .. })
            .then(|| [wide(&|norm| statistics(norm)[0]), wide(&|norm| statistics(norm)[1])]);
        let epsilon = parts[0].norm.epsilon;
        let (output, found) =
            normalize(Tensor::cat(maps, 1), affine, given, epsilon, Tail::default());
        if let Some(found) = found {
            let channels: Vec<_> = parts.iter().map(|part| part.channels).collect();
            let [means, variances] =
                found.map(|moment| moment.split_with_sizes(channels.clone(), 0).into_iter());
            for (part, found) in parts.iter_mut().zip(means.zip(variances)) {
                part.moments = Some(found.into());
            }
        }
        (output, parts)
    });
    wide.collect()
}

/// What a norm has gathered: mean and variance.
fn statistics<T>(norm: &Norm<T>) -> [&T; 2] {
    match &norm.by {
        By::Given { mean, variance } => [mean, variance],
        By::Batch(running) => [&running.mean, &running.variance],
    }
}

/// Items of the same key together, in order.
fn alike<T, K: PartialEq>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut groups: Vec<(K, Vec<T>)> = vec![];
    for item in items {
        let key = key(&item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::tensor::Device;

    use super::*;
    use crate::layer::{RepConv2d, RepConv2dConfig};
    use crate::pass::Pass;
    use dyrep_config::Preset;

    /// How many convolutions of the input there are, and how many they become.
    fn convolutions(layer: &RepConv2d) -> [usize; 2] {
        let input = Tensor::ones([2, 4, 6, 6], &Device::flex());
        let block = layer.block().unwrap();
        let plan = block.plan(&input, Pass::Train);
        let readers = readers(&plan, &input);
        [readers.len(), alike(readers, taps).len()]
    }

    #[test]
    fn what_reads_alike_is_convolved_at_once() {
        let config = |preset: Preset| {
            RepConv2dConfig::new([4, 4], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_branches(preset)
        };
        for (preset, stride, want) in [
            (Preset::RepVgg, 1, [2, 2]),
            (Preset::Dbb, 1, [4, 2]),
            // The 1×1 branch steps, those in front of others do not.
            (Preset::Dbb, 2, [4, 3]),
            (Preset::DyRep, 1, [6, 4]),
            (Preset::MobileOne, 1, [5, 2]),
        ] {
            let layer = config(preset).with_stride([stride; 2]).init(&Device::flex());
            assert_eq!(convolutions(&layer), want, "{preset}, stride {stride}");
        }
    }
}
