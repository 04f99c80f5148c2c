//! Which batch norm stands behind which convolution: what folding and exporting must know, and no module can tell by
//! itself.
//!
//! Every network of the zoo gives its pairs; tests move each bias into its norm and fold each norm away ([`fold_norms`]),
//! and hold the outputs against the network's own.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{BatchNorm, Linear};
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

/// A batch norm, of maps of one pixel, and the linear layer with a bias that alone reads it.
#[derive(Clone, Debug)]
pub struct NormLinear<'a> {
    /// Path of the norm.
    pub norm_path: String,
    /// The norm.
    pub norm: &'a BatchNorm,
    /// Path of the linear layer.
    pub linear_path: String,
    /// The linear layer.
    pub linear: &'a Linear,
}

impl NormLinear<'_> {
    /// Weight `[in, out]` and bias `[out]` of the linear layer that does what both do in evaluation mode.
    fn fold(&self) -> (Tensor<2>, Tensor<1>) {
        let NormAffine { scale, shift } = NormAffine::of(self.norm);
        let weight = self.linear.weight.val();
        let shift =
            shift.cast(weight.dtype()).unsqueeze::<2>().matmul(weight.clone()).flatten(0, 1);
        let bias = match &self.linear.bias {
            Some(bias) => bias.val() + shift,
            None => shift,
        };
        (weight.clone() * scale.cast(weight.dtype()).unsqueeze_dim(1), bias)
    }
}

/// A network that says which norm stands behind which convolution.
pub trait ConvNorms: Module {
    /// All pairs, in any order.
    fn conv_norms(&self) -> Vec<ConvNorm<'_>>;

    /// Norms in front of linear layers; none, unless a network says so.
    fn norm_linears(&self) -> Vec<NormLinear<'_>> {
        vec![]
    }

    /// All norms that fold away, with their paths.
    fn folding_norms(&self) -> Vec<(String, &BatchNorm)> {
        let behind = self.conv_norms().into_iter().map(|pair| (pair.norm_path, pair.norm));
        let before = self.norm_linears().into_iter().map(|pair| (pair.norm_path, pair.norm));
        behind.chain(before).collect()
    }
}

/// The deployed network with every norm that it lists folded into the convolution in front of it, which so has a bias, or
/// into the linear layer behind it. The norms stay where they are, in evaluation mode, and pass values through: [`silence_norms`].
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
    let folded = |pair: NormLinear<'_>| (pair.linear_path.clone(), pair.fold());
    let linears = network.norm_linears().into_iter().map(folded).collect();
    silenced(&network, linears)
}

/// The network with every norm that it lists passing values through in evaluation mode: scale and shift, mean and
/// variance are 1, 0, 0 and `1 − ε`. Convolutions stay as they are. The network comes back in evaluation mode, and clones of
/// it stay as they are.
#[must_use]
pub fn silence_norms<M: ConvNorms>(network: &M) -> M {
    silenced(network, BTreeMap::new())
}

/// The same, with linear layers that have other weights and biases, by path.
fn silenced<M: ConvNorms>(network: &M, linears: BTreeMap<String, (Tensor<2>, Tensor<1>)>) -> M {
    // Running statistics are shared between clones of a module; this gives a copy of its own.
    let network = network.valid();
    let norms = network.folding_norms();
    let epsilons = norms.into_iter().map(|(path, norm)| (path, norm.epsilon)).collect();
    network.map(&mut Silencer { path: vec![], epsilons, linears })
}

struct Silencer {
    path: Vec<String>,
    /// ε by the path of the norm.
    epsilons: BTreeMap<String, f64>,
    /// Weight and bias by the path of the linear layer.
    linears: BTreeMap<String, (Tensor<2>, Tensor<1>)>,
}

impl ModuleMapper for Silencer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((name, layer)) = self.path.split_last() else {
            return param;
        };
        let layer = layer.join(".");
        if let Some((weight, bias)) = self.linears.get(&layer) {
            return param.map(|old| {
                let data = if name == "weight" { weight.to_data() } else { bias.to_data() };
                Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
            });
        }
        let Some(epsilon) = self.epsilons.get(&layer) else {
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
