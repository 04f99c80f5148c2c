//! Weights in and out, for any module whose convolutions are [`RepConv2d`](dyrep_burn::RepConv2d).
//!
//! # In
//! ```text
//! file ─ container (by its first bytes) ─▶ names and tensors, nothing read yet, every declared size checked
//!      ─ reading (renamed, of the part that is meant) ─▶ Weights: what the usual words tell
//! Weights + module ─ reading (what is around the module's names, in which dialect) ─▶ this library's names
//!                  ─ forms, from the names ─▶ Structure ─▶ the module grown or deployed as the file is
//!                  ─ names and shapes compared ─▶ Report, or an error that names what differs
//!                  ─ values read, converted, checked ─▶ the module with the file's weights
//! ```
//! [`open`] recognises what it is given and says so in [`Weights::format`]; nothing has to be told. Loading wants every
//! parameter of the module and every tensor of the file but what training and its tools leave behind, which is told
//! ([`Report::passed_over`]); [`Load::partial`] asks for less.
//!
//! ```no_run
//! use dyrep_models::ResNetConfig;
//!
//! let device = burn::tensor::Device::flex();
//! let network = ResNetConfig::resnet18(1000).init(&device)?;
//! let (network, report) = dyrep_weights::open("resnet18-f37072fd.pth")?.load_into(network)?;
//! assert!(report.is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Out
//! [`Export`] takes a module's tensors under PyTorch's names and in its layouts. A deployed convolution has a bias where
//! torchvision's has none: [`Export::deployed`] takes it into the mean of the norm behind it, so that the file loads
//! into torchvision's own network with `strict=True`; [`Export::folded`] folds the norms away instead, and
//! [`Export::quantized`] writes the INT8 weights of a quantised network, [`Export::timm_repvgg`] a RepVGG under the names of
//! timm's re-parameterised one. [`write_onnx`] writes a network of the zoo, computations included. Which norm
//! stands behind which convolution a network says itself ([`ConvNorms`](dyrep_models::ConvNorms)).
//!
//! # Files from strangers
//! `safetensors` and `burn-pack` parse; PyTorch's pickles are read by a small machine that builds a tree of plain values
//! and looks up no name (`pickle/`). Nothing that a file names is ever run. What a file declares must fit into the file,
//! so that neither an archive nor a view of a single number becomes gigabytes; a pickle that calls what reaches out of it
//! is refused by that name, while any harmless object costs nothing. Values that are no numbers are refused unless asked
//! for. Counters of batches (`num_batches_tracked`) are left out by design: nothing here needs them.

mod container;
mod describe;
mod error;
mod export;
mod forms;
mod identify;
mod load;
mod naming;
mod onnx;
mod options;
mod params;
mod pickle;
mod quantized;
mod reading;
mod report;
mod tensor;
mod weights;

pub use container::Container;
pub use describe::{Description, Input, Label};
pub use error::WeightsError;
pub use export::{Export, write_burnpack};
pub use load::Load;
pub use naming::Naming;
pub use onnx::{OnnxOptions, Opset, write_onnx};
pub use options::OpenOptions;
pub use reading::Part;
pub use report::{Report, ShapeDifference};
pub use weights::{Format, Weights, open};

/// The guide: what is read, what is asked for, and how a network of one's own gets in and out.
#[doc = include_str!("../../../docs/weights.md")]
pub mod guide {}
