//! The command line.

use std::path::PathBuf;

use clap::Parser;
use dyrep_burn::{Preset, Score};

/// Train ResNet-18 with branches that grow and are cut while it trains (DyRep), then deploy it as plain
/// convolutions with the same outputs.
///
/// Without arguments it trains on 1,437 handwritten digits that are part of the program and tests on 360
/// others. With `--data DIR` it trains on a folder in ImageNet's layout.
#[derive(Debug, Parser)]
#[command(
    name = "resnet18_imagenet",
    after_help = "Examples:\n  cargo run --release --example resnet18_imagenet\n  \
                  cargo run --release --example resnet18_imagenet --features cuda -- --data /data/imagenet\n  \
                  cargo run --release --example resnet18_imagenet -- --strategy dbb --epochs 3 --json"
)]
pub(crate) struct Options {
    /// Folder with `train/<class>/*.JPEG` and `val/<class>/*.JPEG`; without it, the shipped digits
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Device: `flex` or `ndarray` (CPU), `cuda`, `rocm`, `vulkan`, `wgpu`, `metal`, or `cuda:1` and so on;
    /// without it, the best that the program was built with
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,

    /// How branches come about: `dyrep` grows them while training; `plain`, `acnet`, `repvgg` and `dbb` are
    /// fixed from the start
    #[arg(long, default_value = "dyrep", value_name = "NAME")]
    pub(crate) strategy: Preset,

    /// What ranks the convolutions that may grow: `snip`, `grad_norm`, `synflow` or `random`
    #[arg(long, default_value = "snip", value_name = "NAME")]
    pub(crate) score: Score,

    /// Epochs [default: 10 on the digits, 120 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,

    /// Epochs between two changes of structure [default: 2 on the digits, 5 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) interval: Option<usize>,

    /// Pictures in a batch [default: 64 on the digits, 256 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<usize>,

    /// Learning rate at the start; falls to zero along a cosine
    #[arg(long, default_value_t = 0.1, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) learning_rate: f64,

    /// Side of the square that pictures of a folder are cropped to; up to 64 the stem for small pictures
    /// is used
    #[arg(long, default_value_t = 224, value_name = "PIXELS")]
    pub(crate) image_size: u32,

    /// Channels of the first stage [default: 32 on the digits, 64 on a folder, as published]
    #[arg(long, value_name = "N")]
    pub(crate) width: Option<usize>,

    /// Threads that decode pictures [default: 0 on the digits, all cores on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Seed of everything random
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,

    /// Folder for weights, structure and summary
    #[arg(long, default_value = "runs/resnet18_imagenet", value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Print a summary as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// The device asked for, or the best there is.
    pub(crate) fn device_name(&self) -> &str {
        self.device.as_deref().unwrap_or_else(|| dyrep_train::default_name())
    }
}
