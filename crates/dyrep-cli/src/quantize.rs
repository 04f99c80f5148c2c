//! `dyrep quantize`: INT8 after training, and what it costs.

use std::fmt;
use std::path::PathBuf;

use burn::tensor::Tensor;
use clap::Args;
use dyrep_burn::PathPatterns;
use dyrep_data::Wanted;
use dyrep_models::Model;
use dyrep_quant::{Calibration, Check, Granularity, Options, Quantized, check, quantize};
use dyrep_train::{InputSpec, evaluate};
use dyrep_weights::Export;
use serde::Serialize;

use crate::answer::Answer;
use crate::data::{DataArgs, at_least_one};
use crate::file::{Kind, OutArgs};
use crate::network::{DeviceArgs, NetworkArgs};
use crate::terminal::bar;
use crate::text::{bytes, wrapped};
use crate::{Failure, NOT_HELD};

/// Deploy a network in INT8, and tell what that costs, layer by layer
///
/// Weights are rounded to 8 bits with a scale for each channel, inputs of convolutions with a scale that is measured on some
/// pictures. Accuracy is told before, after, and with each layer alone in INT8, with what makes a layer hard to round: a
/// fused RepVGG may lose everything. The file holds the 8-bit weights and the scales; `eval` and `predict` compute with
/// them what an INT8 engine computes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dyrep quantize runs/digits digits-int8.safetensors\n  \
                        dyrep quantize resnet18.pth small.safetensors --data /data/imagenet\n  \
                        dyrep quantize runs/digits out.safetensors --keep '^conv1$' --keep '^fc$' --max-drop 1")]
pub(crate) struct QuantizeArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    #[command(flatten)]
    out: OutArgs,

    #[command(flatten)]
    data: DataArgs,

    /// Training pictures that the inputs' scales are measured on
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    calibration_pictures: usize,

    /// Validation pictures that accuracy is measured on, once for each layer
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    check_pictures: usize,

    /// Scales of weights: `per_channel` or `per_tensor`
    #[arg(long, value_name = "NAME", default_value_t = Granularity::default())]
    scales: Granularity,

    /// How the range of inputs is chosen: `mse`, `min_max`, `percentile` or `percentile:99.9`
    #[arg(long, value_name = "NAME", default_value_t = Calibration::default())]
    calibration: Calibration,

    /// Leave layers whose path matches this regular expression as they are; may be given several times
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,

    /// Exit with 3 if accuracy falls by more percentage points than this
    #[arg(long, value_name = "POINTS", allow_negative_numbers = true)]
    max_drop: Option<f64>,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What INT8 made of a network.
#[derive(Debug, Serialize)]
struct Int8 {
    model: String,
    file: PathBuf,
    out: PathBuf,
    bytes: u64,
    options: Options,
    calibration_pictures: usize,
    check_pictures: usize,
    check: Check,
    /// In percentage points.
    drop: f64,
}

impl fmt::Display for Int8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.model, self.file.display())?;
        let Options { granularity, calibration, .. } = &self.options;
        let how = format!(
            "scales of weights {granularity}, of inputs by {calibration} on {} pictures; checked on {}",
            self.calibration_pictures, self.check_pictures
        );
        writeln!(f, "{}", wrapped(&how, 2))?;
        write!(f, "{}", self.check)?;
        write!(f, "wrote {} ({})", self.out.display(), bytes(self.bytes))
    }
}

impl QuantizeArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        if self.out.kind()? != Kind::Safetensors {
            let out = self.out.out.display();
            return Err(format!("{out}: INT8 weights are written as .safetensors").into());
        }
        let device = self.device.open()?;
        let loaded = self.network.load(&self.file, &device)?;
        let network = loaded.float()?;
        let keep = PathPatterns::new(&self.keep)?;
        let options = Options::default()
            .with_granularity(self.scales)
            .with_calibration(self.calibration)
            .keeping(keep);
        let spec = InputSpec::from(&loaded.input());
        let training = self.data.some(&loaded, Wanted::Training, self.calibration_pictures)?;
        let images = training.epoch(0).map(|batch| Ok(spec.images(&batch?, &device)));
        let images = images.collect::<Result<Vec<Tensor<4>>, Failure>>()?;
        let quantized = quantize(network, images.clone(), Model::forward, &options)?;

        let validation = self.data.some(&loaded, Wanted::Validation, self.check_pictures)?;
        let bar = bar(quantized.scales().len() as u64 + 2, "layers checked");
        let accuracy = |network: &Quantized<Model>| -> Result<f64, Failure> {
            let accuracy = evaluate(network, &validation, &spec, &device)?;
            bar.inc(1);
            Ok(accuracy.fraction())
        };
        let check = check(network, &quantized, images, Model::forward, accuracy)?;
        bar.finish_and_clear();
        Export::quantized(&quantized).labelled(&loaded.label)?.safetensors(&self.out.out)?;
        let drop = 100.0 * (check.accuracy_before - check.accuracy_after);
        let int8 = Int8 {
            model: loaded.title(),
            file: loaded.file,
            out: self.out.out.clone(),
            bytes: self.out.length()?,
            options,
            calibration_pictures: training.dataset().len(),
            check_pictures: validation.dataset().len(),
            check,
            drop,
        };
        let held = self.max_drop.is_none_or(|most| drop <= most);
        Ok(Answer::new(&int8)?.with_code(if held { 0 } else { NOT_HELD }))
    }
}
