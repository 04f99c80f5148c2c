//! The weights of the layers that are quantised, read from any module and written back.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use dyrep_burn::layers;

use crate::error::QuantError;

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// A plain [`RepConv2d`](dyrep_burn::RepConv2d).
    Conv,
    /// Burn's linear layer.
    Linear,
}

/// The weight of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeight<T> {
    /// What the layer is.
    pub kind: LayerKind,
    /// `[out, in / groups, height, width]` or `[out, in]`: output channels first, as in PyTorch.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Vec<T>,
}

impl<T> LayerWeight<T> {
    /// Output channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape[0]
    }

    /// The weights of each output channel.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[T]> {
        self.values.chunks_exact(self.row_length())
    }

    /// Weights of an output channel, at least 1.
    pub(crate) fn row_length(&self) -> usize {
        self.shape[1..].iter().product::<usize>().max(1)
    }
}

/// Where a traversal is, and the types of the modules around it.
#[derive(Default)]
struct Place {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The layer whose weight this is.
    fn layer(&self, convs: &BTreeSet<String>) -> Option<(String, LayerKind)> {
        let (name, layer) = self.path.split_last()?;
        let layer = layer.join(".");
        let linear = self.containers.last().is_some_and(|container| container == "Struct:Linear");
        match name.as_str() {
            "weight" if convs.contains(&layer) => Some((layer, LayerKind::Conv)),
            "weight" if linear => Some((layer, LayerKind::Linear)),
            _ => None,
        }
    }
}

fn plain_convs<M: Module>(module: &M) -> BTreeSet<String> {
    let plain = layers(module).into_iter().filter(|(_, layer)| layer.is_plain());
    plain.map(|(path, _)| path).collect()
}

/// The weights of all plain convolutions and linear layers, by path.
pub(crate) fn weights<M: Module>(module: &M) -> BTreeMap<String, LayerWeight<f32>> {
    struct Reader {
        place: Place,
        convs: BTreeSet<String>,
        found: BTreeMap<String, LayerWeight<f32>>,
    }
    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.place.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.place.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some((layer, kind)) = self.place.layer(&self.convs) else {
                return;
            };
            let value = param.val();
            let value = if kind == LayerKind::Linear { value.swap_dims(0, 1) } else { value };
            let shape = value.dims().to_vec();
            let values = value.into_data().iter::<f32>().collect();
            self.found.insert(layer, LayerWeight { kind, shape, values });
        }
    }
    let mut reader =
        Reader { place: Place::default(), convs: plain_convs(module), found: BTreeMap::new() };
    module.visit(&mut reader);
    reader.found
}

/// As [`weights`].
///
/// # Errors
/// A weight that is no finite number.
pub(crate) fn finite_weights<M: Module>(
    module: &M,
) -> Result<BTreeMap<String, LayerWeight<f32>>, QuantError> {
    let weights = weights(module);
    for (layer, weight) in &weights {
        if let Some(index) = weight.values.iter().position(|value| !value.is_finite()) {
            let (channel, value) = (index / weight.row_length(), weight.values[index]);
            return Err(QuantError::Weight { layer: layer.clone(), channel, value });
        }
    }
    Ok(weights)
}

/// The module with other weights, by the layer's path, output channels first; shapes must be the layers' own.
pub(crate) fn with_weights<M: Module>(module: M, values: BTreeMap<String, Vec<f32>>) -> M {
    struct Writer {
        place: Place,
        convs: BTreeSet<String>,
        values: BTreeMap<String, Vec<f32>>,
    }
    impl ModuleMapper for Writer {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.place.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.place.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let layer = self.place.layer(&self.convs);
            let found = layer.and_then(|(layer, kind)| Some((self.values.remove(&layer)?, kind)));
            let Some((values, kind)) = found else {
                return param;
            };
            param.map(|old| {
                let shape = old.dims();
                // On the host: a view of turned values would be multiplied in another order than a copy of it.
                let values = match kind {
                    LayerKind::Conv => values,
                    LayerKind::Linear => turned(&values, shape[0]),
                };
                Tensor::from_data(TensorData::new(values, shape), &old.device())
                    .set_require_grad(old.is_require_grad())
            })
        }
    }
    let convs = plain_convs(&module);
    module.map(&mut Writer { place: Place::default(), convs, values })
}

/// Rows of `columns` values as columns.
fn turned(values: &[f32], columns: usize) -> Vec<f32> {
    let column = |start: usize| values.iter().skip(start).step_by(columns);
    (0..columns).flat_map(column).copied().collect()
}
