//! How fast batch norm runs beside a plain copy, in GB/s of the least traffic each can do with.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use dyrep_kernels::{Gradients, Moments, MomentsMut, Norm, NormShape, Passed, ShapeError, Tail};
use rayon::prelude::*;

const ROUNDS: usize = 60;

fn main() -> Result<(), ShapeError> {
    let only = std::env::args().nth(1).and_then(|pixels| pixels.parse().ok());
    for [batch, channels, pixels] in
        [[8, 64, 112 * 112], [16, 64, 16 * 16], [16, 512, 2 * 2], [8, 512, 7 * 7]]
    {
        if only.is_some_and(|only: usize| only != pixels) {
            continue;
        }
        measure(NormShape { batch, channels, pixels })?;
    }
    Ok(())
}

fn measure(shape: NormShape) -> Result<(), ShapeError> {
    let values = |seed: usize| -> Vec<f32> {
        (0..shape.len()).map(|i| ((i * 2_654_435_761 + seed) % 1000) as f32 / 500.0 - 1.0).collect()
    };
    let (x, r, g) = (values(1), values(2), values(3));
    let (mut y, mut dx, mut dr) = (values(4), values(5), values(6));
    let channel = || vec![0.5f32; shape.channels];
    let (gamma, beta, mut mean, mut variance) = (channel(), channel(), channel(), channel());
    let (mut dgamma, mut dbeta) = (channel(), channel());
    let norm = Norm { shape, gamma: &gamma, beta: &beta, epsilon: 1e-5 };
    let relu = Tail { residual: None, relu: true };
    let added = Tail { residual: Some(&r), relu: true };
    let mut best = [f64::INFINITY; 8];
    let repeats = (500_000 / shape.len()).max(1);
    for _ in 0..ROUNDS {
        let mut note = |which: usize, run: &mut dyn FnMut() -> Result<(), ShapeError>| {
            let start = Instant::now();
            for _ in 0..repeats {
                run()?;
            }
            best[which] = best[which].min(start.elapsed().as_secs_f64() / repeats as f64);
            Ok(())
        };
        note(0, &mut || {
            y.copy_from_slice(&x);
            Ok(())
        })?;
        note(1, &mut || {
            let parts = y.par_chunks_mut(1 << 15).zip(x.par_chunks(1 << 15));
            parts.for_each(|(y, x)| y.copy_from_slice(x));
            Ok(())
        })?;
        note(2, &mut || {
            let moments = MomentsMut { mean: &mut mean, variance: &mut variance };
            norm.train(&x, relu, &mut y, moments)
        })?;
        note(3, &mut || {
            let moments = Moments { mean: &mean, variance: &variance };
            norm.infer(moments, &x, relu, &mut y)
        })?;
        let moments = Moments { mean: &mean, variance: &variance };
        note(4, &mut || {
            let gradients =
                Gradients { input: &mut dx, residual: None, gamma: &mut dgamma, beta: &mut dbeta };
            norm.train_backward(moments, &x, Passed::OfNorm, &g, gradients)
        })?;
        note(5, &mut || {
            let gradients =
                Gradients { input: &mut dx, residual: None, gamma: &mut dgamma, beta: &mut dbeta };
            norm.train_backward(moments, &x, Passed::OfOutput(&y), &g, gradients)
        })?;
        note(6, &mut || {
            let moments = MomentsMut { mean: &mut mean, variance: &mut variance };
            norm.train(&x, added, &mut y, moments)
        })?;
        let moments = Moments { mean: &mean, variance: &variance };
        note(7, &mut || {
            let gradients = Gradients {
                input: &mut dx,
                residual: Some(&mut dr),
                gamma: &mut dgamma,
                beta: &mut dbeta,
            };
            norm.train_backward(moments, &x, Passed::OfOutput(&y), &g, gradients)
        })?;
    }
    println!("{shape:?}");
    // Arrays of the batch's size that are read or written.
    let names = [
        ("copy, 1 thread", 2),
        ("copy, threads", 2),
        ("train, relu", 2),
        ("infer, relu", 2),
        ("backward, relu", 3),
        ("backward, relu of output", 4),
        ("train, residual, relu", 3),
        ("backward, residual, relu", 5),
    ];
    for ((name, arrays), seconds) in names.into_iter().zip(best) {
        let bytes = (4 * arrays * shape.len()) as f64;
        println!("  {name:26} {:8.1} us  {:6.1} GB/s", seconds * 1e6, bytes / seconds / 1e9);
    }
    Ok(())
}
