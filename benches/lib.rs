//! What the measurements share; each is a program of its own, `cargo bench --bench NAME`.

// Programs print.
#![allow(clippy::print_stderr)]

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use dyrep_kernels::{ConvShape, multiply};

/// The middle of the times.
#[must_use]
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A square convolution with its usual padding, on square maps.
#[must_use]
pub fn layer(
    batch: usize,
    channels: [usize; 2],
    size: usize,
    kernel: usize,
    stride: usize,
) -> ConvShape {
    ConvShape {
        batch,
        channels,
        input: [size; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1, 1],
        padding: [(kernel / 2, kernel / 2); 2],
        groups: 1,
    }
}

/// [`layer`] of 3×3 with a channel to each group.
#[must_use]
pub fn depthwise(batch: usize, channels: usize, size: usize, stride: usize) -> ConvShape {
    ConvShape { groups: channels, ..layer(batch, [channels; 2], size, 3, stride) }
}

/// Floating-point operations a second of large matrix products on all threads: the best of some.
#[must_use]
pub fn peak() -> f64 {
    const SIZES: [usize; 3] = [512, 1152, 1024];
    let [rows, depth, columns] = SIZES;
    let (left, right) = (vec![0.5; rows * depth], vec![0.25; depth * columns]);
    let mut product = vec![0.0; rows * columns];
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let started = Instant::now();
        let done = multiply(SIZES, &left, &right, &mut product);
        done.unwrap_or_else(|e| panic!("{e}"));
        best = best.min(started.elapsed().as_secs_f64());
    }
    2.0 * SIZES.map(|size| size as f64).iter().product::<f64>() / best
}

/// How a program ends: an error is said in one line.
pub fn exit_code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
