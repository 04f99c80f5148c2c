//! Convolutions inside blocks: the k×k ones may be blocks themselves, at any depth.
//!
//! A convolution is addressed by its parameter path: the layer's, then `kxk.conv` or `1x1_kxk.conv2` for
//! each level down. `layer1.0.conv1.kxk.conv` is the k×k convolution of the block at `layer1.0.conv1`.

use burn::tensor::Tensor;

use crate::block::Block;
use crate::branch::{Branch, Pass, PointwiseKxk};
use crate::form::{BranchForm, Form};
use crate::geometry::ConvGeometry;
use crate::rep_conv2d::RepConv2d;

const KXK: &str = "kxk.conv";
const POINTWISE_KXK: &str = "1x1_kxk.conv2";

/// A convolution found in a layer.
pub(crate) struct Nested<'a> {
    /// Its full path.
    pub(crate) path: String,
    /// How many blocks it lies in.
    pub(crate) depth: usize,
    /// The convolution, plain or a block.
    pub(crate) conv: &'a RepConv2d,
}

/// The layer at `path` and every convolution inside it, outermost first.
pub(crate) fn all<'a>(path: &str, layer: &'a RepConv2d) -> Vec<Nested<'a>> {
    let mut found = vec![Nested { path: path.to_owned(), depth: 0, conv: layer }];
    let mut next = 0;
    while next < found.len() {
        let (path, depth) = (found[next].path.clone(), found[next].depth + 1);
        if let RepConv2d::Block(block) = found[next].conv {
            found.extend(children(block).map(|(name, conv)| Nested {
                path: join(&path, name),
                depth,
                conv,
            }));
        }
        next += 1;
    }
    found
}

fn children(block: &Block) -> impl Iterator<Item = (&'static str, &RepConv2d)> {
    let others = block.branches.iter().filter_map(|branch| match branch {
        Branch::PointwiseKxk(branch) => Some((POINTWISE_KXK, &branch.conv2)),
        _ => None,
    });
    std::iter::once((KXK, &block.kxk.conv)).chain(others)
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The way from a layer to a convolution inside it, outermost step first.
pub(crate) type Address<'a> = &'a [Step];

/// One level down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into `kxk.conv`.
    Kxk,
    /// Into `1x1_kxk.conv2`.
    PointwiseKxk,
}

/// Splits the path of a convolution into its layer's, one of `layers`, and the way from there.
pub(crate) fn locate<'a>(
    path: &str,
    layers: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, Vec<Step>)> {
    layers.into_iter().find_map(|layer| {
        let rest = match (path.strip_prefix(layer)?, layer) {
            ("", _) => return Some((layer, vec![])),
            (rest, "") => rest,
            (rest, _) => rest.strip_prefix('.')?,
        };
        Some((layer, steps(rest)?))
    })
}

fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = vec![];
    loop {
        let (step, after) = match rest.strip_prefix(KXK) {
            Some(after) => (Step::Kxk, after),
            None => (Step::PointwiseKxk, rest.strip_prefix(POINTWISE_KXK)?),
        };
        steps.push(step);
        if after.is_empty() {
            return Some(steps);
        }
        rest = after.strip_prefix('.')?;
    }
}

impl RepConv2d {
    /// The convolution at `address`.
    pub(crate) fn at(&self, address: Address<'_>) -> Option<&RepConv2d> {
        let Some((step, rest)) = address.split_first() else {
            return Some(self);
        };
        let block = self.block()?;
        block.child(*step)?.at(rest)
    }

    /// Replaces the convolution at `address`, which must be there.
    pub(crate) fn replace_at(
        self,
        address: Address<'_>,
        replace: impl FnOnce(RepConv2d) -> RepConv2d,
    ) -> Self {
        let Some((step, rest)) = address.split_first() else {
            return replace(self);
        };
        let Self::Block(mut block) = self else { unreachable!("the address was checked") };
        match step {
            Step::Kxk => block.kxk.conv = block.kxk.conv.replace_at(rest, replace),
            Step::PointwiseKxk => {
                block.branches = replace_pointwise_kxk(block.branches, rest, replace);
            }
        }
        Self::Block(block)
    }

    /// What the convolution at `address` sees when the layer sees `input`, at inference.
    pub(crate) fn input_at(&self, address: Address<'_>, input: Tensor<4>) -> Tensor<4> {
        let Some((step, rest)) = address.split_first() else {
            return input;
        };
        let Self::Block(block) = self else { unreachable!("the address was checked") };
        let conv = block.child(*step).unwrap_or_else(|| unreachable!("the address was checked"));
        let input = match step {
            Step::Kxk => input,
            Step::PointwiseKxk => block.pointwise_middle(input),
        };
        conv.input_at(rest, input)
    }
}

impl Form {
    /// The form at `address` inside this one, and the geometry it stands for there.
    pub(crate) fn at_mut(
        &mut self,
        address: Address<'_>,
        geometry: &ConvGeometry,
    ) -> Option<(&mut Form, ConvGeometry)> {
        let Some((step, rest)) = address.split_first() else {
            return Some((self, geometry.clone()));
        };
        let Self::Block(block) = self else {
            return None;
        };
        match step {
            Step::Kxk => block.kxk.at_mut(rest, geometry),
            Step::PointwiseKxk => block.branches.iter_mut().find_map(|branch| match branch {
                BranchForm::PointwiseKxk { mid_channels, conv } => {
                    conv.at_mut(rest, &PointwiseKxk::second_geometry(geometry, *mid_channels))
                }
                _ => None,
            }),
        }
    }
}

fn replace_pointwise_kxk(
    branches: Vec<Branch>,
    rest: Address<'_>,
    replace: impl FnOnce(RepConv2d) -> RepConv2d,
) -> Vec<Branch> {
    let mut replace = Some(replace);
    let replaced = branches.into_iter().map(|branch| match (branch, replace.take()) {
        (Branch::PointwiseKxk(mut branch), Some(replace)) => {
            branch.conv2 = branch.conv2.replace_at(rest, replace);
            Branch::PointwiseKxk(branch)
        }
        (branch, unused) => {
            replace = unused;
            branch
        }
    });
    replaced.collect()
}

impl Block {
    fn child(&self, step: Step) -> Option<&RepConv2d> {
        let name = match step {
            Step::Kxk => KXK,
            Step::PointwiseKxk => POINTWISE_KXK,
        };
        children(self).find(|(child, _)| *child == name).map(|(_, conv)| conv)
    }

    fn pointwise_middle(&self, input: Tensor<4>) -> Tensor<4> {
        let branch = self.branches.iter().find_map(|branch| match branch {
            Branch::PointwiseKxk(branch) => Some(branch),
            _ => None,
        });
        let branch = branch.unwrap_or_else(|| unreachable!("the address was checked"));
        branch.middle(input, Pass::Ordinary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_into_layer_and_steps() {
        let layers = ["conv1", "layer1.0.conv1", "conv10"];
        let (layer, steps) = locate("layer1.0.conv1.kxk.conv.1x1_kxk.conv2", layers).unwrap();
        assert_eq!(layer, "layer1.0.conv1");
        assert_eq!(steps, [Step::Kxk, Step::PointwiseKxk]);
        assert_eq!(locate("conv10", layers).unwrap(), ("conv10", vec![]));
        assert_eq!(locate("conv1.kxk", layers), None);
        assert_eq!(locate("conv2", layers), None);
        assert_eq!(locate("kxk.conv", [""]).unwrap(), ("", vec![Step::Kxk]));
    }
}
