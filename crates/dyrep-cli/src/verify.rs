//! `dyrep verify`: whether two networks give the same outputs.

use std::fmt;
use std::path::PathBuf;

use burn::tensor::Tensor;
use clap::Args;
use dyrep_burn::{Difference, deploy, verify};
use dyrep_models::Model;
use serde::Serialize;

use crate::answer::Answer;
use crate::data::{Files, LoadArgs, StrictArgs, tensors};
use crate::file::noise;
use crate::network::{DeviceArgs, Loaded, NetworkArgs};
use crate::text::cut;
use crate::{Failure, NOT_HELD};

/// The largest difference of outputs, of the largest output, that deploying may make: a thousand times rounding.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// What pictures are moved by to see what a network makes of rounding: about half the last place of `f32`.
pub(crate) const ROUNDED: f64 = 1e-7;

/// How far outputs move, as a part of the largest, when pictures of noise move by [`ROUNDED`].
pub(crate) fn moved_by_rounding(loaded: &Loaded) -> f64 {
    let pictures = noise(loaded, 2, 0);
    let moved = pictures.clone() + noise(loaded, 2, 1).mul_scalar(ROUNDED);
    let still = loaded.network.forward(pictures);
    let moves = loaded.network.forward(moved);
    let largest: f32 = still.clone().abs().max().into_scalar();
    let difference: f32 = (moves - still).abs().max().into_scalar();
    f64::from(difference / largest)
}

/// Check that a deployed network gives the outputs of the one it came from
///
/// With one file, every block in it is compared with the convolution that it becomes, and the whole network with its
/// deployed form. With two, their outputs are compared. The exit code is 3 if they differ by more than the tolerance.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep verify runs/digits\n  dyrep verify runs/digits digits.safetensors\n  \
                        dyrep verify dyrep.pth deployed.safetensors --images photos"
)]
pub(crate) struct VerifyArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    /// The network that should give the same outputs [default: the deployed form of the first]
    other: Option<PathBuf>,

    /// Compare on these pictures, or folders of pictures [default: 8 of noise]
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "batch")]
    images: Vec<PathBuf>,

    /// Compare on a batch in a safetensors file, `[batch, channels, height, width]`
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,

    /// Which tensor of that file
    #[arg(long, value_name = "NAME", requires = "batch")]
    tensor: Option<String>,

    /// Largest difference that is accepted, as a part of the largest output
    #[arg(long, value_name = "PART", default_value_t = TOLERANCE)]
    tolerance: f64,

    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What was compared.
#[derive(Debug, Serialize)]
struct Verified {
    model: String,
    files: [PathBuf; 2],
    holds: bool,
    tolerance: f64,
    pictures: usize,
    difference: Difference,
    blocks: Vec<(String, Difference)>,
    /// If it does not hold: what the outputs, of the largest, move by when pictures are rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_by_rounding: Option<f64>,
    warnings: Vec<String>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.files.each_ref().map(|file| file.display());
        writeln!(f, "{}\n{first}\n{second}", self.model)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(
            f,
            "{:<44}{:>16}{:>16}",
            "largest difference of outputs", "absolute", "of the largest"
        )?;
        let mut row = |name: &str, difference: &Difference| {
            let Difference { absolute, relative } = difference;
            writeln!(f, "{:<44}{absolute:>16.1e}{relative:>16.1e}", cut(name, 43))
        };
        for (path, difference) in &self.blocks {
            row(path, difference)?;
        }
        row(&format!("the network, on {} pictures", self.pictures), &self.difference)?;
        if let Some(moved) = self.moved_by_rounding {
            let blocks = self.blocks.iter().all(|(_, it)| it.relative <= self.tolerance);
            let blocks =
                if blocks && !self.blocks.is_empty() { "each block is the same; " } else { "" };
            writeln!(
                f,
                "{blocks}rounding alone: pictures moved by {ROUNDED:.0e} move the outputs by {moved:.1e} of the largest"
            )?;
        }
        match self.holds {
            true => write!(f, "the same, within {:.0e} of the largest", self.tolerance),
            false => write!(f, "NOT the same: more than {:.0e} of the largest", self.tolerance),
        }
    }
}

impl VerifyArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let device = self.device.open()?;
        let first = self.network.load(&self.file, &device)?;
        let second = match &self.other {
            Some(file) => Some(self.network.load(file, &device)?),
            None => None,
        };
        first.float()?;
        if let Some(second) = &second {
            second.float()?;
            comparable(&first, second)?;
        }
        let deployed =
            second.as_ref().map_or_else(|| deploy(&first.network), |it| it.network.clone());
        let inputs = self.inputs(&first)?;
        let shown = inputs.iter().map(|input| input.dims()[0]).sum();
        let mut report = verify(&first.network, &deployed, inputs, Model::forward);
        if second.is_some() {
            // Where a norm or a bias was moved, the parts differ though the whole does not.
            report.blocks.clear();
            report
                .warnings
                .retain(|warning| !matches!(warning, dyrep_burn::Warning::NotDeployed(_)));
        }
        let holds = report.model.relative <= self.tolerance
            && report.blocks.iter().all(|(_, difference)| difference.relative <= self.tolerance);
        let moved_by_rounding = (!holds).then(|| moved_by_rounding(&first));
        let other = second.map_or_else(|| PathBuf::from("its deployed form"), |it| it.file);
        let verified = Verified {
            model: first.title(),
            files: [first.file, other],
            holds,
            tolerance: self.tolerance,
            pictures: shown,
            difference: report.model,
            blocks: report.blocks,
            moved_by_rounding,
            warnings: report.warnings.iter().map(ToString::to_string).collect(),
        };
        Ok(Answer::new(&verified)?.with_code(if holds { 0 } else { NOT_HELD }))
    }

    fn inputs(&self, loaded: &Loaded) -> Result<Vec<Tensor<4>>, Failure> {
        let device = &loaded.device;
        if let Some(file) = &self.batch {
            let channels = loaded.config.in_channels();
            return Ok(vec![tensors(file, self.tensor.as_deref(), channels, device)?]);
        }
        if self.images.is_empty() {
            return Ok(vec![noise(loaded, 8, self.seed)]);
        }
        let files = Files::open(&self.images, loaded, &self.load, StrictArgs::STOP)?;
        files.batches(device).collect()
    }
}

/// Whether two networks read the same pictures and tell as many classes apart.
fn comparable(first: &Loaded, second: &Loaded) -> Result<(), Failure> {
    let of = |loaded: &Loaded| (loaded.config.in_channels(), loaded.config.classes());
    if of(first) == of(second) {
        return Ok(());
    }
    let (one, other) = (first.title(), second.title());
    Err(format!(
        "not to be compared: {one} ({}) and {other} ({})",
        first.file.display(),
        second.file.display()
    )
    .into())
}
