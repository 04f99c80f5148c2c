//! [`Quantized`]: a network whose convolutions compute what an INT8 engine computes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use burn::module::{
    Content, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};
use dyrep_burn::fuse::NormAffine;
use dyrep_burn::{layers, with_inputs};
use dyrep_models::{ConvNorms, Network};

use crate::error::QuantError;
use crate::grid::{InputScale, LARGEST, LayerScales};
use crate::parameters::{LayerWeight, finite_weights, weights};

/// How far a weight may be from the grid, in steps. Multiplying an 8-bit number by its scale and dividing it again is off
/// by less than 127 · 2⁻²³ of a step; a weight that was never rounded, by up to a half.
const ON_GRID: f32 = 1e-4;

/// How far the scale of a silent norm may be from 1, and its shift from 0: rounding of `1 − ε + ε`.
const SILENT: f32 = 1e-6;

/// A network on 8-bit grids: the network in evaluation mode, norms folded away, weights in `f32` on their grids, and the
/// scales.
///
/// Its parameters have the network's paths. Made by [`quantize`](crate::quantize), or from a file by
/// [`new`](Self::new). It does not train.
#[derive(Clone, Debug)]
pub struct Quantized<M> {
    pub(crate) network: M,
    pub(crate) scales: Arc<BTreeMap<String, LayerScales>>,
}

impl<M: ConvNorms> Quantized<M> {
    /// Joins a network whose weights are on the grid to its scales, by the path of the layer; the network is then in
    /// evaluation mode. A layer without scales stays `f32`.
    ///
    /// # Errors
    /// A norm that was not folded away ([`fold_norms`](dyrep_models::fold_norms)); scales for what is no plain
    /// convolution and no linear layer, or that it cannot have ([`LayerScales::check`]); weights that are no finite
    /// numbers or not on their grid.
    pub fn new(network: &M, scales: BTreeMap<String, LayerScales>) -> Result<Self, QuantError> {
        let norms = network.folding_norms();
        if let Some((path, _)) = norms.into_iter().find(|(_, norm)| !is_silent(norm)) {
            return Err(QuantError::Norm { norm: path });
        }
        let weights = finite_weights(network)?;
        for (layer, scales) in &scales {
            let Some(weight) = weights.get(layer) else {
                return Err(QuantError::NoSuchLayer { layer: layer.clone() });
            };
            scales.check(layer, weight.kind, weight.channels())?;
            check_grid(layer, weight, scales)?;
        }
        Ok(Self { network: network.valid(), scales: Arc::new(scales) })
    }
}

/// Whether a norm passes values through.
fn is_silent(norm: &BatchNorm) -> bool {
    let NormAffine { scale, shift } = NormAffine::of(norm);
    let largest = |tensor: Tensor<1>| tensor.abs().max().into_scalar::<f32>();
    largest(scale - 1.0) <= SILENT && largest(shift) <= SILENT
}

/// In INT8, as [`run`](Quantized::run) computes. Parameters and multiply-adds are those of the network that it holds.
impl<M: Network> Network for Quantized<M> {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.run(|network| network.forward(images))
    }

    fn params(&self) -> usize {
        self.network().params()
    }

    fn flops(&self, picture: [usize; 3]) -> u64 {
        self.network().flops(picture)
    }
}

impl<M: Module> Quantized<M> {
    /// The network, as it computes without its inputs being put on grids.
    #[must_use]
    pub fn network(&self) -> &M {
        &self.network
    }

    /// The scales of each quantised layer, by its path.
    #[must_use]
    pub fn scales(&self) -> &BTreeMap<String, LayerScales> {
        &self.scales
    }

    /// The 8-bit weights of each quantised layer, by its path.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, LayerWeight<i8>> {
        let weights = weights(&self.network).into_iter();
        let quantised = weights.filter_map(|(path, weight)| {
            let scales = self.scales.get(&path)?;
            let rows = weight.rows().enumerate();
            let steps = rows.flat_map(|(channel, row)| {
                let scale = scales.of_channel(channel);
                row.iter().map(move |value| (value / scale).round() as i8)
            });
            let values = steps.collect();
            Some((path, LayerWeight { kind: weight.kind, shape: weight.shape.clone(), values }))
        });
        quantised.collect()
    }

    /// Passes something through the network; the inputs of quantised convolutions are put on their grids.
    pub fn run<T>(&self, forward: impl FnOnce(&M) -> T) -> T {
        let of = |path: &str| self.scales.get(path).and_then(|scales| scales.input);
        let grids: HashMap<_, InputScale> = layers(&self.network)
            .into_iter()
            .filter_map(|(path, layer)| Some((layer.id(), of(&path)?)))
            .collect();
        let replace = move |layer, input| match grids.get(&layer) {
            Some(grid) => grid.apply(input),
            None => input,
        };
        with_inputs(replace, || forward(&self.network))
    }

    fn with(self, change: impl FnOnce(M) -> M) -> Self {
        Self { network: change(self.network), scales: self.scales }
    }
}

/// Whether every weight is a multiple of its scale, and of at most 127 of them.
fn check_grid(
    layer: &str,
    weight: &LayerWeight<f32>,
    scales: &LayerScales,
) -> Result<(), QuantError> {
    for (channel, row) in weight.rows().enumerate() {
        let scale = scales.of_channel(channel);
        let off = |value: &&f32| {
            let steps = **value / scale;
            steps.abs() > LARGEST + ON_GRID || (steps - steps.round()).abs() > ON_GRID
        };
        if let Some(&value) = row.iter().find(off) {
            return Err(QuantError::OffGrid { layer: layer.to_owned(), channel, value, scale });
        }
    }
    Ok(())
}

impl<M: Module> Module for Quantized<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.network.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.with(|network| network.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(|network| network.to_device(device))
    }

    fn train(self) -> Self {
        self.with(M::train)
    }

    fn valid(&self) -> Self {
        Self { network: self.network.valid(), scales: Arc::clone(&self.scales) }
    }

    fn materialize(self) -> Self {
        self.with(M::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.network.visit(visitor);
    }

    fn map<A: ModuleMapper>(self, mapper: &mut A) -> Self {
        self.with(|network| network.map(mapper))
    }
}

impl<M: Module + ModuleDisplay> ModuleDisplayDefault for Quantized<M> {
    fn content(&self, content: Content) -> Option<Content> {
        content.set_top_level_type("Quantized").add("network", &self.network).optional()
    }
}

impl<M: Module + ModuleDisplay> ModuleDisplay for Quantized<M> {}

impl<M: Module + ModuleDisplay> fmt::Display for Quantized<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}
