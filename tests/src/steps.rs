//! One step of a module, with all that comes of it, and two such steps compared.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use dyrep_burn::RepConv2d;

use crate::close::relative_difference_of;
use crate::device::{allowed, under_test};
use crate::params;
use crate::random::{self, Draw};

/// Of an output's or a statistic's largest value; the largest difference seen is 5e-7.
pub const TOLERANCE: f64 = 5e-6;
/// Of a gradient's largest value …
const GRADIENT: f64 = 1e-4;
/// … and on top of the largest gradient of the case, for gradients that cancel to rounding; seen: 9e-7.
const ROUNDING: f64 = 1e-5;
/// What came of a step, by name.
pub type Results = BTreeMap<String, TensorData>;

/// All numbers of a tensor.
pub fn values(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// The largest magnitude.
fn largest(data: &TensorData) -> f64 {
    values(data).into_iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Fails where two steps differ by more than is allowed, `times` that.
///
/// # Panics
/// Then, with the case and the name.
pub fn assert_close(case: u64, times: f64, got: &Results, want: &Results) {
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    let gradients = want.iter().filter(|(name, _)| name.starts_with("gradient "));
    let most = gradients.map(|(_, data)| largest(data)).fold(0.0, f64::max);
    for (name, want) in want {
        let got = &got[name];
        assert_eq!(got.shape(), want.shape(), "shape of {name}");
        let difference = relative_difference_of(&values(got), &values(want)) * largest(want);
        let allowed = match name.starts_with("gradient ") {
            true => allowed(GRADIENT) * largest(want) + allowed(ROUNDING) * most,
            false => allowed(TOLERANCE) * largest(want),
        };
        let allowed = times * allowed;
        assert!(
            difference <= allowed,
            "case {case}, {name}: {difference:.1e}, more than {allowed:.1e}"
        );
    }
}

/// Output, gradients and running statistics of a step of `module` towards a random target.
pub fn step<M: Module>(
    module: &M,
    draw: &mut Draw,
    input: Tensor<4>,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<4>,
) -> Results {
    let input = input.require_grad();
    let output = forward(module, input.clone());
    let target = Tensor::<4>::from_data(draw.data(&output.dims(), -1.0, 1.0), &output.device());
    let gradients = (output.clone() * target.cast(output.dtype())).sum().backward();
    let mut found = Results::from([("output".to_owned(), output.into_data())]);
    if let Some(gradient) = input.grad(&gradients) {
        found.insert("gradient input".to_owned(), gradient.into_data());
    }
    let of_params = params::gradients(module, &gradients).into_iter();
    found.extend(of_params.map(|(path, data)| (format!("gradient {path}"), data)));
    // `valid` brings pending updates in.
    found.extend(
        params::read(&module.valid()).into_iter().filter(|(path, _)| path.contains("running_")),
    );
    found
}

/// The same of a random layer, nested `depth` deep, its parameters the same on every device.
pub fn layer_step(case: u64, depth: usize, dtype: DType, device: &Device) -> Results {
    let draw = &mut Draw::new(case);
    let geometry = random::geometry(draw);
    let form = random::form(draw, &geometry, depth);
    let layer = random::scramble(random::layer(&geometry, &form, &under_test()), draw);
    let layer = params::cast(layer, dtype).map(&mut Onto(device));
    let input = random::input(draw, &geometry, device).cast(dtype);
    step(&layer, draw, input, RepConv2d::forward)
}

/// Makes parameters that train on a device; [`Module::train`] knows no checkpointing.
struct Onto<'a>(&'a Device);

impl ModuleMapper for Onto<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let dtype = tensor.dtype();
            let there: Tensor<D> = Tensor::from_data(tensor.into_data(), self.0);
            there.cast(dtype).require_grad()
        })
    }
}
