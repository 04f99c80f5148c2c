//! Stochastic gradient descent with PyTorch's semantics, in one pass over memory where the kernels can.
//!
//! Burn's `Sgd` is a dozen tensor operations a parameter, each over all of its values; this gives the same numbers
//! to the bit. Like Burn's it is one [`Optimizer`] for all or for groups of parameters.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use dyrep_kernels::SgdStep;

/// SGD: `v ← momentum · v + (g + decay · p)`, then `p ← p − rate · v`, or Nesterov's variant.
///
/// Momentum has no dampening, as in PyTorch and the published recipes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Momentum factor; 0 for none.
    pub momentum: f32,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Weight decay, as L2 added to the gradient; 0 for none.
    pub weight_decay: f32,
}

/// What [`Sgd`] remembers of a parameter.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    velocity: Tensor<D>,
}

/// Under the name that Burn's `Sgd` gives it: either goes on from the other's record.
impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, VELOCITY, self.velocity.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = Tensor::from_data(src.take_tensor(prefix, VELOCITY)?, device);
        Some(Self { velocity })
    }
}

const VELOCITY: &str = "momentum.velocity";

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let velocity = match state {
            Some(state) => state.velocity,
            None => grad.zeros_like(),
        };
        let [tensor, velocity] = self.apply(lr, tensor, velocity, grad);
        (tensor, Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState { velocity: state.velocity.to_device(device) }
    }
}

impl Sgd {
    fn apply<const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        velocity: Tensor<D>,
        gradient: Tensor<D>,
    ) -> [Tensor<D>; 2] {
        let Self { momentum, nesterov, weight_decay } = *self;
        let step = SgdStep { rate: rate as f32, decay: weight_decay, momentum, nesterov };
        let shapes = [&parameter, &velocity, &gradient].map(Tensor::dims);
        assert!(
            shapes.iter().all(|shape| *shape == shapes[0]),
            "a parameter, its velocity and its gradient must have one shape, got {shapes:?}"
        );
        let tensors = [parameter, velocity, gradient];
        if super::can_update(&tensors) {
            return super::update(step, tensors);
        }
        let [parameter, velocity, gradient] = tensors;
        let gradient = gradient + parameter.clone() * weight_decay;
        let velocity = gradient.clone() + velocity * momentum;
        let towards = match nesterov {
            true => velocity.clone() * momentum + gradient,
            false => velocity.clone(),
        };
        [parameter - towards * rate, velocity]
    }
}
