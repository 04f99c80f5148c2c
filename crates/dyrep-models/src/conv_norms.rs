//! Which batch norm stands behind which convolution: what folding and exporting must know, and no module can tell by
//! itself.
//!
//! Every network of the zoo gives its pairs; tests move each bias into its norm and fold each norm away ([`fold_norms`]),
//! and hold the outputs against the network's own.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use dyrep_burn::fuse::{NormAffine, fold_norm};
use dyrep_burn::{RepConv2d, deploy, map_layers};

/// A convolution and the batch norm that reads nothing but its output.
#[derive(Clone, Debug)]
pub struct ConvNorm<'a> {
    /// Path of the convolution.
    pub conv_path: String,
    /// The convolution.
    pub conv: &'a RepConv2d,
    /// Path of the norm.
    pub norm_path: String,
    /// The norm.
    pub norm: &'a BatchNorm,
    /// Whether the convolution has a bias in torchvision's network, though the norm would take it away (VGG).
    pub keeps_bias: bool,
}

impl<'a> ConvNorm<'a> {
    /// A pair whose convolution has no bias in torchvision's network; both lie below `parent`.
    #[must_use]
    pub fn new(
        parent: &str,
        (conv_name, conv): (&str, &'a RepConv2d),
        (norm_name, norm): (&str, &'a BatchNorm),
    ) -> Self {
        let below = |name: &str| match parent {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        let (conv_path, norm_path) = (below(conv_name), below(norm_name));
        Self { conv_path, conv, norm_path, norm, keeps_bias: false }
    }
}

/// A network that says which norm stands behind which convolution.
pub trait ConvNorms: Module {
    /// All pairs, in any order.
    fn conv_norms(&self) -> Vec<ConvNorm<'_>>;
}

/// The deployed network with every norm that it lists folded into the convolution in front of it, which so has a bias.
/// The norms stay where they are, in evaluation mode, and pass values through: [`silence_norms`].
///
/// Its outputs are those of the deployed network up to rounding. The given network is left as it is.
#[must_use]
pub fn fold_norms<M: ConvNorms>(network: &M) -> M {
    // A copy of its own: running statistics are shared between clones.
    let network = deploy(network);
    let folded = |pair: ConvNorm<'_>| {
        (pair.conv_path, fold_norm(&pair.conv.fuse(), &NormAffine::of(pair.norm)))
    };
    let kernels: BTreeMap<_, _> = network.conv_norms().into_iter().map(folded).collect();
    let network = map_layers(network, |path, layer| match kernels.get(path) {
        Some(kernel) => layer.into_plain(kernel),
        None => layer,
    });
    silence_norms(&network)
}

/// The network with every norm that it lists passing values through in evaluation mode: scale and shift, mean and
/// variance are 1, 0, 0 and `1 − ε`. Convolutions stay as they are. The network comes back in evaluation mode, and clones of
/// it stay as they are.
#[must_use]
pub fn silence_norms<M: ConvNorms>(network: &M) -> M {
    // Running statistics are shared between clones of a module; this gives a copy of its own.
    let network = network.valid();
    let pairs = network.conv_norms();
    let epsilons = pairs.into_iter().map(|pair| (pair.norm_path, pair.norm.epsilon)).collect();
    network.map(&mut Silencer { path: vec![], epsilons })
}

struct Silencer {
    path: Vec<String>,
    /// ε by the path of the norm.
    epsilons: BTreeMap<String, f64>,
}

impl ModuleMapper for Silencer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((name, norm)) = self.path.split_last() else {
            return param;
        };
        let Some(epsilon) = self.epsilons.get(&norm.join(".")) else {
            return param;
        };
        let value = match name.as_str() {
            "gamma" => 1.0,
            "running_var" => 1.0 - epsilon,
            _ => 0.0,
        };
        param.map(|old| old.full_like(value).set_require_grad(old.is_require_grad()))
    }
}
