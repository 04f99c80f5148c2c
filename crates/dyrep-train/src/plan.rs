//! From a recipe to what a run is made of.

mod optimization;

use std::sync::Arc;

use burn::tensor::Device;
use dyrep_burn::{ControllerConfig, PathPatterns, PatternError, Structure};
use dyrep_data::{
    Dataset, Erase, Fill, Loader, LoaderConfig, MixConfig, Mixer, Pipeline, Sampling, TransformSpec,
};
use dyrep_models::{Branching, Model, ModelConfig, ModelName, Selection, Stem};
use dyrep_weights::{Label, Load, OpenOptions, Report, WeightsError};

use crate::classifier::Loss;
use crate::data::{Part, evaluation, input, notices, sets, size};
use crate::error::TrainError;
use crate::input::InputSpec;
use crate::recipe::{
    AugmentationRecipe, AugmentationStep, ErasingMode, MixRecipe, ModelRecipe, Recipe,
    SamplerRecipe, SelectionRecipe, StemRecipe, StrategyRecipe,
};
use crate::run::Training;
use optimization::{groups, learning_rate, loss, optimizer_config};

/// A recipe made ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The network at its start, on the first device.
    pub network: Model,
    /// Training pictures.
    pub train: Arc<Loader>,
    /// Validation pictures.
    pub validation: Arc<Loader>,
    /// How to train.
    pub training: Training,
    /// Which weights of the recipe's file the network has; none if it names no file.
    pub loaded: Option<Report>,
    /// What files of its weights say: which network it is, what it reads, what its classes are called.
    pub label: Label,
    /// What whoever trains should know of the data, a line each: which folder validates, what was left out.
    pub notices: Vec<String>,
}

impl Plan {
    /// Opens the data and builds the network. The recipe's seed decides its first weights.
    ///
    /// # Errors
    /// Data that cannot be read, a model or a transform that this version does not have, branches that a layer cannot
    /// have, weights that are not the network's.
    ///
    /// # Panics
    /// If there is no device.
    pub fn new(recipe: &Recipe, devices: &[Device]) -> Result<Self, TrainError> {
        Self::starting(recipe, devices, |network| start(recipe, network))
    }

    /// The same for a run that goes on: its network began with the structure `began`, and its weights are in its
    /// checkpoint, so that the file of weights that it once started from is not needed.
    ///
    /// # Errors
    /// As [`new`](Self::new); a structure that is another network's.
    ///
    /// # Panics
    /// If there is no device.
    pub fn resuming(
        recipe: &Recipe,
        devices: &[Device],
        began: &Structure,
    ) -> Result<Self, TrainError> {
        Self::starting(recipe, devices, |network| {
            let refused = |source| TrainError::Began { source: Box::new(source) };
            let network = began.apply(network).map_err(refused)?;
            Ok((network, None))
        })
    }

    fn starting(
        recipe: &Recipe,
        devices: &[Device],
        start: impl FnOnce(Model) -> Result<(Model, Option<Report>), TrainError>,
    ) -> Result<Self, TrainError> {
        let parts = sets(&recipe.data)?;
        let notices = parts.iter().flat_map(notices).collect();
        let [train, validation] = loaders(recipe, parts)?;
        if let [class] = train.dataset().classes() {
            let path = recipe.data.path.clone().unwrap_or_default();
            return Err(TrainError::OneClass { path, class: class.clone() });
        }
        let device = devices[0].clone().autodiff();
        device.seed(recipe.run.seed);
        let config = network(recipe, train.dataset())?;
        let (network, loaded) = start(config.init(&device)?)?;
        let of_step = devices.len() * recipe.optimizer.accumulate;
        let loss = loss(&recipe.loss, train.dataset())?;
        let training = training(recipe, train.batches().div_ceil(of_step), loss)?;
        // What the groups name must be there before a folder is made.
        training.groups.of(&network)?;
        let label = Label {
            network: Some((recipe.model.name.parse()?, config)),
            input: Some(input(&recipe.data)),
            class_names: train.dataset().classes().to_vec(),
        };
        Ok(Self { network, train, validation, training, loaded, label, notices })
    }
}

/// The network with the weights that the recipe names.
fn start(recipe: &Recipe, network: Model) -> Result<(Model, Option<Report>), TrainError> {
    let Some(file) = &recipe.model.weights else { return Ok((network, None)) };
    let load = if recipe.model.partial { Load::partial() } else { Load::strict() };
    let failed = |error: WeightsError| TrainError::Weights {
        hint: match error {
            WeightsError::Mismatch { .. } if !recipe.model.partial => {
                "; `partial = true` in [model] loads what fits"
            }
            _ => "",
        },
        source: Box::new(error),
    };
    let ModelRecipe { part, rename, norm_epsilon, .. } = &recipe.model;
    let options = OpenOptions::told(part.as_deref(), rename, *norm_epsilon);
    let weights = options.and_then(|options| options.open(file)).map_err(failed)?;
    let (network, report) = load.into(network, &weights).map_err(failed)?;
    Ok((network, Some(report)))
}

fn loaders(recipe: &Recipe, parts: [Part; 2]) -> Result<[Arc<Loader>; 2], TrainError> {
    let Recipe { data, augmentation, optimizer, run, .. } = recipe;
    let [train, validation] = parts.map(|part| part.dataset);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let config = LoaderConfig {
        batch_size: optimizer.batch_size,
        shuffle: true,
        sampling: match data.sampler {
            SamplerRecipe::Shuffled => Sampling::Each,
            SamplerRecipe::Balanced => Sampling::Balanced,
        },
        // The last, smaller batch would give noisy statistics; a tiny set keeps it.
        drop_last: train.len() > optimizer.batch_size,
        seed: run.seed,
        threads: run.threads.unwrap_or_else(cores),
        max_skipped: run.max_skipped,
        ..LoaderConfig::default()
    };
    let in_order =
        LoaderConfig { shuffle: false, sampling: Sampling::Each, drop_last: false, ..config };
    let input = input(data);
    let plain = evaluation(&input)?;
    let spec = |step: &AugmentationStep| transform(step, &InputSpec::from(&input));
    let augmented: Vec<_> = augmentation.train.iter().map(spec).collect::<Result<_, _>>()?;
    let augmented = Pipeline::from_specs(&augmented)?;
    Ok([
        Arc::new(Loader::new(train, augmented, config)?),
        Arc::new(Loader::new(validation, plain, in_order)?),
    ])
}

/// The step as a transform. What is painted over gets the set's mean, which is zero once it is normalised.
fn transform(step: &AugmentationStep, input: &InputSpec) -> Result<TransformSpec, TrainError> {
    let mean: Vec<u8> = input.mean.iter().map(|mean| (mean * input.scale).round() as u8).collect();
    let fill = Fill::new(mean)?;
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    Ok(match *step {
        AugmentationStep::Resize { size: side } => TransformSpec::Resize { size: size(side) },
        AugmentationStep::CenterCrop { size: side } => {
            TransformSpec::CenterCrop { size: size(side) }
        }
        AugmentationStep::RandomCrop { size: side, padding } => {
            TransformSpec::RandomCrop { size: size(side), padding: size(padding) }
        }
        AugmentationStep::RandomResizedCrop { size: side, scale, ratio } => {
            TransformSpec::RandomResizedCrop { size: size(side), scale, ratio }
        }
        AugmentationStep::HorizontalFlip { probability } => {
            TransformSpec::RandomHorizontalFlip { probability }
        }
        AugmentationStep::ColorJitter { brightness, contrast, saturation, hue } => {
            TransformSpec::ColorJitter { brightness, contrast, saturation, hue }
        }
        AugmentationStep::RandAugment { magnitude, magnitude_std, operations } => {
            let operations = size(operations);
            TransformSpec::RandAugment {
                operations,
                magnitude,
                magnitude_std,
                increasing: false,
                fill,
            }
        }
        AugmentationStep::Cutout { size: side } => TransformSpec::Cutout { size: size(side), fill },
        AugmentationStep::RandomErasing { probability, mode } => TransformSpec::RandomErasing {
            probability,
            scale: [0.02, 1.0 / 3.0],
            ratio: [0.3, 1.0 / 0.3],
            fill: match mode {
                ErasingMode::Constant => Erase::Constant(fill),
                ErasingMode::Pixel => {
                    Erase::Pixel { mean: wide(&input.mean), std: wide(&input.std) }
                }
            },
        },
    })
}

/// A batch is mixed by one way or the other, each with the probability that the recipe gives it.
fn mixer(augmentation: &AugmentationRecipe) -> Result<Option<Mixer>, TrainError> {
    let part = |mix: Option<MixRecipe>| mix.map_or([0.0, 0.0], |mix| [mix.alpha, mix.probability]);
    let ([mixup_alpha, up], [cutmix_alpha, cut]) =
        (part(augmentation.mixup), part(augmentation.cutmix));
    if up + cut == 0.0 {
        return Ok(None);
    }
    let config = MixConfig {
        mixup_alpha,
        cutmix_alpha,
        probability: (up + cut).min(1.0),
        switch_probability: cut / (up + cut),
        ..MixConfig::default()
    };
    Ok(Some(Mixer::new(config)?))
}

fn network(recipe: &Recipe, set: &dyn Dataset) -> Result<ModelConfig, TrainError> {
    let Recipe { model, data, strategy, .. } = recipe;
    let name: ModelName = model.name.parse()?;
    let mut config = name.config(set.classes().len()).with_in_channels(set.channels());
    config = config.with_branches(branching(strategy)?);
    if let Some(stem) = model.stem {
        config = config.with_stem(match stem {
            StemRecipe::Imagenet => Stem::Imagenet,
            StemRecipe::Small => Stem::Small,
        });
    }
    if let Some(width) = model.width {
        config = config.with_width(width);
    }
    if let Some(activation) = model.activation {
        config = config.with_activation(activation)?;
    }
    let (side, smallest) = (data.side(), config.smallest_side());
    match side < smallest {
        true => Err(TrainError::TooSmall { model: model.name.clone(), side, smallest }),
        false => Ok(config),
    }
}

/// The branches that convolutions start with.
fn branching(strategy: &StrategyRecipe) -> Result<Branching, TrainError> {
    match strategy {
        StrategyRecipe::Plain => Ok(Branching::default()),
        StrategyRecipe::Fixed(fixed) => {
            Ok(Branching { branches: fixed.preset.into(), only: selection(&fixed.only)? })
        }
        StrategyRecipe::DyRep(growth) => {
            let Some(start) = &growth.start else { return Ok(Branching::default()) };
            let branches = serde_json::to_value(start).and_then(serde_json::from_value);
            Ok(Branching {
                branches: branches.map_err(|error| growth_refused(&error))?,
                only: selection(&growth.only)?,
            })
        }
    }
}

fn selection(recipe: &SelectionRecipe) -> Result<Selection, TrainError> {
    let refused = |error: PatternError| TrainError::Growth { reason: error.to_string() };
    Ok(Selection {
        layers: recipe.layers.clone(),
        matching: PathPatterns::new(&recipe.matching).map_err(refused)?,
        except: PathPatterns::new(&recipe.except).map_err(refused)?,
        kernels: recipe.kernels.clone(),
    })
}

fn training(recipe: &Recipe, steps_per_epoch: usize, loss: Loss) -> Result<Training, TrainError> {
    let Recipe { model, data, optimizer, schedule, strategy, evaluation, run, .. } = recipe;
    let set =
        data.path.as_ref().map_or_else(|| data.set.name().into(), |p| p.display().to_string());
    Ok(Training {
        title: format!("{}, {}", model.name, strategy.name()),
        description: format!("{} epochs on {set}", schedule.epochs),
        recipe: recipe.to_toml()?,
        epochs: schedule.epochs,
        schedule: learning_rate(schedule, optimizer.learning_rate, steps_per_epoch),
        optimizer: optimizer_config(optimizer),
        groups: groups(optimizer)?,
        clip_norm: optimizer.clip_norm,
        accumulate: optimizer.accumulate,
        loss,
        controller: controller(recipe)?,
        average_decay: optimizer.ema_decay,
        recalibration: evaluation.recalibrate_batches.unwrap_or(0),
        patience: evaluation.early_stopping,
        keep: run.checkpoints_kept,
        input: InputSpec::from(&input(data)),
        mixer: mixer(&recipe.augmentation)?,
        seed: run.seed,
    })
}

fn growth_refused(error: &serde_json::Error) -> TrainError {
    TrainError::Growth { reason: error.to_string() }
}

/// The controller's own configuration has the recipe's names and spellings.
fn controller(recipe: &Recipe) -> Result<Option<ControllerConfig>, TrainError> {
    let StrategyRecipe::DyRep(growth) = &recipe.strategy else { return Ok(None) };
    let mut value = serde_json::to_value(growth).map_err(|error| growth_refused(&error))?;
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| key != "start" && key != "only");
    }
    value["last_epoch"] = growth.last_epoch_of(recipe.schedule.epochs).into();
    value["seed"] = recipe.run.seed.into();
    let config: ControllerConfig =
        serde_json::from_value(value).map_err(|error| growth_refused(&error))?;
    config.check()?;
    Ok(Some(config))
}
