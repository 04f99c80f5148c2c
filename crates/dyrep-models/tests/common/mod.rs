//! What the tests of the zoo share.

// Each test file uses some of it.
#![allow(dead_code)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_models::{ModelConfig, ModelName};
use dyrep_tests::params::scatter;

/// A network of a width that its groups divide, small enough for a test.
pub(crate) fn narrow(name: ModelName, classes: usize) -> ModelConfig {
    let width = if name.name().starts_with("resnext") { 16 } else { 8 };
    name.config(classes).with_width(width)
}

/// The paths of all parameters, running statistics included.
pub(crate) fn paths<M: Module>(module: &M) -> Vec<String> {
    #[derive(Default)]
    struct Paths(Vec<String>, Vec<String>);
    impl ModuleVisitor for Paths {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
            self.1.push(self.0.join("."));
        }
    }
    let mut found = Paths::default();
    module.visit(&mut found);
    found.1
}

/// The module with norms as training leaves them: a fresh one is nearly the identity and hides faults. The variances
/// are large, so that the sums of a deep network stay numbers.
pub(crate) fn with_random_norms<M: Module>(module: M) -> M {
    scatter(module, |name| match name {
        "gamma" => Some((1.0, 0.5)),
        "running_var" => Some((8.0, 4.0)),
        "beta" | "running_mean" => Some((0.0, 0.5)),
        _ => None,
    })
}

/// Pictures without two equal ones.
pub(crate) fn pictures(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let value = |i: usize| (0.37 * i as f32 + (i as f32).sqrt()).sin();
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
