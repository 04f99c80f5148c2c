//! Adam, AdamW and LAMB: steps from averages of gradients and of their squares.
//!
//! With the gradient g of step t, the parameter p and the rate η:
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g            v ← β₂ v + (1 − β₂) g²
//! u = m / (1 − β₁ᵗ) / (√v / √(1 − β₂ᵗ) + ε)
//!
//! Adam    g is first g + λ p          p ← p − η u                    arXiv 1412.6980
//! AdamW   p is first (1 − η λ) p      p ← p − η u                    arXiv 1711.05101
//! LAMB    u ← u + λ p                 p ← p − η (‖p‖ / ‖u‖) u        arXiv 1904.00962
//! ```
//!
//! LAMB's ratio of norms is of one parameter tensor, and 1 where either norm is zero or λ is: parameters that do not
//! decay are small, such as biases, and their norm says little (so in timm and in NVIDIA's Apex).

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::rep_optimizer::shaped;

/// What weight decay is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decay {
    /// The gradient: Adam with L2 regularisation.
    OfGradient,
    /// The parameter, apart from the gradient: AdamW.
    Decoupled,
    /// The update, which is then scaled to the parameter's norm: LAMB.
    Trusted,
}

/// Adam, AdamW or LAMB, for one parameter at a time.
#[derive(Clone, Debug)]
pub(crate) struct Adaptive {
    /// What the averages of gradients and of their squares keep at a step, each from 0 to below 1.
    pub(crate) betas: [f64; 2],
    /// Added to the root of the squares' average, behind the correction of its bias; above 0.
    pub(crate) epsilon: f64,
    /// λ; 0 for none.
    pub weight_decay: f64,
    /// Where λ goes: which of the three it is.
    pub(crate) decay: Decay,
    /// What AdamW's update is multiplied by, element by element, and its decay is not: as if the parameter were a sum of
    /// others (RepOptimizer).
    pub(crate) factor: Option<Tensor<4>>,
}

/// What [`Adaptive`] remembers of a parameter.
#[derive(Clone, Debug)]
pub(crate) struct MomentState<const D: usize> {
    /// Steps done.
    time: u64,
    first: Tensor<D>,
    second: Tensor<D>,
}

const TIME: &str = "momentum.time";
const FIRST: &str = "momentum.moment_1";
const SECOND: &str = "momentum.moment_2";

/// Under the names that Burn's `Adam` and `AdamW` give them: either goes on from the other's record.
impl<const D: usize> RecordState for MomentState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, TIME, self.time.into());
        out.push_tensor(prefix, FIRST, self.first.to_data());
        out.push_tensor(prefix, SECOND, self.second.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let time = u64::try_from(src.take_scalar(prefix, TIME)?).ok()?;
        let mut take = |name| Some(Tensor::from_data(src.take_tensor(prefix, name)?, device));
        Some(Self { time, first: take(FIRST)?, second: take(SECOND)? })
    }
}

impl Optimizer for Adaptive {
    type State<const D: usize> = MomentState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<MomentState<D>>,
    ) -> (Tensor<D>, Option<MomentState<D>>) {
        let (decay, decays) = (self.weight_decay, self.weight_decay != 0.0);
        let grad = match self.decay {
            Decay::OfGradient if decays => grad + tensor.clone() * decay,
            _ => grad,
        };
        let state = self.moved(grad, state);
        let update = match &self.factor {
            Some(factor) => self.update(&state) * shaped(factor, &tensor),
            None => self.update(&state),
        };
        let tensor = match self.decay {
            Decay::Decoupled if decays => tensor * (1.0 - lr * decay) - update * lr,
            Decay::Trusted if decays => {
                let update = update + tensor.clone() * decay;
                let ratio = trust(&tensor, &update);
                tensor - update * ratio * lr
            }
            _ => tensor - update * lr,
        };
        (tensor, Some(state))
    }

    fn to_device<const D: usize>(state: MomentState<D>, device: &Device) -> MomentState<D> {
        let MomentState { time, first, second } = state;
        MomentState { time, first: first.to_device(device), second: second.to_device(device) }
    }
}

impl Adaptive {
    /// The averages after one gradient more.
    fn moved<const D: usize>(
        &self,
        gradient: Tensor<D>,
        state: Option<MomentState<D>>,
    ) -> MomentState<D> {
        let [first, second] = self.betas;
        let (own, square) = (gradient.clone() * (1.0 - first), gradient.square() * (1.0 - second));
        match state {
            Some(state) => MomentState {
                time: state.time + 1,
                first: state.first * first + own,
                second: state.second * second + square,
            },
            None => MomentState { time: 1, first: own, second: square },
        }
    }

    /// u, from averages whose beginning at zero is corrected for.
    fn update<const D: usize>(&self, state: &MomentState<D>) -> Tensor<D> {
        let time = i32::try_from(state.time).unwrap_or(i32::MAX);
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powi(time));
        let root = state.second.clone().sqrt() / second.sqrt() + self.epsilon;
        state.first.clone() / first / root
    }
}

/// ‖p‖ / ‖u‖ in a tensor of one element, 1 where either is zero. Nothing is read back from the device.
fn trust<const D: usize>(parameter: &Tensor<D>, update: &Tensor<D>) -> Tensor<D> {
    let norm = |tensor: &Tensor<D>| tensor.clone().square().sum().sqrt();
    let (of_parameter, of_update) = (norm(parameter), norm(update));
    let zero = of_parameter.clone().equal_scalar(0.0).bool_or(of_update.clone().equal_scalar(0.0));
    let ratio = of_parameter / of_update.mask_fill(zero.clone(), 1.0);
    ratio.mask_fill(zero, 1.0).reshape([1; D])
}
