//! RMSprop as in PyTorch: gradients divided by the root of their squares' average.
//!
//! ```text
//! g ← g + λ p      s ← α s + (1 − α) g²      b ← μ b + g / (√s + ε)      p ← p − η b
//! ```
//!
//! Hinton's lecture (Neural Networks for Machine Learning, 6e) has no momentum; MobileNets were trained with it. TensorFlow
//! has ε under the root, PyTorch behind it: torchvision's ε of 0.0316 is the root of TensorFlow's 0.001.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

/// RMSprop, for one parameter at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RmsProp {
    /// α, what the average of squared gradients keeps at a step, from 0 to below 1.
    pub(crate) alpha: f64,
    /// ε, added to the root of that average; above 0.
    pub(crate) epsilon: f64,
    /// μ, momentum of the scaled gradients; 0 for none.
    pub(crate) momentum: f64,
    /// λ, weight decay added to the gradient; 0 for none.
    pub weight_decay: f64,
}

/// What [`RmsProp`] remembers of a parameter.
#[derive(Clone, Debug)]
pub(crate) struct RmsPropState<const D: usize> {
    squares: Tensor<D>,
    /// None without momentum.
    momentum: Option<Tensor<D>>,
}

const SQUARES: &str = "square_avg.square_avg";
const MOMENTUM: &str = "momentum.buf";

impl<const D: usize> RecordState for RmsPropState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, SQUARES, self.squares.to_data());
        if let Some(momentum) = &self.momentum {
            out.push_tensor(prefix, MOMENTUM, momentum.to_data());
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let squares = Tensor::from_data(src.take_tensor(prefix, SQUARES)?, device);
        let momentum = src.take_tensor(prefix, MOMENTUM);
        Some(Self { squares, momentum: momentum.map(|data| Tensor::from_data(data, device)) })
    }
}

impl Optimizer for RmsProp {
    type State<const D: usize> = RmsPropState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<RmsPropState<D>>,
    ) -> (Tensor<D>, Option<RmsPropState<D>>) {
        let grad = match self.weight_decay {
            0.0 => grad,
            decay => grad + tensor.clone() * decay,
        };
        let square = grad.clone().square() * (1.0 - self.alpha);
        let (squares, momentum) = match state {
            Some(state) => (state.squares * self.alpha + square, state.momentum),
            None => (square, None),
        };
        let scaled = grad / (squares.clone().sqrt() + self.epsilon);
        if self.momentum == 0.0 {
            return (tensor - scaled * lr, Some(RmsPropState { squares, momentum: None }));
        }
        let momentum = match momentum {
            Some(momentum) => momentum * self.momentum + scaled,
            None => scaled,
        };
        let tensor = tensor - momentum.clone() * lr;
        (tensor, Some(RmsPropState { squares, momentum: Some(momentum) }))
    }

    fn to_device<const D: usize>(state: RmsPropState<D>, device: &Device) -> RmsPropState<D> {
        let RmsPropState { squares, momentum } = state;
        RmsPropState {
            squares: squares.to_device(device),
            momentum: momentum.map(|momentum| momentum.to_device(device)),
        }
    }
}
