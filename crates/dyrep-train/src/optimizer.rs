//! SGD with PyTorch's semantics, and which parameters decay.

use burn::module::ParamGroup;
use burn::optim::ModuleOptimizer;
use dyrep_burn::ops::Sgd;
use serde::{Deserialize, Serialize};

/// SGD: momentum, Nesterov, weight decay, and whether norms and biases decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdRecipe {
    /// Momentum factor, without dampening.
    pub momentum: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Weight decay, as L2 added to the gradient.
    pub weight_decay: f32,
    /// Whether batch norms' parameters and biases decay too.
    pub decay_norms_and_biases: bool,
}

impl SgdRecipe {
    /// DyRep's recipe for ImageNet: momentum 0.9, Nesterov, decay 1e-4, none on norms and biases.
    #[must_use]
    pub fn imagenet() -> Self {
        Self { momentum: 0.9, nesterov: true, weight_decay: 1e-4, decay_norms_and_biases: false }
    }

    /// The optimiser.
    #[must_use]
    pub fn init(&self) -> ModuleOptimizer {
        let decaying = Sgd {
            momentum: self.momentum as f32,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
        };
        let plain = Sgd { weight_decay: 0.0, ..decaying };
        let optimizer = ModuleOptimizer::from(decaying);
        if self.decay_norms_and_biases {
            return optimizer;
        }
        let spared = ParamGroup::from_any_regexes(vec![r"(^|\.)(gamma|beta|bias)$"])
            .unwrap_or_else(|error| unreachable!("a constant pattern: {error:?}"));
        optimizer.with_group(spared, plain, None)
    }
}
