//! From a trained network to one on the grid.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use dyrep_models::{ConvNorms, fold_norms};

use crate::calibrate::input_scales;
use crate::error::QuantError;
use crate::grid::{LARGEST, LayerScales, round, scale};
use crate::options::{Granularity, Options};
use crate::parameters::{LayerWeight, finite_weights, with_weights};
use crate::quantized::Quantized;

/// Deploys `network`, folds its norms, and puts weights and inputs on 8-bit grids.
///
/// `batches` are pictures as the network will see them, `[batch, channels, height, width]`; some hundred pictures of the
/// training set are enough. `forward` passes one through the network that it is given, in evaluation mode; what it
/// returns is not looked at. The given network is left as it is.
///
/// # Errors
/// A pattern that matches no layer, a network without layers, weights or inputs that are no finite numbers, no batch, a
/// convolution that no batch reaches.
pub fn quantize<M: ConvNorms, T>(
    network: &M,
    batches: impl IntoIterator<Item = Tensor<4>>,
    forward: impl Fn(&M, Tensor<4>) -> T,
    options: &Options,
) -> Result<Quantized<M>, QuantError> {
    options.calibration.check()?;
    let folded = fold_norms(network);
    let weights = finite_weights(&folded)?;
    let paths: Vec<&str> = weights.keys().map(String::as_str).collect();
    if paths.is_empty() {
        return Err(QuantError::NoLayers);
    }
    if let Some(pattern) = options.keep.unmatched(&paths) {
        let (pattern, known) = (pattern.to_owned(), paths.join(", "));
        return Err(QuantError::NothingMatched { pattern, known });
    }
    let wanted = |path: &str| !options.keep.matches(path);
    let mut inputs = input_scales(&folded, batches, forward, options.calibration, wanted)?;
    let device = folded.devices().into_iter().next().unwrap_or_default();
    let (mut scales, mut values) = (BTreeMap::new(), BTreeMap::new());
    for (path, weight) in weights.into_iter().filter(|(path, _)| wanted(path)) {
        let of = LayerScales {
            weight: weight_scales(&weight, options.granularity),
            input: inputs.remove(&path),
        };
        values.insert(path.clone(), on_grid(&weight, &of, &device));
        scales.insert(path, of);
    }
    Ok(Quantized { network: with_weights(folded, values), scales: Arc::new(scales) })
}

/// The largest weight of each channel, or of all, is the last value of the grid.
fn weight_scales(weight: &LayerWeight<f32>, granularity: Granularity) -> Vec<f32> {
    let largest = |row: &[f32]| row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    match granularity {
        Granularity::PerTensor => vec![scale(largest(&weight.values), LARGEST)],
        Granularity::PerChannel => weight.rows().map(|row| scale(largest(row), LARGEST)).collect(),
    }
}

fn on_grid(weight: &LayerWeight<f32>, scales: &LayerScales, device: &Device) -> Vec<f32> {
    let rows = weight.rows().enumerate();
    let divided = rows.flat_map(|(channel, row)| {
        let scale = scales.of_channel(channel);
        row.iter().map(move |value| value / scale)
    });
    let rounded = round(divided.collect(), device);
    let rows = rounded.chunks_exact(weight.row_length()).enumerate();
    let values = rows.flat_map(|(channel, row)| {
        let scale = scales.of_channel(channel);
        row.iter().map(move |q| f32::from(*q) * scale)
    });
    values.collect()
}
