//! From a recipe to what a run is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_data::{Dataset, Loader, LoaderConfig, Mixer, Paint, Pipeline, Sampling};
use dyrep_models::{Model, ModelConfig, ModelName};
use dyrep_weights::{Label, Load, OpenOptions, Report, WeightsError};

use crate::checkpoint::Checkpoints;
use crate::classifier::Loss;
use crate::data::{Part, evaluation, input, notices, sets};
use crate::distillation::{Distillation, TeacherLogits};
use crate::error::TrainError;
use crate::input::InputSpec;
use crate::recipe::{
    AugmentationRecipe, DistillationRecipe, ModelRecipe, Recipe, SamplerRecipe, SearchRecipe,
    StrategyRecipe,
};
use crate::rep_optimizer::{Ends, RepOptimizer, Scales};
use crate::run::{RunRecord, Training, scales, teacher};

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
    /// have, weights that are not the network's, a teacher's logits that are not of the training pictures.
    ///
    /// # Panics
    /// If there is no device.
    pub fn new(recipe: &Recipe, devices: &[Device]) -> Result<Self, TrainError> {
        let teacher = recipe.distillation.as_ref().map(|it| it.file.clone());
        let files = Files { teacher, scales: file_of_scales(recipe) };
        Self::starting(recipe, devices, files, |network, config, scales| {
            start(recipe, network, config, scales)
        })
    }

    /// The same for a run that goes on in `folder`. Where it has a checkpoint, its network began with the structure of the
    /// record, and its weights are in the checkpoint, so that the file of weights that it once started from is not
    /// needed; neither is that of a teacher's logits, of which the folder has a copy.
    ///
    /// # Errors
    /// As [`new`](Self::new); a structure that is another network's.
    ///
    /// # Panics
    /// If there is no device.
    pub fn resuming(
        recipe: &Recipe,
        devices: &[Device],
        folder: &Path,
        record: &RunRecord,
    ) -> Result<Self, TrainError> {
        let copy = teacher::path(folder);
        let teacher = recipe.distillation.as_ref().map(|it| match copy.exists() {
            false if it.file.exists() => it.file.clone(),
            _ => copy,
        });
        let copy = scales::path(folder);
        let scales = match record.scales {
            Some(_) if copy.exists() => Some(copy),
            _ => file_of_scales(recipe),
        };
        let files = Files { teacher, scales };
        // Without a checkpoint it begins as it began.
        if !Checkpoints::existing(folder).any()? {
            return Self::starting(recipe, devices, files, |network, config, scales| {
                start(recipe, network, config, scales)
            });
        }
        let began = &record.start;
        Self::starting(recipe, devices, files, |network, _, _| {
            let refused = |source| TrainError::Began { source: Box::new(source) };
            let network = began.apply(network).map_err(refused)?;
            Ok((network, None))
        })
    }

    fn starting(
        recipe: &Recipe,
        devices: &[Device],
        files: Files,
        start: impl FnOnce(
            Model,
            &ModelConfig,
            Option<&Scales>,
        ) -> Result<(Model, Option<Report>), TrainError>,
    ) -> Result<Self, TrainError> {
        let parts = sets(&recipe.data)?;
        let notices = parts.iter().flat_map(notices).collect();
        let [train, validation] = loaders(recipe, parts)?;
        if let [class] = train.dataset().classes() {
            let path = recipe.data.path.clone().unwrap_or_default();
            return Err(TrainError::OneClass { path, class: class.clone() });
        }
        let teacher = recipe.distillation.as_ref().zip(files.teacher);
        let distillation = teacher.map(|(it, file)| distillation(it, &file, train.dataset()));
        let distillation = distillation.transpose()?;
        let device = devices[0].clone().autodiff();
        device.seed(recipe.run.seed);
        let config = network(recipe, train.dataset())?;
        let network = config.init(&device)?;
        let scales = scales_of(recipe, files.scales.as_deref(), &network)?;
        let (network, loaded) = start(network, &config, scales.as_ref())?;
        let loss = Loss::new(recipe.loss.clone(), train.dataset())?;
        let rep_optimizer = scales.map(|scales| match searches(recipe) {
            true => RepOptimizer::Search,
            false => RepOptimizer::Multiplied(scales),
        });
        let training = Training { distillation, rep_optimizer, ..training(recipe, loss)? };
        // What the groups name must be there before a folder is made.
        training.groups(&network)?;
        let label = Label {
            network: Some((recipe.model.name.parse()?, config)),
            input: Some(input(&recipe.data)),
            class_names: train.dataset().classes().to_vec(),
        };
        Ok(Self { network, train, validation, training, loaded, label, notices })
    }
}

/// The network with the structure that the recipe names, to be trained from scratch.
fn found(recipe: &Recipe, network: Model) -> Result<Model, TrainError> {
    let StrategyRecipe::RepNas(SearchRecipe { structure: Some(path), .. }) = &recipe.strategy
    else {
        return Ok(network);
    };
    let file = if path.is_dir() { path.join("structure.json") } else { path.clone() };
    let refused = |source| TrainError::Structure(Box::new(source));
    let structure = Structure::load(file).map_err(refused)?;
    structure.begin(network, recipe.run.seed).map_err(refused)
}

/// The files that a run reads beside its data and weights.
struct Files {
    teacher: Option<PathBuf>,
    scales: Option<PathBuf>,
}

fn file_of_scales(recipe: &Recipe) -> Option<PathBuf> {
    match &recipe.strategy {
        StrategyRecipe::RepOptimizer(rep) => rep.scales.clone(),
        _ => None,
    }
}

/// Whether scales of blocks are searched.
fn searches(recipe: &Recipe) -> bool {
    matches!(&recipe.strategy, StrategyRecipe::RepOptimizer(rep) if rep.search)
}

/// The scales of the blocks that a network is trained as, or that a search starts from.
fn scales_of(
    recipe: &Recipe,
    file: Option<&Path>,
    network: &Model,
) -> Result<Option<Scales>, TrainError> {
    let StrategyRecipe::RepOptimizer(rep) = &recipe.strategy else { return Ok(None) };
    match file {
        Some(file) => Scales::open(file, network, &rep.only).map(Some),
        None => Scales::initial(network, &rep.only).map(Some),
    }
}

/// The network with the structure and the weights that the recipe names; without any, as blocks with these scales start.
fn start(
    recipe: &Recipe,
    network: Model,
    config: &ModelConfig,
    scales: Option<&Scales>,
) -> Result<(Model, Option<Report>), TrainError> {
    let network = found(recipe, network)?;
    let Some(file) = &recipe.model.weights else {
        let Some(scales) = scales else { return Ok((network, None)) };
        let ends = if searches(recipe) { Ends::Learnt } else { Ends::Constant };
        let blocks = scales.blocks(network, ends, |groups| config.initializer(groups))?;
        let network = if searches(recipe) { blocks } else { scales.fused(blocks) };
        return Ok((network, None));
    };
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

/// The teacher whose logits are in `file`.
fn distillation(
    recipe: &DistillationRecipe,
    file: &Path,
    set: &dyn Dataset,
) -> Result<Distillation, TrainError> {
    let DistillationRecipe { weight, temperature, .. } = *recipe;
    let teacher = Arc::new(TeacherLogits::open(file)?);
    let distillation = Distillation { teacher, weight, temperature };
    distillation.check(set)?;
    Ok(distillation)
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
        refill: true,
        ..LoaderConfig::default()
    };
    let in_order = LoaderConfig {
        shuffle: false,
        sampling: Sampling::Each,
        drop_last: false,
        refill: false,
        ..config
    };
    let input = input(data);
    let plain = evaluation(&input)?;
    let paint = Paint::new(&input.mean, &input.std, input.scale)?;
    let augmented = Pipeline::from_specs(&augmentation.train, &paint)?;
    Ok([
        Arc::new(Loader::new(train, augmented, config)?),
        Arc::new(Loader::new(validation, plain, in_order)?),
    ])
}

/// How batches are mixed, if any is.
fn mixer(augmentation: &AugmentationRecipe) -> Result<Option<Mixer>, TrainError> {
    let config = augmentation.mixing();
    let mixes = config.probability() > 0.0;
    Ok(mixes.then(|| Mixer::new(config)).transpose()?)
}

fn network(recipe: &Recipe, set: &dyn Dataset) -> Result<ModelConfig, TrainError> {
    let Recipe { model, data, strategy, .. } = recipe;
    let name: ModelName = model.name.parse()?;
    let mut config = name.config(set.classes().len()).with_in_channels(set.channels());
    config = config.with_branches(strategy.branching());
    if let Some(stem) = model.stem {
        config = config.with_stem(stem);
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

fn training(recipe: &Recipe, loss: Loss) -> Result<Training, TrainError> {
    let Recipe { model, data, optimizer, schedule, strategy, evaluation, run, .. } = recipe;
    let set =
        data.path.as_ref().map_or_else(|| data.set.name().into(), |p| p.display().to_string());
    let controller = recipe.controller();
    if let Some(config) = &controller {
        config.check()?;
    }
    Ok(Training {
        title: format!("{}, {}", model.name, strategy.name()),
        description: format!("{} epochs on {set}", schedule.epochs),
        recipe: recipe.to_toml()?,
        epochs: schedule.epochs,
        schedule: schedule.clone(),
        optimizer: optimizer.clone(),
        loss,
        distillation: None,
        rep_optimizer: None,
        controller,
        search: recipe.search(),
        recalibration: evaluation.recalibrate_batches.unwrap_or(0),
        patience: evaluation.early_stopping,
        keep: run.checkpoints_kept,
        tensorboard: run.tensorboard,
        input: InputSpec::from(&input(data)),
        mixer: mixer(&recipe.augmentation)?,
        precision: run.precision,
        gradient_checkpointing: run.gradient_checkpointing,
        seed: run.seed,
    })
}
