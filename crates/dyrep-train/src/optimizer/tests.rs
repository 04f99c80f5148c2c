//! Each method against PyTorch's definition (timm's for LAMB), in `f64` and one number at a time.

use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::ops::Sgd;

use super::{Adaptive, AdaptiveDecay, RmsProp};

/// Of the largest parameter, after twelve steps; the largest that was measured is 4.0e-7.
const TOLERANCE: f64 = 2e-6;
const VALUES: usize = 12;
const STEPS: usize = 12;

/// The rate differs from step to step, as a schedule makes it.
fn rate(step: usize) -> f64 {
    0.05 / (1 + step) as f64
}

fn start() -> Vec<f64> {
    (0..VALUES).map(|i| (1.3 * i as f64 + 0.4).sin()).collect()
}

/// Of very different sizes, and one that is always zero.
fn gradients(step: usize) -> Vec<f64> {
    let value = |i: usize| match i {
        5 => 0.0,
        _ => (2.1 * i as f64 + 0.7 * step as f64).cos() * 10_f64.powi(i as i32 % 5 - 3),
    };
    (0..VALUES).map(value).collect()
}

/// What the optimiser makes of the start.
fn trained(optimizer: &impl Optimizer) -> Vec<f64> {
    let device = Device::flex();
    let tensor = |values: Vec<f64>| {
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, [3, VALUES / 3]), &device)
    };
    let (mut parameter, mut state) = (tensor(start()), None);
    for step in 0..STEPS {
        (parameter, state) = optimizer.step(rate(step), parameter, tensor(gradients(step)), state);
    }
    parameter.into_data().iter::<f64>().collect()
}

fn off(found: &[f64], want: &[f64]) -> f64 {
    let largest = want.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let off = found.iter().zip(want).map(|(found, want)| (found - want).abs());
    off.fold(0.0, f64::max) / largest
}

#[track_caller]
fn check(optimizer: &impl Optimizer, want: &[f64]) {
    let off = off(&trained(optimizer), want);
    assert!(off < TOLERANCE, "off by {off:.1e}");
}

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-3;

/// `torch.optim.Adam` and `AdamW`: `_single_tensor_adam`, without `amsgrad` and `maximize`.
fn adam(decay: f64, decoupled: bool) -> Vec<f64> {
    let mut p = start();
    let [mut m, mut v] = [vec![0.0; VALUES], vec![0.0; VALUES]];
    for step in 0..STEPS {
        let (lr, t) = (rate(step), step as i32 + 1);
        let gradients = gradients(step);
        for i in 0..VALUES {
            let mut g = gradients[i];
            if decoupled {
                p[i] *= 1.0 - lr * decay;
            } else {
                g += decay * p[i];
            }
            m[i] += (g - m[i]) * (1.0 - BETAS[0]);
            v[i] = v[i] * BETAS[1] + (1.0 - BETAS[1]) * g * g;
            let step_size = lr / (1.0 - BETAS[0].powi(t));
            let denom = v[i].sqrt() / (1.0 - BETAS[1].powi(t)).sqrt() + EPSILON;
            p[i] -= step_size * m[i] / denom;
        }
    }
    p
}

fn adaptive(weight_decay: f64, decay: AdaptiveDecay) -> Adaptive {
    Adaptive { betas: BETAS, epsilon: EPSILON, weight_decay, decay, factor: None }
}

#[test]
fn adam_adds_decay_to_the_gradient() {
    for decay in [0.0, 0.1] {
        check(&adaptive(decay, AdaptiveDecay::OfGradient), &adam(decay, false));
    }
}

#[test]
fn adamw_decays_apart_from_the_gradient() {
    for decay in [0.0, 0.1] {
        check(&adaptive(decay, AdaptiveDecay::Decoupled), &adam(decay, true));
    }
    // The control: the two are different, and so is ε under the root.
    let found = trained(&adaptive(0.1, AdaptiveDecay::Decoupled));
    assert!(off(&found, &adam(0.1, false)) > 100.0 * TOLERANCE);
    let other = Adaptive { epsilon: 2.0 * EPSILON, ..adaptive(0.1, AdaptiveDecay::Decoupled) };
    assert!(off(&trained(&other), &adam(0.1, true)) > 100.0 * TOLERANCE);
}

/// `timm.optim.Lamb` without its own clipping of gradients: `grad_averaging`, no `trust_clip`, not `always_adapt`.
fn lamb(decay: f64) -> Vec<f64> {
    let mut p = start();
    let [mut m, mut v] = [vec![0.0; VALUES], vec![0.0; VALUES]];
    for step in 0..STEPS {
        let (lr, t) = (rate(step), step as i32 + 1);
        let gradients = gradients(step);
        let mut update = vec![0.0; VALUES];
        for i in 0..VALUES {
            let g = gradients[i];
            m[i] = BETAS[0] * m[i] + (1.0 - BETAS[0]) * g;
            v[i] = BETAS[1] * v[i] + (1.0 - BETAS[1]) * g * g;
            let denom = v[i].sqrt() / (1.0 - BETAS[1].powi(t)).sqrt() + EPSILON;
            update[i] = m[i] / (1.0 - BETAS[0].powi(t)) / denom + decay * p[i];
        }
        let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let ratio = if decay == 0.0 { 1.0 } else { norm(&p) / norm(&update) };
        for i in 0..VALUES {
            p[i] -= lr * ratio * update[i];
        }
    }
    p
}

#[test]
fn lamb_scales_the_update_of_what_decays() {
    for decay in [0.0, 0.02] {
        check(&adaptive(decay, AdaptiveDecay::Trusted), &lamb(decay));
    }
}

/// A parameter, or an update, of norm zero has the ratio 1.
#[test]
fn lamb_starts_from_zero() {
    let device = Device::flex();
    let lamb = adaptive(0.02, AdaptiveDecay::Trusted);
    let zero = Tensor::<1>::zeros([3], &device);
    let one = Tensor::<1>::ones([3], &device);
    let (moved, _) = lamb.step(0.5, zero.clone(), one, None);
    let moved: Vec<f64> = moved.into_data().iter::<f64>().collect();
    assert!(moved.iter().all(|value| (value + 0.5 / (1.0 + EPSILON)).abs() < 1e-6), "{moved:?}");
    let (stays, _) = lamb.step(0.5, zero.clone(), zero, None);
    assert!(stays.into_data().iter::<f64>().all(|value| value == 0.0));
}

/// `torch.optim.RMSprop`, `_single_tensor_rmsprop` without `centered`.
fn rms_prop(alpha: f64, momentum: f64, decay: f64) -> Vec<f64> {
    let mut p = start();
    let [mut squares, mut buffer] = [vec![0.0; VALUES], vec![0.0; VALUES]];
    for step in 0..STEPS {
        let gradients = gradients(step);
        for i in 0..VALUES {
            let g = gradients[i] + decay * p[i];
            squares[i] = alpha * squares[i] + (1.0 - alpha) * g * g;
            let average = squares[i].sqrt() + EPSILON;
            buffer[i] = momentum * buffer[i] + g / average;
            p[i] -= rate(step) * buffer[i];
        }
    }
    p
}

#[test]
fn rms_prop_is_pytorch_s() {
    for (alpha, momentum, weight_decay) in [(0.9, 0.9, 0.0), (0.99, 0.0, 0.1), (0.9, 0.5, 0.1)] {
        let optimizer = RmsProp { alpha, epsilon: EPSILON, momentum, weight_decay };
        check(&optimizer, &rms_prop(alpha, momentum, weight_decay));
    }
}

/// `torch.optim.SGD`, `_single_tensor_sgd` without dampening.
#[test]
fn sgd_is_pytorch_s() {
    for (momentum, nesterov, decay) in [(0.0, false, 0.0), (0.9, false, 0.1), (0.9, true, 0.1)] {
        let (mut p, mut buffer) = (start(), vec![0.0; VALUES]);
        for step in 0..STEPS {
            let gradients = gradients(step);
            for i in 0..VALUES {
                let g = gradients[i] + decay * p[i];
                buffer[i] = momentum * buffer[i] + g;
                let towards = if nesterov { g + momentum * buffer[i] } else { buffer[i] };
                p[i] -= rate(step) * towards;
            }
        }
        let (momentum, weight_decay) = (momentum as f32, decay as f32);
        check(&Sgd { momentum, nesterov, weight_decay }, &p);
    }
}
