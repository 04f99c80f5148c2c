//! ResNet with basic blocks (arXiv 1512.03385), torchvision's names and initialisation.
//!
//! Convolutions start from N(0, √(2 / fan-out)), without bias, each followed by a batch norm. For small
//! images the 7×7 stem of stride 2 and the max pooling give way to a 3×3 of stride 1, as is usual on CIFAR.

use burn::module::Module;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::{Tail, max_pool};
use dyrep_burn::{Branches, RepConv2d, RepConv2dConfig, profile};
use serde::{Deserialize, Serialize};

/// How the first layers treat the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// 7×7 of stride 2, then 3×3 max pooling of stride 2: for pictures of about 224×224.
    Imagenet,
    /// 3×3 of stride 1: for pictures of up to about 64×64.
    Small,
}

/// A network that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A size of zero.
    #[error("{name} must be at least 1, got 0")]
    Zero {
        /// The option.
        name: &'static str,
    },
    /// Branches that a convolution cannot have.
    #[error(transparent)]
    Layer(#[from] dyrep_burn::ConfigError),
}

/// Creates a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first stage; each later stage has twice as many. The published network has 64.
    pub width: usize,
    /// Basic blocks in each of the four stages.
    pub depths: [usize; 4],
    /// The first layers.
    pub stem: Stem,
    /// Branches that every k×k convolution starts with.
    pub branches: Branches,
}

impl ResNetConfig {
    /// ResNet-18 for pictures of 3 channels.
    #[must_use]
    pub fn resnet18(classes: usize) -> Self {
        Self {
            in_channels: 3,
            classes,
            width: 64,
            depths: [2, 2, 2, 2],
            stem: Stem::Imagenet,
            branches: Branches::default(),
        }
    }

    /// Sets the channels of the picture.
    #[must_use]
    pub fn with_in_channels(mut self, in_channels: usize) -> Self {
        self.in_channels = in_channels;
        self
    }

    /// Sets the channels of the first stage.
    #[must_use]
    pub fn with_width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Sets the first layers.
    #[must_use]
    pub fn with_stem(mut self, stem: Stem) -> Self {
        self.stem = stem;
        self
    }

    /// Sets the branches that every k×k convolution starts with; 1×1 convolutions stay plain.
    #[must_use]
    pub fn with_branches(mut self, branches: impl Into<Branches>) -> Self {
        self.branches = branches.into();
        self
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<ResNet, ModelError> {
        let sizes =
            [("in_channels", self.in_channels), ("classes", self.classes), ("width", self.width)];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ModelError::Zero { name });
        }
        if self.depths.contains(&0) {
            return Err(ModelError::Zero { name: "every stage's depth" });
        }
        let (kernel, stride) = match self.stem {
            Stem::Imagenet => (7, 2),
            Stem::Small => (3, 1),
        };
        let stage = |index: usize| self.stage(index, device);
        let features = self.stage_width(3);
        Ok(ResNet {
            conv1: self.conv([self.in_channels, self.width], kernel, stride, device)?,
            bn1: BatchNormConfig::new(self.width).init(device),
            maxpool: (self.stem == Stem::Imagenet).then(stem_pool),
            layer1: stage(0)?,
            layer2: stage(1)?,
            layer3: stage(2)?,
            layer4: stage(3)?,
            avgpool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            fc: LinearConfig::new(features, self.classes).init(device),
        })
    }

    fn stage_width(&self, index: usize) -> usize {
        self.width << index
    }

    fn stage(&self, index: usize, device: &Device) -> Result<Vec<BasicBlock>, ModelError> {
        let outputs = self.stage_width(index);
        let block = |number: usize| match number {
            0 if index > 0 => self.block([outputs / 2, outputs], 2, device),
            _ => self.block([outputs, outputs], 1, device),
        };
        (0..self.depths[index]).map(block).collect()
    }

    fn block(
        &self,
        channels: [usize; 2],
        stride: usize,
        device: &Device,
    ) -> Result<BasicBlock, ModelError> {
        let [inputs, outputs] = channels;
        let norm = || BatchNormConfig::new(outputs).init(device);
        let downsample = match inputs == outputs && stride == 1 {
            true => None,
            false => Some((self.conv(channels, 1, stride, device)?, norm())),
        };
        Ok(BasicBlock {
            conv1: self.conv(channels, 3, stride, device)?,
            bn1: norm(),
            conv2: self.conv([outputs, outputs], 3, 1, device)?,
            bn2: norm(),
            downsample,
        })
    }

    fn conv(
        &self,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Result<RepConv2d, ModelError> {
        let p = kernel / 2;
        let config = RepConv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
            .with_bias(false)
            .with_initializer(Initializer::KaimingNormal {
                gain: std::f64::consts::SQRT_2,
                fan_out_only: true,
            });
        let config = match kernel {
            1 => config,
            _ => config.with_branches(self.branches.clone()),
        };
        Ok(config.try_init(device)?)
    }
}

fn stem_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}

/// Two 3×3 convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// First convolution, with the block's stride.
    pub conv1: RepConv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// Second convolution.
    pub conv2: RepConv2d,
    /// Its batch norm.
    pub bn2: BatchNorm,
    /// 1×1 convolution and batch norm of the shortcut, where it changes shape.
    pub downsample: Option<(RepConv2d, BatchNorm)>,
}

impl BasicBlock {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let inside = self.conv1.forward_norm(input.clone(), &self.bn1, Tail::relu());
        let shortcut = match &self.downsample {
            Some((conv, norm)) => conv.forward_norm(input, norm, Tail::default()),
            None => input,
        };
        self.conv2.forward_norm(inside, &self.bn2, Tail::add_relu(shortcut))
    }
}

/// A ResNet with basic blocks. Created by [`ResNetConfig`].
#[derive(Module, Debug)]
pub struct ResNet {
    /// The stem's convolution.
    pub conv1: RepConv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// The stem's pooling, for large pictures.
    pub maxpool: Option<MaxPool2d>,
    /// First stage.
    pub layer1: Vec<BasicBlock>,
    /// Second stage, stride 2.
    pub layer2: Vec<BasicBlock>,
    /// Third stage, stride 2.
    pub layer3: Vec<BasicBlock>,
    /// Fourth stage, stride 2.
    pub layer4: Vec<BasicBlock>,
    /// Global average.
    pub avgpool: AdaptiveAvgPool2d,
    /// Classifier.
    pub fc: Linear,
}

impl ResNet {
    /// Logits `[batch, classes]` of pictures `[batch, channels, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.conv1.forward_norm(images, &self.bn1, Tail::relu());
        if let Some(pool) = &self.maxpool {
            x = max_pool(pool, x);
        }
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten()
        {
            x = block.forward(x);
        }
        self.fc.forward(self.avgpool.forward(x).flatten(1, 3))
    }

    /// Multiply-adds of one image of `[channels, height, width]`: of the convolutions, pooling branches and
    /// the classifier, as the field counts a network's FLOPs.
    #[must_use]
    pub fn flops(&self, [channels, height, width]: [usize; 3]) -> u64 {
        let [features, classes] = self.fc.weight.dims();
        let layers = profile(self, |model| {
            let device = model.fc.weight.val().device();
            let _logits = model.forward(Tensor::zeros([1, channels, height, width], &device));
        });
        layers.iter().map(|layer| layer.trained.macs).sum::<u64>() + (features * classes) as u64
    }

    /// Learnable parameters, without running statistics.
    #[must_use]
    pub fn params(&self) -> usize {
        learnable(self)
    }
}

/// Float parameters that are not running statistics.
fn learnable<M: Module>(module: &M) -> usize {
    struct Count(usize, Vec<String>);
    impl burn::module::ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let running = self.1.last().is_some_and(|name| name.starts_with("running_"));
            self.0 += if running { 0 } else { param.lazy_shape().num_elements() };
        }
    }
    let mut count = Count(0, vec![]);
    module.visit(&mut count);
    count.0
}

#[cfg(test)]
mod tests {
    use dyrep_burn::{Preset, deploy};

    use super::*;

    #[test]
    fn resnet18_has_the_published_parameters_and_flops() {
        let device = Device::flex();
        let model = ResNetConfig::resnet18(1000).init(&device).unwrap();
        // torchvision: 11,689,512 parameters, 1.814 GFLOPS.
        assert_eq!(model.params(), 11_689_512);
        assert_eq!(model.flops([3, 224, 224]), 1_814_073_344);
    }

    #[test]
    fn a_small_stem_keeps_the_picture_size_and_blocks_deploy() {
        let device = Device::flex();
        let model = ResNetConfig::resnet18(10)
            .with_in_channels(1)
            .with_width(4)
            .with_stem(Stem::Small)
            .with_branches(Preset::Dbb)
            .init(&device)
            .unwrap();
        let logits = model.forward(Tensor::zeros([2, 1, 8, 8], &device));
        assert_eq!(logits.dims(), [2, 10]);
        assert!(deploy(&model).params() < model.params());
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let error = ResNetConfig::resnet18(0).init(&Device::flex()).unwrap_err();
        assert_eq!(error, ModelError::Zero { name: "classes" });
    }
}
