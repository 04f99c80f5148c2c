//! `dyrep expand`: a trained network's convolutions become blocks that compute the same.

use std::fmt;
use std::path::PathBuf;

use burn::module::Module;
use clap::Args;
use dyrep_burn::{
    AdjustOptions, Branches, Difference, Form, PathPatterns, Preset, Structure, expand, layers,
    verify,
};
use dyrep_models::{Model, SelectLayers, Selection};
use serde::Serialize;

use crate::answer::Answer;
use crate::file::{Kind, KindArgs, OutArgs, Written, noise};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::text::{bytes, count, number};
use crate::{Failure, file};

/// Give a trained network branches, without changing what it computes
///
/// The network in OUT gives the outputs of FILE, also while it trains: new branches begin with gains of 0 and learn from the
/// first step on. `dyrep train RECIPE --weights OUT` goes on with it, `dyrep deploy` makes one convolution of each block
/// again.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep expand mobilenet_v2-b0353104.pth wide.safetensors --branches dbb\n  \
                        dyrep expand resnet50.pth more.bpk --branches 1x1,1xk,kx1,kxk --only '^layer4'"
)]
pub(crate) struct ExpandArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    out: OutArgs,

    /// The branches: a preset (dbb, acnet, repvgg, dyrep, mobileone, …), or kinds separated by commas
    #[arg(long, value_name = "NAMES", value_parser = branches)]
    branches: Branches,

    /// Only convolutions whose path matches this regular expression; may be given several times
    #[arg(long, value_name = "REGEX")]
    only: Vec<String>,

    /// No convolutions whose path matches this regular expression; may be given several times
    #[arg(long, value_name = "REGEX")]
    except: Vec<String>,

    /// 1×1 convolutions too
    #[arg(long)]
    pointwise: bool,

    /// Decides the first kernels of the branches
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

fn branches(text: &str) -> Result<Branches, String> {
    match text.parse::<Preset>() {
        Ok(Preset::Plain) => Err("plain has no branches".to_owned()),
        Ok(preset) => Ok(preset.into()),
        Err(of_preset) => {
            let kinds: Result<Vec<_>, _> =
                text.split(',').map(|kind| kind.trim().parse()).collect();
            kinds.map(Branches::Exactly).map_err(|of_kind| match text.contains(',') {
                true => of_kind.to_string(),
                false => format!("{of_preset}; {of_kind}"),
            })
        }
    }
}

/// What became of the network.
#[derive(Debug, Serialize)]
struct Expanded {
    model: String,
    file: PathBuf,
    #[serde(flatten)]
    written: Written,
    /// Paths of the new blocks.
    blocks: Vec<String>,
    params_before_and_after: [usize; 2],
    /// On noise, of the outputs before and after.
    difference: Difference,
}

impl fmt::Display for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.model, self.file.display())?;
        let [before, after] = self.params_before_and_after.map(|params| count(params as u64));
        writeln!(
            f,
            "{} new: {before} parameters became {after}",
            number(self.blocks.len(), "block", "blocks")
        )?;
        let Difference { absolute, relative } = self.difference;
        writeln!(f, "outputs differ by {absolute:.1e} ({relative:.1e} of the largest)")?;
        write!(f, "wrote {} ({})", self.written.out.display(), bytes(self.written.bytes))
    }
}

impl ExpandArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let kind = self.out.kind()?;
        if kind == Kind::Onnx {
            let out = self.out.out.display();
            return Err(format!("{out}: .onnx has no blocks; expected .safetensors or .bpk").into());
        }
        let mut loaded = self.network.load(&self.file, &self.device.open()?)?;
        let network = loaded.float()?.clone();
        let paths = self.paths(&network)?;
        let options = AdjustOptions { seed: self.seed, ..AdjustOptions::default() };
        let expanded = expand(&network, &paths, &self.branches, &options)?;
        let forms = Structure::of(&network);
        let new = |(path, layer): &(String, _)| {
            let layer: &dyrep_burn::RepConv2d = layer;
            !layer.is_plain() && matches!(forms.layers()[path].form, Form::Plain { .. })
        };
        let blocks: Vec<String> =
            layers(&expanded).into_iter().filter(new).map(|(path, _)| path).collect();
        if blocks.is_empty() {
            return Err(format!(
                "{}: none of the chosen convolutions can have a branch of these",
                self.file.display()
            )
            .into());
        }
        let report = verify(&network, &expanded, [noise(&loaded, 2, 0)], Model::forward);
        let params = [network.params(), expanded.params()];
        loaded.network = expanded.valid();
        let written = self.out.write(&loaded, file::Form::AsItIs, kind, &KindArgs::default())?;
        Answer::new(&Expanded {
            model: loaded.title(),
            file: loaded.file,
            written,
            blocks,
            params_before_and_after: params,
            difference: report.model,
        })
    }

    /// The convolutions that are to become blocks.
    fn paths(&self, network: &Model) -> Result<Vec<String>, Failure> {
        let mut selection = Selection {
            matching: PathPatterns::new(&self.only)?,
            except: PathPatterns::new(&self.except)?,
            ..Selection::default()
        };
        let layers = layers(network);
        if self.pointwise {
            let sizes = layers.iter().map(|(_, layer)| layer.geometry().kernel_size());
            selection.kernels = sizes.collect();
        }
        let chosen = selection.paths(network)?;
        let plain =
            |path: &String| layers.iter().any(|(known, layer)| known == path && layer.is_plain());
        Ok(chosen.into_iter().filter(plain).collect())
    }
}
