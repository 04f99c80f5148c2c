//! Whole blocks in training beside their plain convolution: forward and backward, kernels alone.
//!
//! ```text
//! cargo bench --bench block
//! ```
//!
//! Each row is one 3×3 layer at one size: the convolution with its batch norm as a block of one branch, the four
//! branches of DBB and all that the layer can have, in turns, medians over the rounds; then the sum of all their kernels
//! and its way back, which is what a block without norms adds to the plain one. Below them blocks of other kinds: repeated
//! kernels, dilated ones in a large depthwise kernel, and branches without norms.

// A program: printing is its work.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use dyrep_benches::{depthwise, layer, median, peak};
use dyrep_kernels::block::{
    Block, Branch, By, Core, End, First, Norm, Running, Window, backward, forward,
};
use dyrep_kernels::{ConvShape, Form, KernelSum, Term};

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
    Norm {
        gamma: vec![1.0; channels],
        beta: vec![0.0; channels],
        epsilon: 1e-5,
        by: By::Batch(Running {
            mean: vec![0.0; channels],
            variance: vec![1.0; channels],
            momentum: 0.1,
            unbias: 1.0,
        }),
    }
}

/// A convolution with some taps of a layer's kernel, as a branch that ends in a norm.
fn conv(shape: &ConvShape, window: Window) -> Branch<Vec<f32>> {
    let [inputs, outputs] = shape.channels;
    let weight = values(outputs * inputs / shape.groups * window.count());
    let core = Core::Conv { window, weight, bias: None };
    Branch { first: None, core, end: End::Norm(norm(outputs)) }
}

/// The first `count` of k×k, 1×1, 1×1 → k×k, average, 1×k, k×1 and identity that exist.
fn block(shape: ConvShape, count: usize) -> Block<Vec<f32>> {
    let [inputs, outputs] = shape.channels;
    let each = inputs / shape.groups;
    let conv = |start, size| conv(&shape, Window { start, size, step: [1, 1] });
    let first = |channels: usize| First { weight: values(channels * each), norm: norm(channels) };
    let average = (shape.groups == 1).then(|| first(outputs));
    let mut branches = vec![
        conv([0, 0], [3, 3]),
        conv([1, 1], [1, 1]),
        Branch { first: Some(first(inputs)), ..conv([0, 0], [3, 3]) },
        Branch { first: average, core: Core::Average, end: End::Norm(norm(outputs)) },
        conv([1, 0], [1, 3]),
        conv([0, 1], [3, 1]),
    ];
    if shape.channels[0] == shape.channels[1] && shape.stride == [1, 1] {
        branches.push(identity(outputs));
    }
    branches.truncate(count);
    Block { shape, input: values(shape.input_len()), branches }
}

/// The kernels of all those branches, summed: each with a scale.
fn kernel_sum(shape: &ConvShape) -> KernelSum<Vec<f32>> {
    let [inputs, outputs] = shape.channels;
    let each = inputs / shape.groups;
    let kernel = |start, size: [usize; 2]| {
        let window = Window { start, size, step: [1, 1] };
        Form::Kernel { window, weight: values(outputs * each * window.count()) }
    };
    let window = Window::whole(shape.kernel);
    let (first, weight) = (values(inputs * each), values(outputs * each * window.count()));
    let mut forms = vec![
        kernel([0, 0], [3, 3]),
        kernel([1, 1], [1, 1]),
        Form::Product { window, first, weight },
        Form::Average { first: values(outputs * each) },
        kernel([1, 0], [1, 3]),
        kernel([0, 1], [3, 1]),
    ];
    if inputs == outputs && shape.stride == [1, 1] {
        forms.push(Form::Identity { tap: 4 });
    }
    let terms = forms.into_iter().map(|form| Term { form, scale: Some(values(outputs)) });
    let terms = terms.collect();
    KernelSum { channels: shape.channels, groups: shape.groups, kernel: shape.kernel, terms }
}

/// Milliseconds of a sum and of its way back, medians over the rounds.
fn sum_times(sum: &KernelSum<Vec<f32>>) -> [f64; 2] {
    let gradient = values(sum.len());
    let slices = sum.as_ref().map(Vec::as_slice);
    let wanted = sum.as_ref().map(|_| true);
    let mut times = [vec![], vec![]];
    for round in 0..=ROUNDS {
        let started = Instant::now();
        drop(slices.sum().unwrap_or_else(|e| panic!("{e}")));
        let between = Instant::now();
        drop(slices.backward(&gradient, &wanted).unwrap_or_else(|e| panic!("{e}")));
        if round > 0 {
            let seconds = [between - started, between.elapsed()].map(|time| time.as_secs_f64());
            times.iter_mut().zip(seconds).for_each(|(times, time)| times.push(time));
        }
    }
    times.map(|times| 1e3 * median(times))
}

fn identity(channels: usize) -> Branch<Vec<f32>> {
    Branch { first: None, core: Core::Input, end: End::Norm(norm(channels)) }
}

/// Blocks that the table does not have, each with a name.
fn others() -> Vec<(&'static str, Block<Vec<f32>>)> {
    let one = |start: usize| Window { start: [start; 2], size: [1, 1], step: [1, 1] };
    let whole = Window::whole([3, 3]);

    let shape = layer(8, [128, 128], 28, 3, 1);
    let mut repeated: Vec<_> = (0..4).map(|_| conv(&shape, whole)).collect();
    repeated.extend([conv(&shape, one(1)), identity(128)]);
    let repeated = Block { shape, input: values(shape.input_len()), branches: repeated };

    // As UniRepLKNet has them: so many taps a side, so far from each other.
    let shape = ConvShape { kernel: [13; 2], padding: [(6, 6); 2], ..depthwise(16, 128, 32, 1) };
    let dilated = [(13, 1), (5, 1), (7, 2), (3, 3), (3, 4), (3, 5)].map(|(size, step)| {
        let start = [6 - size / 2 * step; 2];
        conv(&shape, Window { start, size: [size; 2], step: [step; 2] })
    });
    let input = values(shape.input_len());
    let dilated = Block { shape, input, branches: dilated.to_vec() };

    let shape = layer(8, [128, 128], 28, 3, 1);
    let free = [conv(&shape, whole), conv(&shape, whole), conv(&shape, one(1)), identity(128)];
    let ends = [End::Nothing, End::Scale(vec![0.5; 128]), End::Nothing, End::Nothing];
    let free = free.into_iter().zip(ends).map(|(branch, end)| Branch { end, ..branch });
    let free = Block { shape, input: values(shape.input_len()), branches: free.collect() };
    vec![
        ("4 × 3×3, 1×1, identity; 128 → 128, 8 × 28²", repeated),
        ("13×13 and 5 dilated, depthwise, 128 × 32²", dilated),
        ("2 × 3×3, 1×1, identity, no norms; 128 → 128, 8 × 28²", free),
    ]
}

/// Seconds of a forward and of a backward pass.
fn pass(block: &Block<&[f32]>, output: &mut [f32], gradient: &[f32]) -> [f64; 2] {
    let started = Instant::now();
    let done = forward(block, output, true).unwrap_or_else(|e| panic!("{e}"));
    let between = Instant::now();
    let wanted = block.clone().map(|_| true);
    let found = backward(block, &done, gradient, &wanted);
    drop(found.unwrap_or_else(|e| panic!("{e}")));
    [between - started, between.elapsed()].map(|time| time.as_secs_f64())
}

/// Milliseconds of both passes through each block, in turns, medians over the rounds.
fn times<const N: usize>(blocks: &[Block<Vec<f32>>; N]) -> [[f64; 2]; N] {
    let gradient = values(blocks[0].shape.output_len());
    let mut output = vec![0.0; gradient.len()];
    let mut times: [[Vec<f64>; 2]; N] = std::array::from_fn(|_| Default::default());
    for round in 0..=ROUNDS {
        for (block, times) in blocks.iter().zip(&mut times) {
            let seconds = pass(&block.as_ref().map(Vec::as_slice), &mut output, &gradient);
            // The first round warms up.
            if round > 0 {
                times.iter_mut().zip(seconds).for_each(|(times, time)| times.push(time));
            }
        }
    }
    times.map(|times| times.map(|times| 1e3 * median(times)))
}

fn main() {
    println!("matrix products: {:.0} GFLOP/s; milliseconds, forward + backward", 1e-9 * peak());
    let columns = ["plain", "DBB", "all", "all/plain", "sum", "(plain + sum)/plain"];
    let [plain, dbb, all, ratio, sum, online] = columns;
    println!("{:<32}{plain:>16}{dbb:>16}{all:>16}{ratio:>10}{sum:>14}{online:>20}", "");
    for (name, shape) in shapes() {
        let times = times(&[1, 4, 7].map(|count| block(shape, count)));
        let total = times.map(|[forward, backward]| forward + backward);
        let [plain, dbb, all] =
            times.map(|[forward, backward]| format!("{forward:.1} + {backward:.1}"));
        let ratio = total[2] / total[0];
        let [there, back] = sum_times(&kernel_sum(&shape));
        let online = 1.0 + (there + back) / total[0];
        let sum = format!("{there:.1} + {back:.1}");
        println!("{name:<32}{plain:>16}{dbb:>16}{all:>16}{ratio:>10.2}{sum:>14}{online:>20.2}");
    }
    for (name, block) in others() {
        let [[forward, backward]] = times(&[block]);
        println!("{name:<56}{:>16}", format!("{forward:.1} + {backward:.1}"));
    }
}
