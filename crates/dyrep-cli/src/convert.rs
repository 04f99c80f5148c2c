//! `dyrep convert`: weights from any kind of file to any other.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::file::{Form, Kind, OutArgs, write};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::text::{bytes, count};

/// Convert weights between PyTorch's files, safetensors, Burn's and ONNX
///
/// Reads the files of torchvision and timm, and those of the published code of DyRep, DBB and RepVGG, and finds out by
/// itself which it is. What has grown stays grown; `dyrep deploy` fuses. ONNX is always deployed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dyrep convert resnet18-f37072fd.pth resnet18.safetensors\n  \
                        dyrep convert RepVGG-A0-train.pth repvgg.bpk\n  \
                        dyrep convert runs/digits digits.onnx")]
pub(crate) struct ConvertArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    out: OutArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What was converted.
#[derive(Debug, Serialize)]
struct Converted {
    model: String,
    file: PathBuf,
    /// What the file was recognised as.
    format: String,
    out: PathBuf,
    bytes: u64,
    params: usize,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{} ({})", self.model, self.file.display(), self.format)?;
        write!(
            f,
            "wrote {} parameters to {} ({})",
            count(self.params as u64),
            self.out.display(),
            bytes(self.bytes)
        )
    }
}

impl ConvertArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let kind = self.out.kind()?;
        let loaded = self.network.load(&self.file, &self.device.open()?)?;
        let form = if kind == Kind::Onnx { Form::Deployed } else { Form::AsItIs };
        let bytes = write(&loaded, form, kind, &self.out.out)?;
        Answer::new(&Converted {
            model: loaded.title(),
            format: loaded.weights.format().to_string(),
            out: self.out.out.clone(),
            bytes,
            params: loaded.network.params(),
            file: loaded.file,
        })
    }
}
