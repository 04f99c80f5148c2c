//! What a search does to tensors: which branches rest, and what gradients say of gates.
//!
//! A gate multiplies what its branch adds. That ends in a batch norm (γ, β) or a scale, so
//!
//! ```text
//! ∂L/∂gate = Σ over channels of γ · ∂L/∂γ + β · ∂L/∂β        (of a scale s: s · ∂L/∂s)
//! ```
//!
//! exactly, also where γ is 0: no gate need be in the graph.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use dyrep_config::BranchName;

use super::SearchedLayer;
use crate::fuse::{read_all, wide};
use crate::layer::{Branch, RepConv2d};
use crate::look::{layers, map_layers};

/// The model with the branches resting that `rests` says by the path of their layer, and all others running; layers of
/// which it says nothing stay as they are.
pub(super) fn with_resting<M: Module>(
    model: M,
    rests: impl Fn(&str) -> Option<Vec<BranchName>>,
) -> M {
    map_layers(model, |path, mut layer| {
        if let (RepConv2d::Block(block), Some(resting)) = (&mut layer, rests(path)) {
            block.rest(|name| resting.contains(&name));
        }
        layer
    })
}

/// The model without the branches that rest, but for `kxk`, which stays where it is and rests.
///
/// What has no more than `kxk` stays a block of that alone. Nothing of what the model computes changes.
#[must_use]
pub fn without_resting<M: Module>(model: M) -> M {
    map_layers(model, |_, mut layer| {
        if let RepConv2d::Block(block) = &mut layer {
            block.branches.retain(|it| !it.is_resting() || it.name() == BranchName::MAIN);
        }
        layer
    })
}

/// Sets the running statistics of every batch norm back to mean 0 and variance 1, also in the model's clones, which share
/// them.
pub fn reset_statistics<M: Module>(model: &M) {
    // Brings in what threads have still to say, which would come afterwards otherwise.
    let _up_to_date = model.valid();
    let _same = model.clone().map(&mut Reset::default());
}

#[derive(Default)]
struct Reset(Vec<String>);

impl ModuleMapper for Reset {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.last().map(String::as_str) {
            Some("running_mean") => param.map(|value| value.zeros_like()),
            Some("running_var") => param.map(|value| value.ones_like()),
            _ => param,
        }
    }
}

/// What ends a branch and multiplies all that it adds: γ and β, or a scale.
pub(super) fn gains(branch: &Branch) -> Vec<&Param<Tensor<1>>> {
    match (&branch.parts.norm, &branch.parts.scale) {
        (Some(norm), _) => vec![&norm.gamma, &norm.beta],
        (None, Some(scale)) => vec![scale],
        (None, None) => vec![],
    }
}

/// ∂L/∂gate of each branch of the layers, in their order, of those that are `chosen`; 0 of the others, and of those that have
/// no gradient.
pub(super) fn gate_gradients<M: Module>(
    model: &M,
    searched: &[SearchedLayer],
    chosen: &[bool],
    gradients: &GradientsParams,
) -> Vec<f64> {
    let all = layers(model);
    let mut found = vec![0.0; chosen.len()];
    let (mut places, mut sums) = (vec![], vec![]);
    let mut at = 0;
    for layer in searched {
        let block = all.iter().find(|(path, _)| *path == layer.path);
        let block = block.and_then(|(_, layer)| layer.block());
        for name in &layer.branches {
            if let Some(branch) = block.filter(|_| chosen[at]).and_then(|it| it.branch(*name)) {
                let products = gains(branch).into_iter().filter_map(|gain| {
                    let gradient = wide(gradients.get::<1>(gain.id)?);
                    Some((gradient * wide(gain.val().without_autodiff())).sum())
                });
                if let Some(sum) = products.reduce(|sum, product| sum + product) {
                    places.push(at);
                    sums.push(sum);
                }
            }
            at += 1;
        }
    }
    for (at, sum) in places.into_iter().zip(read_all(sums)) {
        found[at] = sum;
    }
    found
}
