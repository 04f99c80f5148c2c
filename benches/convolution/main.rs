//! Convolutions of well-known networks: ours beside Burn's flex backend, and the machine's peak.
//!
//! ```text
//! cargo bench --bench convolution
//! ```
//!
//! Each row is one layer at one size: forward, gradient of the input and gradient of the weight, in turns, medians
//! over the rounds. Rates count the arithmetic of the definition, so Winograd's way may be faster than the machine
//! multiplies; the first line says how fast that is, by the matrix products that everything is made of.

// A program: printing is its work.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use dyrep_benches::{depthwise, layer, median, peak};
use dyrep_kernels::{ConvShape, backward, forward};

const ROUNDS: usize = 7;

fn shapes() -> Vec<(&'static str, ConvShape)> {
    vec![
        ("ResNet-18 stem, 64×64", layer(16, [3, 64], 64, 7, 2)),
        ("ResNet-18 layer1, 64×64", layer(16, [64, 64], 16, 3, 1)),
        ("ResNet-18 layer2, strided", layer(16, [64, 128], 16, 3, 2)),
        ("ResNet-18 layer2, 64×64", layer(16, [128, 128], 8, 3, 1)),
        ("ResNet-18 layer3, 64×64", layer(16, [256, 256], 4, 3, 1)),
        ("ResNet-18 layer4, 64×64", layer(16, [512, 512], 2, 3, 1)),
        ("ResNet-18 layer1, 224×224", layer(8, [64, 64], 56, 3, 1)),
        ("ResNet-18 layer3, 224×224", layer(8, [256, 256], 14, 3, 1)),
        ("VGG conv1_2, 224×224", layer(1, [64, 64], 224, 3, 1)),
        ("1×1 of a bottleneck", layer(8, [256, 64], 56, 1, 1)),
        ("MobileNet depthwise", depthwise(16, 256, 16, 1)),
        ("MobileNet depthwise, strided", depthwise(16, 128, 32, 2)),
    ]
}

fn seconds(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

fn main() {
    println!("matrix products: {:.0} GFLOP/s", 1e-9 * peak());
    println!(
        "{:<30}{:>12}{:>12}{:>10}{:>12}{:>12}{:>10}",
        "GFLOP/s", "forward", "flex", "ratio", "all three", "flex", "ratio"
    );
    for (name, shape) in shapes() {
        let [ours, ours_all, flex, flex_all] = measure(&shape);
        let rate = |passes: f64, time: f64| 2e-9 * passes * shape.macs() as f64 / time;
        println!(
            "{name:<30}{:>12.1}{:>12.1}{:>10.2}{:>12.1}{:>12.1}{:>10.2}",
            rate(1.0, ours),
            rate(1.0, flex),
            ours / flex,
            rate(3.0, ours_all),
            rate(3.0, flex_all),
            ours_all / flex_all,
        );
    }
}

/// Median seconds: ours, forward and all three; flex, forward and all three.
fn measure(shape: &ConvShape) -> [f64; 4] {
    let device = Device::flex();
    let random =
        |dims: [usize; 4]| Tensor::<4>::random(dims, Distribution::Uniform(-1.0, 1.0), &device);
    let [height, width] = shape.output();
    let x = random([shape.batch, shape.channels[0], shape.input[0], shape.input[1]]);
    let per_group = shape.channels[0] / shape.groups;
    let w = random([shape.channels[1], per_group, shape.kernel[0], shape.kernel[1]]);
    let dy = random([shape.batch, shape.channels[1], height, width]);
    let values = |tensor: &Tensor<4>| tensor.to_data().iter::<f32>().collect::<Vec<f32>>();
    let (input, weight, gradient) = (values(&x), values(&w), values(&dy));
    let mut output = vec![0.0; shape.output_len()];
    let mut input_gradient = vec![0.0; shape.input_len()];
    let mut weight_gradient = vec![0.0; shape.weight_len()];
    let padding = shape.padding.map(|(before, _)| before);
    let options = || ConvOptions::new(shape.stride, padding, shape.dilation, shape.groups);
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..=ROUNDS {
        let ours = seconds(|| {
            let done = forward(shape, &input, &weight, None, &mut output);
            done.unwrap_or_else(|e| panic!("{e}"));
        });
        let back = seconds(|| {
            let wanted = Some(input_gradient.as_mut_slice());
            let weights = Some(weight_gradient.as_mut_slice());
            let done = backward(shape, &input, &weight, &gradient, wanted, weights);
            done.unwrap_or_else(|e| panic!("{e}"));
        });
        let flex = seconds(|| drop(conv2d(x.clone(), w.clone(), None, options()).into_data()));
        let flex_all = seconds(|| {
            let [x, w] = [&x, &w].map(|tensor| tensor.clone().autodiff().require_grad());
            let y = conv2d(x.clone(), w.clone(), None, options());
            let gradients = (y * dy.clone().autodiff()).sum().backward();
            drop((x.grad(&gradients), w.grad(&gradients)));
        });
        for (times, time) in times.iter_mut().zip([ours, ours + back, flex, flex_all]) {
            times.push(time);
        }
    }
    // The first round warms up.
    times.map(|times| median(times[1..].to_vec()))
}
