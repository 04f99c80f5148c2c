//! Writing networks: the kind of file by its ending, the form as asked for.

use std::path::{Path, PathBuf};

use burn::tensor::{Distribution, Tensor};
use clap::Args;
use dyrep_burn::deploy;
use dyrep_models::{Model, fold_norms};
use dyrep_weights::{Export, Label, write_burnpack, write_onnx};
use serde::Serialize;

use crate::Failure;
use crate::network::Loaded;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// As it is: grown, plain or deployed.
    AsItIs,
    /// Every block one convolution.
    Deployed,
    /// The same, each norm folded into the convolution in front of it.
    Folded,
}

/// The kinds of file that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Burnpack,
    Safetensors,
    Onnx,
}

impl Kind {
    /// By the file's ending.
    pub(crate) fn of(file: &Path) -> Result<Self, Failure> {
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("bpk") => Ok(Self::Burnpack),
            Some("safetensors") => Ok(Self::Safetensors),
            Some("onnx") => Ok(Self::Onnx),
            _ => Err(format!(
                "{}: expected a name that ends in .bpk, .safetensors or .onnx",
                file.display()
            )
            .into()),
        }
    }
}

/// Where a result goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutArgs {
    /// File to write: .bpk (Burn), .safetensors (PyTorch's names and layouts) or .onnx (any batch)
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,

    /// Replace OUT if it is there
    #[arg(long)]
    force: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    pub(crate) out: PathBuf,
    pub(crate) bytes: u64,
    /// Learnable parameters in the file.
    pub(crate) params: usize,
}

impl OutArgs {
    /// The kind of file, if it may be written.
    pub(crate) fn kind(&self) -> Result<Kind, Failure> {
        let kind = Kind::of(&self.out)?;
        match self.out.exists() && !self.force {
            true => {
                Err(format!("{}: it is there already; --force replaces it", self.out.display())
                    .into())
            }
            false => Ok(kind),
        }
    }

    /// Writes `loaded` in a form.
    pub(crate) fn write(
        &self,
        loaded: &Loaded,
        form: Form,
        kind: Kind,
    ) -> Result<Written, Failure> {
        let (file, label, network) = (&self.out, &loaded.label, loaded.float()?);
        let formed = formed(network, form);
        match kind {
            Kind::Burnpack => write_burnpack(&formed, label, file)?,
            Kind::Safetensors => export(network, form, label)?.safetensors(file)?,
            Kind::Onnx => {
                let side = loaded.input().side;
                loaded.check_side(side)?;
                let picture = [loaded.config.in_channels(), side, side];
                write_onnx(&formed, picture, Model::forward, file)?;
            }
        }
        Ok(Written { out: file.clone(), bytes: self.length()?, params: formed.params() })
    }

    /// The bytes of the file that was written.
    pub(crate) fn length(&self) -> Result<u64, Failure> {
        let found = std::fs::metadata(&self.out);
        Ok(found.map_err(|error| format!("{}: {error}", self.out.display()))?.len())
    }
}

fn formed(network: &Model, form: Form) -> Model {
    match form {
        Form::AsItIs => network.clone(),
        Form::Deployed => deploy(network),
        Form::Folded => fold_norms(network),
    }
}

fn export(network: &Model, form: Form, label: &Label) -> Result<Export, Failure> {
    let export = match form {
        Form::AsItIs => Export::of(network),
        Form::Deployed => Export::deployed(network),
        Form::Folded => Export::folded(network),
    };
    Ok(export.labelled(label)?)
}

/// Pictures of noise to compare networks on, `[count, channels, side, side]`.
pub(crate) fn noise(loaded: &Loaded, count: usize, seed: u64) -> Tensor<4> {
    loaded.device.seed(seed);
    let (channels, side) = (loaded.config.in_channels(), loaded.input().side);
    Tensor::random([count, channels, side, side], Distribution::Normal(0.0, 1.0), &loaded.device)
}
