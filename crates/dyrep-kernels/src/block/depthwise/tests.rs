//! Random depthwise blocks against the definition.

use super::super::random::{
    Kind, borrowed, forward_error, gradient_error, random_block, random_values,
};
use super::super::{Block, Branch};
use super::{backward, forward, supports};

const CASES: u64 = 200;
/// Of the largest value.
const OUTPUT: f64 = 2e-6;
/// Of the largest value.
const GRADIENT: f64 = 1e-5;

fn run(block: &Block<Vec<f32>>, gradient: &[f32]) -> (Vec<f32>, Block<Option<Vec<f32>>>, f64) {
    let slices = borrowed(block);
    assert!(supports(&slices));
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let moments = forward(&slices, &mut output);
    let error = forward_error(block, &output, &moments);
    (output, backward(&slices, &moments, gradient), error)
}

#[test]
fn outputs_and_gradients_are_the_definition() {
    let (mut forward, mut backward): (f64, f64) = (0.0, 0.0);
    for number in 0..CASES {
        let block = random_block(number, Kind::Depthwise);
        let gradient = random_values(number, block.shape.output_len());
        let (_, gradients, error) = run(&block, &gradient);
        println!(
            "{number} {error:.1e} {:.1e} {:?}",
            gradient_error(&block, &gradient, &gradients),
            block.shape
        );
        forward = forward.max(error);
        backward = backward.max(gradient_error(&block, &gradient, &gradients));
    }
    assert!(forward < OUTPUT && backward < GRADIENT, "{forward:.1e}, {backward:.1e}");
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    use super::super::{MiddleNorm, Norm, Window};
    use crate::{ConvShape, backward_input, backward_weight};
    let best = |f: &mut dyn FnMut()| {
        f();
        (0..9)
            .map(|_| {
                let t = std::time::Instant::now();
                f();
                t.elapsed().as_secs_f64()
            })
            .fold(f64::MAX, f64::min)
    };
    for (c, hw, k, s) in [
        (128, 32, 3, 1),
        (64, 64, 3, 1),
        (64, 56, 3, 2),
        (256, 14, 3, 1),
        (512, 7, 3, 1),
        (64, 56, 5, 1),
    ] {
        if std::env::var("CASE").is_ok_and(|case| case != format!("{c}-{k}-{s}")) {
            continue;
        }
        let p = k / 2;
        let shape = ConvShape {
            batch: 16,
            channels: [c; 2],
            input: [hw; 2],
            kernel: [k; 2],
            stride: [s; 2],
            dilation: [1; 2],
            padding: [(p, p); 2],
            groups: c,
        };
        let norm = || Norm { gamma: vec![0.9; c], beta: vec![0.1; c], epsilon: 1e-5 };
        let middle = || MiddleNorm {
            norm: norm(),
            running_mean: vec![0.1; c],
            running_variance: vec![0.9; c],
            momentum: 0.1,
        };
        let conv = |start: [usize; 2], size: [usize; 2]| Branch::Conv {
            window: Window { start, size },
            weight: random_values(5, c * size[0] * size[1]),
            bias: None,
            norm: norm(),
        };
        let mut branches = vec![
            conv([0, 0], [k, k]),
            conv([p, p], [1, 1]),
            Branch::Sequence {
                pointwise: vec![0.7; c],
                middle: middle(),
                weight: random_values(9, c * k * k),
                bias: None,
                norm: norm(),
            },
            Branch::Average { first: Some((vec![0.7; c], middle())), norm: norm() },
            conv([p, 0], [1, k]),
            conv([0, p], [k, 1]),
        ];
        if s == 1 {
            branches.push(Branch::Identity { norm: norm() });
        }
        let block = Block { shape, input: random_values(1, shape.input_len()), branches };
        let slices = borrowed(&block);
        let g = random_values(2, shape.output_len());
        let w = random_values(3, shape.weight_len());
        let (mut y, mut dx, mut dw) = (g.clone(), block.input.clone(), w.clone());
        let mut moments = Vec::new();
        let mut times = [f64::MAX; 4];
        for _ in 0..2 {
            let plain = best(&mut || {
                crate::forward(&shape, &block.input, &w, None, &mut y).unwrap_or_default();
                backward_input(&shape, &g, &w, &mut dx).unwrap_or_default();
                backward_weight(&shape, &block.input, &g, &mut dw).unwrap_or_default();
            });
            let f = best(&mut || moments = forward(&slices, &mut y));
            let b = best(&mut || drop(backward(&slices, &moments, &g)));
            times = [times[0].min(plain), times[1].min(f), times[2].min(b), 0.0];
        }
        let [plain, f, b, _] = times;
        let gb = 8e-9 * (shape.input_len() + shape.output_len()) as f64;
        println!(
            "c{c} {hw} k{k} s{s}: plain {:.2} ms, block {:.2} + {:.2} = {:.2} ms, {:.1} GB/s, ratio {:.2}",
            plain * 1e3,
            f * 1e3,
            b * 1e3,
            (f + b) * 1e3,
            gb / (f + b),
            (f + b) / plain
        );
    }
}
