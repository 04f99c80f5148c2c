//! The laws on a device: outputs and gradients of layers in `f32` there, beside the same layers in `f64` on the CPU.
//!
//! Presets first, on the convolutions that networks have, then random layers: each a line, so that what is cut short has
//! told of what it saw. A difference is of the largest value of what is compared; of parameters' gradients of the largest
//! of them all, since some are zero but for rounding. Products in TF32 differ by about 1e-3 and those in `f32` by 1e-6:
//! which of the two it is says what the device's kernels compute with.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::PaddingConfig2d;
use burn::tensor::{DType, Device, Tensor};
use clap::Args;
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{Preset, RepConv2d, RepConv2dConfig, deploy};
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::steps::step;
use serde_json::json;

use crate::line::say;
use crate::subject::text;

/// Channels in and out, kernel, stride, groups.
type Convolution = ([usize; 2], usize, usize, usize);

/// As in ResNets and MobileNets, and a large depthwise kernel.
const CONVOLUTIONS: [Convolution; 4] =
    [([16, 16], 3, 1, 1), ([16, 32], 3, 2, 1), ([16, 16], 3, 1, 16), ([8, 8], 13, 1, 8)];

#[derive(Debug, Args)]
pub(crate) struct LawsArgs {
    /// The device
    #[arg(long, default_value_t = dyrep_train::default_name().to_owned())]
    device: String,
    /// Random layers after the presets
    #[arg(long, default_value_t = 200)]
    cases: u64,
    /// No new case starts after these seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The largest difference that is called small
    #[arg(long, default_value_t = 5e-3)]
    tolerance: f64,
}

/// A layer, its input and a target, the same on every device. Built anew for each: clones share running statistics.
#[derive(Clone, Copy)]
enum Case {
    Preset(Preset, Convolution),
    Random(u64),
}

/// Values by quantity, each a list that is compared as one.
type Found = BTreeMap<&'static str, Vec<f64>>;

impl LawsArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let device = dyrep_train::device(&self.device).map_err(text)?;
        // The cases are built by panicking helpers of the tests, and a backend may panic too: one line each.
        std::panic::set_hook(Box::new(|_| {}));
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let presets = CONVOLUTIONS.into_iter().flat_map(|convolution| {
            Preset::ALL.into_iter().map(move |preset| Case::Preset(preset, convolution))
        });
        let random = (0..self.cases).map(Case::Random);
        let (mut worst, mut cases, mut failed) = (BTreeMap::new(), 0, 0);
        for case in presets.chain(random).take_while(|_| Instant::now() < until) {
            cases += 1;
            let (name, outcome) = (case.name(), caught(|| case.compare(&device)));
            let about = json!({ "device": self.device, "case": name });
            match outcome {
                Ok(differences) => {
                    for (quantity, difference) in &differences {
                        let seen = worst.entry(*quantity).or_insert((0.0, String::new()));
                        if *difference >= seen.0 {
                            *seen = (*difference, name.clone());
                        }
                    }
                    say("law", &about, &json!({ "differences": differences }))?;
                }
                Err(reason) => {
                    failed += 1;
                    say("law", &about, &json!({ "reason": reason }))?;
                }
            }
        }
        let about = json!({ "device": self.device, "cases": cases, "failed": failed });
        let held = failed == 0 && worst.values().all(|(most, _)| *most <= self.tolerance);
        say("laws", &about, &json!({ "tolerance": self.tolerance, "held": held, "worst": worst }))
    }
}

/// What a case found, or what it panicked with.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        words.unwrap_or_else(|| "a panic".to_owned()).chars().take(300).collect()
    })
}

impl Case {
    fn name(self) -> String {
        match self {
            Self::Preset(preset, ([inputs, outputs], kernel, stride, groups)) => {
                let depthwise = if groups > 1 { " depthwise" } else { "" };
                format!("{preset}, {kernel}×{kernel}{depthwise}, {inputs}→{outputs}, /{stride}")
            }
            Self::Random(number) => format!("random layer {number}"),
        }
    }

    /// The layer, and what its input and target are drawn from. A preset has no branches where they cannot exist.
    fn build(self) -> (RepConv2d, Draw) {
        let device = Device::flex().autodiff();
        match self {
            Self::Preset(preset, (channels, kernel, stride, groups)) => {
                let half = kernel / 2;
                let layer = RepConv2dConfig::new(channels, [kernel; 2])
                    .with_stride([stride; 2])
                    .with_groups(groups)
                    .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
                    .with_branches(preset)
                    .init(&device);
                let mut draw = Draw::new(preset as u64);
                (random::scramble(layer, &mut draw), draw)
            }
            Self::Random(number) => {
                let mut draw = Draw::new(number);
                let geometry = random::geometry(&mut draw);
                let form = random::form(&mut draw, &geometry, number as usize % 3);
                let layer = random::layer(&geometry, &form, &device);
                (random::scramble(layer, &mut draw), draw)
            }
        }
    }

    /// The largest difference by quantity.
    fn compare(self, device: &Device) -> BTreeMap<&'static str, f64> {
        let want = with_kernels(Kernels::Composed, || self.find(&Device::flex(), DType::F64));
        let got = self.find(device, DType::F32);
        let of = |(quantity, want): (&&'static str, &Vec<f64>)| {
            (*quantity, dyrep_tests::close::relative_difference_of(&got[*quantity], want))
        };
        want.iter().map(of).collect()
    }

    fn find(self, device: &Device, dtype: DType) -> Found {
        let training = device.clone().autodiff();
        let (layer, mut draw) = self.build();
        let layer = params::cast(layer, dtype).map(&mut Onto(&training));
        let input = random::input(&mut draw, &layer.geometry(), &Device::flex()).into_data();
        let input = Tensor::<4>::from_data(input, device).cast(dtype);
        let mut found = Found::new();
        let numbers = |tensor: Tensor<4>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
        let valid = layer.valid();
        found.insert("output in evaluation", numbers(valid.forward(input.clone())));
        found.insert("output fused", numbers(deploy(&layer).forward(input.clone())));

        let trained = step(&layer, &mut draw, input.autodiff(), RepConv2d::forward);
        for (name, data) in trained {
            let quantity = match name.as_str() {
                "output" => "output in training",
                "gradient input" => "gradient of the input",
                name if name.starts_with("gradient ") => "gradients of parameters",
                _ => "running statistics",
            };
            found.entry(quantity).or_default().extend(data.iter::<f64>());
        }
        found
    }
}

/// Moves a module's numbers to a device, ready to train there.
struct Onto<'a>(&'a Device);

impl ModuleMapper for Onto<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (dtype, trains) = (tensor.dtype(), tensor.is_require_grad());
            let there: Tensor<D> = Tensor::from_data(tensor.into_data(), self.0);
            let there = there.cast(dtype);
            if trains { there.require_grad() } else { there }
        })
    }
}
