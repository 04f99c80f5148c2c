//! Every reference block: our layer, given the reference's parameters, does the same.
//!
//! Both by the kernels and composed from tensor operations. Checked against tensors that the published code wrote, and, for
//! the other blocks of the field, a plain PyTorch script: output with running statistics, the fused
//! convolution and its output, and one training step's output, gradients and running statistics. PyTorch
//! keeps the unbiased variance in `running_var`, Burn's own `BatchNorm` the biased one; blocks keep the
//! unbiased one, so nothing has to be converted here.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{Preset, RepConv2d, RepConv2dConfig};
use dyrep_tests::close::{assert_close, relative_difference_of};
use dyrep_tests::device::allowed;
use dyrep_tests::golden::{Tensors, field_blocks, index, published_name, torch_name};
use dyrep_tests::params;
use dyrep_tests::under_test;

/// Of the largest value; the largest difference seen on the shipped files is 3e-7.
const OUTPUT: f64 = 1e-5;
/// Of a gradient's own largest value; the largest difference seen on the shipped files, of gradients that are
/// more than rounding, is 5e-6.
const GRADIENT: f64 = 1e-4;
/// Of the block's largest gradient, for gradients that cancel; seen: 4e-7.
const ROUNDING: f64 = 5e-6;

/// A block that there is a reference of.
struct Case {
    file: String,
    config: RepConv2dConfig,
    /// The reference's name of a parameter.
    name: fn(&str) -> String,
}

fn cases() -> Vec<Case> {
    let published = index().blocks.into_iter().map(|entry| Case {
        config: entry.config(&Tensors::read(&entry.file)),
        file: entry.file,
        name: published_name,
    });
    let others = field_blocks().into_iter().map(|entry| Case {
        config: entry.config(),
        file: entry.file,
        name: torch_name,
    });
    published.chain(others).collect()
}

fn each_block(check: impl Fn(&Case, &Tensors)) {
    let cases = cases();
    assert!(cases.len() > 30, "the indices list too few blocks");
    for case in &cases {
        let golden = Tensors::read(&case.file);
        for kernels in [Kernels::Fast, Kernels::Composed] {
            with_kernels(kernels, || check(case, &golden));
        }
    }
}

fn layer(case: &Case, golden: &Tensors, device: &Device) -> RepConv2d {
    let mut used = 0;
    let layer = params::fill(case.config.init(device), |path, _| {
        used += 1;
        golden.data(&format!("param.{}", (case.name)(path)))
    });
    assert_eq!(used, golden.names("param.").len(), "{}: parameters left over", case.file);
    layer
}

/// Each preset has a reference, and is the branches that the reference was made of.
#[test]
fn presets_are_what_their_references_say() {
    let entries = field_blocks();
    // `orepa_stem` is `orepa`, and what no block is: tests/golden_stem.rs.
    let none = [Preset::Plain, Preset::OrepaStem];
    for preset in Preset::ALL.into_iter().filter(|preset| !none.contains(preset)) {
        let own: Vec<_> = entries.iter().filter(|entry| entry.preset == preset.name()).collect();
        assert!(own.len() >= 2, "{preset}: {} references", own.len());
        for entry in own {
            let exactly = entry.config();
            let mut named = entry.config().with_branches(preset);
            named.norm_after = None;
            assert_eq!(named.form().unwrap(), exactly.form().unwrap(), "{}", entry.file);
        }
    }
}

fn assert_data_close(what: &str, got: &TensorData, want: &TensorData, tolerance: f64) {
    assert_eq!(got.shape(), want.shape(), "{what}: shapes differ");
    let values = |data: &TensorData| data.iter::<f64>().collect::<Vec<_>>();
    let difference = relative_difference_of(&values(got), &values(want));
    assert!(
        difference <= allowed(tolerance),
        "{what}: differs by {difference:.2e}, more than {tolerance:.0e}"
    );
}

#[test]
fn golden_blocks_output_with_running_statistics() {
    let device = under_test();
    each_block(|entry, golden| {
        let output = layer(entry, golden, &device).forward(golden.tensor("x", &device));
        assert_close(&entry.file, output, golden.tensor("eval.y", &device), OUTPUT);
    });
}

#[test]
fn golden_blocks_fused_convolution() {
    let device = under_test();
    each_block(|entry, golden| {
        let fused = layer(entry, golden, &device).materialize();
        assert!(fused.is_plain());
        let kernel = fused.fuse();
        let file = &entry.file;
        let weight = golden.tensor("fused.weight", &device);
        assert_close(&format!("{file} weight"), kernel.weight(), weight, OUTPUT);
        let bias: Tensor<1> = golden.tensor("fused.bias", &device);
        assert_close(&format!("{file} bias"), kernel.bias_or_zero(), bias, OUTPUT);
        let output = fused.forward(golden.tensor("x", &device));
        assert_close(&format!("{file} output"), output, golden.tensor("fused.y", &device), OUTPUT);
    });
}

#[test]
fn golden_blocks_training_step() {
    let device = under_test().autodiff();
    each_block(|entry, golden| {
        let file = &entry.file;
        let layer = layer(entry, golden, &device);
        let input = golden.tensor::<4>("x", &device).require_grad();
        let output = layer.forward(input.clone());
        let want = golden.tensor("train.y", &device);
        assert_close(&format!("{file} training output"), output.clone(), want, OUTPUT);

        let gradients = (output * golden.tensor("grad_y", &device)).sum().backward();
        let got = input.grad(&gradients).expect("a gradient of the input").into_data();
        let want = golden.data("train.grad.x");
        assert_data_close(&format!("{file} gradient of x"), &got, &want, GRADIENT);
        let found = params::gradients(&layer, &gradients);
        assert_eq!(found.len(), golden.names("train.grad.").len() - 1, "{file}: gradients");
        check_gradients(entry, golden, &found);
        check_statistics(entry, golden, &layer);
    });
}

/// What lies before a batch norm that undoes it (a bias, a depthwise 1×1 weight) has a gradient of zero but
/// for ε and rounding, on both sides: [`ROUNDING`] of the block's largest gradient is allowed on top.
fn check_gradients(case: &Case, golden: &Tensors, found: &BTreeMap<String, TensorData>) {
    let file = &case.file;
    let values = |data: &TensorData| data.iter::<f64>().collect::<Vec<_>>();
    let most = |values: &[f64]| values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let largest = found.values().map(|data| most(&values(data))).fold(0.0, f64::max);
    for (path, got) in found {
        let want = golden.data(&format!("train.grad.{}", (case.name)(path)));
        assert_eq!(got.shape(), want.shape(), "{file}: shape of {path}");
        let (got, want) = (values(got), values(&want));
        let difference = relative_difference_of(&got, &want) * most(&want);
        let allowed = allowed(GRADIENT) * most(&want) + allowed(ROUNDING) * largest;
        assert!(
            difference <= allowed,
            "{file} gradient of {path}: differs by {difference:.2e}, more than {allowed:.2e}"
        );
    }
}

fn check_statistics(case: &Case, golden: &Tensors, layer: &RepConv2d) {
    let file = &case.file;
    // `valid` brings the pending updates in.
    for (path, got) in params::read(&layer.valid()) {
        if path.ends_with("running_mean") || path.ends_with("running_var") {
            let want = golden.data(&format!("train.buffer.{}", (case.name)(&path)));
            assert_data_close(&format!("{file} {path} after the step"), &got, &want, OUTPUT);
        }
    }
}

#[test]
fn golden_blocks_would_notice_a_wrong_parameter() {
    let device = under_test();
    each_block(|entry, golden| {
        let wrong = params::fill(layer(entry, golden, &device), |path, _| {
            let data = golden.data(&format!("param.{}", (entry.name)(path)));
            if path != "kxk.conv.weight" {
                return data;
            }
            TensorData::new(
                data.iter::<f32>().map(|value| value * 1.01).collect(),
                data.shape().clone(),
            )
        });
        let output = wrong.forward(golden.tensor("x", &device)).into_data();
        let (output, want) = (output.iter::<f64>(), golden.data("eval.y"));
        let want: Vec<f64> = want.iter::<f64>().collect();
        assert!(
            relative_difference_of(&output.collect::<Vec<_>>(), &want) > allowed(OUTPUT),
            "{}",
            entry.file
        );
    });
}
