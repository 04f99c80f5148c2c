//! What the tests of the zoo share.

// Each test file uses some of it.
#![allow(dead_code)]

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_models::{ModelConfig, ModelName};

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
    struct Norms(String, f32);
    impl ModuleMapper for Norms {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            name.clone_into(&mut self.0);
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (middle, spread) = match self.0.as_str() {
                "gamma" => (1.0, 0.5),
                "running_var" => (8.0, 4.0),
                "beta" | "running_mean" => (0.0, 0.5),
                _ => return param,
            };
            self.1 += 1.0;
            let salt = self.1;
            param.map(|old| {
                let value = |i: usize| middle + spread * (12.9 * i as f32 + 7.3 * salt).sin();
                let values = (0..old.shape().num_elements()).map(value).collect();
                let data = TensorData::new(values, old.shape());
                Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
            })
        }
    }
    module.map(&mut Norms(String::new(), 0.0))
}

/// Pictures without two equal ones.
pub(crate) fn pictures(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let value = |i: usize| (0.37 * i as f32 + (i as f32).sqrt()).sin();
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The largest difference, of the largest value.
pub(crate) fn relative_difference(got: Tensor<2>, want: Tensor<2>) -> f32 {
    let largest = want.clone().abs().max().into_scalar::<f32>();
    (got - want).abs().max().into_scalar::<f32>() / largest
}
