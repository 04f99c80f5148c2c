//! Quantised networks, out and in: INT8 weights with the scales beside them.
//!
//! | name | type, shape | |
//! |---|---|---|
//! | `layer1.0.conv1.weight` | `i8`, as in PyTorch | `w = weight_scale · q`, q from −127 to 127 |
//! | `layer1.0.conv1.weight_scale` | `f32`, `[out]` or `[1]` | |
//! | `layer1.0.conv1.input_scale` | `f32`, `[1]` | `x = input_scale · (q − input_zero_point)`; convolutions only |
//! | `layer1.0.conv1.input_zero_point` | `i8`, `[1]` | 0, with q from −127, or −128, with q from −128, to 127 |
//! | `layer1.0.conv1.bias` | `f32`, `[out]` | norms are folded: there are none |
//!
//! Layers that stay `f32` have an `f32` weight and no scales. What is read is multiplied out once and then loaded as any
//! file is, so that every check is the same; the weights that come out are those that went in, to the bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use dyrep_models::{ConvNorms, Model};
use dyrep_quant::{InputScale, LayerKind, LayerScales, Quantized};

use crate::describe::Description;
use crate::error::WeightsError;
use crate::export::{Export, Values};
use crate::report::Report;
use crate::tensor::{Number, Stored};
use crate::weights::Weights;

const WEIGHT: &str = "weight";
const WEIGHT_SCALE: &str = "weight_scale";
const INPUT_SCALE: &str = "input_scale";
const INPUT_ZERO_POINT: &str = "input_zero_point";

impl Export {
    /// A quantised network: INT8 weights, a quarter of the bytes, and their scales, under the names that the
    /// documentation of this library's files tells (`docs/quantisation.md`). Norms are folded away.
    pub fn quantized<M: ConvNorms>(network: &Quantized<M>) -> Self {
        let mut export = Self::without_norms(network.network());
        for (layer, weight) in network.weights() {
            let mut set = |name: &str, shape: Vec<usize>, values| {
                export.tensors.insert(format!("{layer}.{name}"), (shape, values));
            };
            let scales = &network.scales()[&layer];
            set(WEIGHT, weight.shape, Values::I8(weight.values));
            set(WEIGHT_SCALE, vec![scales.weight.len()], Values::F32(scales.weight.clone()));
            if let Some(input) = scales.input {
                set(INPUT_SCALE, vec![1], Values::F32(vec![input.scale]));
                set(INPUT_ZERO_POINT, vec![1], Values::I8(vec![input.zero_point]));
            }
        }
        export.description = export.description.quantized(true);
        export
    }
}

impl Weights {
    /// Builds the quantised network that the file says it is for.
    ///
    /// # Errors
    /// A file without INT8 weights or without a network's name; and as [`load_quantized`](Self::load_quantized).
    pub fn build_quantized(
        &self,
        device: &Device,
    ) -> Result<(Quantized<Model>, Report), WeightsError> {
        self.check_quantized()?;
        self.load_quantized(&self.network(device)?)
    }

    /// Loads the file's INT8 weights and scales into `module`, as one that computes in INT8.
    ///
    /// # Errors
    /// A file without INT8 weights; scales that are missing, belong to no INT8 weight, or are of another number, type or
    /// shape, or not positive finite numbers; and as [`Load::into`](crate::Load::into), strictly.
    pub fn load_quantized<M: ConvNorms>(
        &self,
        module: &M,
    ) -> Result<(Quantized<M>, Report), WeightsError> {
        self.check_quantized()?;
        let (plain, scales) = self.multiplied_out()?;
        let (network, report) = plain.load_folded(module)?;
        let failed =
            |source| WeightsError::Scales { file: self.file.clone(), source: Box::new(source) };
        Ok((Quantized::new(&network, scales).map_err(failed)?, report))
    }

    fn check_quantized(&self) -> Result<(), WeightsError> {
        match self.description.as_ref().is_some_and(Description::is_quantized) {
            true => Ok(()),
            false => Err(WeightsError::NotQuantized { file: self.file.clone() }),
        }
    }

    /// The same weights in `f32`, and the scales by layer.
    fn multiplied_out(&self) -> Result<(Self, BTreeMap<String, LayerScales>), WeightsError> {
        let mut tensors = self.tensors.clone();
        let mut scales = BTreeMap::new();
        for (name, weight) in &self.tensors {
            let layer = match name.rsplit_once('.') {
                Some((layer, WEIGHT)) if weight.number == Number::I8 => layer,
                _ => continue,
            };
            let found = self.scales_of(layer, weight, &mut tensors)?;
            tensors.insert(name.clone(), multiplied(weight, &found));
            scales.insert(layer.to_owned(), found);
        }
        let scale = |name: &&String| {
            let last = name.rsplit('.').next().unwrap_or(name);
            matches!(last, WEIGHT_SCALE | INPUT_SCALE | INPUT_ZERO_POINT)
        };
        if let Some(left) = tensors.keys().find(scale) {
            let reason = "it belongs to no weight of i8".to_owned();
            return Err(self.refused(left, reason));
        }
        let description = self.description.clone().map(|note| note.quantized(false));
        Ok((Self { tensors, description, ..self.clone() }, scales))
    }

    /// The scales of a layer, taken out of `tensors`.
    fn scales_of(
        &self,
        layer: &str,
        weight: &Stored,
        tensors: &mut BTreeMap<String, Stored>,
    ) -> Result<LayerScales, WeightsError> {
        let (kind, channels) = match weight.shape[..] {
            [channels, _, _, _] => (LayerKind::Conv, channels),
            [channels, _] => (LayerKind::Linear, channels),
            _ => {
                let reason = format!("its shape {:?} is no quantised weight's", weight.shape);
                return Err(self.refused(&weight.origin, reason));
            }
        };
        let mut take = |name: &str| {
            let name = format!("{layer}.{name}");
            tensors.remove(&name).ok_or(name)
        };
        let missing = |name: String| {
            self.refused(&weight.origin, format!("it holds i8, and there is no `{name}`"))
        };
        let values = |tensor: Stored| match (&tensor.shape[..], tensor.values()) {
            ([_], Ok(values)) => Ok(values),
            ([_], Err(reason)) => Err(self.refused(&tensor.origin, reason)),
            (shape, _) => {
                let reason = format!("its shape is {shape:?}, expected one dimension");
                Err(self.refused(&tensor.origin, reason))
            }
        };
        let scale = values(take(WEIGHT_SCALE).map_err(missing)?)?;
        let input = match (take(INPUT_SCALE), take(INPUT_ZERO_POINT)) {
            (Err(_), Err(_)) if kind == LayerKind::Linear => None,
            (input, zero_point) => {
                let (input, zero_point) = (input.map_err(missing)?, zero_point.map_err(missing)?);
                let (origin, of_zero) = (input.origin.clone(), zero_point.origin.clone());
                let points =
                    zero_point.integers().map_err(|reason| self.refused(&of_zero, reason))?;
                let one = |origin: &str, found: usize| {
                    self.refused(origin, format!("{found} values, expected 1"))
                };
                match (&values(input)?[..], &points[..]) {
                    (&[scale], &[zero_point]) => Some(InputScale { scale, zero_point }),
                    (&[_], points) => return Err(one(&of_zero, points.len())),
                    (scales, _) => return Err(one(&origin, scales.len())),
                }
            }
        };
        let found = LayerScales { weight: scale, input };
        let failed =
            |source| WeightsError::Scales { file: self.file.clone(), source: Box::new(source) };
        found.check(layer, kind, channels).map_err(failed)?;
        Ok(found)
    }

    fn refused(&self, tensor: &str, reason: String) -> WeightsError {
        WeightsError::Tensor { file: self.file.clone(), tensor: tensor.to_owned(), reason }
    }
}

/// The weight in `f32`; its values are read when they are loaded.
fn multiplied(weight: &Stored, scales: &LayerScales) -> Stored {
    let (stored, scales) = (weight.clone(), Arc::new(scales.clone()));
    let row = weight.shape[1..].iter().product::<usize>().max(1);
    let read = move || {
        let values = stored.integers()?.into_iter().enumerate();
        let values = values.map(|(i, q)| f32::from(q) * scales.of_channel(i / row));
        Ok(values.flat_map(f32::to_le_bytes).collect())
    };
    // What the file holds of it.
    Stored::new(weight.origin.clone(), Number::F32, weight.shape.clone(), weight.bytes, read)
}
