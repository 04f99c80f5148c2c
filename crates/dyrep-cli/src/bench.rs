//! `dyrep bench`: what strategies cost, while they train and deployed.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use clap::Args;
use dyrep_burn::{Preset, Search, SearchConfig, UnknownName, deploy, without_resting};
use dyrep_models::{MODELS, Model, ModelConfig, ModelName, Selection, Stem};
use dyrep_train::{GradientMultipliers, Groups, OptimizerConfig, Scales};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::data::at_least_one;
use crate::network::DeviceArgs;
use crate::terminal::bar;
use crate::text::{count, short};

/// Measure how long a network takes to train and to infer, by strategy
///
/// Every strategy's network takes a step of SGD and a pass of inference in turn, in its training form and deployed, on
/// pictures of noise; the medians are told. `dyrep` stands for a network in which every branch has grown, `repnas` for one of
/// which the usual share of branches runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dyrep bench resnet18\n  \
                        dyrep bench mobilenet_v1 --strategy plain,dyrep --batch-size 32 --image-size 128\n  \
                        dyrep bench repvgg_a0 --inference --json")]
pub(crate) struct BenchArgs {
    /// The network, by its name in the zoo
    #[arg(value_parser = MODELS.to_vec(), hide_possible_values = true)]
    model: String,

    /// Strategies
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "plain,acnet,repvgg,dbb,dyrep,repnas"
    )]
    strategy: Vec<Timed>,

    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one)]
    batch_size: usize,

    /// Side of the pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = at_least_one)]
    image_size: usize,

    /// Channels of the first convolution [default: as published]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    width: Option<usize>,

    /// Classes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = at_least_one)]
    classes: usize,

    /// The first layers: as published, or `small` for small pictures
    #[arg(long, value_name = "NAME", value_parser = ["imagenet", "small"], default_value = "imagenet")]
    stem: String,

    /// Passes that are timed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    passes: usize,

    /// Passes before them, in which a GPU's kernels are compiled and chosen [default: 1 on the CPU, 5 elsewhere]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    warm_up: Option<usize>,

    /// Time inference only
    #[arg(long)]
    inference: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

/// A strategy that can be timed without a training around it.
#[derive(Clone, Copy, Debug)]
enum Timed {
    /// Branches from the start.
    Preset(Preset),
    /// None, and steps that are multiplied.
    RepOptimizer,
}

const REP_OPTIMIZER: &str = "repoptimizer";

impl FromStr for Timed {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        if name == REP_OPTIMIZER {
            return Ok(Self::RepOptimizer);
        }
        name.parse().map(Self::Preset).map_err(|error: UnknownName| UnknownName {
            known: format!("{}, {REP_OPTIMIZER}", error.known),
            ..error
        })
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    width: usize,
    device: String,
    batch_size: usize,
    image_size: usize,
    passes: usize,
    strategies: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    strategy: &'static str,
    params: u64,
    multiply_adds: u64,
    /// Of a training step.
    train_seconds: Option<f64>,
    /// Of a forward pass in training form.
    infer_seconds: f64,
    /// Of a forward pass, deployed.
    deployed_seconds: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, width, device, batch_size, image_size, passes, strategies } = self;
        writeln!(
            f,
            "{model} of width {width}, {batch_size} pictures of {image_size}×{image_size} on {device}, \
             median of {passes}"
        )?;
        write!(
            f,
            "{:<13}{:>13}{:>14}{:>13}{:>13}{:>13}",
            "", "parameters", "multiply-adds", "train step", "inference", "deployed"
        )?;
        let ms = |seconds: f64| format!("{:.1} ms", 1e3 * seconds);
        for row in strategies {
            write!(
                f,
                "\n{:<13}{:>13}{:>14}{:>13}{:>13}{:>13}",
                row.strategy,
                count(row.params),
                short(row.multiply_adds),
                row.train_seconds.map_or("-".to_owned(), ms),
                ms(row.infer_seconds),
                ms(row.deployed_seconds)
            )?;
        }
        Ok(())
    }
}

impl BenchArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let device = self.device.open()?;
        let name: ModelName = self.model.parse()?;
        let mut config = name.config(self.classes);
        if self.stem == "small" {
            config = config.with_stem(Stem::Small);
        }
        if let Some(width) = self.width {
            config = config.with_width(width);
        }
        let smallest = config.smallest_side();
        if self.image_size < smallest {
            let found = self.image_size;
            return Err(
                format!("{name} takes pictures from {smallest} pixels on, not {found}").into()
            );
        }
        let subjects = self.strategy.iter().map(|timed| self.subject(&config, *timed, &device));
        let mut subjects = subjects.collect::<Result<Vec<_>, Failure>>()?;
        let warm_up = self.warm_up.unwrap_or(if self.device.is_cpu() { 1 } else { 5 });
        let bar = bar(((warm_up + self.passes) * subjects.len()) as u64, "passes");
        for pass in 0..warm_up + self.passes {
            for subject in &mut subjects {
                subject.pass(!self.inference, pass >= warm_up)?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Answer::new(&Measured {
            model: self.model.clone(),
            width: config.width(),
            device: self.device.name().to_owned(),
            batch_size: self.batch_size,
            image_size: self.image_size,
            passes: self.passes,
            strategies: subjects.into_iter().map(Subject::row).collect(),
        })
    }

    fn subject(
        &self,
        config: &ModelConfig,
        timed: Timed,
        device: &Device,
    ) -> Result<Subject, Failure> {
        let training = device.clone().autodiff();
        training.seed(0);
        let (strategy, preset) = match timed {
            Timed::Preset(preset) => (preset.name(), preset),
            Timed::RepOptimizer => (REP_OPTIMIZER, Preset::Plain),
        };
        let mut network = config.clone().with_branches(preset).init(&training)?;
        if preset == Preset::RepNas {
            // A mask of the random phase.
            let search = Search::begin(SearchConfig::default(), &network, 1)?;
            network = without_resting(search.apply(network));
        }
        let optimizer = OptimizerConfig::imagenet();
        let mut groups = Groups::default();
        if let Timed::RepOptimizer = timed {
            let scales = Scales::initial(&network, &Selection::default())?;
            let multipliers = GradientMultipliers::of(&network, &scales, optimizer.method)?;
            groups = groups.with_multipliers(multipliers);
        }
        let side = self.image_size;
        let shape = [self.batch_size, config.in_channels(), side, side];
        let labels: Vec<i64> = (0..self.batch_size).map(|i| (i % self.classes) as i64).collect();
        let deployed = deploy(&network);
        Ok(Subject {
            strategy,
            params: network.params() as u64,
            multiply_adds: network.flops([config.in_channels(), side, side]),
            network: Some(network),
            deployed,
            optimizer: groups.optimizer(&optimizer),
            loss: CrossEntropyLossConfig::new().init(&training),
            pictures: Tensor::random(shape, Distribution::Normal(0.0, 1.0), device),
            classes: Tensor::from_data(TensorData::new(labels, [self.batch_size]), &training),
            seconds: [vec![], vec![], vec![]],
        })
    }
}

/// A network that is timed.
struct Subject {
    strategy: &'static str,
    params: u64,
    multiply_adds: u64,
    /// Gone for the length of a step.
    network: Option<Model>,
    deployed: Model,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    pictures: Tensor<4>,
    classes: Tensor<1, Int>,
    /// Of steps, of passes in training form, of passes deployed.
    seconds: [Vec<f64>; 3],
}

impl Subject {
    /// One of each, noted if it `counts`.
    fn pass(&mut self, train: bool, counts: bool) -> Result<(), Failure> {
        let mut seconds = vec![];
        if train {
            let started = Instant::now();
            self.step()?;
            seconds.push((0, started.elapsed()));
        }
        let trained = self.network.as_ref().map(burn::module::Module::valid);
        for (index, network) in [(1, trained.as_ref()), (2, Some(&self.deployed))] {
            let started = Instant::now();
            // Reading the result waits for the device.
            let _logits = network.map(|network| network.forward(self.pictures.clone()).into_data());
            seconds.push((index, started.elapsed()));
        }
        if counts {
            for (index, took) in seconds {
                self.seconds[index].push(took.as_secs_f64());
            }
        }
        Ok(())
    }

    /// Ends when the device has done all of it, the optimiser's part too.
    fn step(&mut self) -> Result<(), Failure> {
        if let Some(network) = self.network.take() {
            let logits = network.forward(self.pictures.clone().autodiff());
            let loss = self.loss.forward(logits, self.classes.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            self.network = Some(self.optimizer.step(1e-3, network, gradients));
            self.pictures.device().sync()?;
        }
        Ok(())
    }

    fn row(self) -> Row {
        let [train, infer, deployed] = self.seconds.map(median);
        Row {
            strategy: self.strategy,
            params: self.params,
            multiply_adds: self.multiply_adds,
            train_seconds: train,
            infer_seconds: infer.unwrap_or(f64::NAN),
            deployed_seconds: deployed.unwrap_or(f64::NAN),
        }
    }
}

fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}
