//! `dyrep predict`: classes of pictures, or logits of a batch.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use clap::Args;
use dyrep_burn::write_atomically;
use dyrep_data::LeftOut;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::data::{Files, LoadArgs, StrictArgs, Unusable, at_least_one, tensors};
use crate::file::check_free;
use crate::network::{DeviceArgs, Loaded, NetworkArgs};
use crate::terminal::bar;
use crate::text::cut;

/// Say what pictures show, or compute the logits of a batch
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dyrep predict runs/flowers rose.jpg tulip.png\n  \
                        dyrep predict runs/flowers photos --top 1 --json\n  \
                        dyrep predict resnet18.pth --batch input.safetensors --logits logits.safetensors")]
pub(crate) struct PredictArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    /// Pictures, or folders of pictures: JPEG, PNG, WebP, BMP, TIFF, GIF, PNM
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    images: Vec<PathBuf>,

    /// A batch in a safetensors file, `[batch, channels, height, width]`, normalised already
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,

    /// Which tensor of that file
    #[arg(long, value_name = "NAME", requires = "batch")]
    tensor: Option<String>,

    /// Write the logits, `[batch, classes]`, to this safetensors file as `logits`; its metadata name the input of each row
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,

    /// Replace the file of --logits if it is there
    #[arg(long, requires = "logits")]
    force: bool,

    /// Classes that are told of each picture
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    top: usize,

    #[command(flatten)]
    strict: StrictArgs,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What was predicted.
#[derive(Debug, Serialize)]
struct Predicted {
    model: String,
    file: PathBuf,
    /// Of those that can be used, in the order given.
    predictions: Vec<Prediction>,
    /// What is wrong with each of the others.
    unusable: Vec<Unusable>,
    /// Files in folders that are no pictures, by the ends of their names.
    left_out: LeftOut,
    logits: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Prediction {
    input: String,
    /// The likeliest first.
    classes: Vec<Class>,
}

#[derive(Debug, Serialize)]
struct Class {
    class: usize,
    name: Option<String>,
    probability: f64,
}

impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.model, self.file.display())?;
        for Prediction { input, classes } in &self.predictions {
            write!(f, "\n{input}")?;
            for Class { class, name, probability } in classes {
                let name = name.clone().unwrap_or_else(|| format!("class {class}"));
                write!(f, "\n  {:>6.2}%  {}", 100.0 * probability, cut(&name, 68))?;
            }
        }
        for Unusable { reason, .. } in &self.unusable {
            write!(f, "\nunusable: {reason}")?;
        }
        if !self.left_out.is_empty() {
            write!(f, "\nleft out: {}", self.left_out)?;
        }
        match &self.logits {
            Some(file) => write!(f, "\nwrote the logits to {}", file.display()),
            None => Ok(()),
        }
    }
}

impl PredictArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        if let Some(file) = &self.logits {
            check_free(file, self.force)?;
        }
        let device = self.device.open()?;
        let loaded = self.network.load(&self.file, &device)?;
        let classes = loaded.config.classes();
        let (names, rows, unusable, left_out) = match &self.batch {
            Some(file) => {
                let channels = loaded.config.in_channels();
                let batch = tensors(file, self.tensor.as_deref(), channels, &device)?;
                let size = batch.dims()[0];
                let parts = (0..size).step_by(self.load.batch_size).map(|from| {
                    Ok(batch.clone().narrow(0, from, self.load.batch_size.min(size - from)))
                });
                let names = (0..size).map(|i| format!("input {i}")).collect();
                (names, logits(&loaded, size, parts)?, vec![], LeftOut::default())
            }
            None => {
                let files = Files::open(&self.images, &loaded, &self.load, self.strict)?;
                let rows = logits(&loaded, files.len(), files.batches(&device))?;
                let (names, unusable) = files.told();
                (names, rows, unusable, files.left_out())
            }
        };
        if let Some(file) = &self.logits {
            write_logits(file, &rows, &names, classes)?;
        }
        let row = |(input, logits): (String, &[f32])| Prediction {
            input,
            classes: likeliest(logits, self.top, &loaded.label.class_names),
        };
        let code = u8::from(!unusable.is_empty());
        let predicted = Predicted {
            model: loaded.title(),
            unusable,
            left_out,
            predictions: names.into_iter().zip(rows.chunks_exact(classes)).map(row).collect(),
            logits: self.logits.clone(),
            file: loaded.file,
        };
        Ok(Answer::new(&predicted)?.with_code(code))
    }
}

/// The logits of all batches, row by row.
fn logits(
    loaded: &Loaded,
    size: usize,
    batches: impl Iterator<Item = Result<Tensor<4>, Failure>>,
) -> Result<Vec<f32>, Failure> {
    let bar = bar(size as u64, "pictures");
    let mut rows = Vec::with_capacity(size * loaded.config.classes());
    for batch in batches {
        let batch = batch?;
        let [count, _, height, width] = batch.dims();
        loaded.check_side(height.min(width))?;
        rows.extend(loaded.forward(batch).into_data().iter::<f32>());
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    let classes = loaded.config.classes();
    match rows.iter().position(|logit| !logit.is_finite()) {
        Some(at) => Err(format!(
            "the logits of picture {} of {size} are no finite numbers",
            at / classes + 1
        )
        .into()),
        None => Ok(rows),
    }
}

/// The `top` likeliest classes of a row of logits.
fn likeliest(logits: &[f32], top: usize, names: &[String]) -> Vec<Class> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|left, right| logits[*right].total_cmp(&logits[*left]));
    let class = |class: usize| Class {
        class,
        name: names.get(class).cloned(),
        probability: weights[class] / sum,
    };
    order.into_iter().take(top).map(class).collect()
}

/// Writes the logits, and beside them, as a list in JSON, which input each row is of: some may have been unusable.
fn write_logits(
    file: &Path,
    rows: &[f32],
    names: &[String],
    classes: usize,
) -> Result<(), Failure> {
    let bytes: Vec<u8> = rows.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![names.len(), classes], &bytes)?;
    let inputs = HashMap::from([("inputs".to_owned(), serde_json::to_string(names)?)]);
    let written = safetensors::serialize([("logits", view)], Some(inputs))?;
    write_atomically(file, &written).map_err(|error| format!("{}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        let names = ["cat", "dog", "owl"].map(str::to_owned);
        let found = likeliest(&[1.0, 3.0, 1000.0], 2, &names);
        assert_eq!(found.iter().map(|it| it.class).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(found[0].name.as_deref(), Some("owl"));
        assert!((found[0].probability - 1.0).abs() < 1e-12);
        let even = likeliest(&[2.0; 4], 9, &[]);
        assert!(even.len() == 4 && even.iter().all(|it| (it.probability - 0.25).abs() < 1e-12));
    }
}
