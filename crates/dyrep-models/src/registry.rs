//! Every network by its name. The list of them is `dyrep-config`'s; each of its families is a type of this crate, and each
//! name one of the constructors of its configuration.

use std::fmt;
use std::str::FromStr;

use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
pub use dyrep_config::MODELS;
use dyrep_config::{Activation, Branching, Stem};
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms, NormLinear};
use crate::error::ModelError;
use crate::graph::Graph;
use crate::mobilenet_v1::{MobileNetV1, MobileNetV1Config};
use crate::mobilenet_v2::{MobileNetV2, MobileNetV2Config};
use crate::mobileone::{MobileOne, MobileOneConfig};
use crate::network::is_network;
use crate::repvgg::{RepVgg, RepVggConfig};
use crate::repvit::{RepVit, RepVitConfig};
use crate::resnet::{ResNet, ResNetConfig};
use crate::transparent::transparent;
use crate::vgg::{Vgg, VggConfig};

macro_rules! registry {
    ($($(#[$doc:meta])* $family:ident($config:ident): $($name:ident)+;)+) => {
        /// The configuration of any network.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ModelConfig {
            $($(#[$doc])* $family($config),)+
        }

        transparent! {
            /// Any network. Its parameters have the paths that they have in the network itself.
            pub enum Model {
                $($(#[$doc])* $family($family),)+
            }
        }

        impl ModelName {
            /// The published network, for pictures of 3 channels.
            #[must_use]
            pub fn config(self, classes: usize) -> ModelConfig {
                $($(if self.0 == stringify!($name) {
                    return ModelConfig::$family($config::$name(classes));
                })+)+
                unreachable!("a name is one of MODELS")
            }
        }

        impl ModelConfig {
            /// Sets the channels of the picture.
            #[must_use]
            pub fn with_in_channels(self, in_channels: usize) -> Self {
                match self {
                    $(Self::$family(config) => Self::$family(config.with_in_channels(in_channels)),)+
                }
            }

            /// Sets the channels of the first convolution; all others keep their ratio to them.
            #[must_use]
            pub fn with_width(self, width: usize) -> Self {
                match self {
                    $(Self::$family(config) => Self::$family(config.with_width(width)),)+
                }
            }

            /// Sets the first layers.
            #[must_use]
            pub fn with_stem(self, stem: Stem) -> Self {
                match self {
                    $(Self::$family(config) => Self::$family(config.with_stem(stem)),)+
                }
            }

            /// Sets the branches that convolutions start with: a preset or kinds for all that are larger than 1×1, or a
            /// [`Branching`] for some.
            #[must_use]
            pub fn with_branches(self, branches: impl Into<Branching>) -> Self {
                match self {
                    $(Self::$family(config) => Self::$family(config.with_branches(branches)),)+
                }
            }

            /// Channels of the first convolution.
            #[must_use]
            pub fn width(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.width,)+
                }
            }

            /// Classes.
            #[must_use]
            pub fn classes(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.classes,)+
                }
            }

            /// Channels of the picture.
            #[must_use]
            pub fn in_channels(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.in_channels,)+
                }
            }

            /// The first layers.
            #[must_use]
            pub fn stem(&self) -> Stem {
                match self {
                    $(Self::$family(config) => config.stem,)+
                }
            }

            /// What may follow the norms of this network, the published one first.
            #[must_use]
            pub fn activations(&self) -> &'static [Activation] {
                match self {
                    $(Self::$family(_) => $config::ACTIVATIONS,)+
                }
            }

            /// What follows the norms.
            #[must_use]
            pub fn activation(&self) -> Activation {
                match self {
                    $(Self::$family(config) => config.activation(),)+
                }
            }

            /// Sets what follows the norms.
            ///
            /// # Errors
            /// One that is none of [`activations`](Self::activations).
            pub fn with_activation(self, activation: Activation) -> Result<Self, ModelError> {
                if !self.activations().contains(&activation) {
                    return Err(ModelError::Activation { activation });
                }
                Ok(match self {
                    $(Self::$family(config) => {
                        Self::$family(config.with_activation(activation))
                    })+
                })
            }

            /// The branches that convolutions start with.
            #[must_use]
            pub fn branches(&self) -> &Branching {
                match self {
                    $(Self::$family(config) => &config.branches,)+
                }
            }

            /// How the network's convolutions of so many groups start.
            #[must_use]
            pub fn initializer(&self, groups: usize) -> Initializer {
                match self {
                    $(Self::$family(_) => $config::START(groups),)+
                }
            }

            /// The shortest side of a picture that the network can take, in pixels.
            #[must_use]
            pub fn smallest_side(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.smallest_side(),)+
                }
            }

            /// Builds the network.
            ///
            /// # Errors
            /// A size of zero, groups that do not divide channels, or branches that a convolution cannot have.
            pub fn init(&self, device: &Device) -> Result<Model, ModelError> {
                match self {
                    $(Self::$family(config) => config.init(device).map(Model::$family),)+
                }
            }
        }

        is_network!(Model);

        impl ConvNorms for Model {
            fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
                match self {
                    $(Self::$family(network) => network.conv_norms(),)+
                }
            }

            fn norm_linears(&self) -> Vec<NormLinear<'_>> {
                match self {
                    $(Self::$family(network) => network.norm_linears(),)+
                }
            }
        }

        impl Model {
            /// Logits `[batch, classes]` of pictures `[batch, channels, height, width]`.
            #[must_use]
            pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
                match self {
                    $(Self::$family(network) => network.forward(images),)+
                }
            }

            /// The output of each stage, the largest maps first; the classifier does not run.
            #[must_use]
            pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
                match self {
                    $(Self::$family(network) => network.features(images),)+
                }
            }

            /// The deployed network's operations as plain data, by the code of [`forward`](Self::forward).
            ///
            /// # Errors
            /// A block that is not deployed; a layer changed by hand into what no graph can describe.
            pub fn graph(&self) -> Result<Graph, ModelError> {
                match self {
                    $(Self::$family(network) => network.graph(),)+
                }
            }

            /// Multiply-adds of one picture of `[channels, height, width]`, as the field counts a network's FLOPs. A picture
            /// passes through the network.
            #[must_use]
            pub fn flops(&self, picture: [usize; 3]) -> u64 {
                match self {
                    $(Self::$family(network) => network.flops(picture),)+
                }
            }

            /// Learnable parameters, without running statistics.
            #[must_use]
            pub fn params(&self) -> usize {
                match self {
                    $(Self::$family(network) => network.params(),)+
                }
            }
        }
    };
}

dyrep_config::zoo!(registry);

/// The name of a network, one of [`MODELS`].
///
/// ```
/// use dyrep_models::{ModelName, Stem};
///
/// let name: ModelName = "mobilenet_v1".parse()?;
/// let network = name.config(10).with_stem(Stem::Small).init(&burn::tensor::Device::flex())?;
/// assert_eq!(network.params(), 3_217_226);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelName(&'static str);

impl ModelName {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        MODELS.iter().copied().map(Self)
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for ModelName {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        Self::all().find(|known| known.0 == name).ok_or_else(|| ModelError::UnknownModel {
            name: name.to_owned(),
            known: MODELS.join(", "),
        })
    }
}
