//! `dyrep deploy`: blocks become convolutions, which is checked before it is written.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use dyrep_burn::{Difference, deploy, verify};
use dyrep_models::Model;
use serde::Serialize;

use crate::answer::Answer;
use crate::file::{Form, KindArgs, OutArgs, Written, noise};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::text::{bytes, count, number, short};
use crate::verify::{ROUNDED, TOLERANCE, moved_by_rounding};
use crate::{Failure, NotHeld};

/// Fuse every block into one convolution and write the network to ship
///
/// In .safetensors the network has the names and shapes of torchvision's or timm's own and loads there. In .onnx norms are
/// folded away; `input` takes batches of any size, and pictures of any size where the network does, and `logits` comes out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dyrep deploy runs/digits digits.safetensors\n  \
                        dyrep deploy runs/digits digits.onnx --opset 17 --image-size 8\n  \
                        dyrep deploy RepVGG-A0-train.pth repvgg_a0.safetensors --names timm\n  \
                        dyrep deploy dyrep.pth small.safetensors --fold-bn")]
pub(crate) struct DeployArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    out: OutArgs,

    #[command(flatten)]
    told: KindArgs,

    /// Fold the batch norms that follow convolutions into them too
    #[arg(long)]
    fold_bn: bool,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What deployment changed.
#[derive(Debug, Serialize)]
struct Deployed {
    model: String,
    file: PathBuf,
    form: Form,
    #[serde(flatten)]
    written: Written,
    blocks: usize,
    params_before_and_after: [usize; 2],
    multiply_adds_before_and_after: [u64; 2],
    /// On noise, of the outputs before and after.
    difference: Difference,
    /// If they differ by more than usual: what the outputs, of the largest, move by when pictures are rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_by_rounding: Option<f64>,
}

/// A network of many layers rounds so often more than its pictures are rounded.
const ROUNDINGS: f64 = 100.0;

impl fmt::Display for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.model, self.file.display())?;
        writeln!(f, "{:<26}{:>16}{:>16}", "", "as it was", "deployed")?;
        let [before, after] = self.params_before_and_after.map(|params| count(params as u64));
        writeln!(f, "{:<26}{before:>16}{after:>16}", "parameters")?;
        let [before, after] = self.multiply_adds_before_and_after.map(short);
        writeln!(f, "{:<26}{before:>16}{after:>16}", "multiply-adds per picture")?;
        let Difference { absolute, relative } = self.difference;
        writeln!(
            f,
            "{} fused; outputs differ by {absolute:.1e} ({relative:.1e} of the largest)",
            number(self.blocks, "block", "blocks")
        )?;
        if let Some(moved) = self.moved_by_rounding {
            writeln!(
                f,
                "each block is the same; this network makes much of rounding: pictures moved by {ROUNDED:.0e} move its \
                 outputs by {moved:.1e}"
            )?;
        }
        write!(f, "wrote {} ({})", self.written.out.display(), bytes(self.written.bytes))
    }
}

impl DeployArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let kind = self.out.kind()?;
        self.told.check(kind)?;
        let device = self.device.open()?;
        let mut loaded = self.network.load(&self.file, &device)?;
        let deployed = deploy(loaded.float()?);
        let report = verify(&loaded.network, &deployed, [noise(&loaded, 2, 0)], Model::forward);
        let side = loaded.input().side;
        let picture = [loaded.config.in_channels(), side, side];
        let params = [loaded.network.params(), deployed.params()];
        let multiply_adds = [loaded.network.flops(picture), deployed.flops(picture)];
        loaded.network = deployed;
        // What is no number holds no tolerance either.
        let within = |difference: &Difference| difference.relative <= TOLERANCE;
        let rounding = match within(&report.model) {
            true => None,
            false => Some(moved_by_rounding(&loaded)),
        };
        let only_rounding = |rounding: f64| {
            let blocks = report.blocks.iter().all(|(_, difference)| within(difference));
            blocks && report.model.relative <= ROUNDINGS * rounding
        };
        if !rounding.is_none_or(only_rounding) {
            return Err(Box::new(NotHeld(format!(
                "{}: not written: the deployed outputs differ by {:.1e} of the largest",
                self.out.out.display(),
                report.model.relative
            ))));
        }
        let folds = self.fold_bn || self.told.folds(kind);
        let form = if folds { Form::Folded } else { Form::Deployed };
        let written = self.out.write(&loaded, form, kind, &self.told)?;
        Answer::new(&Deployed {
            model: loaded.title(),
            file: loaded.file,
            form,
            written,
            blocks: report.blocks.len(),
            params_before_and_after: params,
            multiply_adds_before_and_after: multiply_adds,
            difference: report.model,
            moved_by_rounding: rounding,
        })
    }
}
