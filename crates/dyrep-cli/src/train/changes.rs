//! What one changes most in a recipe, as options of the command line.

use std::path::{Path, PathBuf};

use clap::Args;
use dyrep_data::TransformSpec;
use dyrep_models::Stem;
use dyrep_train::recipe::{Override, Recipe};
use dyrep_train::{RunRecord, TrainError};

use crate::Failure;

/// Pictures up to this side keep their size through the stem.
const SMALL: usize = 64;

/// Changes of a recipe.
#[derive(Clone, Debug, Args)]
pub struct Changes {
    /// Folder of the pictures: `train/<class>/*.jpg` and `val/<class>/*.jpg`, or the files of CIFAR or MNIST
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Channels that the pictures of a folder are read in: `grey` or `rgb`
    #[arg(long, value_name = "NAME")]
    pub channels: Option<String>,

    /// Most pixels, width × height, that a picture of a folder may have [default: 89478485]
    #[arg(long, value_name = "N")]
    pub max_pixels: Option<usize>,

    /// Follow links to folders, and out of the folder of the pictures
    #[arg(long)]
    pub follow_links: bool,

    /// Weights to start from: PyTorch's (.pth), safetensors or Burn's (.bpk)
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,

    /// Of a file of weights that holds several: `average` for their moving average, or the key under which they lie
    #[arg(long, value_name = "KEY", requires = "weights")]
    pub part: Option<String>,

    /// Change the names in that file: what the regular expression matches is replaced; may be given several times
    #[arg(long, value_name = "REGEX=TEXT", requires = "weights")]
    pub rename: Vec<String>,

    /// What the norms of that file's network add to their variances, if not 1e-5
    #[arg(long, value_name = "NUMBER", requires = "weights")]
    pub norm_epsilon: Option<f64>,

    /// Of those weights load what fits, as for other classes than theirs
    #[arg(long)]
    pub partial: bool,

    /// How branches come about: `dyrep` grows them while training, `repnas` searches them; `plain`, `acnet`, `repvgg` and
    /// `dbb` are fixed from the start; `repoptimizer` trains without any as if some were there
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,

    /// Train from scratch what a search has found: its run's folder, or a file of its structure
    #[arg(long, value_name = "PATH", conflicts_with = "strategy")]
    pub structure: Option<PathBuf>,

    /// What ranks the convolutions that may grow: `snip`, `grad_norm`, `synflow`, `branch_gain` or `random`
    #[arg(long, value_name = "NAME")]
    pub score: Option<String>,

    /// Epochs
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,

    /// Epochs between two changes of structure
    #[arg(long, value_name = "N")]
    pub interval: Option<usize>,

    /// Pictures in a batch
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,

    /// Learning rate at its highest
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,

    /// Side of the square that pictures of a folder are cropped to; up to 64 the stem for small pictures is used
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Option<usize>,

    /// Channels of the first stage
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,

    /// Threads that decode pictures
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Seed of everything random
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Change any key of the recipe, as `optimizer.weight_decay=5e-5`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// A text as TOML and JSON write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Changes {
    /// A recipe by name or file, or that of the run to resume and the run's record, with these changes.
    ///
    /// # Errors
    /// A recipe that is not there or has mistakes, no record of a run, and changes that make no sense or that a run that
    /// goes on cannot make.
    pub fn recipe(
        &self,
        name: &str,
        resume: Option<&Path>,
    ) -> Result<(Recipe, Option<RunRecord>), Failure> {
        let changes: Vec<Override> =
            self.overrides().iter().map(|change| change.parse()).collect::<Result<_, _>>()?;
        if let Some(folder) = resume {
            let (recipe, record) = resumed(folder, &changes)?;
            return Ok((recipe, Some(record)));
        }
        let is_file = Path::new(name).extension().is_some() || Path::new(name).is_file();
        let recipe = match is_file {
            true => Recipe::load(name, &changes),
            false => Recipe::builtin(name, &changes),
        };
        let recipe = match self.image_size {
            Some(side) => resized(recipe?, side, &changes)?,
            None => recipe?,
        };
        Ok((recipe, None))
    }

    /// Whether there are none.
    pub(crate) fn is_none(&self) -> bool {
        self.overrides().is_empty()
    }

    /// In the recipe's words; `--set` last, so that it has the last word.
    fn overrides(&self) -> Vec<String> {
        let mut changes = vec![];
        let mut change = |key: &str, value: Option<String>| {
            changes.extend(value.map(|value| format!("{key}={value}")));
        };
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| quoted(&path.to_string_lossy()));
        let name = |name: &Option<String>| name.as_deref().map(quoted);
        change("model.weights", path(&self.weights));
        change("model.part", name(&self.part));
        let renames: Vec<String> = self.rename.iter().map(|text| quoted(text)).collect();
        change("model.rename", (!renames.is_empty()).then(|| format!("[{}]", renames.join(", "))));
        change("model.norm_epsilon", self.norm_epsilon.map(|epsilon| format!("{epsilon:?}")));
        change("model.partial", self.partial.then(|| "true".to_owned()));
        let text = |value: &Option<usize>| value.as_ref().map(ToString::to_string);
        change("strategy.name", name(&self.strategy));
        change("strategy.name", self.structure.as_ref().map(|_| "repnas".to_owned()));
        change("strategy.structure", path(&self.structure));
        change("strategy.score", name(&self.score));
        change("schedule.epochs", text(&self.epochs));
        change("strategy.interval", text(&self.interval));
        change("optimizer.batch_size", text(&self.batch_size));
        change("optimizer.learning_rate", self.learning_rate.map(|rate| format!("{rate:?}")));
        change("data.image_size", text(&self.image_size));
        change("model.width", text(&self.width));
        change("run.threads", text(&self.threads));
        change("run.seed", self.seed.map(|seed| seed.to_string()));
        change("data.path", path(&self.data));
        change("data.channels", name(&self.channels));
        change("data.max_pixels", text(&self.max_pixels));
        change("data.follow_links", self.follow_links.then(|| "true".to_owned()));
        changes.extend(self.set.iter().cloned());
        changes
    }
}

/// The recipe of the run in a folder with changes, and the run's record.
fn resumed(folder: &Path, changes: &[Override]) -> Result<(Recipe, RunRecord), Failure> {
    let path = RunRecord::path(folder);
    let record = RunRecord::load(&path)?;
    let origin = path.display().to_string();
    let read = |changes: &[Override]| {
        Recipe::parse(&record.recipe, &origin, changes).map_err(TrainError::from)
    };
    let (before, now) = (read(&[])?, read(changes)?);
    now.check_resumed(&before).map_err(TrainError::from)?;
    Ok((now, record))
}

/// The recipe for pictures of another size: what crops to a size crops to this one, and the stem is the one for it, unless
/// the changes say otherwise.
fn resized(mut recipe: Recipe, side: usize, changes: &[Override]) -> Result<Recipe, Failure> {
    for step in &mut recipe.augmentation.train {
        if let TransformSpec::RandomResizedCrop { size, .. }
        | TransformSpec::RandomCrop { size, .. }
        | TransformSpec::CenterCrop { size } = step
        {
            // Sides that no picture has are refused where the recipe is read again.
            *size = side.try_into().unwrap_or(u32::MAX);
        }
    }
    if side <= SMALL {
        recipe.model.stem = Some(Stem::Small);
    }
    // Read again, so that what does not go together is found, and `--set` has the last word.
    Ok(Recipe::parse(&recipe.to_toml()?, "the recipe with --image-size", changes)
        .map_err(TrainError::from)?)
}
