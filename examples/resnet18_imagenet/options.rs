//! The command line.

use std::path::{Path, PathBuf};

use clap::Parser;
use dyrep_train::recipe::{Override, Recipe};
use dyrep_train::{RunRecord, TrainError};

use crate::Failure;

/// What is trained without arguments, and with a folder.
const DIGITS: &str = "digits_quick";
const FOLDER: &str = "imagenet_resnet18";
/// Pictures up to this side keep their size through the stem.
const SMALL: u32 = 64;
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
    /// Folder with `train/<class>/*.JPEG` and `val/<class>/*.JPEG`; without it, the shipped digits
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Recipe: a shipped one by name, or a TOML file [default: `digits_quick`, with `--data`
    /// `imagenet_resnet18`]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) recipe: Option<String>,

    /// Change any key of the recipe, as `optimizer.weight_decay=5e-5`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Go on with the run in this folder from its newest whole checkpoint
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "recipe", "out"])]
    pub(crate) resume: Option<PathBuf>,

    /// Devices: `flex` or `ndarray` (CPU), `cuda`, `rocm`, `vulkan`, `wgpu`, `metal`, or `cuda:1` and so on;
    /// several, with commas, share each step; without it, the best that the program was built with
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) device: Vec<String>,

    /// How branches come about: `dyrep` grows them while training; `plain`, `acnet`, `repvgg` and `dbb` are
    /// fixed from the start
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,

    /// What ranks the convolutions that may grow: `snip`, `grad_norm`, `synflow`, `branch_gain` or `random`
    #[arg(long, value_name = "NAME")]
    pub(crate) score: Option<String>,

    /// Epochs [default: 10 on the digits, 120 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,

    /// Epochs between two changes of structure [default: 2 on the digits, 5 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) interval: Option<usize>,

    /// Pictures in a batch [default: 64 on the digits, 256 on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<usize>,

    /// Learning rate at its highest
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) learning_rate: Option<f64>,

    /// Side of the square that pictures of a folder are cropped to [default: 224]; up to 64 the stem for
    /// small pictures is used
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<u32>,

    /// Channels of the first stage [default: 32 on the digits, 64 on a folder, as published]
    #[arg(long, value_name = "N")]
    pub(crate) width: Option<usize>,

    /// Threads that decode pictures [default: 0 on the digits, all cores on a folder]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Seed of everything random [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Folder for checkpoints, weights, structure, report and summary [default: a new one in `runs`]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Show Burn's dashboard while it trains
    #[arg(long)]
    pub(crate) dashboard: bool,

    /// Print a summary as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// The devices asked for, or the best there is.
    pub(crate) fn device_names(&self) -> Vec<&str> {
        match self.device.is_empty() {
            true => vec![dyrep_train::default_name()],
            false => self.device.iter().map(String::as_str).collect(),
        }
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let free = |folder: &PathBuf| !RunRecord::path(folder).exists();
        let numbered = || (2..).map(|number| PathBuf::from(format!("{RUNS}-{number}")));
        let first = || std::iter::once(PathBuf::from(RUNS)).chain(numbered()).find(free);
        let given = self.resume.as_ref().or(self.out.as_ref());
        given.cloned().or_else(first).unwrap_or_else(|| PathBuf::from(RUNS))
    }

    /// The recipe with every option's change.
    pub(crate) fn recipe(&self) -> Result<Recipe, Failure> {
        let changes = self.changes()?;
        if let Some(folder) = &self.resume {
            let path = RunRecord::path(folder);
            let text = RunRecord::load(&path)?.recipe;
            let origin = path.display().to_string();
            return Ok(Recipe::parse(&text, &origin, &changes).map_err(TrainError::from)?);
        }
        let default = if self.data.is_some() { FOLDER } else { DIGITS };
        let name = self.recipe.as_deref().unwrap_or(default);
        let is_file = Path::new(name).extension().is_some() || Path::new(name).exists();
        let recipe = match is_file {
            true => Recipe::load(name, &changes),
            false => Recipe::builtin(name, &changes),
        };
        Ok(recipe?)
    }

    /// What the options change, in the recipe's words; `--set` last, so that it has the last word.
    fn changes(&self) -> Result<Vec<Override>, Failure> {
        let mut changes = vec![];
        let mut change = |key: &str, value: Option<String>| {
            changes.extend(value.map(|value| format!("{key}={value}")));
        };
        let text = |value: &Option<usize>| value.as_ref().map(ToString::to_string);
        change("strategy.name", self.strategy.clone());
        change("strategy.score", self.score.clone());
        change("schedule.epochs", text(&self.epochs));
        change("strategy.interval", text(&self.interval));
        change("optimizer.batch_size", text(&self.batch_size));
        change("optimizer.learning_rate", self.learning_rate.map(|rate| format!("{rate:?}")));
        change("model.width", text(&self.width));
        change("run.threads", text(&self.threads));
        change("run.seed", self.seed.map(|seed| seed.to_string()));
        change("data.path", self.data.as_ref().map(|path| path.display().to_string()));
        if let (Some(size), Some(_)) = (self.image_size, &self.data) {
            change("data.image_size", Some(size.to_string()));
            change("data.evaluation_resize", Some((size * 256 / 224).to_string()));
            let train =
                format!("[{{ random_resized_crop = {{ size = {size} }} }}, \"horizontal_flip\"]");
            change("augmentation.train", Some(train));
            change("model.stem", (size <= SMALL).then(|| "small".to_owned()));
        }
        changes.extend(self.set.iter().cloned());
        Ok(changes.iter().map(|change| change.parse()).collect::<Result<_, _>>()?)
    }
}
