//! What INT8 costs: accuracy before, after and by layer, and the noise of each layer's output.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use burn::module::ParamId;
use burn::tensor::Tensor;
use dyrep_burn::{RepConv2d, layers, with_inputs};
use dyrep_models::{ConvNorms, fold_norms};
use serde::{Deserialize, Serialize};

use crate::grid::InputScale;
use crate::options::Granularity;
use crate::parameters::{weights, with_weights};
use crate::quantized::Quantized;
use crate::ranges::WeightRanges;
use crate::warning::{NOISE, Warning};

/// The widest line that is printed, in characters.
const WIDTH: usize = 80;
/// Characters of a layer's path that are printed.
const PATH: usize = 34;

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Accuracy of the deployed network in `f32`, between 0 and 1.
    pub accuracy_before: f64,
    /// Accuracy with every layer that is to be quantised.
    pub accuracy_after: f64,
    /// Each convolution and linear layer, by path.
    pub layers: Vec<LayerCheck>,
    /// What costs accuracy.
    pub warnings: Vec<Warning>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerCheck {
    /// Accuracy with this layer alone in INT8; none for a layer that stays `f32`.
    pub accuracy_alone: Option<f64>,
    /// Signal to quantisation noise of its output, in dB, on the inputs that it has in `f32`; none for a layer that stays
    /// `f32`, for linear layers, and where there is no noise or no signal.
    pub sqnr_db: Option<f64>,
    /// The grid of its input.
    pub input: Option<InputScale>,
    /// Its weights.
    pub ranges: WeightRanges,
}

/// Measures what INT8 costs `network`, of which `quantized` was made.
///
/// `batches` pass through the `f32` network by `forward`, to measure each layer's noise. `accuracy` gives the share of
/// right answers of the network that it is given, between 0 and 1; it is called once for `f32`, once for INT8, and once
/// for each quantised layer, so a part of the validation set may be enough.
///
/// # Errors
/// What `accuracy` gives.
pub fn check<M: ConvNorms, T, E>(
    network: &M,
    quantized: &Quantized<M>,
    batches: impl IntoIterator<Item = Tensor<4>>,
    forward: impl Fn(&M, Tensor<4>) -> T,
    mut accuracy: impl FnMut(&Quantized<M>) -> Result<f64, E>,
) -> Result<Check, E> {
    let folded = fold_norms(network);
    let noise = noise(&folded, quantized, batches, forward);
    let on_grid = weights(&quantized.network);
    let mut checked = vec![];
    let mut warnings = vec![];
    for (path, weight) in weights(&folded) {
        let scales = quantized.scales.get(&path);
        let ranges = WeightRanges::of(&path, &weight);
        let sqnr_db = noise.get(&path).and_then(|power| power.decibels());
        let mut accuracy_alone = None;
        if let (Some(scales), Some(weight)) = (scales, on_grid.get(&path)) {
            let granularity = match scales.weight.len() {
                1 => Granularity::PerTensor,
                _ => Granularity::PerChannel,
            };
            warnings.extend(ranges.warnings(granularity));
            if let Some(sqnr_db) = sqnr_db.filter(|sqnr_db| *sqnr_db < NOISE) {
                warnings.push(Warning::Noise { layer: path.clone(), sqnr_db });
            }
            let values = BTreeMap::from([(path.clone(), weight.values.clone())]);
            accuracy_alone = Some(accuracy(&Quantized {
                network: with_weights(folded.clone(), values),
                scales: Arc::new(BTreeMap::from([(path.clone(), scales.clone())])),
            })?);
        }
        let input = scales.and_then(|scales| scales.input);
        checked.push(LayerCheck { accuracy_alone, sqnr_db, input, ranges });
    }
    let before = Quantized { network: folded, scales: Arc::default() };
    Ok(Check {
        accuracy_before: accuracy(&before)?,
        accuracy_after: accuracy(quantized)?,
        layers: checked,
        warnings,
    })
}

/// Sums of squares.
#[derive(Clone, Copy, Default)]
struct Power {
    signal: f64,
    noise: f64,
}

impl Power {
    fn decibels(self) -> Option<f64> {
        let ratio = self.signal / self.noise;
        (ratio.is_finite() && ratio > 0.0).then(|| 10.0 * ratio.log10())
    }
}

/// A convolution in both forms, and the grid of its input.
struct Pair {
    path: String,
    before: RepConv2d,
    after: RepConv2d,
    grid: InputScale,
}

/// The powers of the output of each quantised convolution, and of its error, on the inputs of the `f32` network.
fn noise<M: ConvNorms, T>(
    folded: &M,
    quantized: &Quantized<M>,
    batches: impl IntoIterator<Item = Tensor<4>>,
    forward: impl Fn(&M, Tensor<4>) -> T,
) -> BTreeMap<String, Power> {
    let mut after: BTreeMap<_, _> = layers(&quantized.network).into_iter().collect();
    let pairs = layers(folded).into_iter().filter_map(|(path, before)| {
        let grid = quantized.scales.get(&path)?.input?;
        let after = after.remove(&path)?;
        Some((before.id(), Pair { path, before, after, grid }))
    });
    let pairs: Rc<HashMap<ParamId, Pair>> = Rc::new(pairs.collect());
    let powers: Rc<RefCell<BTreeMap<String, Power>>> = Rc::default();
    for images in batches {
        let (pairs, powers) = (Rc::clone(&pairs), Rc::clone(&powers));
        let measure = move |layer, input: Tensor<4>| {
            if let Some(pair) = pairs.get(&layer) {
                let want = pair.before.forward(input.clone());
                let error = pair.after.forward(pair.grid.apply(input.clone())) - want.clone();
                let square =
                    |tensor: Tensor<4>| f64::from(tensor.powi_scalar(2).sum().into_scalar::<f32>());
                let mut powers = powers.borrow_mut();
                let power = powers.entry(pair.path.clone()).or_default();
                power.signal += square(want);
                power.noise += square(error);
            }
            input
        };
        let _output = with_inputs(measure, || forward(folded, images));
    }
    powers.take()
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.2}%", 100.0 * share);
        let quantised = self.layers.iter().filter(|layer| layer.accuracy_alone.is_some()).count();
        writeln!(
            f,
            "accuracy {} in f32, {} with {quantised} of {} layers in INT8",
            percent(self.accuracy_before),
            percent(self.accuracy_after),
            self.layers.len()
        )?;
        writeln!(
            f,
            "{:<PATH$} {:>9} {:>9} {:>8} {:>8}",
            "layer", "alone", "noise", "spread", "crest"
        )?;
        for layer in &self.layers {
            let alone = layer.accuracy_alone.map_or("f32".to_owned(), percent);
            let noise = layer.sqnr_db.map_or("-".to_owned(), |noise| format!("{noise:.1} dB"));
            let ((_, spread), (_, crest)) = (layer.ranges.spread(), layer.ranges.crest());
            let (path, spread, crest) =
                (shortened(&layer.ranges.layer), ratio(spread), ratio(crest));
            writeln!(f, "{path:<PATH$} {alone:>9} {noise:>9} {spread:>8} {crest:>8}")?;
        }
        for warning in &self.warnings {
            write_wrapped(f, &format!("warning: {warning}"))?;
        }
        Ok(())
    }
}

/// A ratio in 8 characters at most.
fn ratio(value: f64) -> String {
    if value < 1e5 { format!("{value:.1}") } else { format!("{value:.1e}") }
}

/// The end of a path says more than its beginning.
fn shortened(path: &str) -> String {
    match path.chars().count() {
        length if length <= PATH => path.to_owned(),
        length => format!("…{}", path.chars().skip(length + 1 - PATH).collect::<String>()),
    }
}

/// Lines of up to [`WIDTH`] characters, broken at spaces, all but the first indented.
fn write_wrapped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = format!("  {word}");
        } else if line.is_empty() {
            line.push_str(word);
        } else {
            line = format!("{line} {word}");
        }
    }
    writeln!(f, "{line}")
}
