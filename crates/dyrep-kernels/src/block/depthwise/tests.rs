//! Random depthwise blocks against the definition.

use rayon::ThreadPoolBuilder;

use super::super::random::{
    Kind, borrowed, forward_error, gradient_error, random_block, random_values,
};
use super::super::{Block, Branch, Moments};
use super::backward::backward_in;
use super::{FRAME, forward_in, supports};

const CASES: u64 = 200;
/// Of the largest value. The largest error over the cases below is 4.1e-7.
const OUTPUT: f64 = 1e-6;
/// Of the largest value. The largest error over the cases below is 1.7e-6.
const GRADIENT: f64 = 1e-5;

type Gradients = Block<Option<Vec<f32>>>;

fn run(block: &Block<Vec<f32>>, gradient: &[f32]) -> (Vec<f32>, Vec<Moments>, Gradients) {
    // As often as not more than one frame.
    let frame = if block.input.len().is_multiple_of(2) { 1 } else { FRAME };
    let slices = borrowed(block);
    assert!(supports(&slices));
    // What was there before must not matter.
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let moments = forward_in(frame, &slices, &mut output);
    let gradients = backward_in(frame, &slices, &moments, gradient);
    (output, moments, gradients)
}

#[test]
fn outputs_and_gradients_are_the_definition() {
    let mut largest: [f64; 2] = [0.0; 2];
    for number in 0..CASES {
        let block = random_block(number, Kind::Depthwise);
        let gradient = random_values(number, block.shape.output_len());
        let (output, moments, gradients) = run(&block, &gradient);
        let off = forward_error(&block, &output, &moments);
        assert!(off < OUTPUT, "output off by {off:.1e} in case {number}, {:?}", block.shape);
        largest[0] = largest[0].max(off);
        let off = gradient_error(&block, &gradient, &gradients);
        assert!(off < GRADIENT, "gradient off by {off:.1e} in case {number}, {:?}", block.shape);
        largest[1] = largest[1].max(off);
    }
    assert!(largest.iter().all(|off| *off > 0.0), "rounding would be seen");
}

#[test]
fn the_border_behind_a_middle_norm_is_seen() {
    // Another running mean moves the images of zero and nothing else.
    let is_bordered = |block: &Block<Vec<f32>>| {
        let sequence = |branch: &Branch<_>| matches!(branch, Branch::Sequence { .. });
        block.shape.padding != [(0, 0); 2] && block.branches.iter().any(sequence)
    };
    let blocks = (0..CASES).map(|number| random_block(number, Kind::Depthwise)).filter(is_bordered);
    let mut noticed = 0;
    for block in blocks.take(10) {
        let gradient = random_values(1, block.shape.output_len());
        let mut other = block.clone();
        for branch in &mut other.branches {
            if let Branch::Sequence { middle, .. } = branch {
                middle.running_mean.iter_mut().for_each(|mean| *mean += 0.5);
                middle.momentum = 0.1;
            }
        }
        let (output, moments, gradients) = run(&other, &gradient);
        assert!(forward_error(&other, &output, &moments) < OUTPUT);
        let wrong_output = forward_error(&block, &output, &moments) > 100.0 * OUTPUT;
        let wrong_gradient = gradient_error(&block, &gradient, &gradients) > 10.0 * GRADIENT;
        noticed += usize::from(wrong_output && wrong_gradient);
    }
    assert!(noticed >= 5, "{noticed} of 10");
}

#[test]
fn threads_do_not_change_a_bit() {
    for number in 0..20 {
        let block = random_block(number, Kind::Depthwise);
        let gradient = random_values(number, block.shape.output_len());
        let [one, three] = [1, 3].map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&block, &gradient))
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
    let mut norm = block.branches[0].last_norm().clone();
    norm.beta = vec![0.25; channels];
    block.branches = vec![Branch::Identity { norm }];
    let (output, _, gradients) = run(&block, &random_values(8, channels));
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
