//! Whole blocks in training beside their plain convolution: forward and backward, kernels alone.
//!
//! ```text
//! cargo bench --bench block
//! ```
//!
//! Each row is one 3×3 layer at one size: the convolution with its batch norm as a block of one branch, the four
//! branches of DBB and all that the layer can have, in turns, medians over the rounds.

// A program: printing is its work.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use dyrep_benches::{depthwise, layer, median, peak};
use dyrep_kernels::ConvShape;
use dyrep_kernels::block::{Block, Branch, MiddleNorm, Norm, Window, backward, forward};

const ROUNDS: usize = 7;

fn shapes() -> Vec<(&'static str, ConvShape)> {
    vec![
        ("64 → 64, 16 × 16²", layer(16, [64, 64], 16, 3, 1)),
        ("64 → 128, stride 2, 16 × 16²", layer(16, [64, 128], 16, 3, 2)),
        ("128 → 128, 16 × 8²", layer(16, [128, 128], 8, 3, 1)),
        ("256 → 256, 16 × 4²", layer(16, [256, 256], 4, 3, 1)),
        ("512 → 512, 16 × 2²", layer(16, [512, 512], 2, 3, 1)),
        ("64 → 64, 8 × 56²", layer(8, [64, 64], 56, 3, 1)),
        ("128 → 128, 8 × 28²", layer(8, [128, 128], 28, 3, 1)),
        ("256 → 256, 8 × 14²", layer(8, [256, 256], 14, 3, 1)),
        ("512 → 512, 8 × 7²", layer(8, [512, 512], 7, 3, 1)),
        ("depthwise, 128 × 32²", depthwise(16, 128, 32, 1)),
        ("depthwise, 128 × 32², stride 2", depthwise(16, 128, 32, 2)),
        ("depthwise, 512 × 8²", depthwise(16, 512, 8, 1)),
    ]
}

/// As many values, none of them special.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|place| ((place * 7919) % 1013) as f32 / 1013.0 - 0.5).collect()
}

fn norm(channels: usize) -> Norm<Vec<f32>> {
    Norm { gamma: vec![1.0; channels], beta: vec![0.0; channels], epsilon: 1e-5 }
}

fn middle(channels: usize) -> MiddleNorm<Vec<f32>> {
    MiddleNorm {
        norm: norm(channels),
        running_mean: vec![0.0; channels],
        running_variance: vec![1.0; channels],
        momentum: 0.1,
    }
}

/// The first `count` of k×k, 1×1, 1×1 → k×k, average, 1×k, k×1 and identity that exist.
fn block(shape: ConvShape, count: usize) -> Block<Vec<f32>> {
    let [inputs, outputs] = shape.channels;
    let each = inputs / shape.groups;
    let conv = |start: [usize; 2], size: [usize; 2]| Branch::Conv {
        window: Window { start, size },
        weight: values(outputs * each * size[0] * size[1]),
        bias: None,
        norm: norm(outputs),
    };
    let mut branches = vec![
        conv([0, 0], [3, 3]),
        conv([1, 1], [1, 1]),
        Branch::Sequence {
            pointwise: values(inputs * each),
            middle: middle(inputs),
            weight: values(outputs * each * 9),
            bias: None,
            norm: norm(outputs),
        },
        Branch::Average {
            first: (shape.groups == 1).then(|| (values(outputs * each), middle(outputs))),
            norm: norm(outputs),
        },
        conv([1, 0], [1, 3]),
        conv([0, 1], [3, 1]),
    ];
    if shape.channels[0] == shape.channels[1] && shape.stride == [1, 1] {
        branches.push(Branch::Identity { norm: norm(outputs) });
    }
    branches.truncate(count);
    Block { shape, input: values(shape.input_len()), branches }
}

/// Seconds of a forward and of a backward pass.
fn pass(block: &Block<&[f32]>, output: &mut [f32], gradient: &[f32]) -> [f64; 2] {
    let started = Instant::now();
    let (moments, saved) = forward(block, output, true).unwrap_or_else(|e| panic!("{e}"));
    let between = Instant::now();
    let saved: Vec<&[f32]> = saved.iter().map(|map| &map[..]).collect();
    let wanted = block.clone().map(|_| true);
    let found = backward(block, &moments, &saved, gradient, &wanted);
    drop(found.unwrap_or_else(|e| panic!("{e}")));
    [between - started, between.elapsed()].map(|time| time.as_secs_f64())
}

fn main() {
    println!("matrix products: {:.0} GFLOP/s; milliseconds, forward + backward", 1e-9 * peak());
    println!("{:<32}{:>16}{:>16}{:>16}{:>10}", "", "plain", "DBB", "all", "all/plain");
    for (name, shape) in shapes() {
        let blocks = [1, 4, 7].map(|count| block(shape, count));
        let gradient = values(shape.output_len());
        let mut output = vec![0.0; shape.output_len()];
        let mut times: [[Vec<f64>; 2]; 3] = Default::default();
        for round in 0..=ROUNDS {
            for (block, times) in blocks.iter().zip(&mut times) {
                let seconds = pass(&block.as_ref().map(Vec::as_slice), &mut output, &gradient);
                // The first round warms up.
                if round > 0 {
                    times.iter_mut().zip(seconds).for_each(|(times, time)| times.push(time));
                }
            }
        }
        let times = times.map(|times| times.map(|times| 1e3 * median(times)));
        let total = times.map(|[forward, backward]| forward + backward);
        let [plain, dbb, all] =
            times.map(|[forward, backward]| format!("{forward:.1} + {backward:.1}"));
        let ratio = total[2] / total[0];
        println!("{name:<32}{plain:>16}{dbb:>16}{all:>16}{ratio:>10.2}");
    }
}
