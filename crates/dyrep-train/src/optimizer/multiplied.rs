//! SGD whose gradients are multiplied, element by element: as if the parameter were a sum of others (RepOptimizer).

use burn::optim::{LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::{Sgd, SgdState};

use crate::rep_optimizer::shaped;

/// SGD of gradients times a factor, where there is one. Decay is not multiplied: it is of the parameter, whatever that is a
/// sum of.
#[derive(Clone, Debug)]
pub(super) struct Multiplied {
    pub(super) sgd: Sgd,
    pub(super) factor: Option<Tensor<4>>,
}

impl Optimizer for Multiplied {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let grad = match &self.factor {
            Some(factor) => grad.clone() * shaped(factor, &grad),
            None => grad,
        };
        self.sgd.step(lr, tensor, grad, state)
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        Sgd::to_device(state, device)
    }
}
