//! Random depthwise blocks against the definition.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;

use super::super::compare::{borrowed, forward_error, gradient_error};
use super::super::random::{Kind, random_block, random_norm, random_values};
use super::super::{Block, Branch, By, Core, Done, End, Window};
use super::call::{Call, Scratch, Tuning};
use super::{backward, forward, supports};
use crate::shape::ConvShape;

const CASES: u64 = 200;
/// Of the largest value. The largest error over the cases below is 4.5e-7.
const OUTPUT: f64 = 1e-6;
/// Of the largest value. The largest error over the cases below is 3.0e-6.
const GRADIENT: f64 = 1e-5;
/// Of outputs and moments, and of gradients, where means are 4.5 to 10,000 deviations. The largest are 2.0e-7 and 1.3e-6.
const FAR: [f64; 2] = [1e-6, 1e-5];
/// The same where they are just not large enough to be taken off. The largest are 8.4e-7 and 6.9e-7.
const NEAR: [f64; 2] = [5e-6, 1e-5];
/// Of a variance, around the mean. The largest error is 2.0e-7; around zero it is 3.6e-4, 0.1 and 2.1.
const VARIANCE: f64 = 1e-6;

type Gradients = Block<Option<Vec<f32>>>;

/// By pairs of taps, and by branches' values.
const WAYS: [usize; 2] = [usize::MAX >> 32, 0];

fn run(block: &Block<Vec<f32>>, gradient: &[f32], values: usize) -> (Vec<f32>, Done, Gradients) {
    // As often as not more than one frame.
    let frame = if block.input.len().is_multiple_of(2) { 1 } else { Tuning::MEASURED.frame };
    let tuning = Tuning { frame, values };
    let slices = borrowed(block);
    assert!(supports(&slices));
    // What was there before must not matter.
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let done = forward(tuning, &slices, &mut output);
    let wanted = slices.clone().map(|_| true);
    let gradients = backward(tuning, &slices, &done.moments, gradient, &wanted);
    (output, done, gradients)
}

fn errors(block: &Block<Vec<f32>>, number: u64) -> [f64; 2] {
    let gradient = random_values(number, block.shape.output_len());
    let off = WAYS.map(|way| {
        let (output, done, gradients) = run(block, &gradient, way);
        [forward_error(block, &output, &done.moments), gradient_error(block, &gradient, &gradients)]
    });
    [0, 1].map(|what| off[0][what].max(off[1][what]))
}

#[test]
fn outputs_and_gradients_are_the_definition() {
    let mut largest: [f64; 2] = [0.0; 2];
    for number in 0..CASES {
        let block = random_block(number, Kind::Depthwise);
        let [output, gradient] = errors(&block, number);
        assert!(output < OUTPUT, "output off by {output:.1e} in case {number}, {:?}", block.shape);
        assert!(
            gradient < GRADIENT,
            "gradient off by {gradient:.1e} in case {number}, {:?}",
            block.shape
        );
        largest = [largest[0].max(output), largest[1].max(gradient)];
    }
    println!("largest errors {largest:?}");
    assert!(largest.iter().all(|off| *off > 0.0), "rounding would be seen");
}

#[test]
fn the_border_behind_a_middle_norm_is_seen() {
    // Another running mean moves the images of zero and nothing else.
    let is_bordered = |block: &Block<Vec<f32>>| {
        let whole = Window::whole(block.shape.kernel);
        let bordered = |branch: &Branch<_>| {
            let is_whole = matches!(branch.core, Core::Conv { window, .. } if window == whole);
            branch.first.is_some() && is_whole
        };
        block.shape.padding != [(0, 0); 2] && block.branches.iter().any(bordered)
    };
    let blocks = (0..CASES).map(|number| random_block(number, Kind::Depthwise)).filter(is_bordered);
    let mut noticed = 0;
    for block in blocks.take(10) {
        let gradient = random_values(1, block.shape.output_len());
        let mut other = block.clone();
        for branch in &mut other.branches {
            let Some(first) = &mut branch.first else { continue };
            if let By::Batch(running) = &mut first.norm.by {
                running.mean.iter_mut().for_each(|mean| *mean += 0.5);
                running.momentum = 0.1;
            }
        }
        let (output, done, gradients) = run(&other, &gradient, WAYS[0]);
        assert!(forward_error(&other, &output, &done.moments) < OUTPUT);
        let wrong_output = forward_error(&block, &output, &done.moments) > 100.0 * OUTPUT;
        let wrong_gradient = gradient_error(&block, &gradient, &gradients) > 10.0 * GRADIENT;
        noticed += usize::from(wrong_output && wrong_gradient);
    }
    assert!(noticed >= 5, "{noticed} of 10");
}

/// A block of which every second input channel lies so many deviations from zero.
///
/// All branches end in norms, so that nothing large hides what is wrong elsewhere; without a `border` not even the
/// taps beyond it are different from the others.
fn far_block(number: u64, deviations: f32, border: bool) -> Option<Block<Vec<f32>>> {
    let mut block = random_block(number, Kind::Depthwise);
    let groups = block.shape.groups;
    block.branches.retain(Branch::ends_in_norm);
    if !border {
        block.shape.padding = [(0, 0); 2];
        // Maps that were given, and what needs the border to keep its size, do not fit any more.
        let fits = |branch: &Branch<_>| matches!(branch.core, Core::Conv { .. } | Core::Average);
        block.branches.retain(fits);
    }
    // Uniform values from -1 to 1.5 deviate by 0.72.
    for (place, plane) in block.input.chunks_exact_mut(block.shape.pixels_in()).enumerate() {
        if (place % groups).is_multiple_of(2) {
            plane.iter_mut().for_each(|value| *value += 0.72 * deviations);
        }
    }
    let is_block = !block.branches.is_empty() && block.shape.check().is_ok();
    (is_block && block.shape.batch * block.shape.pixels_out() >= 8).then_some(block)
}

#[test]
fn a_mean_far_from_zero_costs_no_accuracy() {
    for deviations in [3.9, 4.5, 100.0, 1000.0, 10_000.0] {
        for border in [true, false] {
            let most = if deviations < 4.0 { NEAR } else { FAR };
            let mut largest: [f64; 2] = [0.0; 2];
            let blocks = (0..).filter_map(|number| far_block(number, deviations, border));
            for (number, block) in (0..).zip(blocks.take(20)) {
                let off = errors(&block, number);
                let fine = off.iter().zip(most).all(|(off, most)| *off < most);
                assert!(fine, "{off:?} at {deviations}, border {border}, {:?}", block.shape);
                largest = [0, 1].map(|i| largest[i].max(off[i]));
            }
            println!("largest errors at {deviations} deviations, border {border}: {largest:?}");
        }
    }
}

#[test]
fn sums_around_zero_would_lose_the_variance() {
    for (deviations, lost) in [(100.0, 1e-5), (1000.0, 1e-3), (10_000.0, 1e-1)] {
        let mut block = random_block(0, Kind::Depthwise);
        let shape =
            ConvShape { batch: 2, channels: [1, 1], groups: 1, input: [31, 33], ..block.shape };
        block.shape = ConvShape { kernel: [1, 1], padding: [(0, 0); 2], stride: [1, 1], ..shape };
        let values = random_values(1, block.shape.input_len());
        block.input = values.iter().map(|value| value + 0.58 * deviations).collect();
        let wide = || block.input.iter().map(|value| f64::from(*value));
        let count = wide().count() as f64;
        let mean = wide().sum::<f64>() / count;
        let variance = wide().map(|value| (value - mean).powi(2)).sum::<f64>() / count;

        let slices = borrowed(&block);
        let call = Call::new(&slices, Tuning::MEASURED);
        let mut scratch = Scratch::new(&call);
        let mut off = |around: f32| {
            let sums = call.sums(0, around, &mut scratch);
            let (found, _) = call.input_moment(0, Some((&sums, around)));
            ((found.variance / variance - 1.0).abs(), super::centre(&sums, &call.geometry))
        };
        let (around_zero, centre) = off(0.0);
        let (around_mean, _) = off(centre);
        println!("variance off by {around_zero:.1e} and {around_mean:.1e} at {deviations}");
        assert!(around_zero > lost && around_mean < VARIANCE, "{around_zero} {around_mean}");
    }
}

#[test]
fn a_large_kernel_of_dilated_ones_is_the_definition() {
    let shape = ConvShape {
        batch: 2,
        channels: [2, 2],
        input: [15, 17],
        kernel: [13, 13],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(6, 6); 2],
        groups: 2,
    };
    // As UniRepLKNet has them: 5, 7, 3, 3 and 3 taps a side, so far from each other.
    let windows = [(5, 1), (7, 2), (3, 3), (3, 4), (3, 5)].map(|(size, step)| {
        let start = [(13 - ((size - 1) * step + 1)) / 2; 2];
        Window { start, size: [size; 2], step: [step; 2] }
    });
    let draw = &mut ChaCha8Rng::seed_from_u64(5);
    let mut branch = |window: Window| {
        let weight = random_values(window.count() as u64, 2 * window.count());
        let core = Core::Conv { window, weight, bias: None };
        Branch { first: None, core, end: End::Norm(random_norm(draw, 2)) }
    };
    let mut branches = vec![branch(Window::whole([13, 13]))];
    branches.extend(windows.map(branch));
    let block = Block { shape, input: random_values(1, shape.input_len()), branches };
    let off = errors(&block, 3);
    println!("errors {off:?}");
    assert!(off[0] < OUTPUT && off[1] < GRADIENT, "{off:?}");
}

#[test]
fn threads_do_not_change_a_bit() {
    for number in 0..20 {
        let block = random_block(number, Kind::Depthwise);
        let gradient = random_values(number, block.shape.output_len());
        let [one, three] = [1, 3].map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| WAYS.map(|way| run(&block, &gradient, way)))
        });
        assert_eq!(one, three, "case {number}");
    }
}

#[test]
fn a_single_value_is_its_shift() {
    // One value has no variance: the norms give their shifts, and nothing flows back.
    let mut block = random_block(0, Kind::Depthwise);
    let channels = block.shape.groups;
    (block.shape.batch, block.shape.input) = (1, [1, 1]);
    (block.shape.kernel, block.shape.padding) = ([1, 1], [(0, 0); 2]);
    block.input = random_values(7, channels);
    let mut norm = random_norm(&mut ChaCha8Rng::seed_from_u64(1), channels);
    norm.beta = vec![0.25; channels];
    block.branches = vec![Branch { first: None, core: Core::Input, end: End::Norm(norm) }];
    let (output, _, gradients) = run(&block, &random_values(8, channels), WAYS[0]);
    assert!(output.iter().all(|value| (value - 0.25).abs() < 1e-5), "{output:?}");
    let input = gradients.input.unwrap();
    assert!(input.iter().all(|value| value.abs() < 1e-4), "{input:?}");
}

#[test]
fn channels_that_meet_are_not_supported() {
    let mut block = random_block(0, Kind::Depthwise);
    block.shape.channels[1] *= 2;
    assert!(!supports(&block));
    (block.shape.channels, block.shape.groups) = ([4, 4], 2);
    assert!(!supports(&block));
}
