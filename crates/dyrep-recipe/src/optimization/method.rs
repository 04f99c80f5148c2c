//! How a gradient becomes a step.

use serde::Serialize;

/// An optimiser and the keys that it does not share with all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Method {
    /// Stochastic gradient descent with PyTorch's semantics: `v ← momentum · v + g`, `p ← p − rate · v`.
    Sgd {
        /// Momentum, 0 to below 1, without dampening; 0.9 if absent.
        momentum: f64,
        /// Nesterov's variant; false if absent, as in PyTorch.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (arXiv 1711.05101, algorithm 2).
    AdamW {
        /// What the averages of gradients and of their squares keep at a step, 0 to below 1; `[0.9, 0.999]` if absent.
        betas: [f64; 2],
        /// Added to the root of the squares' average, above 0; 1e-8 if absent, as in PyTorch.
        epsilon: f64,
    },
    /// Adam (arXiv 1412.6980, algorithm 1).
    Adam {
        /// What the averages of gradients and of their squares keep at a step, 0 to below 1; `[0.9, 0.999]` if absent.
        betas: [f64; 2],
        /// Added to the root of the squares' average, above 0; 1e-8 if absent, as in PyTorch.
        epsilon: f64,
    },
    /// `RMSprop` with PyTorch's semantics: not centred, ε is added behind the root.
    RmsProp {
        /// What the average of squared gradients keeps at each step, 0 to below 1; 0.9 if absent, as in torchvision's
        /// references and timm.
        alpha: f64,
        /// Added to the root of that average, above 0; 0.0316 if absent, as in torchvision's references.
        epsilon: f64,
        /// Momentum of the scaled gradients, 0 to below 1, 0 for none; 0.9 if absent.
        momentum: f64,
    },
    /// Adam whose step is scaled, parameter by parameter, to the parameter's own norm (LAMB, arXiv 1904.00962, algorithm
    /// 2): of parameters that decay, as in timm and Apex.
    Lamb {
        /// What the averages of gradients and of their squares keep at a step, 0 to below 1; `[0.9, 0.999]` if absent.
        betas: [f64; 2],
        /// Added to the root of the squares' average, above 0; 1e-6 if absent, as in timm.
        epsilon: f64,
    },
}

impl Method {
    /// The name in a recipe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::AdamW { .. } => "adamw",
            Self::Adam { .. } => "adam",
            Self::RmsProp { .. } => "rmsprop",
            Self::Lamb { .. } => "lamb",
        }
    }
}
