//! What all networks are made of: the parts with the starts that torchvision gives them, and the methods that every
//! configuration and every network has.

use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use dyrep_burn::RepConv2dConfig;
pub use dyrep_config::{Activation, Stem};

/// The stride of the first convolution of networks whose kernel stays the same.
pub(crate) const fn stride_of(stem: Stem) -> usize {
    match stem {
        Stem::Imagenet => 2,
        Stem::Small => 1,
    }
}

/// Whether an activation is a ReLU and something after it.
pub(crate) const fn begins_with_relu(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Relu6)
}

/// The rest of an activation: of what a ReLU gave, if it begins with one.
pub(crate) fn rest_of(activation: Activation, x: Tensor<4>) -> Tensor<4> {
    match activation {
        Activation::Relu => x,
        Activation::Relu6 => x.clamp_max(6.0),
        Activation::Gelu => gelu(x),
    }
}

/// A `kernel`×`kernel` convolution from `channels[0]` to `channels[1]`, without bias, whose output has the size of its
/// input divided by `stride`.
pub(crate) fn conv(channels: [usize; 2], kernel: usize, stride: usize) -> RepConv2dConfig {
    let p = kernel / 2;
    RepConv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
        .with_bias(false)
        .with_initializer(fan_out(1))
}

/// N(0, √(2 / fan-out)), the fan-out being that of one group (timm).
pub(crate) fn fan_out(_groups: usize) -> Initializer {
    Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true }
}

/// N(0, √(2 / fan-out)), the fan-out being that of all groups (torchvision).
pub(crate) fn fan_out_of_all(groups: usize) -> Initializer {
    Initializer::KaimingNormal { gain: (2.0 / groups as f64).sqrt(), fan_out_only: true }
}

/// PyTorch's own start of a convolution, which a layer has where nothing is said: uniform within 1 / √(fan-in), the fan-in
/// being that of one group.
pub(crate) fn fan_in(_groups: usize) -> Initializer {
    RepConv2dConfig::new([1, 1], [1, 1]).initializer
}

pub(crate) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

pub(crate) fn average(side: usize) -> AdaptiveAvgPool2d {
    AdaptiveAvgPool2dConfig::new([side, side]).init()
}

/// A linear layer whose weights start as `weights` says and whose bias starts at zero.
pub(crate) fn linear(
    [inputs, outputs]: [usize; 2],
    weights: Initializer,
    device: &Device,
) -> Linear {
    let bias = Initializer::Zeros.init([outputs], device);
    let layer = LinearConfig::new(inputs, outputs).with_initializer(weights).init(device);
    Linear { bias: Some(bias), ..layer }
}

/// `channels` scaled and rounded to a multiple of 8, but to no less than nine tenths, as networks for small machines count
/// them (arXiv 1801.04381 in its published code).
pub(crate) fn multiple_of_8(channels: f64) -> usize {
    let rounded = ((channels + 4.0) / 8.0).floor().max(1.0) * 8.0;
    (if rounded < 0.9 * channels { rounded + 8.0 } else { rounded }) as usize
}

/// The options that every configuration has; with a list of activations, the published one first, also that option.
macro_rules! common_options {
    ($config:ty) => {
        $crate::parts::common_options!(@all $config);

        impl $config {
            /// What may follow the norms.
            pub(crate) const ACTIVATIONS: &'static [$crate::Activation] =
                &[$crate::Activation::Relu];

            pub(crate) fn activation(&self) -> $crate::Activation {
                $crate::Activation::Relu
            }

            /// There is no other.
            pub(crate) fn with_activation(self, _activation: $crate::Activation) -> Self {
                self
            }
        }
    };
    ($config:ty, $($activation:ident)+) => {
        $crate::parts::common_options!(@all $config);

        impl $config {
            /// What may follow the norms, the published one first.
            pub(crate) const ACTIVATIONS: &'static [$crate::Activation] =
                &[$($crate::Activation::$activation,)+];

            pub(crate) fn activation(&self) -> $crate::Activation {
                self.activation
            }

            /// Sets what follows each norm.
            #[must_use]
            pub fn with_activation(mut self, activation: $crate::Activation) -> Self {
                self.activation = activation;
                self
            }
        }
    };
    (@all $config:ty) => {
        impl $config {
            /// Sets the channels of the picture.
            #[must_use]
            pub fn with_in_channels(mut self, in_channels: usize) -> Self {
                self.in_channels = in_channels;
                self
            }

            /// Sets the channels of the first convolution; all others keep their ratio to them.
            #[must_use]
            pub fn with_width(mut self, width: usize) -> Self {
                self.width = width;
                self
            }

            /// Sets the first layers.
            #[must_use]
            pub fn with_stem(mut self, stem: $crate::parts::Stem) -> Self {
                self.stem = stem;
                self
            }

            /// Sets the branches that convolutions start with: a preset or kinds for all that are larger than 1×1, or a
            /// [`Branching`](crate::Branching) for some.
            #[must_use]
            pub fn with_branches(mut self, branches: impl Into<$crate::Branching>) -> Self {
                self.branches = branches.into();
                self
            }

            fn check(&self, depths: &[usize]) -> Result<(), $crate::ModelError> {
                let sizes = [
                    ("in_channels", self.in_channels),
                    ("classes", self.classes),
                    ("width", self.width),
                    ("every stage's depth", depths.iter().copied().min().unwrap_or(1)),
                ];
                match sizes.into_iter().find(|(_, size)| *size == 0) {
                    Some((name, _)) => Err($crate::ModelError::Zero { name }),
                    None => Ok(()),
                }
            }
        }
    };
}

/// The methods that every network has, from its `trunk`, which shows each stage's output, and its `head`.
macro_rules! network_methods {
    ($network:ty) => {
        $crate::network::is_network!($network);

        impl $network {
            /// Logits `[batch, classes]` of pictures `[batch, channels, height, width]`.
            #[must_use]
            pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
                let by = &mut $crate::interpret::Tensors;
                let x = self.trunk(by, images, &mut |_| {});
                self.head(by, x)
            }

            /// The output of each stage, the largest maps first, for networks that look at places: detection,
            /// segmentation. The classifier does not run.
            #[must_use]
            pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
                let mut features = vec![];
                let by = &mut $crate::interpret::Tensors;
                let _last = self.trunk(by, images, &mut |stage| features.push(stage.clone()));
                features
            }

            /// The deployed network's operations as plain data, by the code of [`forward`](Self::forward).
            ///
            /// # Errors
            /// A block that is not deployed; a layer changed by hand into what no graph can describe.
            pub fn graph(&self) -> Result<$crate::Graph, $crate::ModelError> {
                $crate::record::Recorder::record(self, |by, pictures| {
                    let x = self.trunk(by, pictures, &mut |_| {});
                    self.head(by, x)
                })
            }

            /// Multiply-adds of one picture of `[channels, height, width]`: of the convolutions, pooling branches and
            /// linear layers, as the field counts a network's FLOPs. A picture passes through the network.
            #[must_use]
            pub fn flops(&self, picture: [usize; 3]) -> u64 {
                $crate::count::flops(self, picture, Self::forward)
            }

            /// Learnable parameters, without running statistics.
            #[must_use]
            pub fn params(&self) -> usize {
                $crate::count::learnable(self)
            }
        }
    };
}

pub(crate) use {common_options, network_methods};
