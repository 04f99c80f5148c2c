//! `dyrep eval`: accuracy on labelled pictures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args, ValueEnum};
use dyrep_burn::{deploy, write_atomically};
use dyrep_data::{Batch, LeftOut, Loader, Wanted};
use dyrep_train::{
    Accuracy, ClassAccuracy, Confusion, InputSpec, TeacherLogits, evaluate, evaluate_rows,
};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::data::{DataArgs, Pictures, StrictArgs};
use crate::file::check_free;
use crate::network::{DeviceArgs, NetworkArgs};
use crate::terminal::bar;
use crate::text::number;

/// Measure accuracy on labelled pictures
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("written").args(["confusion", "logits"]).multiple(true),
    after_help = "Examples:\n  dyrep eval runs/digits\n  dyrep eval resnet18-f37072fd.pth --data /data/imagenet\n  \
                  dyrep eval runs/teacher --on train --logits teacher.safetensors"
)]
pub(crate) struct EvalArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    data: DataArgs,

    /// Which part of the pictures
    #[arg(long, value_name = "PART", default_value = "validation")]
    on: On,

    #[command(flatten)]
    strict: StrictArgs,

    /// Deploy the network first
    #[arg(long)]
    deploy: bool,

    /// Of a run that keeps an average of its weights: tell the accuracy of the weights themselves, too
    #[arg(long)]
    raw: bool,

    /// Tell the accuracy of each class, too
    #[arg(long)]
    by_class: bool,

    /// Write which classes were taken for which: a row for each class, a column for each that it was taken for (CSV)
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,

    /// Write the logits of every picture to a safetensors file: what a student learns from (`distillation.file` of a recipe)
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,

    /// Write over these files
    #[arg(long, requires = "written")]
    force: bool,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum On {
    Train,
    Validation,
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
    /// Of the weights themselves beside their average, if that was asked for.
    raw_accuracy: Option<f64>,
    seconds: f64,
    pictures_per_second: f64,
    /// Of each class, in the order of the logits, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_class: Vec<ClassResult>,
    /// Pairs of a class and another that it was taken for, the most frequent first.
    most_confused: Vec<Confused>,
    /// What is wrong with each of the others.
    unusable: Vec<String>,
    /// Files that are no pictures, by the ends of their names.
    left_out: LeftOut,
    /// What should be known of the data.
    notices: Vec<String>,
    /// Where the logits are, if that was asked for.
    logits: Option<PathBuf>,
}

/// A class's accuracy.
#[derive(Debug, Serialize)]
struct ClassResult {
    class: String,
    pictures: usize,
    correct: usize,
    /// Nothing without a picture.
    accuracy: Option<f64>,
    /// What others of them were taken for, the most frequent first; of more than 100 classes the first 5.
    taken_for: Vec<TakenFor>,
}

/// Pictures of a class that were taken for this one.
#[derive(Debug, Serialize)]
struct TakenFor {
    class: String,
    pictures: usize,
}

/// A class that was taken for another.
#[derive(Debug, Serialize)]
struct Confused {
    class: String,
    taken_for: String,
    pictures: usize,
}

/// The pairs that are told.
const MOST: usize = 10;

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
        if let Some(accuracy) = self.raw_accuracy {
            let what = "of the weights themselves";
            writeln!(f, "{what:<26}{:>10.2}%", 100.0 * accuracy)?;
        }
        writeln!(f, "{:<26}{:>10.2}%", "class among the first 5", 100.0 * self.top5_accuracy)?;
        write!(f, "{:<26}{:>11.1}", "pictures a second", self.pictures_per_second)?;
        if let Some(file) = &self.logits {
            write!(f, "\nwrote the logits to {}", file.display())?;
        }
        for it in &self.by_class {
            let percent = it.accuracy.map_or("none".to_owned(), |it| format!("{:.2}%", 100.0 * it));
            write!(f, "\n{:<26}{percent:>11}  {} of {}", it.class, it.correct, it.pictures)?;
        }
        let most_confused: &[_] = if self.by_class.is_empty() { &[] } else { &self.most_confused };
        for it in most_confused {
            write!(f, "\n{} taken for {}: {}", it.class, it.taken_for, it.pictures)?;
        }
        Ok(())
    }
}

impl EvalArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        for file in self.confusion.iter().chain(&self.logits) {
            check_free(file, self.force)?;
        }
        let device = self.device.open()?;
        let mut loaded = self.network.load(&self.file, &device)?;
        let raw =
            if self.raw { Some(self.network.load(&raw_of(&loaded.file)?, &device)?) } else { None };
        if self.deploy {
            loaded.network = deploy(loaded.float()?);
        }
        let wanted = match self.on {
            On::Train => Wanted::Training,
            On::Validation => Wanted::Validation,
        };
        let Pictures { loader, name: data, notices } =
            self.data.open(&loaded, wanted, self.strict)?;
        let started = Instant::now();
        let bar = bar(loader.samples() as u64, "pictures");
        let spec = InputSpec::from(&loaded.input());
        let mut logits = vec![];
        let seen = |batch: &Batch, rows: &[f32]| {
            bar.inc(batch.labels.len() as u64);
            if self.logits.is_some() {
                logits.extend_from_slice(rows);
            }
        };
        let (accuracy, confusion) = match &loaded.int8 {
            Some(int8) => evaluate_rows(int8, &loader, &spec, &device, seen)?,
            None => evaluate_rows(&loaded.network, &loader, &spec, &device, seen)?,
        };
        bar.finish_and_clear();
        let raw = raw.map(|raw| evaluate(&raw.network, &loader, &spec, &device)).transpose()?;
        let seconds = started.elapsed().as_secs_f64();
        let unusable = loader.skipped();
        let code = u8::from(!unusable.is_empty());
        let names = loader.dataset().classes();
        // Data of fewer classes than the network's have no names for the others.
        let class = |at: usize| names.get(at).cloned().unwrap_or_else(|| format!("class {at}"));
        if let Some(file) = &self.confusion {
            write_atomically(file, table(&confusion, class).as_bytes())
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        if let Some(file) = &self.logits {
            write_logits(file, &loader, logits, &unusable)?;
        }
        let evaluated = Evaluated {
            model: loaded.title(),
            file: loaded.file,
            data,
            device: self.device.name().to_owned(),
            pictures: accuracy.total,
            accuracy: accuracy.fraction(),
            top5_accuracy: accuracy.top_five(),
            raw_accuracy: raw.map(Accuracy::fraction),
            seconds,
            pictures_per_second: accuracy.total as f64 / seconds,
            by_class: if self.by_class { by_class(&confusion, class) } else { vec![] },
            most_confused: most_confused(&confusion, class),
            unusable,
            left_out: loader.dataset().left_out(),
            notices,
            logits: self.logits.clone(),
        };
        Ok(Answer::new(&evaluated)?.with_code(code))
    }
}

/// Where a run has the weights themselves, beside their average.
fn raw_of(trained: &Path) -> Result<PathBuf, Failure> {
    let file = trained.with_file_name("raw.bpk");
    match trained.file_name().is_some_and(|name| name == "trained.bpk") && file.is_file() {
        true => Ok(file),
        false => Err(format!(
            "{}: no weights beside their average; expected a run's result with {} beside it, which a training with \
             `optimizer.ema_decay` writes at its end",
            trained.display(),
            file.display()
        )
        .into()),
    }
}

/// Writes the logits of all pictures of the loader's data set, in its order.
fn write_logits(
    file: &Path,
    loader: &Loader,
    logits: Vec<f32>,
    unusable: &[String],
) -> Result<(), Failure> {
    let failed = |reason: String| -> Failure { format!("{}: {reason}", file.display()).into() };
    if !unusable.is_empty() {
        let count = number(unusable.len(), "picture", "pictures");
        let all = unusable.join("; ");
        return Err(failed(format!(
            "not written, since it holds logits of every picture and {count} cannot be used; without them in the data \
             it can be: {all}"
        )));
    }
    let teacher = TeacherLogits::new(loader.dataset(), logits)?;
    write_atomically(file, teacher.bytes()).map_err(|error| failed(error.to_string()))
}

fn by_class(confusion: &Confusion, name: impl Fn(usize) -> String) -> Vec<ClassResult> {
    let result = |(class, it): (usize, ClassAccuracy)| {
        let ClassAccuracy { pictures, correct, taken_for } = it;
        let accuracy = (pictures > 0).then(|| correct as f64 / pictures as f64);
        let other = |(class, pictures)| TakenFor { class: name(class), pictures };
        let taken_for = taken_for.into_iter().map(other).collect();
        ClassResult { class: name(class), pictures, correct, accuracy, taken_for }
    };
    confusion.by_class().into_iter().enumerate().map(result).collect()
}

fn most_confused(confusion: &Confusion, name: impl Fn(usize) -> String) -> Vec<Confused> {
    let pairs = confusion.most_confused().into_iter().take(MOST);
    pairs
        .map(|(class, taken_for, pictures)| Confused {
            class: name(class),
            taken_for: name(taken_for),
            pictures,
        })
        .collect()
}

/// Rows are classes, columns those that they were taken for.
fn table(confusion: &Confusion, name: impl Fn(usize) -> String) -> String {
    let classes = 0..confusion.classes();
    let names: Vec<String> = classes.clone().map(|class| cell(&name(class))).collect();
    let mut text = format!("class,{}\n", names.join(","));
    for class in classes {
        let counts: Vec<String> = confusion.of(class).iter().map(ToString::to_string).collect();
        text += &format!("{},{}\n", names[class], counts.join(","));
    }
    text
}

/// A text as a cell of CSV (RFC 4180).
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
