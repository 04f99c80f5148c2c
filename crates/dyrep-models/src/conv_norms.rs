//! Which batch norm stands behind which convolution: what folding and exporting must know, and no module can tell by
//! itself.
//!
//! Every network of the zoo gives its pairs; a test moves each bias into its norm and folds each norm away, and holds the
//! outputs against the network's own.

use burn::module::Module;
use burn::nn::BatchNorm;
use dyrep_burn::RepConv2d;

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
