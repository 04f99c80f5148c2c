//! Optimisers with PyTorch's semantics, and which parameters decay. A recipe's section says which.
//!
//! Every one is a Burn [`Optimizer`] for one parameter at a time, so that Burn keeps, moves and records its state. What
//! they compute with one number a step (corrections of bias, rates) is in `f64`, as in PyTorch; Burn's own Adam and LAMB
//! round it to `f32`, which at the first steps is off by some 1e-5 of a step.

mod adaptive;
mod groups;
mod multiplied;
mod rms_prop;
#[cfg(test)]
mod tests;

use burn::module::ParamId;
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::Sgd;
use dyrep_recipe::{Method, OptimizerConfig};

pub use groups::Groups;

use adaptive::{Adaptive, Decay as AdaptiveDecay};
use groups::{exactly, group};
use multiplied::Multiplied;
use rms_prop::RmsProp;

impl Groups {
    /// The optimiser of the network that the groups are of.
    #[must_use]
    pub fn optimizer(&self, config: &OptimizerConfig) -> ModuleOptimizer {
        let adaptive = |betas, epsilon, decay| {
            self.assemble(config, move |weight_decay, factor| Adaptive {
                betas,
                epsilon,
                weight_decay,
                decay,
                factor,
            })
        };
        match config.method {
            Method::Sgd { momentum, nesterov } => self.assemble(config, |weight_decay, factor| {
                let weight_decay = weight_decay as f32;
                Multiplied {
                    sgd: Sgd { momentum: momentum as f32, nesterov, weight_decay },
                    factor,
                }
            }),
            Method::AdamW { betas, epsilon } => adaptive(betas, epsilon, AdaptiveDecay::Decoupled),
            Method::Adam { betas, epsilon } => adaptive(betas, epsilon, AdaptiveDecay::OfGradient),
            Method::Lamb { betas, epsilon } => adaptive(betas, epsilon, AdaptiveDecay::Trusted),
            // Nothing is multiplied of what these methods do: `GradientMultipliers` refuses them.
            Method::RmsProp { alpha, epsilon, momentum } => {
                self.assemble(config, |weight_decay, _| RmsProp {
                    alpha,
                    epsilon,
                    momentum,
                    weight_decay,
                })
            }
        }
    }

    /// One optimiser for what decays and one for what does not, in each group, and one for each parameter whose steps are
    /// multiplied; of those that match Burn takes the last.
    fn assemble<O: Optimizer>(
        &self,
        config: &OptimizerConfig,
        of: impl Fn(f64, Option<Tensor<4>>) -> O,
    ) -> ModuleOptimizer {
        let scaled = |decay, scale| Scaled { optimizer: of(decay, None), scale };
        let mut optimizer = ModuleOptimizer::from(scaled(config.weight_decay, 1.0));
        let spares = !config.decay_norms_and_biases;
        if spares {
            optimizer = optimizer.with_group(group(&[NORMS_AND_BIASES]), scaled(0.0, 1.0), None);
        }
        for part in self.parts() {
            let decay = part.weight_decay.unwrap_or(config.weight_decay);
            let all = group(&[&part.paths]);
            optimizer = optimizer.with_group(all, scaled(decay, part.scale), None);
            if spares {
                let spared = group(&[&part.paths, NORMS_AND_BIASES]);
                optimizer = optimizer.with_group(spared, scaled(0.0, part.scale), None);
            }
        }
        for (path, factor) in self.multipliers().steps() {
            let id = ParamId::from(0);
            let holds = |expressions: &[&str]| group(expressions).matches(&id, Some(path));
            let part = self.parts().iter().rfind(|part| holds(&[&part.paths]));
            let decay = match part.and_then(|part| part.weight_decay) {
                _ if spares && holds(&[NORMS_AND_BIASES]) => 0.0,
                own => own.unwrap_or(config.weight_decay),
            };
            let scale = part.map_or(1.0, |part| part.scale);
            let own = Scaled { optimizer: of(decay, Some(factor.clone())), scale };
            optimizer = optimizer.with_group(group(&[&exactly(path)]), own, None);
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
