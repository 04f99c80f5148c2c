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
use burn::tensor::{DType, Device, Tensor, TensorData};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{BlockForm, Branches, ConvGeometry, Form, Preset, RepConv2d};
use dyrep_tests::close::{assert_close, relative_difference_of};
use dyrep_tests::device::allowed;
use dyrep_tests::golden::{Tensors, field_blocks, index, published_name, torch_name};
use dyrep_tests::params;
use dyrep_tests::random;
use dyrep_tests::under_test;

/// Of the largest value; the largest difference seen on the shipped files is 5e-7.
const OUTPUT: f64 = 1e-5;
/// Of a gradient's own largest value; the largest difference seen on the shipped files, of gradients that are
/// more than rounding, is 5e-6.
const GRADIENT: f64 = 1e-4;
/// Of the block's largest gradient, for gradients that cancel; seen: 2e-6, by merged operations.
const ROUNDING: f64 = 5e-6;

/// A block that there is a reference of.
struct Case {
    file: String,
    geometry: ConvGeometry,
    form: Form,
    /// The reference's name of a parameter.
    name: fn(&str) -> String,
}

fn cases() -> Vec<Case> {
    let published = index().blocks.into_iter().map(|entry| {
        let config = entry.config(&Tensors::read(&entry.file));
        Case {
            geometry: config.geometry().unwrap(),
            form: config.form().unwrap(),
            file: entry.file,
            name: published_name,
        }
    });
    let others = field_blocks().into_iter().map(|entry| Case {
        geometry: entry.config().geometry().unwrap(),
        form: Form::Block(entry.form()),
        file: entry.file,
        name: torch_name,
    });
    published.chain(others).collect()
}

/// How a block is computed.
struct Way {
    kernels: Kernels,
    dtype: DType,
    device: Device,
}

impl Way {
    /// Every one. No kernels know double precision: there a linear block's convolution is the sum by the laws.
    fn all() -> [Self; 4] {
        let single = |kernels| Self { kernels, dtype: DType::F32, device: under_test() };
        let laws = Self { kernels: Kernels::Fast, dtype: DType::F64, device: Device::flex() };
        [single(Kernels::Fast), single(Kernels::Composed), single(Kernels::Merged), laws]
    }

    fn tensor<const D: usize>(&self, golden: &Tensors, name: &str) -> Tensor<D> {
        golden.tensor(name, &self.device).cast(self.dtype)
    }

    fn layer(&self, case: &Case, golden: &Tensors, device: &Device) -> RepConv2d {
        self.layer_with(case, golden, device, |_, data| data)
    }

    /// The layer with the reference's parameters changed, by our path.
    fn layer_with(
        &self,
        case: &Case,
        golden: &Tensors,
        device: &Device,
        change: impl Fn(&str, TensorData) -> TensorData,
    ) -> RepConv2d {
        let mut used = 0;
        let layer = params::fill(random::layer(&case.geometry, &case.form, device), |path, _| {
            used += 1;
            change(path, golden.data(&format!("param.{}", (case.name)(path))))
        });
        assert_eq!(used, golden.names("param.").len(), "{}: parameters left over", case.file);
        params::cast(layer, self.dtype)
    }
}

fn each_block(check: impl Fn(&Case, &Tensors, &Way)) {
    let cases = cases();
    assert!(cases.len() > 60, "the indices list too few blocks");
    for case in &cases {
        let golden = Tensors::read(&case.file);
        for way in Way::all() {
            with_kernels(way.kernels, || check(case, &golden, &way));
        }
    }
}

/// Each preset has a reference, and is the branches that the reference was made of.
#[test]
fn presets_are_what_their_references_say() {
    let entries = field_blocks();
    let mut found = BTreeMap::<_, usize>::new();
    for entry in &entries {
        let Some(branches) = entry.asked() else { continue };
        if let Branches::Preset(preset) = branches {
            *found.entry(preset.name()).or_default() += 1;
        }
        let named = entry.config().with_branches(branches);
        assert_eq!(named.form().unwrap(), Form::Block(entry.form()), "{}", entry.file);
    }
    // `orepa_stem` is `orepa`, and what no block is: tests/golden_stem.rs.
    let none = [Preset::Plain, Preset::OrepaStem];
    for preset in Preset::ALL.into_iter().filter(|preset| !none.contains(preset)) {
        let count = found.get(preset.name()).copied().unwrap_or_default();
        assert!(count >= 2, "{preset}: {count} references");
    }
}

/// Asked for by name the branches are those that the references were made of.
#[test]
fn names_are_what_their_references_say() {
    let bare = |mut block: BlockForm| {
        for branch in &mut block.branches {
            branch.mid_channels = branch.mid_channels.map(|_| 0);
            let inside = branch.nested().is_some();
            branch.conv = branch.conv.take().filter(|_| !inside);
        }
        block
    };
    for entry in field_blocks() {
        let config = entry.config().with_norm_after(entry.form().norm_after);
        let Form::Block(named) = config.with_branches(entry.named()).form().unwrap() else {
            panic!("{}: no block", entry.file);
        };
        let exactly = bare(entry.form());
        let mut named = bare(named);
        for (exactly, named) in exactly.branches.iter().zip(&mut named.branches) {
            // What is a block there is plain here.
            named.conv = named.conv.take().filter(|_| exactly.conv.is_some());
        }
        assert_eq!(named, exactly, "{}", entry.file);
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
    each_block(|case, golden, way| {
        let layer = way.layer(case, golden, &way.device);
        let output = layer.forward(way.tensor(golden, "x"));
        assert_close(&case.file, output, way.tensor(golden, "eval.y"), OUTPUT);
    });
}

#[test]
fn golden_blocks_fused_convolution() {
    each_block(|case, golden, way| {
        let fused = way.layer(case, golden, &way.device).materialize();
        assert!(fused.is_plain());
        let kernel = fused.fuse();
        let file = &case.file;
        let weight = way.tensor(golden, "fused.weight");
        assert_close(&format!("{file} weight"), kernel.weight(), weight, OUTPUT);
        let bias: Tensor<1> = way.tensor(golden, "fused.bias");
        assert_close(&format!("{file} bias"), kernel.bias_or_zero(), bias, OUTPUT);
        let output = fused.forward(way.tensor(golden, "x"));
        assert_close(&format!("{file} output"), output, way.tensor(golden, "fused.y"), OUTPUT);
    });
}

#[test]
fn golden_blocks_training_step() {
    each_block(|case, golden, way| {
        let file = &case.file;
        let graph = way.device.clone().autodiff();
        let layer = way.layer(case, golden, &graph);
        let input = way.tensor::<4>(golden, "x").autodiff().require_grad();
        let output = layer.forward(input.clone());
        let want = way.tensor(golden, "train.y");
        assert_close(&format!("{file} training output"), output.clone().inner(), want, OUTPUT);

        let grad_y = way.tensor(golden, "grad_y").autodiff();
        let gradients = (output * grad_y).sum().backward();
        let got = input.grad(&gradients).expect("a gradient of the input").into_data();
        let want = golden.data("train.grad.x");
        assert_data_close(&format!("{file} gradient of x"), &got, &want, GRADIENT);
        let found = params::gradients(&layer, &gradients);
        assert_eq!(found.len(), golden.names("train.grad.").len() - 1, "{file}: gradients");
        check_gradients(case, golden, &found);
        check_statistics(case, golden, &layer);
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
    each_block(|case, golden, way| {
        let wrong = way.layer_with(case, golden, &way.device, |path, data| {
            if !path.ends_with("kxk.conv.weight") {
                return data;
            }
            TensorData::new(
                data.iter::<f32>().map(|value| value * 1.01).collect(),
                data.shape().clone(),
            )
        });
        let output = wrong.forward(way.tensor(golden, "x")).into_data();
        let (output, want) = (output.iter::<f64>(), golden.data("eval.y"));
        let want: Vec<f64> = want.iter::<f64>().collect();
        assert!(
            relative_difference_of(&output.collect::<Vec<_>>(), &want) > allowed(OUTPUT),
            "{}",
            case.file
        );
    });
}
