//! How long a block takes beside its plain convolution: a measurement, not a test.
//!
//! `cargo test --release -p dyrep-kernels speed -- --ignored --nocapture`

use std::time::Instant;

use super::super::random::{borrowed, random_values};
use super::super::{Block, Branch, MiddleNorm, Norm, Window};
use super::{backward, forward};
use crate::{ConvShape, backward_input, backward_weight};

/// Channels, size, kernel and stride.
const CASES: [[usize; 4]; 7] = [
    [128, 32, 3, 1],
    [64, 64, 3, 1],
    [64, 56, 3, 2],
    [256, 14, 3, 1],
    [512, 7, 3, 1],
    [64, 56, 5, 1],
    [64, 56, 5, 2],
];

/// Seconds of the fastest run.
fn best(mut f: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    (0..10).map(run).fold(f64::INFINITY, f64::min)
}

fn shape([channels, size, kernel, stride]: [usize; 4]) -> ConvShape {
    ConvShape {
        batch: 16,
        channels: [channels; 2],
        input: [size; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        padding: [(kernel / 2, kernel / 2); 2],
        groups: channels,
    }
}

/// All seven branches, six with a stride.
fn block(shape: ConvShape) -> Block<Vec<f32>> {
    let (channels, [high, wide]) = (shape.groups, shape.kernel);
    let norm = || Norm { gamma: vec![0.9; channels], beta: vec![0.1; channels], epsilon: 1e-5 };
    let middle = || MiddleNorm {
        norm: norm(),
        running_mean: vec![0.1; channels],
        running_variance: vec![0.9; channels],
        momentum: 0.1,
    };
    let conv = |start: [usize; 2], size: [usize; 2]| Branch::Conv {
        window: Window { start, size },
        weight: random_values(5, channels * size[0] * size[1]),
        bias: None,
        norm: norm(),
    };
    let mut branches = vec![
        conv([0, 0], [high, wide]),
        conv([high / 2, wide / 2], [1, 1]),
        Branch::Sequence {
            pointwise: vec![0.7; channels],
            middle: middle(),
            weight: random_values(9, channels * high * wide),
            bias: None,
            norm: norm(),
        },
        Branch::Average { first: Some((vec![0.7; channels], middle())), norm: norm() },
        conv([high / 2, 0], [1, wide]),
        conv([0, wide / 2], [high, 1]),
    ];
    if shape.stride == [1, 1] {
        branches.push(Branch::Identity { norm: norm() });
    }
    Block { shape, input: random_values(1, shape.input_len()), branches }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    for case in CASES {
        let shape = shape(case);
        let block = block(shape);
        let slices = borrowed(&block);
        let g = random_values(2, shape.output_len());
        let w = random_values(3, shape.weight_len());
        let (mut y, mut dx, mut dw) = (g.clone(), block.input.clone(), w.clone());
        let mut moments = Vec::new();
        let mut times = [f64::INFINITY; 5];
        // In turns, so that what else the machine does meets all of them.
        for _ in 0..3 {
            let now = [
                best(|| crate::forward(&shape, &block.input, &w, None, &mut y).unwrap()),
                best(|| backward_input(&shape, &g, &w, &mut dx).unwrap()),
                best(|| backward_weight(&shape, &block.input, &g, &mut dw).unwrap()),
                best(|| moments = forward(&slices, &mut y)),
                best(|| drop(backward(&slices, &moments, &g))),
            ];
            times.iter_mut().zip(now).for_each(|(time, now)| *time = time.min(now));
        }
        let rate = |time: f64| 2e-9 * shape.macs() as f64 / time;
        let [plain, whole] = [times[..3].iter().sum::<f64>(), times[3..].iter().sum()];
        let bytes = 8e-9 * (shape.input_len() + shape.output_len()) as f64;
        let [forward, input, weight, there, back] = times;
        println!(
            "{case:?}: plain {:.2} ms ({:.1}, {:.1}, {:.1} GFLOP/s), block {:.2} + {:.2} ms, {:.1} GB/s, {:.2} times",
            plain * 1e3,
            rate(forward),
            rate(input),
            rate(weight),
            there * 1e3,
            back * 1e3,
            bytes / whole,
            whole / plain
        );
    }
}
