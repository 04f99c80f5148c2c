//! `dyrep convert`: weights from any kind of file to any other.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::file::{Form, Kind, KindArgs, OutArgs, Written};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::text::{bytes, count};

/// Convert weights between PyTorch's files, safetensors, Burn's and ONNX
///
/// Reads the files of torchvision and timm, and those of the published code of DyRep, DBB and RepVGG, and finds out by
/// itself which it is. What has grown stays grown; `dyrep deploy` fuses. ONNX is always deployed, with norms
/// folded away.
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
    told: KindArgs,

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
    #[serde(flatten)]
    written: Written,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{} ({})", self.model, self.file.display(), self.format)?;
        let Written { out, bytes: length, params } = &self.written;
        let (params, length) = (count(*params as u64), bytes(*length));
        write!(f, "wrote {params} parameters to {} ({length})", out.display())
    }
}

impl ConvertArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let kind = self.out.kind()?;
        self.told.check(kind)?;
        let loaded = self.network.load(&self.file, &self.device.open()?)?;
        let form = if kind == Kind::Onnx { Form::Deployed } else { Form::AsItIs };
        let written = self.out.write(&loaded, form, kind, &self.told)?;
        Answer::new(&Converted {
            model: loaded.title(),
            format: loaded.format.to_string(),
            written,
            file: loaded.file,
        })
    }
}
