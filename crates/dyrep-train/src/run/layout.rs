//! What a network is made of and costs at its start.

use burn::tensor::Tensor;
use dyrep_burn::{Cost, InputSizes, LayerStructure, Structure, layers};
use dyrep_models::Network;

use crate::device::home;

/// A network's layers, and what it costs.
pub(super) struct Layout {
    /// Every layer that can be a block, in the network's order: path, geometry, and multiply-adds for one picture as
    /// a plain convolution.
    pub(super) layers: Vec<(String, String, u64)>,
    pub(super) structure: Structure,
    /// Of all those layers.
    pub(super) cost: Cost,
    /// Of their inputs.
    pub(super) sizes: InputSizes,
    /// Of the network beyond them.
    pub(super) rest: Cost,
}

impl Layout {
    /// Of a network that takes pictures such as `picture`, `[1, channels, height, width]`.
    pub(super) fn of<N: Network>(network: &N, picture: &Tensor<4>) -> Self {
        let sizes = InputSizes::measure(network, |network| {
            let _logits = network.forward(picture.clone().to_device(&home(network)));
        });
        let structure = Structure::of(network);
        let cost = sizes.cost(&structure);
        let deployed = structure.deployed();
        let row = |path: String| {
            let layer: &LayerStructure = &deployed.layers()[&path];
            let (geometry, cost) = (layer.geometry.brief(), sizes.layer_cost(&path, layer));
            (path, geometry, cost.macs)
        };
        let [_, channels, height, width] = picture.dims();
        let rest = Cost {
            params: (network.params() as u64).saturating_sub(cost.params),
            macs: network.flops([channels, height, width]).saturating_sub(cost.macs),
        };
        let layers = layers(network).into_iter().map(|(path, _)| row(path)).collect();
        Self { layers, structure, cost, sizes, rest }
    }
}
