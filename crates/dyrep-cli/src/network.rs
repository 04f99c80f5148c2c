//! A network and all that is known of it, from one file name.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use clap::Args;
use dyrep_models::{Activation, MODELS, Model, ModelConfig, ModelName, Stem};
use dyrep_quant::Quantized;
use dyrep_train::recipe::Recipe;
use dyrep_train::{Checkpoints, RunRecord, RunState};
use dyrep_weights::{Format, Input, Label, OpenOptions, Weights, WeightsError};

use crate::Failure;
use crate::input::{InputArgs, usual_input};
use crate::terminal::note;

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

    /// What follows the network's norms, where its tensors do not tell: `relu`, or `relu6` as in timm's MobileNetV1
    #[arg(long, value_name = "NAME")]
    activation: Option<Activation>,

    /// What the network's norms add to their variances, if not PyTorch's 1e-5: 1e-3 for networks that come from TensorFlow
    #[arg(long, value_name = "NUMBER")]
    norm_epsilon: Option<f64>,

    /// Change the file's names: what the regular expression matches is replaced; may be given several times
    #[arg(long, value_name = "REGEX=TEXT")]
    rename: Vec<String>,

    /// Of a checkpoint that holds several: `average` for the moving average of the weights, or the key under which they lie
    #[arg(long, value_name = "KEY")]
    part: Option<String>,

    #[command(flatten)]
    input: InputArgs,
}

/// A network with its weights.
pub(crate) struct Loaded {
    pub(crate) device: Device,
    pub(crate) file: PathBuf,
    /// What the file was recognised as.
    pub(crate) format: Format,
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
    /// What becomes of pictures where nobody has said it, once that was told.
    assumed: OnceCell<Input>,
}

impl NetworkArgs {
    /// Opens the weights in a file, or those of a run's folder.
    pub(crate) fn load(&self, path: &Path, device: &Device) -> Result<Loaded, Failure> {
        let (weights, recipe) = self.open(path)?;
        let mut label = weights.label(device)?;
        let (name, config) = self.choose(&weights, &label, recipe.as_ref(), device)?;
        let network =
            config.init(device).map_err(|error| format!("{}: {error}", path.display()))?;
        let (network, int8, report) = match weights.description() {
            Some(known) if known.is_quantized() => {
                let (int8, report) = weights.load_quantized(&network)?;
                (int8.network().clone(), Some(int8), report)
            }
            Some(known) if known.is_folded() => {
                let (network, report) = weights.load_folded(&network)?;
                (network, None, report)
            }
            _ => {
                let (network, report) = weights.load_into(network)?;
                (network, None, report)
            }
        };
        if !report.passed_over.is_empty() {
            note_passed_over(weights.file(), &report.passed_over);
        }
        for told in &report.notes {
            crate::terminal::note(&format!("{}: {told}", weights.file().display()));
        }
        label.network = Some((name, config.clone()));
        if let (None, Some(recipe)) = (&label.input, &recipe) {
            label.input = Some(dyrep_train::input(&recipe.data));
        }
        let file = weights.file().to_owned();
        let device = device.clone();
        if !self.input.is_none() {
            let known = label.input.take().unwrap_or_else(|| usual_input(&config));
            label.input = Some(self.input.overrule(known, config.in_channels())?);
        }
        Ok(Loaded {
            device,
            file,
            format: report.format,
            network,
            int8,
            name,
            config,
            label,
            recipe,
            assumed: OnceCell::new(),
        })
    }

    /// Opens the weights without a look at what they are for.
    pub(crate) fn open(&self, path: &Path) -> Result<(Weights, Option<Recipe>), Failure> {
        let options = OpenOptions::told(self.part.as_deref(), &self.rename, self.norm_epsilon)?;
        let file = file_of(path)?;
        let weights = options.open(&file)?;
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
        let asked = self.model.is_some() || self.stem.is_some() || self.activation.is_some();
        if let (true, false, Some(found)) = (told, asked, &label.network) {
            return Ok(found.clone());
        }
        let model = self.model.as_deref().or(recipe.map(|recipe| recipe.model.name.as_str()));
        let stem = match (self.stem.as_deref(), recipe.and_then(|recipe| recipe.model.stem)) {
            (Some("small"), _) => Some(Stem::Small),
            (Some(_), _) => Some(Stem::Imagenet),
            (None, Some(stem)) => Some(stem),
            (None, None) => recipe.map(|_| Stem::Imagenet),
        };
        // What a recipe leaves out is as published.
        let published =
            |name: &str| name.parse().map(|name: ModelName| name.config(1).activation());
        let of_recipe = recipe.and_then(|recipe| {
            recipe.model.activation.or_else(|| published(&recipe.model.name).ok())
        });
        let activation = self.activation.or(of_recipe);
        let candidates = weights.candidates(device);
        let fits = |(name, config): &&(ModelName, ModelConfig)| {
            model.is_none_or(|model| name.name() == model)
                && stem.is_none_or(|stem| config.stem() == stem)
                && activation.is_none_or(|activation| config.activation() == activation)
        };
        let fitting: Vec<_> = candidates.iter().filter(fits).cloned().collect();
        match fitting.as_slice() {
            [found] => Ok(found.clone()),
            [] => Err(self.refused(weights, &candidates, model, device)),
            _ => {
                let file = weights.file().to_owned();
                let error = WeightsError::Ambiguous { file, candidates: fitting };
                Err(format!("{error}; --model, --stem and --activation say which").into())
            }
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
            let activation = config.activation();
            return format!(
                "{file}: its tensors are those of {name} with the stem `{stem}` and the activation `{activation}`"
            )
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

    /// What becomes of pictures: what is known, or what is usual for such a network, which is then said.
    pub(crate) fn input(&self) -> Input {
        let assume = || {
            let usual = usual_input(&self.config);
            let Input { resize, side, mean, std, .. } = &usual;
            let resized =
                resize.map_or(String::new(), |side| format!(", resized to {side} before"));
            note(&format!(
                "{} does not say how pictures become its input; taken is what is usual: {side} pixels{resized}, mean \
                 {mean:?}, deviation {std:?}. --input-size, --resize, --mean and --std say otherwise",
                self.file.display()
            ));
            usual
        };
        self.label.input.as_ref().unwrap_or_else(|| self.assumed.get_or_init(assume)).clone()
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
    // A run that was gone on with has weights of before, until it is done.
    let goes_on = RunRecord::load(&RunRecord::path(path))
        .is_ok_and(|record| !matches!(record.state, RunState::Measuring | RunState::Finished));
    let checkpoints = Checkpoints::existing(path);
    match checkpoints.newest()? {
        (Some(moment), _) if goes_on || !trained.exists() => Ok(checkpoints.model(moment)),
        _ if trained.exists() => Ok(trained),
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

/// Says what of a file is not the network's: kinds of tensors, and how many of each.
fn note_passed_over(file: &Path, names: &[String]) {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *ends.entry(last_part(name)).or_default() += 1;
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        // Of what lies in every layer, its own name; of what lies beside the weights, its key.
        let last = last_part(name);
        let first = name.split('.').next().unwrap_or(name);
        let in_layers = ends[last] > 1;
        let is_parameter = matches!(last, "weight" | "bias" | "running_mean" | "running_var");
        let is_place = last.bytes().all(|byte| byte.is_ascii_digit());
        let kind = if in_layers && !is_parameter && !is_place { last } else { first };
        *kinds.entry(kind).or_default() += 1;
    }
    let told: Vec<String> =
        kinds.into_iter().map(|(kind, count)| format!("`{kind}` ({count})")).collect();
    let tensors = crate::text::number(names.len(), "tensor", "tensors");
    let file = file.display();
    note(&format!(
        "{file}: {tensors} that are no parameters were passed over: {}",
        told.join(", ")
    ));
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
