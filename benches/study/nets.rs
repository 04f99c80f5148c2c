//! The networks of the study: with shortcuts and without, with batch norms and without.

use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use clap::ValueEnum;
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{Branches, RepConv2d, RepConv2dConfig};
use dyrep_models::{ResNet, ResNetConfig, Stem};
use serde::{Deserialize, Serialize};

/// Channels of the first stage.
const WIDTH: usize = 8;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Architecture {
    /// ResNet-10: a basic block in each of four stages.
    Resnet,
    /// Six 3×3 convolutions in three stages, each followed by a batch norm.
    Vgg,
    /// The same without batch norms.
    VggNoBn,
}

impl Architecture {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Resnet => "ResNet-10 (shortcuts, batch norms)",
            Self::Vgg => "VGG-6 (no shortcuts, batch norms)",
            Self::VggNoBn => "VGG-6 without batch norms",
        }
    }

    /// Without norms the rate that the others take diverges.
    pub(crate) fn learning_rate(self) -> f64 {
        match self {
            Self::Resnet | Self::Vgg => 0.1,
            Self::VggNoBn => 0.05,
        }
    }

    pub(crate) fn init(self, branches: Branches, device: &Device) -> Net {
        match self {
            Self::Resnet => {
                let config = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet18(10) }
                    .with_in_channels(1)
                    .with_width(WIDTH)
                    .with_stem(Stem::Small)
                    .with_branches(branches);
                Net::ResNet(config.init(device).unwrap_or_else(|e| panic!("{e}")))
            }
            Self::Vgg => Net::Vgg(Vgg::new(true, &branches, device)),
            Self::VggNoBn => Net::Vgg(Vgg::new(false, &branches, device)),
        }
    }
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "one of them exists")]
pub(crate) enum Net {
    ResNet(ResNet),
    Vgg(Vgg),
}

impl Net {
    /// Logits `[batch, 10]` of pictures `[batch, 1, 8, 8]`.
    pub(crate) fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        match self {
            Self::ResNet(net) => net.forward(pictures),
            Self::Vgg(net) => net.forward(pictures),
        }
    }
}

/// Pairs of convolutions, halving the picture in between; global average; a linear layer.
#[derive(Module, Debug)]
pub(crate) struct Vgg {
    convs: Vec<RepConv2d>,
    norms: Vec<Option<BatchNorm>>,
    pool: MaxPool2d,
    fc: Linear,
}

impl Vgg {
    fn new(with_norms: bool, branches: &Branches, device: &Device) -> Self {
        let widths = [1, WIDTH, WIDTH, 2 * WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH];
        let initializer = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true };
        let conv = |pair: &[usize]| {
            RepConv2dConfig::new([pair[0], pair[1]], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(!with_norms)
                .with_initializer(initializer.clone())
                .with_branches(branches.clone())
                .init(device)
        };
        let norm = |width: &usize| with_norms.then(|| BatchNormConfig::new(*width).init(device));
        Self {
            convs: widths.windows(2).map(conv).collect(),
            norms: widths[1..].iter().map(norm).collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc: LinearConfig::new(4 * WIDTH, 10).init(device),
        }
    }

    fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let mut x = pictures;
        for (i, (conv, norm)) in self.convs.iter().zip(&self.norms).enumerate() {
            if i == 2 || i == 4 {
                x = self.pool.forward(x);
            }
            x = conv.forward(x);
            if let Some(norm) = norm {
                x = norm.forward(x);
            }
            x = relu(x);
        }
        self.fc.forward(mean_of_maps(x).flatten(1, 3))
    }
}
