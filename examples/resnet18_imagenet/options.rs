//! The command line.

use std::path::PathBuf;

use clap::Parser;
use dyrep_cli::Failure;
use dyrep_cli::train::{Changes, free_folder};
use dyrep_train::RunRecord;
use dyrep_train::recipe::Recipe;

/// What is trained without arguments, and with a folder.
const DIGITS: &str = "digits_quick";
const FOLDER: &str = "imagenet_resnet18";
/// Where runs go that are not told where; the first free of `…`, `…-2`, `…-3` and so on.
const RUNS: &str = "runs/resnet18_imagenet";

/// Train ResNet-18 with branches that grow and are cut while it trains (DyRep), then deploy it as plain
/// convolutions with the same outputs.
///
/// Without arguments it trains on 1,437 handwritten digits that are part of the program and tests on 360
/// others. With `--data DIR` it trains on a folder in ImageNet's layout. Every option changes one key of a
/// recipe, and `--set` changes any.
#[derive(Debug, Parser)]
#[command(
    name = "resnet18_imagenet",
    after_help = "Examples:\n  cargo run --release --example resnet18_imagenet\n  \
                  cargo run --release --example resnet18_imagenet --features cuda -- --data /data/imagenet\n  \
                  cargo run --release --example resnet18_imagenet -- --strategy dbb --epochs 3 --json\n  \
                  cargo run --release --example resnet18_imagenet -- --resume runs/resnet18_imagenet"
)]
pub(crate) struct Options {
    /// Recipe: a shipped one by name, or a TOML file [default: `digits_quick`, with `--data`
    /// `imagenet_resnet18`]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) recipe: Option<String>,

    /// Go on with the run in this folder from its newest whole checkpoint
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recipe", "out"])]
    pub(crate) resume: Option<PathBuf>,

    /// Devices: `flex` or `ndarray` (CPU), `cuda`, `rocm`, `vulkan`, `wgpu`, `metal`, or `cuda:1` and so on;
    /// several, with commas, share each step; without it, the best that the program was built with
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) device: Vec<String>,

    /// Folder for checkpoints, weights, structure, report and summary [default: a new one in `runs`]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) changes: Changes,

    /// Show Burn's dashboard while it trains
    #[arg(long)]
    pub(crate) dashboard: bool,

    /// Print a summary as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// The run's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let given = self.resume.as_ref().or(self.out.as_ref());
        given.cloned().unwrap_or_else(|| free_folder(RUNS))
    }

    /// The recipe with every option's change, and the record of the run to go on with.
    pub(crate) fn recipe(&self) -> Result<(Recipe, Option<RunRecord>), Failure> {
        let default = if self.changes.data.is_some() { FOLDER } else { DIGITS };
        let name = self.recipe.as_deref().unwrap_or(default);
        self.changes.recipe(name, self.resume.as_deref())
    }
}
