//! `dyrep eval`: accuracy on labelled pictures.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use dyrep_burn::deploy;
use dyrep_data::LeftOut;
use dyrep_train::{InputSpec, evaluate_with};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::data::{DataArgs, Pictures, StrictArgs};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::terminal::bar;

/// Measure accuracy on labelled pictures
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep eval runs/digits\n  dyrep eval resnet18-f37072fd.pth --data /data/imagenet"
)]
pub(crate) struct EvalArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    strict: StrictArgs,

    /// Deploy the network first
    #[arg(long)]
    deploy: bool,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Evaluated {
    file: PathBuf,
    model: String,
    data: String,
    device: String,
    /// Those that could be used.
    pictures: usize,
    accuracy: f64,
    top5_accuracy: f64,
    seconds: f64,
    pictures_per_second: f64,
    /// What is wrong with each of the others.
    unusable: Vec<String>,
    /// Files that are no pictures, by the ends of their names.
    left_out: LeftOut,
    /// What should be known of the data.
    notices: Vec<String>,
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.model, self.file.display())?;
        writeln!(f, "{} pictures of {}", self.pictures, self.data)?;
        for notice in &self.notices {
            writeln!(f, "{notice}")?;
        }
        for reason in &self.unusable {
            writeln!(f, "unusable: {reason}")?;
        }
        writeln!(f, "{:<26}{:>10.2}%", "accuracy", 100.0 * self.accuracy)?;
        writeln!(f, "{:<26}{:>10.2}%", "class among the first 5", 100.0 * self.top5_accuracy)?;
        write!(f, "{:<26}{:>11.1}", "pictures a second", self.pictures_per_second)
    }
}

impl EvalArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let device = self.device.open()?;
        let mut loaded = self.network.load(&self.file, &device)?;
        if self.deploy {
            loaded.network = deploy(loaded.float()?);
        }
        let Pictures { loader, name: data, notices } = self.data.open(&loaded, self.strict)?;
        let started = Instant::now();
        let bar = bar(loader.samples() as u64, "pictures");
        let spec = InputSpec::from(&loaded.input());
        let told = |done| bar.set_position(done as u64);
        let accuracy = match &loaded.int8 {
            Some(int8) => evaluate_with(int8, &loader, &spec, &device, told)?,
            None => evaluate_with(&loaded.network, &loader, &spec, &device, told)?,
        };
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let unusable = loader.skipped();
        let code = u8::from(!unusable.is_empty());
        let evaluated = Evaluated {
            model: loaded.title(),
            file: loaded.file,
            data,
            device: self.device.name().to_owned(),
            pictures: accuracy.total,
            accuracy: accuracy.fraction(),
            top5_accuracy: accuracy.top_five(),
            seconds,
            pictures_per_second: accuracy.total as f64 / seconds,
            unusable,
            left_out: loader.dataset().left_out(),
            notices,
        };
        Ok(Answer::new(&evaluated)?.with_code(code))
    }
}
