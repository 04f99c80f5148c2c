//! VGG (arXiv 1409.1556, table 1), without and with batch norms: torchvision's names and initialisation.
//!
//! | | 3×3 convolutions of a stage | |
//! |---|---|---|
//! | VGG-11 | 1, 1, 2, 2, 2 | table 1, A |
//! | VGG-13 | 2, 2, 2, 2, 2 | B |
//! | VGG-16 | 2, 2, 3, 3, 3 | D |
//! | VGG-19 | 2, 2, 4, 4, 4 | E |
//!
//! Stages have 64, 128, 256, 512 and 512 channels and end in 2×2 max pooling. Convolutions start from
//! N(0, √(2 / fan-out)), linear layers from N(0, 0.01), biases from zero. For small pictures, as on CIFAR, the three linear
//! layers with dropout give way to one behind a global average; DyRep's VGG-16 (arXiv 2203.12868, table 1) is this form of
//! VGG-16 with batch norms.

use burn::module::Module;
use burn::nn::activation::Relu;
use burn::nn::pool::{AdaptiveAvgPool2d, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::{Device, Tensor};
use dyrep_burn::RepConv2d;
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::{Interpreter, Then};
use crate::parts::{Stem, average, common_options, conv, fan_out, linear, network_methods, norm};
use crate::selection::{Branching, apply};
use crate::transparent::transparent;

/// Channels of each stage, as multiples of the first one's.
const MULTIPLES: [usize; 5] = [1, 2, 4, 8, 8];
/// Outputs of the hidden linear layers, as multiples of the first stage's channels: 4096 of 64.
const HIDDEN: usize = 64;
/// Side of the maps that the hidden layers see.
const POOLED: usize = 7;

/// Creates a [`Vgg`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first stage, to which all others keep their ratio. The published networks have 64.
    pub width: usize,
    /// Convolutions in each of the five stages.
    pub depths: [usize; 5],
    /// Whether each convolution is followed by a batch norm.
    pub norms: bool,
    /// Which classifier.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
}

common_options!(VggConfig);

/// Writes the two constructors of one column of the paper's table.
macro_rules! columns {
    ($($title:literal $plain:ident $with_norms:ident $depths:expr;)*) => {
        impl VggConfig {$(
            #[doc = concat!($title, " for pictures of 3 channels.")]
            #[must_use]
            pub fn $plain(classes: usize) -> Self {
                Self::published(classes, $depths, false)
            }

            #[doc = concat!($title, " with batch norms, for pictures of 3 channels.")]
            #[must_use]
            pub fn $with_norms(classes: usize) -> Self {
                Self::published(classes, $depths, true)
            }
        )*}
    };
}

columns! {
    "VGG-11" vgg11 vgg11_bn [1, 1, 2, 2, 2];
    "VGG-13" vgg13 vgg13_bn [2, 2, 2, 2, 2];
    "VGG-16" vgg16 vgg16_bn [2, 2, 3, 3, 3];
    "VGG-19" vgg19 vgg19_bn [2, 2, 4, 4, 4];
}

impl VggConfig {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out;

    fn published(classes: usize, depths: [usize; 5], norms: bool) -> Self {
        let (stem, branches) = (Stem::Imagenet, Branching::default());
        Self { in_channels: 3, classes, width: 64, depths, norms, stem, branches }
    }

    /// DyRep's VGG-16 for CIFAR: batch norms, global average, one linear layer.
    #[must_use]
    pub fn cifar_vgg16(classes: usize) -> Self {
        Self::vgg16_bn(classes).with_stem(Stem::Small)
    }

    /// Five poolings.
    pub(crate) fn smallest_side(&self) -> usize {
        1 << MULTIPLES.len()
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<Vgg, ModelError> {
        self.check(&self.depths)?;
        let side = match self.stem {
            Stem::Imagenet => POOLED,
            Stem::Small => 1,
        };
        let network = Vgg {
            features: self.layers(device)?,
            avgpool: average(side),
            classifier: self.classifier(side, device),
        };
        apply(&self.branches, network, Self::START, device)
    }

    fn layers(&self, device: &Device) -> Result<Vec<VggLayer>, ModelError> {
        let mut layers = vec![];
        let mut inputs = self.in_channels;
        for (multiple, depth) in MULTIPLES.into_iter().zip(self.depths) {
            let outputs = multiple * self.width;
            for _ in 0..depth {
                layers.push(VggLayer::Conv(biased_conv([inputs, outputs], device)?));
                if self.norms {
                    layers.push(VggLayer::Norm(norm(outputs, device)));
                }
                layers.push(VggLayer::Relu(Relu));
                inputs = outputs;
            }
            let halve = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]);
            layers.push(VggLayer::Pool(halve.init()));
        }
        Ok(layers)
    }

    fn classifier(&self, side: usize, device: &Device) -> VggClassifier {
        let inputs = MULTIPLES[4] * self.width * side * side;
        let layer = |inputs: usize, outputs: usize| {
            linear([inputs, outputs], Initializer::Normal { mean: 0.0, std: 0.01 }, device)
        };
        if self.stem == Stem::Small {
            return VggClassifier::One(layer(inputs, self.classes));
        }
        let hidden = HIDDEN * self.width;
        let drop = || HeadLayer::Dropout(DropoutConfig::new(0.5).init());
        VggClassifier::Hidden(vec![
            HeadLayer::Linear(layer(inputs, hidden)),
            HeadLayer::Relu(Relu),
            drop(),
            HeadLayer::Linear(layer(hidden, hidden)),
            HeadLayer::Relu(Relu),
            drop(),
            HeadLayer::Linear(layer(hidden, self.classes)),
        ])
    }
}

/// A 3×3 convolution whose bias starts at zero.
fn biased_conv(channels: [usize; 2], device: &Device) -> Result<RepConv2d, ModelError> {
    let mut layer = conv(channels, 3, 1).try_init(device)?;
    if let RepConv2d::Plain(conv) = &mut layer {
        conv.bias = Some(Initializer::Zeros.init([channels[1]], device));
    }
    Ok(layer)
}

transparent! {
    /// An entry of `features`.
    pub enum VggLayer {
        /// A 3×3 convolution.
        Conv(RepConv2d),
        /// A batch norm.
        Norm(BatchNorm),
        /// max(x, 0).
        Relu(Relu),
        /// 2×2 max pooling, the end of a stage.
        Pool(MaxPool2d),
    }
}

impl VggLayer {
    fn pass<I: Interpreter>(&self, by: &mut I, place: usize, x: I::Maps) -> I::Maps {
        match self {
            Self::Conv(conv) => by.conv(conv, x),
            Self::Norm(norm) => by.norm(norm, x),
            Self::Relu(Relu) => by.relu(x),
            Self::Pool(pool) => by.max_pool(&format!("features.{place}"), pool, x),
        }
    }
}

transparent! {
    /// An entry of `classifier`.
    pub enum HeadLayer {
        /// A linear layer.
        Linear(Linear),
        /// max(x, 0).
        Relu(Relu),
        /// While training, half of the values are left out.
        Dropout(Dropout),
    }
}

impl HeadLayer {
    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Rows) -> I::Rows {
        match self {
            Self::Linear(linear) => by.linear(linear, x),
            Self::Relu(Relu) => by.relu_of_rows(x),
            Self::Dropout(dropout) => by.dropout(dropout, x),
        }
    }
}

transparent! {
    /// What makes logits of pooled features.
    pub enum VggClassifier {
        /// Three linear layers with dropout: `classifier.0`, `classifier.3`, `classifier.6`.
        Hidden(Vec<HeadLayer>),
        /// One linear layer: `classifier`.
        One(Linear),
    }
}

/// A VGG. Created by [`VggConfig`].
///
/// [`features`](Self::features()) are the outputs of the five stages in front of their poolings, of stride 1, 2, 4, 8
/// and 16.
#[derive(Module, Debug)]
pub struct Vgg {
    /// Convolutions, norms, ReLUs and poolings in a row.
    pub features: Vec<VggLayer>,
    /// Average to 7×7, in the small form to 1×1.
    pub avgpool: AdaptiveAvgPool2d,
    /// Classifier.
    pub classifier: VggClassifier,
}

network_methods!(Vgg);

impl ConvNorms for Vgg {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let pairs = self.features.windows(2).enumerate().filter_map(|(i, pair)| match pair {
            [VggLayer::Conv(conv), VggLayer::Norm(norm)] => {
                let (conv_name, norm_name) = (i.to_string(), (i + 1).to_string());
                let pair = ConvNorm::new("features", (&conv_name, conv), (&norm_name, norm));
                Some(ConvNorm { keeps_bias: true, ..pair })
            }
            _ => None,
        });
        pairs.collect()
    }
}

impl Vgg {
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        use VggLayer::{Conv, Norm, Pool, Relu};
        let (mut x, mut left) = (images, self.features.as_slice());
        loop {
            (x, left) = match left {
                // Deployed, all three are one pass.
                [Conv(conv), Norm(norm), Relu(_), left @ ..] => {
                    (by.conv_norm(conv, norm, x, Then::relu()), left)
                }
                [layer, left @ ..] => {
                    if let Pool(_) = layer {
                        seen(&x);
                    }
                    let place = self.features.len() - left.len() - 1;
                    (layer.pass(by, place, x), left)
                }
                [] => return x,
            };
        }
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = by.average("avgpool", &self.avgpool, x);
        match &self.classifier {
            VggClassifier::Hidden(layers) => layers.iter().fold(x, |x, layer| layer.pass(by, x)),
            VggClassifier::One(linear) => by.linear(linear, x),
        }
    }
}
