//! A network and all that is known of it, from one file name.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use clap::Args;
use dyrep_models::{MODELS, Model, ModelConfig, ModelName, Stem};
use dyrep_quant::Quantized;
use dyrep_train::recipe::{Recipe, StemRecipe};
use dyrep_train::{Checkpoints, RunRecord};
use dyrep_weights::{Input, Label, Part, Weights, WeightsError, open_part};

use crate::Failure;

/// Which device computes.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Device: `flex` or `ndarray` (CPU), `cuda`, `rocm`, `vulkan`, `wgpu`, `metal`, or `cuda:1` and so on; without it, the
    /// best that the program was built with
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

impl DeviceArgs {
    pub(crate) fn name(&self) -> &str {
        self.device.as_deref().unwrap_or_else(|| dyrep_train::default_name())
    }

    /// Whether it is this processor, whose operations are done when they return.
    pub(crate) fn is_cpu(&self) -> bool {
        matches!(self.name(), "flex" | "ndarray")
    }

    pub(crate) fn open(&self) -> Result<Device, Failure> {
        Ok(dyrep_train::device(self.name())?)
    }
}

/// What says which network weights are for, if their file cannot.
#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Take the weights for those of this network of the zoo [default: what the file says, else what its tensors are]
    #[arg(long, value_name = "NAME", value_parser = MODELS.to_vec(), hide_possible_values = true)]
    model: Option<String>,

    /// The network's first layers, where its tensors do not tell: `imagenet` for large pictures, `small` for those of up to
    /// 64 pixels
    #[arg(long, value_name = "NAME", value_parser = ["imagenet", "small"], hide_possible_values = true)]
    stem: Option<String>,

    /// Of a checkpoint that holds several: `average` for the moving average of the weights, or the key under which they lie
    #[arg(long, value_name = "KEY")]
    part: Option<String>,
}

/// A network with its weights.
pub(crate) struct Loaded {
    pub(crate) device: Device,
    pub(crate) file: PathBuf,
    pub(crate) weights: Weights,
    /// In `f32`; of INT8 weights, what they stand for.
    pub(crate) network: Model,
    /// The same as it computes in INT8, if the file's weights are.
    pub(crate) int8: Option<Quantized<Model>>,
    pub(crate) name: ModelName,
    pub(crate) config: ModelConfig,
    /// What is known beside the network.
    pub(crate) label: Label,
    /// The recipe of the run that the file is of, where there is one beside it.
    pub(crate) recipe: Option<Recipe>,
}

impl NetworkArgs {
    /// Opens the weights in a file, or those of a run's folder.
    pub(crate) fn load(&self, path: &Path, device: &Device) -> Result<Loaded, Failure> {
        let (weights, recipe) = self.open(path)?;
        let mut label = weights.label(device)?;
        let (name, config) = self.choose(&weights, &label, recipe.as_ref(), device)?;
        let network =
            config.init(device).map_err(|error| format!("{}: {error}", path.display()))?;
        let note = weights.description();
        let (network, int8) = match note {
            Some(note) if note.is_quantized() => {
                let (int8, _) = weights.load_quantized(&network)?;
                (int8.network().clone(), Some(int8))
            }
            Some(note) if note.is_folded() => (weights.load_folded(&network)?.0, None),
            _ => (weights.load_into(network)?.0, None),
        };
        label.network = Some((name, config.clone()));
        if let (None, Some(recipe)) = (&label.input, &recipe) {
            label.input = Some(dyrep_train::input(&recipe.data));
        }
        let file = weights.file().to_owned();
        let device = device.clone();
        Ok(Loaded { device, file, weights, network, int8, name, config, label, recipe })
    }

    /// Opens the weights without a look at what they are for.
    pub(crate) fn open(&self, path: &Path) -> Result<(Weights, Option<Recipe>), Failure> {
        let part = match self.part.as_deref() {
            None => Part::Trained,
            Some("average") => Part::Average,
            Some(key) => Part::Key(key.to_owned()),
        };
        let file = file_of(path)?;
        let weights = open_part(&file, &part)?;
        Ok((weights, recipe_beside(&file)?))
    }

    /// The network that is meant: as asked for, as the file says, as the run's recipe says, as the tensors are.
    fn choose(
        &self,
        weights: &Weights,
        label: &Label,
        recipe: Option<&Recipe>,
        device: &Device,
    ) -> Result<(ModelName, ModelConfig), Failure> {
        let told = weights.description().is_some_and(|note| note.model().is_some());
        if let (true, None, None, Some(found)) = (told, &self.model, &self.stem, &label.network) {
            return Ok(found.clone());
        }
        let model = self.model.as_deref().or(recipe.map(|recipe| recipe.model.name.as_str()));
        let stem = match (self.stem.as_deref(), recipe.and_then(|recipe| recipe.model.stem)) {
            (Some("small"), _) | (None, Some(StemRecipe::Small)) => Some(Stem::Small),
            (Some(_), _) | (None, Some(StemRecipe::Imagenet)) => Some(Stem::Imagenet),
            (None, None) => None,
        };
        let candidates = weights.candidates(device);
        let fits = |(name, config): &&(ModelName, ModelConfig)| {
            model.is_none_or(|model| name.name() == model)
                && stem.is_none_or(|stem| config.stem() == stem)
        };
        match candidates.iter().find(fits) {
            Some(found) => Ok(found.clone()),
            None => Err(self.refused(weights, &candidates, model, device)),
        }
    }

    /// Why none of the candidates will do.
    fn refused(
        &self,
        weights: &Weights,
        candidates: &[(ModelName, ModelConfig)],
        model: Option<&str>,
        device: &Device,
    ) -> Failure {
        let file = weights.file().display();
        if let [(name, config), ..] = candidates {
            let stem = if config.stem() == Stem::Small { "small" } else { "imagenet" };
            return format!("{file}: its tensors are those of {name} with the stem `{stem}`")
                .into();
        }
        // What differs is the most useful thing to say, if it is known what was expected.
        if let Some(name) = model.and_then(|model| model.parse::<ModelName>().ok())
            && let Ok(network) = name.config(1000).init(device)
            && let Err(error @ WeightsError::Mismatch { .. }) = weights.load_into(network)
        {
            return error.into();
        }
        format!(
            "{file}: its tensors are those of no network of the zoo; it holds {}",
            weights.format()
        )
        .into()
    }
}

impl Loaded {
    /// Logits of a batch, as the file's weights give them.
    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match &self.int8 {
            Some(int8) => int8.run(|network| network.forward(images)),
            None => self.network.forward(images),
        }
    }

    /// The network, if its weights are not rounded to 8 bits.
    pub(crate) fn float(&self) -> Result<&Model, Failure> {
        match &self.int8 {
            None => Ok(&self.network),
            Some(_) => Err(format!(
                "{}: its weights are INT8; this wants the file that they were rounded from",
                self.file.display()
            )
            .into()),
        }
    }

    /// The input: what is known, or what is usual for such a network.
    pub(crate) fn input(&self) -> Input {
        let usual = || {
            let channels = self.config.in_channels();
            let (side, resize) = match self.config.stem() {
                Stem::Imagenet => (224, Some(256)),
                Stem::Small => (32, None),
            };
            let spec = dyrep_train::InputSpec::imagenet();
            let (mean, std) = match channels {
                3 => (spec.mean, spec.std),
                _ => (vec![0.5; channels], vec![0.5; channels]),
            };
            Input { resize, side, scale: spec.scale, mean, std }
        };
        self.label.input.clone().unwrap_or_else(usual)
    }

    /// Whether it can take pictures of this side.
    pub(crate) fn check_side(&self, side: usize) -> Result<(), Failure> {
        let (name, smallest) = (self.name, self.config.smallest_side());
        match side < smallest {
            true => {
                Err(format!("{name} takes pictures from {smallest} pixels on, not {side}").into())
            }
            false => Ok(()),
        }
    }

    /// What it is, in a line.
    pub(crate) fn title(&self) -> String {
        let Self { name, config, .. } = self;
        let stem = if config.stem() == Stem::Small { ", stem for small pictures" } else { "" };
        let channels = crate::text::number(config.in_channels(), "channel", "channels");
        let int8 = if self.int8.is_some() { ", INT8" } else { "" };
        let (width, classes) = (config.width(), config.classes());
        format!("{name} of width {width}, {classes} classes, {channels}{stem}{int8}")
    }
}

/// The file of weights that a path means: itself, or of a run's folder its result, or its newest whole checkpoint.
fn file_of(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let trained = path.join("trained.bpk");
    if trained.exists() {
        return Ok(trained);
    }
    let checkpoints = Checkpoints::existing(path.join("checkpoint"));
    match checkpoints.folder().is_dir().then(|| checkpoints.newest()).transpose()? {
        Some((Some(epoch), _)) => Ok(checkpoints.model(epoch)),
        _ => {
            let path = path.display();
            Err(format!("{path}: no run with weights; expected {path}/trained.bpk or a checkpoint")
                .into())
        }
    }
}

/// The recipe of the run in whose folder a file lies.
fn recipe_beside(file: &Path) -> Result<Option<Recipe>, Failure> {
    let folders = file.ancestors().skip(1).take(2);
    let Some(path) = folders.map(RunRecord::path).find(|path| path.is_file()) else {
        return Ok(None);
    };
    // Any program may call a file `run.json`.
    let Ok(record) = RunRecord::load(&path) else { return Ok(None) };
    Ok(Some(Recipe::parse(&record.recipe, &path.display().to_string(), &[])?))
}
