//! ResNet (arXiv 1512.03385, table 1), ResNeXt (arXiv 1611.05431, table 1), Wide ResNet (arXiv 1605.07146, as torchvision
//! has it) and ResNet-D (arXiv 1812.01187, figure 2): torchvision's names and initialisation, timm's names for ResNet-D.
//!
//! | | blocks of a stage | block |
//! |---|---|---|
//! | ResNet-18 | 2, 2, 2, 2 | two 3×3 |
//! | ResNet-34 | 3, 4, 6, 3 | two 3×3 |
//! | ResNet-50 | 3, 4, 6, 3 | 1×1, 3×3, 1×1 |
//! | ResNet-101 | 3, 4, 23, 3 | 1×1, 3×3, 1×1 |
//! | ResNet-152 | 3, 8, 36, 3 | 1×1, 3×3, 1×1 |
//! | ResNeXt-50 32×4d | 3, 4, 6, 3 | 1×1, 3×3 in 32 groups, 1×1 |
//! | Wide ResNet-50-2 and -101-2 | 3, 4 and 6 or 23, 3 | 1×1, 3×3 of twice the channels, 1×1 |
//!
//! Convolutions start from N(0, √(2 / fan-out)), without bias, each followed by a batch norm. A bottleneck has its
//! stride on the 3×3, as torchvision has it. ResNet-D has three 3×3 in the place of the 7×7, and a shortcut averages 2×2 pixels
//! where the other forms skip three of four. For small images the 7×7 stem of stride 2 and the max pooling give way to a
//! 3×3 of stride 1, as is usual on CIFAR.

use burn::module::Module;
use burn::nn::pool::{AdaptiveAvgPool2d, MaxPool2d};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::interpret::Interpreter;
use crate::parts::network_methods;

mod backbone;
mod config;
mod layers;

pub use backbone::ResNetBackbone;
pub use config::{ResNetConfig, ResNetForm, Residual};
pub use layers::{Downsample, ResNetStem, ResidualBlock};

/// A ResNet of any form. Created by [`ResNetConfig`].
///
/// [`features`](Self::features) are the outputs of `layer1` to `layer4`, of stride 4, 8, 16 and 32, with the small stem 1,
/// 2, 4 and 8.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The stem's convolutions.
    pub conv1: ResNetStem,
    /// The last one's batch norm.
    pub bn1: BatchNorm,
    /// The stem's pooling, for large pictures.
    pub maxpool: Option<MaxPool2d>,
    /// First stage.
    pub layer1: Vec<ResidualBlock>,
    /// Second stage, stride 2.
    pub layer2: Vec<ResidualBlock>,
    /// Third stage, stride 2.
    pub layer3: Vec<ResidualBlock>,
    /// Fourth stage, stride 2.
    pub layer4: Vec<ResidualBlock>,
    /// Global average.
    pub avgpool: AdaptiveAvgPool2d,
    /// Classifier.
    pub fc: Linear,
}

network_methods!(ResNet);

impl ConvNorms for ResNet {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        self.layers().conv_norms("")
    }
}

impl ResNet {
    fn layers(&self) -> Layers<'_> {
        let Self { conv1, bn1, maxpool, layer1, layer2, layer3, layer4, .. } = self;
        Layers { conv1, bn1, maxpool, stages: [layer1, layer2, layer3, layer4] }
    }

    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        self.layers().pass(by, images, seen)
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = by.average("avgpool", &self.avgpool, x);
        by.linear(&self.fc, x)
    }
}

/// All layers in front of the head.
struct Layers<'a> {
    conv1: &'a ResNetStem,
    bn1: &'a BatchNorm,
    maxpool: &'a Option<MaxPool2d>,
    stages: [&'a Vec<ResidualBlock>; 4],
}

impl<'a> Layers<'a> {
    /// Of a network that lies at a path.
    fn conv_norms(&self, path: &str) -> Vec<ConvNorm<'a>> {
        let mut pairs = self.conv1.conv_norms(path, self.bn1);
        let stem = if path.is_empty() { String::new() } else { format!("{path}.") };
        for (stage, number) in self.stages.into_iter().zip(1..) {
            for (i, block) in stage.iter().enumerate() {
                pairs.extend(block.conv_norms(&format!("{stem}layer{number}.{i}")));
            }
        }
        pairs
    }

    fn pass<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        let mut x = self.conv1.pass(by, self.bn1, images);
        if let Some(pool) = self.maxpool {
            x = by.max_pool("maxpool", pool, x);
        }
        for stage in self.stages {
            x = stage.iter().fold(x, |x, block| block.pass(by, x));
            seen(&x);
        }
        x
    }
}
