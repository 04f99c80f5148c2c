//! INT8 after training, for deployed networks: which numbers to keep, what they cost in accuracy, and whether fusing
//! has made kernels that INT8 cannot hold.
//!
//! ```text
//! network ─ deploy, fold_norms ─▶ convolutions and linear layers, nothing between them
//!         ─ batches ─▶ Histogram of each convolution's inputs ─▶ InputScale
//!         ─ Granularity ─▶ weights on a grid of 255 values, WeightScale by channel or tensor
//!         ─▶ Quantized: the network on the grid; while it runs, inputs are put on theirs
//! check: accuracy before, after, by layer; noise of each layer's output; ranges of kernels ─▶ Warning
//! ```
//!
//! # What is quantised
//! Of every [`RepConv2d`](dyrep_burn::RepConv2d) the weights and the input, of every linear layer the weights. Biases,
//! sums, poolings and the inputs of linear layers stay `f32`. Weights are symmetric, `w = s · q` with q from −127 to 127,
//! one s for each output channel or one for all. Inputs have one scale, `x = s · (q − z)`: z is 0 and q from −127 to
//! 127, or, where calibration saw nothing negative (behind a ReLU), z is −128 and q from −128 to 127, so that no value is
//! spent on a side that is empty.
//!
//! # How it runs
//! A [`Quantized`] network computes in `f32` with the values that an INT8 engine has: products of two grids summed
//! without overflow. It differs from an engine by the rounding of `f32` sums alone, and runs on every device of Burn's.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use dyrep_models::{ResNetConfig, Stem};
//! use dyrep_quant::{Options, quantize};
//!
//! let device = Device::flex();
//! let network = ResNetConfig::resnet18(10).with_width(4).with_stem(Stem::Small).init(&device)?;
//! let batches = [Tensor::ones([2, 3, 8, 8], &device)];
//! let small = quantize(&network, batches, |net, images| net.forward(images), &Options::default())?;
//! let logits = small.run(|net| net.forward(Tensor::ones([1, 3, 8, 8], &device)));
//! assert_eq!(logits.dims(), [1, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calibrate;
mod check;
mod error;
mod grid;
mod histogram;
mod options;
mod parameters;
mod quantize;
mod quantized;
mod ranges;
mod warning;

pub use check::{Check, LayerCheck, check};
pub use error::QuantError;
pub use grid::{InputScale, LayerScales};
pub use options::{Calibration, Granularity, Options};
pub use parameters::{LayerKind, LayerWeight};
pub use quantize::quantize;
pub use quantized::Quantized;
pub use ranges::{ChannelRange, WeightRanges, ranges};
pub use warning::Warning;
