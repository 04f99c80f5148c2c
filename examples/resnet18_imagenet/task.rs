//! What to train on, and the recipe that goes with it.

use std::path::Path;
use std::sync::Arc;

use dyrep_burn::{ControllerConfig, CutRule, Preset};
use dyrep_data::{Channels, Dataset, Digits, ImageFolder, Loader, LoaderConfig, Pipeline};
use dyrep_models::{ResNetConfig, Stem};
use dyrep_train::{InputSpec, SgdRecipe, TrainerConfig};

use crate::Failure;
use crate::options::Options;

/// Pictures up to this side keep their size through the stem.
const SMALL: u32 = 64;

/// Data and recipe.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) train: Loader,
    pub(crate) validation: Loader,
    pub(crate) input: InputSpec,
    pub(crate) epochs: usize,
    interval: usize,
    cut_rule: CutRule,
    stem: Stem,
    pub(crate) width: usize,
}

/// What differs between the digits and a folder.
struct Defaults {
    epochs: usize,
    interval: usize,
    batch_size: usize,
    threads: usize,
    width: usize,
    cut_rule: CutRule,
}

impl Task {
    pub(crate) fn open(options: &Options) -> Result<Self, Failure> {
        match &options.data {
            None => Self::digits(options),
            Some(folder) => Self::folder(folder, options),
        }
    }

    fn digits(options: &Options) -> Result<Self, Failure> {
        let sets: [Arc<dyn Dataset>; 2] = [Arc::new(Digits::train()), Arc::new(Digits::test())];
        let pipelines = [Pipeline::digits_train(), Pipeline::identity()];
        let defaults = Defaults {
            epochs: 10,
            interval: 2,
            batch_size: 64,
            threads: 0,
            // Half the published width: a minute or two on two cores.
            width: 32,
            // The gains of branches start at 0.01; a few hundred steps spread them by thousandths, where the
            // published 0.02 is meant for a hundred epochs of ImageNet.
            cut_rule: CutRule::Threshold { min_deviation: 0.002, max_ratio: 0.1, lone: true },
        };
        let name = "the shipped digits".to_owned();
        Self::new(name, sets, pipelines, InputSpec::digits(), Stem::Small, &defaults, options)
    }

    fn folder(folder: &Path, options: &Options) -> Result<Self, Failure> {
        let (train, validation) = ImageFolder::open_split(folder, Channels::Rgb)?;
        let size = options.image_size;
        let pipelines =
            [Pipeline::imagenet_train(size)?, Pipeline::imagenet_eval(size * 256 / 224, size)?];
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let defaults = Defaults {
            epochs: 120,
            interval: 5,
            batch_size: 256,
            threads,
            width: 64,
            cut_rule: CutRule::default(),
        };
        let stem = if size <= SMALL { Stem::Small } else { Stem::Imagenet };
        let sets: [Arc<dyn Dataset>; 2] = [Arc::new(train), Arc::new(validation)];
        let name = folder.display().to_string();
        Self::new(name, sets, pipelines, InputSpec::imagenet(), stem, &defaults, options)
    }

    fn new(
        name: String,
        [train, validation]: [Arc<dyn Dataset>; 2],
        [augmented, plain]: [Pipeline; 2],
        input: InputSpec,
        stem: Stem,
        defaults: &Defaults,
        options: &Options,
    ) -> Result<Self, Failure> {
        let batch_size = options.batch_size.unwrap_or(defaults.batch_size);
        let config = LoaderConfig {
            batch_size,
            shuffle: true,
            // The last, smaller batch would give noisy statistics; a tiny folder keeps it.
            drop_last: train.len() > batch_size,
            seed: options.seed,
            threads: options.threads.unwrap_or(defaults.threads),
        };
        let whole = LoaderConfig { shuffle: false, drop_last: false, ..config };
        Ok(Self {
            name,
            train: Loader::new(train, augmented, config)?,
            validation: Loader::new(validation, plain, whole)?,
            input,
            epochs: options.epochs.unwrap_or(defaults.epochs),
            interval: options.interval.unwrap_or(defaults.interval),
            cut_rule: defaults.cut_rule,
            stem,
            width: options.width.unwrap_or(defaults.width),
        })
    }

    pub(crate) fn model(&self, options: &Options) -> Result<ResNetConfig, Failure> {
        let data = self.train.dataset();
        let config = ResNetConfig::resnet18(data.classes().len())
            .with_in_channels(data.channels())
            .with_width(self.width)
            .with_stem(self.stem);
        Ok(match options.strategy {
            // Starts plain and grows.
            Preset::DyRep => config,
            fixed => config.with_branches(fixed),
        })
    }

    pub(crate) fn trainer_config(&self, options: &Options) -> TrainerConfig {
        let controller = ControllerConfig {
            score: options.score,
            interval: self.interval,
            // The last sixth settles, as in the published recipe: 100 of 120 epochs.
            last_epoch: self.epochs * 5 / 6,
            cut_rule: self.cut_rule,
            seed: options.seed,
            ..ControllerConfig::default()
        };
        TrainerConfig {
            epochs: self.epochs,
            learning_rate: options.learning_rate,
            sgd: SgdRecipe::imagenet(),
            input: self.input.clone(),
            controller: (options.strategy == Preset::DyRep).then_some(controller),
        }
    }

    pub(crate) fn counts(&self) -> String {
        format!("{} + {} pictures", self.train.samples(), self.validation.samples())
    }
}
