//! What is measured: a network on a device with its optimiser, and pictures of noise; as the peer has it.

use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use clap::{Args, ValueEnum};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{Preset, deploy};
use dyrep_models::{Branching, Model, ModelName, Selection};
use dyrep_train::{Groups, OptimizerConfig};
use serde::Serialize;

/// As published for ImageNet, and as the peer's.
pub(crate) const CLASSES: usize = 1000;
/// The kernels that have branches, as the peer's.
const KERNELS: [usize; 2] = [3, 3];
const LEARNING_RATE: f64 = 0.01;

/// The numbers that a network computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Numbers {
    /// All in `f32`, by whatever instructions the device's kernels use.
    F32,
    /// Parameters and maps in `bf16`; norms compute in `f32` and keep their statistics so.
    Bf16,
}

/// Which network, on what.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Subject {
    /// The network, by its name in the zoo
    #[arg(long, default_value = "resnet18")]
    pub(crate) model: String,
    /// The branches of every 3×3 convolution
    #[arg(long, default_value = "plain")]
    pub(crate) branches: Preset,
    /// Pictures in a batch
    #[arg(long, default_value_t = 64)]
    pub(crate) batch: usize,
    /// Side of the pictures
    #[arg(long, default_value_t = 224)]
    pub(crate) size: usize,
    /// Channels of the first convolution, for a rehearsal [default: as published, and as the peer's]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<usize>,
    /// Numbers
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: Numbers,
    /// Blocks by fewer and wider operations
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) merged: bool,
    /// The device
    #[arg(long, default_value_t = dyrep_train::default_name().to_owned())]
    pub(crate) device: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Subject {
    /// The device, without autodiff; refused if it cannot compute in the wanted numbers.
    pub(crate) fn open(&self) -> Result<Device, String> {
        let device = dyrep_train::device(&self.device).map_err(|e| e.to_string())?;
        match self.dtype == Numbers::F32 || device.supports_dtype(DType::BF16) {
            true => Ok(device),
            false => Err(format!("device `{}` does not compute in bf16", self.device)),
        }
    }

    /// The network in training form on a device.
    pub(crate) fn network(&self, device: &Device) -> Result<Model, String> {
        let name: ModelName = self.model.parse().map_err(text)?;
        let only = Selection { kernels: vec![KERNELS], ..Selection::default() };
        let mut config = name.config(CLASSES);
        if self.branches != Preset::Plain {
            config = config.with_branches(Branching::from(self.branches).only(only));
        }
        if let Some(width) = self.width {
            config = config.with_width(width);
        }
        let smallest = config.smallest_side();
        if self.size < smallest || self.batch == 0 {
            return Err(format!("{name} takes pictures from {smallest} pixels on, one at least"));
        }
        let training = device.clone().autodiff();
        training.seed(0);
        let network = config.init(&training).map_err(text)?;
        Ok(match self.dtype {
            Numbers::F32 => network,
            Numbers::Bf16 => network.map(&mut ToBf16),
        })
    }

    /// Noise, never zeros: of those a device knows shortcuts.
    pub(crate) fn pictures(&self, device: &Device) -> Tensor<4> {
        let shape = [self.batch, 3, self.size, self.size];
        let pictures = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
        self.as_input(pictures)
    }

    /// Pictures in the network's numbers.
    pub(crate) fn as_input(&self, pictures: Tensor<4>) -> Tensor<4> {
        match self.dtype {
            Numbers::F32 => pictures,
            Numbers::Bf16 => pictures.cast(DType::BF16),
        }
    }

    /// The network as it is shipped.
    pub(crate) fn deployed(&self, device: &Device) -> Result<Model, String> {
        Ok(deploy(&self.network(device)?))
    }
}

/// What takes training steps.
pub(crate) struct Trained {
    /// Gone for the length of a step.
    network: Option<Model>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    device: Device,
    kernels: Kernels,
}

impl Trained {
    pub(crate) fn new(subject: &Subject, device: &Device) -> Result<Self, String> {
        let training = device.clone().autodiff();
        Ok(Self {
            network: Some(subject.network(device)?),
            optimizer: Groups::default().optimizer(&OptimizerConfig {
                decay_norms_and_biases: true,
                ..OptimizerConfig::imagenet()
            }),
            loss: CrossEntropyLossConfig::new().init(&training),
            device: training,
            kernels: if subject.merged { Kernels::Merged } else { Kernels::Fast },
        })
    }

    /// Classes for a batch.
    pub(crate) fn classes(&self, batch: usize) -> Tensor<1, Int> {
        let labels: Vec<i64> = (0..batch as i64).map(|i| i * 61 % CLASSES as i64).collect();
        Tensor::from_data(TensorData::new(labels, [batch]), &self.device)
    }

    pub(crate) fn parameters(&self) -> usize {
        self.network.as_ref().map_or(0, Model::params)
    }

    /// A step of SGD; the loss, still on the device.
    pub(crate) fn step(&mut self, pictures: Tensor<4>, classes: Tensor<1, Int>) -> Tensor<1> {
        let network = self.network.take().unwrap_or_else(|| unreachable!("a step puts it back"));
        let logits = with_kernels(self.kernels, || network.forward(pictures.autodiff()));
        let logits = logits.cast(DType::F32);
        let loss = self.loss.forward(logits, classes);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(LEARNING_RATE, network, gradients));
        loss.inner()
    }
}

/// Seconds of work, from a device that has nothing to do until all of it is done; and what it gave.
pub(crate) fn timed<T>(device: &Device, work: impl FnOnce() -> T) -> Result<(f64, T), String> {
    let wait = || device.sync().map_err(|e| format!("the device failed: {e}"));
    wait()?;
    let started = Instant::now();
    let result = work();
    wait()?;
    Ok((started.elapsed().as_secs_f64(), result))
}

/// The first number of a tensor.
pub(crate) fn first_value<const D: usize>(tensor: Tensor<D>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

/// Parameters in `bf16`; running statistics, which do not train, stay.
struct ToBf16;

impl ModuleMapper for ToBf16 {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| match value.is_require_grad() {
            true => value.cast(DType::BF16).detach().require_grad(),
            false => value,
        })
    }
}

/// An error in words.
pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
