//! Optimisers with PyTorch's semantics, and which parameters decay.
//!
//! Every one is a Burn [`Optimizer`] for one parameter at a time, so that Burn keeps, moves and records its state. What
//! they compute with one number a step (corrections of bias, rates) is in `f64`, as in PyTorch; Burn's own Adam and LAMB
//! round it to `f32`, which at the first steps is off by some 1e-5 of a step.

mod adaptive;
mod groups;
mod rms_prop;
#[cfg(test)]
mod tests;

use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::Sgd;
use serde::{Deserialize, Serialize};

pub use groups::{Groups, GroupsConfig, ParameterGroup};

use adaptive::{Adaptive, Decay as AdaptiveDecay};
use groups::group;
use rms_prop::RmsProp;

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent: `v ← momentum · v + g`, `p ← p − rate · v`.
    Sgd {
        /// Momentum factor, without dampening.
        momentum: f64,
        /// Nesterov's variant.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (arXiv 1711.05101, algorithm 2).
    AdamW {
        /// What the averages of gradients and of their squares keep at a step.
        betas: [f64; 2],
        /// Added to the root of the squares' average.
        epsilon: f64,
    },
    /// Adam (arXiv 1412.6980, algorithm 1).
    Adam {
        /// What the averages of gradients and of their squares keep at a step.
        betas: [f64; 2],
        /// Added to the root of the squares' average.
        epsilon: f64,
    },
    /// RMSprop as in PyTorch, not centred.
    RmsProp {
        /// What the average of squared gradients keeps at a step.
        alpha: f64,
        /// Added to the root of that average.
        epsilon: f64,
        /// Momentum of the scaled gradients; 0 for none.
        momentum: f64,
    },
    /// LAMB (arXiv 1904.00962, algorithm 2), with the trust ratio for parameters that decay, as in timm and Apex.
    Lamb {
        /// What the averages of gradients and of their squares keep at a step.
        betas: [f64; 2],
        /// Added to the root of the squares' average.
        epsilon: f64,
    },
}

/// An optimiser: the method, weight decay, and whether norms and biases decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// How a gradient becomes a step.
    pub method: Method,
    /// Weight decay, not below 0: L2 added to the gradient, but decoupled for AdamW and part of the update for LAMB.
    pub weight_decay: f64,
    /// Whether batch norms' parameters and biases decay too.
    pub decay_norms_and_biases: bool,
}

impl OptimizerConfig {
    /// DyRep's recipe for ImageNet: SGD of momentum 0.9, Nesterov, decay 1e-4, none on norms and biases.
    #[must_use]
    pub fn imagenet() -> Self {
        let method = Method::Sgd { momentum: 0.9, nesterov: true };
        Self { method, weight_decay: 1e-4, decay_norms_and_biases: false }
    }

    /// The optimiser of all parameters alike.
    #[must_use]
    pub fn init(&self) -> ModuleOptimizer {
        self.init_grouped(&Groups::default())
    }

    /// The optimiser of a network with these groups.
    #[must_use]
    pub fn init_grouped(&self, groups: &Groups) -> ModuleOptimizer {
        match self.method {
            Method::Sgd { momentum, nesterov } => self.assemble(groups, |weight_decay| Sgd {
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
            }),
            Method::AdamW { betas, epsilon } => self.assemble(groups, |weight_decay| Adaptive {
                betas,
                epsilon,
                weight_decay,
                decay: AdaptiveDecay::Decoupled,
            }),
            Method::Adam { betas, epsilon } => self.assemble(groups, |weight_decay| Adaptive {
                betas,
                epsilon,
                weight_decay,
                decay: AdaptiveDecay::OfGradient,
            }),
            Method::Lamb { betas, epsilon } => self.assemble(groups, |weight_decay| Adaptive {
                betas,
                epsilon,
                weight_decay,
                decay: AdaptiveDecay::Trusted,
            }),
            Method::RmsProp { alpha, epsilon, momentum } => self.assemble(groups, |weight_decay| {
                RmsProp { alpha, epsilon, momentum, weight_decay }
            }),
        }
    }

    /// One optimiser for what decays and one for what does not, in each group; of those that match Burn takes the last.
    fn assemble<O: Optimizer>(
        &self,
        groups: &Groups,
        of_decay: impl Fn(f64) -> O,
    ) -> ModuleOptimizer {
        let scaled = |decay: f64, scale: f64| Scaled { optimizer: of_decay(decay), scale };
        let mut optimizer = ModuleOptimizer::from(scaled(self.weight_decay, 1.0));
        let spares = !self.decay_norms_and_biases;
        if spares {
            optimizer = optimizer.with_group(group(&[NORMS_AND_BIASES]), scaled(0.0, 1.0), None);
        }
        for part in groups.parts() {
            let decay = part.weight_decay.unwrap_or(self.weight_decay);
            let all = group(&[&part.paths]);
            optimizer = optimizer.with_group(all, scaled(decay, part.scale), None);
            if spares {
                let spared = group(&[&part.paths, NORMS_AND_BIASES]);
                optimizer = optimizer.with_group(spared, scaled(0.0, part.scale), None);
            }
        }
        optimizer
    }
}

/// The paths of batch norms' parameters and of biases.
const NORMS_AND_BIASES: &str = r"(^|\.)(gamma|beta|bias)$";

/// An optimiser at a multiple of the learning rate. Its state is the optimiser's own.
#[derive(Clone, Debug)]
struct Scaled<O> {
    optimizer: O,
    scale: f64,
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<O::State<D>>,
    ) -> (Tensor<D>, Option<O::State<D>>) {
        self.optimizer.step(lr * self.scale, tensor, grad, state)
    }

    fn to_device<const D: usize>(state: O::State<D>, device: &Device) -> O::State<D> {
        O::to_device(state, device)
    }
}
