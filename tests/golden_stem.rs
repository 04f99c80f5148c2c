//! OREPA's deep stem against a PyTorch script that runs every branch of every layer on the input, and against the published
//! composition.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::Device;
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{Composition, Form, Preset, RepConv2d, RepConv2dConfig, Structure};
use dyrep_tests::close::{assert_close, relative_difference, relative_difference_of};
use dyrep_tests::device::allowed;
use dyrep_tests::golden::{Tensors, torch_name};
use dyrep_tests::{params, under_test};

/// Of the largest value; seen: 4e-7.
const OUTPUT: f64 = 1e-5;
/// Of a gradient's own largest value; seen: 1.3e-6.
const GRADIENT: f64 = 1e-4;

fn golden() -> Tensors {
    Tensors::read("stem_orepa.safetensors")
}

/// The stem without a norm, or with the one behind it, and with the reference's parameters.
fn stem(composition: Composition, norm: bool, device: &Device) -> RepConv2d {
    let config = RepConv2dConfig::new([3, 4], [7, 7])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
        .with_bias(false)
        .with_branches(Preset::OrepaStem)
        .with_norm_after(norm);
    let layer = config.init(device);
    let Form::Stack(mut form) = layer.form() else { panic!("no stack: {}", layer.form()) };
    form.composition = composition;
    let mut layers = Structure::of(&layer).layers().clone();
    layers.get_mut("").unwrap().form = Form::Stack(form);
    let layer = Structure::new(layers).unwrap().apply(layer).unwrap();
    let golden = golden();
    let mut used = 0;
    let layer = params::fill(layer, |path, _| {
        used += 1;
        golden.data(&format!("param.{}", torch_name(path)))
    });
    assert_eq!(used, golden.names("param.").len() - if norm { 0 } else { 4 });
    layer
}

fn each(check: impl Fn(Composition, &str)) {
    for kernels in [Kernels::Fast, Kernels::Composed] {
        with_kernels(kernels, || {
            check(Composition::Sequence, "");
            check(Composition::Published, "published.");
        });
    }
}

#[test]
fn golden_stem_training_step() {
    let (golden, device) = (golden(), under_test().autodiff());
    each(|composition, prefix| {
        let layer = stem(composition, false, &device);
        let input = golden.tensor::<4>("x", &device).require_grad();
        let output = layer.forward(input.clone());
        let want = golden.tensor(&format!("{prefix}y"), &device);
        assert_close(&format!("{composition}: output"), output.clone(), want, OUTPUT);
        let gradients = (output * golden.tensor("grad_y", &device)).sum().backward();
        let name = |path: &str| format!("{prefix}grad.{path}");
        let want = golden.tensor(&name("x"), &under_test());
        assert_close("the input's gradient", input.grad(&gradients).unwrap(), want, GRADIENT);
        let found = params::gradients(&layer, &gradients);
        // Six branches of three layers, eight kernels and six scales each.
        assert_eq!(found.len(), 3 * 14);
        for (path, got) in found {
            let want = golden.data(&name(&torch_name(&path)));
            assert_eq!(got.shape(), want.shape(), "{path}");
            let [got, want] = [got, want].map(|data| data.iter::<f64>().collect::<Vec<_>>());
            let off = relative_difference_of(&got, &want);
            assert!(off < allowed(GRADIENT), "{composition}: gradient of {path} off by {off:.1e}");
        }
    });
}

#[test]
fn golden_stem_at_inference_and_deployed() {
    let (golden, device) = (golden(), under_test());
    each(|composition, prefix| {
        let want = |name: &str| format!("{prefix}{name}");
        let kernel = stem(composition, false, &device).fuse();
        let what = |part: &str| format!("{composition}: {part}");
        assert!(kernel.bias().is_none());
        let wanted = golden.tensor(&want("kernel"), &device);
        assert_close(&what("kernel"), kernel.weight(), wanted, OUTPUT);

        let layer = stem(composition, true, &device);
        let output = layer.forward(golden.tensor("x", &device));
        assert_close(&what("output"), output, golden.tensor(&want("eval.y"), &device), OUTPUT);
        let fused = layer.materialize();
        assert!(fused.is_plain());
        let kernel = fused.fuse();
        let weight = golden.tensor(&want("fused.weight"), &device);
        assert_close(&what("fused weight"), kernel.weight(), weight, OUTPUT);
        let bias = golden.tensor::<1>(&want("fused.bias"), &device);
        assert_close(&what("fused bias"), kernel.bias().unwrap(), bias, OUTPUT);
        let output = fused.forward(golden.tensor("x", &device));
        let wanted = golden.tensor(&want("eval.y"), &device);
        assert_close(&what("fused output"), output, wanted, OUTPUT);
    });
}

/// The control: the two compositions are two functions.
#[test]
fn golden_stem_compositions_differ() {
    let (golden, device) = (golden(), under_test());
    let output =
        |composition| stem(composition, false, &device).forward(golden.tensor("x", &device));
    let (ours, published) = (output(Composition::Sequence), output(Composition::Published));
    assert!(relative_difference(ours, published) > 0.1);
}
