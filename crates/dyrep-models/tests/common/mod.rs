//! What the tests of the zoo share.

// Each test file uses some of it.
#![allow(dead_code)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::{Change, Controller, ControllerConfig, NormRule, PathPatterns};
use dyrep_models::{ModelConfig, ModelName};
use dyrep_tests::close::relative_difference;
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

/// Three steps by a loss, which falls, with a controller that looks on, and a growth where `grow_in` matches; `run` passes a
/// calibration batch. Gives by how much the outputs moved when something grew, of the largest, and where it did.
pub(crate) fn learn_and_grow<M: Module>(
    mut network: M,
    grow_in: &str,
    norm_rule: NormRule,
    loss: impl Fn(&M) -> Tensor<1>,
    run: impl Fn(&M),
    outputs: impl Fn(&M) -> Tensor<1>,
) -> (f64, String) {
    let mut optimizer = SgdConfig::new().init();
    let grow_in = PathPatterns::new([grow_in]).unwrap();
    let config = ControllerConfig {
        interval: 1,
        calibration_batches: 1,
        norm_rule,
        grow_in,
        ..Default::default()
    };
    let mut controller = Controller::new(config).unwrap();
    let mut losses = vec![];
    for _ in 0..3 {
        let value = loss(&network);
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        controller.observe(&network, &gradients);
        losses.push(value.into_scalar::<f32>());
        network = optimizer.step(1e-2, network, gradients);
    }
    assert!(losses[2] < losses[0], "{losses:?}");
    let before = outputs(&network);
    let run = |network: &M, _: usize| run(network);
    let adjustment = controller.adjust(&mut network, &mut optimizer, 1, run).unwrap();
    let event = &adjustment.events[0];
    assert!(matches!(event.change, Change::Grew { .. }), "{event:?}");
    let path = event.change.path().to_owned();
    (relative_difference(outputs(&network), before), path)
}
