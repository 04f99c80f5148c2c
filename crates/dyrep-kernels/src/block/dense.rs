//! The block as one operation, for any channels and groups.
//!
//! ```text
//! input ─┬▶ one bundle: k×k, 1×k, k×1, 1×1, dilated ones ──────┐ maps and their moments
//!        └▶ one bundle: the 1×1 that start branches ▶ norms ───┤ convolution, average of what the norms make of it
//!                                                               └▶ one pass: Σ scale · map + shift
//! ```
//!
//! The backward pass keeps the maps in front of norms, never what comes behind one: a norm is a multiply-add of its
//! map, done while the map is read for something else. All sums that the ends' gradients need are one pass over
//! gradient and maps; then the gradient of each map is `a · gradient + b · map + c`, mixed where it is used.

use super::average::{average, spread};
use super::ends::{Reversed, line};
use super::maps::{
    Measured, Seen, by_branch, convolve, is_linear, linear, measure, of_some, pointwise, second,
};
use super::passes::{self, Centred};
use super::{Block, Branch, BranchMoments, Core, Done, End, First, Moments, Saved};
use crate::bundle::{Gradient, Gradients, Source};
use crate::norm::affine::AtBatch;
use crate::scratch::Buffer;

/// Whether the way back needs the map in front of a branch's end and does not find it elsewhere.
pub(super) fn keeps<T>(branch: &Branch<T>) -> bool {
    let own = matches!(branch.core, Core::Conv { .. } | Core::Average);
    own && !matches!(branch.end, End::Nothing)
}

/// The map in front of a branch's end: its own, or one that came from outside.
fn map_of<'a>(
    block: &Block<&'a [f32]>,
    branch: &Branch<&'a [f32]>,
    own: Option<&'a Buffer>,
) -> &'a [f32] {
    match branch.core {
        Core::Input => block.input,
        Core::Given { map } => map,
        Core::Conv { .. } | Core::Average => own.map_or(&[], |map| map),
    }
}

/// What a branch has computed: the map of its first convolution and its own, without bias.
struct Computed {
    first: Option<(Buffer, Moments)>,
    core: Option<Buffer>,
    end: Option<Moments>,
}

pub(super) fn forward(block: &Block<&[f32]>, output: &mut [f32], keep: bool) -> Done {
    let (shape, branches) = (&block.shape, &block.branches);
    let asked = branches.iter().filter(|branch| is_linear(branch)).map(Branch::ends_in_norm);
    let own = convolve(&linear(block), asked);
    let firsts = convolve(&pointwise(block), std::iter::repeat(true));
    let own = by_branch(block, is_linear, own);
    let firsts = by_branch(block, |branch| branch.first.is_some(), firsts);

    let found = branches.iter().zip(own.zip(firsts)).map(|(branch, (own, first))| {
        let first = first.and_then(|(map, moments)| Some((map, moments?)));
        let (core, end) = core_of(block, branch, own, first.as_ref());
        Computed { first, core, end }
    });
    let found: Vec<Computed> = found.collect();
    let lines = branches.iter().zip(&found).map(|(branch, found)| {
        let line = line(branch, found.end.as_ref(), shape.channels[1]);
        (map_of(block, branch, found.core.as_ref()), line)
    });
    let lines: Vec<(&[f32], AtBatch)> = lines.collect();
    passes::combine(&lines, shape.pixels_out(), output);

    let mut done = Done { moments: vec![], saved: vec![] };
    for (branch, Computed { first, core, mut end }) in branches.iter().zip(found) {
        if let Some(end) = &mut end {
            shift_mean(branch, end, 1.0);
        }
        let (map, first) = first.unzip();
        done.moments.push(BranchMoments { first, end });
        let core = core.filter(|_| keep && keeps(branch));
        done.saved.push(Saved { first: map.filter(|_| keep), core });
    }
    done
}

/// The map in front of a branch's end, if it is none that came from outside, and the moments that the end needs.
fn core_of(
    block: &Block<&[f32]>,
    branch: &Branch<&[f32]>,
    own: Option<Measured>,
    first: Option<&(Buffer, Moments)>,
) -> (Option<Buffer>, Option<Moments>) {
    let shape = &block.shape;
    let seen = branch.first.as_ref().zip(first);
    let seen = seen.map(|(first, (map, moments))| Seen::new(first, map, moments));
    let source = seen.as_ref().map_or(Source::plain(block.input), Seen::source);
    let map = match (&branch.core, &branch.first) {
        (Core::Conv { window, weight, .. }, Some(first)) => {
            let bundle = second(shape, source, first.channels(), (*window, weight));
            let asked = std::iter::once(branch.ends_in_norm());
            let (map, moments) = convolve(&bundle, asked).remove(0);
            return (Some(map), moments);
        }
        (Core::Conv { .. }, None) => {
            let (map, moments) = own.unwrap_or_else(|| unreachable!("one map for each kernel"));
            return (Some(map), moments);
        }
        (Core::Average, _) => Some(average(shape, &source, shape.channels[1])),
        (Core::Input | Core::Given { .. }, _) => None,
    };
    let moments =
        branch.ends_in_norm().then(|| measure(shape, map_of(block, branch, map.as_ref())));
    (map, moments)
}

/// Maps are without their bias; the mean that a norm records is with it.
fn shift_mean(branch: &Branch<&[f32]>, moments: &mut Moments, sign: f32) {
    if let Some(bias) = branch.bias() {
        moments.mean.iter_mut().zip(*bias).for_each(|(mean, bias)| *mean += sign * bias);
    }
}

/// A first convolution with its map and that map's moments.
type Start<'a> = (&'a First<&'a [f32]>, &'a [f32], &'a Moments);

/// A branch on the way back.
struct Recalled<'a> {
    first: Option<Start<'a>>,
    /// What the end saw, without bias; empty if it does not matter.
    map: &'a [f32],
    /// Of the map.
    moments: Option<Moments>,
    /// What the gradient of the end measures the map from.
    centres: Vec<f32>,
}

impl<'a> Recalled<'a> {
    fn new(
        block: &'a Block<&'a [f32]>,
        branch: &'a Branch<&'a [f32]>,
        moments: &'a BranchMoments,
        saved: &'a Saved,
    ) -> Self {
        let first = branch.first.as_ref().zip(saved.first.as_deref()).zip(moments.first.as_ref());
        let mut moments = moments.end.clone();
        if let Some(moments) = &mut moments {
            shift_mean(branch, moments, -1.0);
        }
        // A scale sees the bias too: value + bias is the distance from what would cancel it.
        let centres = moments.as_ref().map_or_else(
            || match branch.bias() {
                Some(bias) => bias.iter().map(|bias| -bias).collect(),
                None => vec![0.0; block.shape.channels[1]],
            },
            |moments| moments.mean.clone(),
        );
        Self {
            first: first.map(|((first, map), moments)| (first, map, moments)),
            map: map_of(block, branch, saved.core.as_ref()),
            moments,
            centres,
        }
    }

    fn reversed(&self, end: &End<&[f32]>, sums: &[[f64; 2]], count: usize) -> Reversed {
        match (end, &self.moments) {
            (End::Norm(norm), Some(moments)) => Reversed::of_norm(norm, moments, sums, count),
            (End::Scale(scale), _) => Reversed::of_scale(Some(scale), sums),
            _ => Reversed::of_scale(None, sums),
        }
    }
}

pub(super) fn backward(
    block: &Block<&[f32]>,
    done: &Done,
    gradient: &[f32],
    wanted: &Block<bool>,
) -> Block<Option<Vec<f32>>> {
    let (shape, branches) = (&block.shape, &block.branches);
    let [pixels_in, pixels_out] = [shape.pixels_in(), shape.pixels_out()];
    let [inputs, outputs] = shape.channels;
    let recalled = branches.iter().zip(&done.moments).zip(&done.saved);
    let recalled =
        recalled.map(|((branch, moments), saved)| Recalled::new(block, branch, moments, saved));
    let recalled: Vec<Recalled<'_>> = recalled.collect();

    // The ends: one pass over all maps.
    let maps = branches.iter().zip(&recalled).map(|(branch, recalled)| -> Option<Centred<'_>> {
        (!matches!(branch.end, End::Nothing)).then_some((recalled.map, &recalled.centres))
    });
    let sums = passes::sums(gradient, &maps.collect::<Vec<_>>(), outputs, pixels_out);
    let ends = branches.iter().zip(&recalled).zip(&sums).map(|((branch, recalled), sums)| {
        recalled.reversed(&branch.end, sums, shape.batch * pixels_out)
    });
    let ends: Vec<Reversed> = ends.collect();
    let behind: Vec<Gradient<'_>> =
        ends.iter().zip(&recalled).map(|(end, of)| end.gradient(gradient, of.map)).collect();

    let mut input = wanted.input.then(|| vec![0.0; shape.input_len()]);
    let zeros = |weight: &[f32], wanted: bool| wanted.then(|| vec![0.0; weight.len()]);
    let pairs = || branches.iter().zip(&wanted.branches);
    let weights = pairs().map(|(branch, wanted)| match (&branch.core, &wanted.core) {
        (Core::Conv { weight, .. }, Core::Conv { weight: wanted, .. }) => zeros(weight, *wanted),
        _ => None,
    });
    let mut weights: Vec<Option<Vec<f32>>> = weights.collect();
    // What reaches the first convolutions, behind their norms, and the norms.
    let mut firsts: Vec<Option<(Buffer, Reversed)>> = vec![];
    for (number, (branch, recalled)) in branches.iter().zip(&recalled).enumerate() {
        let Some((first, map, moments)) = recalled.first else {
            match (&branch.core, &mut input) {
                (Core::Average, Some(input)) => spread(shape, &behind[number], inputs, input),
                (Core::Input, Some(input)) => {
                    passes::add(&behind[number], outputs, pixels_out, input);
                }
                _ => {}
            }
            firsts.push(None);
            continue;
        };
        let mut raised = Buffer::zeros(map.len());
        if let Core::Conv { window, weight, .. } = &branch.core {
            let seen = Seen::new(first, map, moments);
            let bundle = second(shape, seen.source(), first.channels(), (*window, weight));
            let weights = vec![weights[number].as_deref_mut()];
            let gradients = Gradients { weights, source: Some(&mut raised) };
            bundle.backward(&behind[number..=number], gradients);
        } else {
            spread(shape, &behind[number], outputs, &mut raised);
        }
        let maps = [Some((map, moments.mean.as_slice()))];
        let sums = passes::sums(&raised, &maps, first.channels(), pixels_in).remove(0);
        let count = shape.batch * pixels_in;
        firsts.push(Some((raised, Reversed::of_norm(&first.norm, moments, &sums, count))));
    }

    let gradients = of_some(block, is_linear, behind.iter().copied());
    let targets = of_some(block, is_linear, weights.iter_mut().map(Option::as_deref_mut));
    let targets = Gradients { weights: targets, source: input.as_deref_mut() };
    linear(block).backward(&gradients, targets);

    let first_weights = pairs().map(|(branch, wanted)| {
        let (first, wanted) = branch.first.as_ref().zip(wanted.first.as_ref())?;
        zeros(first.weight, wanted.weight)
    });
    let mut first_weights: Vec<Option<Vec<f32>>> = first_weights.collect();
    let gradients = recalled.iter().zip(&firsts).filter_map(|(recalled, first)| {
        let ((_, map, _), (raised, reversed)) = recalled.first.zip(first.as_ref())?;
        Some(reversed.gradient(raised, map))
    });
    let gradients: Vec<_> = gradients.collect();
    let targets = first_weights.iter_mut().map(Option::as_deref_mut);
    let targets = of_some(block, |branch| branch.first.is_some(), targets);
    let targets = Gradients { weights: targets, source: input.as_deref_mut() };
    pointwise(block).backward(&gradients, targets);

    let given = |number: usize| {
        matches!(wanted.branches[number].core, Core::Given { map: true }).then(|| {
            let mut map = vec![0.0; gradient.len()];
            passes::add(&behind[number], outputs, pixels_out, &mut map);
            map
        })
    };
    let parts = weights.into_iter().zip(first_weights.into_iter().zip(&firsts)).enumerate();
    let found = parts.map(|(number, (weight, (first_weight, first)))| {
        let (branch, end) = (&block.branches[number], &ends[number]);
        let first = branch.first.as_ref().zip(first.as_ref());
        let first = first.map(|(first, (_, reversed))| First {
            weight: first_weight,
            norm: reversed.norm(&first.norm),
        });
        let core = match &branch.core {
            Core::Conv { window, bias, .. } => {
                let bias = bias.map(|_| Some(end.bias(&branch.end)));
                Core::Conv { window: *window, weight, bias }
            }
            Core::Average => Core::Average,
            Core::Input => Core::Input,
            Core::Given { .. } => Core::Given { map: given(number) },
        };
        Branch { first, core, end: end.end(&branch.end) }
    });
    Block { shape: *shape, branches: found.collect(), input }
}
