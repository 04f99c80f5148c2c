//! What the measurements share; each is a program of its own, `cargo bench --bench NAME`.

// Programs print.
#![allow(clippy::print_stderr)]

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use dyrep_kernels::multiply;

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
