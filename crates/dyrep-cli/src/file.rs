//! Writing networks: the kind of file by its ending, the form as asked for.

use std::path::{Path, PathBuf};

use burn::tensor::{Distribution, Tensor};
use clap::Args;
use dyrep_burn::{deploy, layers};
use dyrep_models::{Graph, Model, fold_norms};
use dyrep_weights::{Export, OnnxOptions, Opset, write_burnpack, write_onnx};
use serde::Serialize;

use crate::Failure;
use crate::data::at_least_one;
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

/// Refuses to write over a file, unless that was asked for.
pub(crate) fn check_free(file: &Path, force: bool) -> Result<(), Failure> {
    match file.exists() && !force {
        true => Err(format!("{}: it is there already; --force replaces it", file.display()).into()),
        false => Ok(()),
    }
}

/// What some kinds of file can be told.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KindArgs {
    /// Of .onnx: the size of the pictures, a side or HEIGHTxWIDTH [default: any, where the network takes any; else what
    /// FILE says, else 224]
    #[arg(long, value_name = "PIXELS", value_parser = image_size)]
    image_size: Option<[usize; 2]>,

    /// Of .onnx: the version of the operators, 13 to 21 [default: 13, which most programs read]
    #[arg(long, value_name = "N", value_parser = opset)]
    opset: Option<Opset>,

    /// Of .safetensors: `timm` gives a deployed RepVGG, MobileOne or RepViT the names of timm's re-parameterised one, `reparam_conv`
    #[arg(long, value_name = "NAME", value_parser = ["timm"], hide_possible_values = true)]
    names: Option<String>,
}

/// Height and width out of `224` or `240x320`.
fn image_size(text: &str) -> Result<[usize; 2], String> {
    let (height, width) = text.split_once(['x', '×']).unwrap_or((text, text));
    Ok([at_least_one(height)?, at_least_one(width)?])
}

fn opset(text: &str) -> Result<Opset, String> {
    let number = text.parse::<u64>().map_err(|_| "expected a whole number".to_owned())?;
    Opset::new(number).map_err(|error| error.to_string())
}

impl KindArgs {
    /// Refuses what has no meaning for a kind of file.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), Failure> {
        let told = [
            ("--image-size", self.image_size.is_some(), Kind::Onnx, ".onnx"),
            ("--opset", self.opset.is_some(), Kind::Onnx, ".onnx"),
            ("--names", self.names.is_some(), Kind::Safetensors, ".safetensors"),
        ];
        match told.into_iter().find(|(_, given, of, _)| *given && *of != kind) {
            Some((option, _, _, ending)) => {
                Err(format!("{option} is for files that end in {ending}").into())
            }
            None => Ok(()),
        }
    }

    /// Whether norms are folded away in such a file.
    pub(crate) fn folds(&self, kind: Kind) -> bool {
        kind == Kind::Onnx || self.names.is_some()
    }

    /// How a network with this graph is written as ONNX.
    fn onnx(&self, loaded: &Loaded, graph: &Graph) -> Result<OnnxOptions, Failure> {
        let size = match (self.image_size, graph.fixed_output()) {
            (None, None) => None,
            (None, Some(_)) => Some([loaded.input().side; 2]),
            (size, _) => size,
        };
        size.into_iter().flatten().try_for_each(|side| loaded.check_side(side))?;
        let options = OnnxOptions::new().with_opset(self.opset.unwrap_or_default());
        Ok(size.map_or(options, |size| options.with_size(size)))
    }
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
        check_free(&self.out, self.force).map(|()| kind)
    }

    /// Writes `loaded` in a form.
    pub(crate) fn write(
        &self,
        loaded: &Loaded,
        form: Form,
        kind: Kind,
        told: &KindArgs,
    ) -> Result<Written, Failure> {
        let (file, label, network) = (&self.out, &loaded.label, loaded.float()?);
        let params = match kind {
            Kind::Burnpack => {
                let formed = formed(network, form);
                write_burnpack(&formed, label, file)?;
                formed.params()
            }
            Kind::Safetensors => {
                let export = match told.names {
                    Some(_) => timm(loaded, form)?,
                    None => export(network, form),
                };
                let params = params(&export);
                export.labelled(label)?.safetensors(file)?;
                params
            }
            Kind::Onnx => {
                let deployed = deploy(network);
                let graph = deployed.graph()?.without_norms(&deployed)?;
                write_onnx(&deployed, label, &told.onnx(loaded, &graph)?, file)?;
                graph.params()
            }
        };
        Ok(Written { out: file.clone(), bytes: self.length()?, params })
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

fn export(network: &Model, form: Form) -> Export {
    match form {
        Form::AsItIs => Export::of(network),
        Form::Deployed => Export::deployed(network),
        Form::Folded => Export::folded(network),
    }
}

/// A deployed RepVGG, MobileOne or RepViT in timm's names, which know no norms.
fn timm(loaded: &Loaded, form: Form) -> Result<Export, Failure> {
    let network = loaded.float()?;
    let export = match network {
        Model::RepVgg(network) => Export::timm_repvgg(network),
        Model::MobileOne(network) => Export::timm_mobileone(network),
        Model::RepVit(network) => Export::timm_repvit(network),
        _ => {
            return Err(format!(
                "{}: --names timm is for RepVGG, MobileOne and RepViT, and this is {}; without it the names are torchvision's, or \
                 timm's where torchvision has no such network",
                loaded.file.display(),
                loaded.name
            )
            .into());
        }
    };
    let grown = layers(network).into_iter().find(|(_, layer)| !layer.is_plain());
    match grown {
        Some((path, _)) if form == Form::AsItIs => Err(format!(
            "{}: `{path}` is a block of branches; --names timm is for deployed networks: `dyrep deploy` fuses",
            loaded.file.display()
        )
        .into()),
        _ => Ok(export),
    }
}

/// Learnable parameters of what will be written.
fn params(export: &Export) -> usize {
    let learnable = |name: &str| !name.ends_with("running_mean") && !name.ends_with("running_var");
    let shapes = export.shapes().filter(|(name, _)| learnable(name));
    shapes.map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Pictures of noise to compare networks on, `[count, channels, side, side]`.
pub(crate) fn noise(loaded: &Loaded, count: usize, seed: u64) -> Tensor<4> {
    loaded.device.seed(seed);
    let (channels, side) = (loaded.config.in_channels(), loaded.input().side);
    Tensor::random([count, channels, side, side], Distribution::Normal(0.0, 1.0), &loaded.device)
}
