//! Counting what a network costs.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use dyrep_burn::{RepConv2d, layers, profile};

/// Learnable parameters: floating-point parameters that are not running statistics, nor of branches that rest. Nothing is
/// initialised.
pub(crate) fn learnable<M: Module>(network: &M) -> usize {
    let resting = |(_, layer): (_, RepConv2d)| layer.form().resting_params(&layer.geometry());
    let resting: u64 = layers(network).into_iter().map(resting).sum();
    Count::of(network).all.saturating_sub(resting as usize)
}

/// Multiply-adds of one picture of `[channels, height, width]`: of the convolutions, pooling branches and linear
/// layers, each of which runs once.
pub(crate) fn flops<M: Module, Y>(
    network: &M,
    [channels, height, width]: [usize; 3],
    forward: impl FnOnce(&M, Tensor<4>) -> Y,
) -> u64 {
    let layers = profile(network, |network| {
        let device = &network.devices()[0];
        let _logits = forward(network, Tensor::zeros([1, channels, height, width], device));
    });
    layers.iter().map(|layer| layer.trained.macs).sum::<u64>() + Count::of(network).linear as u64
}

#[derive(Default)]
struct Count {
    path: Vec<String>,
    all: usize,
    /// Weights of linear layers.
    linear: usize,
}

impl Count {
    fn of<M: Module>(network: &M) -> Self {
        let mut count = Self::default();
        network.visit(&mut count);
        count
    }
}

impl ModuleVisitor for Count {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let running = self.path.last().is_some_and(|name| name.starts_with("running_"));
        let values = param.lazy_shape().num_elements();
        self.all += if running { 0 } else { values };
        self.linear += if D == 2 { values } else { 0 };
    }
}
