//! The inputs of every convolution, measured while batches pass through the network.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use burn::module::{Module, ParamId};
use burn::tensor::Tensor;
use dyrep_burn::{layers, with_inputs};

use crate::error::QuantError;
use crate::grid::InputScale;
use crate::histogram::Histogram;
use crate::options::Calibration;

/// What passed through the layers.
#[derive(Default)]
struct Seen {
    histograms: HashMap<ParamId, Histogram>,
    /// The first input that was no finite number.
    broken: Option<(ParamId, f32)>,
}

impl Seen {
    fn add(&mut self, layer: ParamId, input: &Tensor<4>) {
        let Some(histogram) = self.histograms.get_mut(&layer) else {
            return;
        };
        let values: Vec<f32> = input.clone().into_data().iter::<f32>().collect();
        if let Err(value) = histogram.add(&values) {
            self.broken.get_or_insert((layer, value));
        }
    }
}

/// The scale of the input of each convolution that `wanted` chooses by its path.
///
/// # Errors
/// No batch, though there is something to measure; an input that is no finite number; a convolution that no batch
/// reached.
pub(crate) fn input_scales<M: Module, T>(
    network: &M,
    batches: impl IntoIterator<Item = Tensor<4>>,
    forward: impl Fn(&M, Tensor<4>) -> T,
    method: Calibration,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, InputScale>, QuantError> {
    let convs: BTreeMap<String, ParamId> = layers(network)
        .into_iter()
        .filter_map(|(path, layer)| wanted(&path).then(|| (path, layer.id())))
        .collect();
    if convs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let histograms = convs.values().map(|id| (*id, Histogram::new())).collect();
    let seen = Rc::new(RefCell::new(Seen { histograms, broken: None }));
    let mut any = false;
    for (batch, images) in batches.into_iter().enumerate() {
        any = true;
        let notes = Rc::clone(&seen);
        let look = move |layer, input| {
            notes.borrow_mut().add(layer, &input);
            input
        };
        let _output = with_inputs(look, || forward(network, images));
        if let Some((id, value)) = seen.borrow().broken {
            let named = convs.iter().find(|(_, conv)| **conv == id);
            let layer = named.map(|(path, _)| path.clone()).unwrap_or_default();
            return Err(QuantError::Input { layer, batch, value });
        }
    }
    if !any {
        return Err(QuantError::NoBatches);
    }
    let seen = seen.borrow();
    let scale = |(layer, id): (String, ParamId)| match &seen.histograms[&id] {
        histogram if histogram.is_empty() => Err(QuantError::NotReached { layer }),
        histogram => Ok((layer, histogram.scale(method))),
    };
    convs.into_iter().map(scale).collect()
}
