//! Convolutions inside blocks: those with all of a block's taps may be blocks themselves, at any depth.
//!
//! A convolution is addressed by its parameter path: the layer's, then for each level down the branch's name and its
//! convolution's, `kxk.conv`, `kxk.2.conv` or `1x1_kxk.conv2`. `layer1.0.conv1.kxk.conv` is the k×k convolution of the
//! block at `layer1.0.conv1`.

use burn::tensor::Tensor;
use dyrep_config::BranchName;

use crate::geometry::ConvGeometry;
use crate::layer::{Block, Branch, RepConv2d};
use crate::pass::Pass;
use crate::structure::Form;

/// A convolution found in a layer.
pub(crate) struct Nested<'a> {
    /// Its full path.
    pub(crate) path: String,
    /// How many blocks it lies in.
    pub(crate) depth: usize,
    /// The convolution, plain or a block.
    pub(crate) conv: &'a RepConv2d,
}

/// Every layer and every convolution inside it that may be a block, outermost first.
pub(crate) fn all(layers: &[(String, RepConv2d)]) -> impl Iterator<Item = Nested<'_>> {
    layers.iter().flat_map(|(path, layer)| inside(path, layer))
}

fn inside<'a>(path: &str, layer: &'a RepConv2d) -> Vec<Nested<'a>> {
    let mut found = vec![Nested { path: path.to_owned(), depth: 0, conv: layer }];
    let mut next = 0;
    while next < found.len() {
        let (path, depth) = (found[next].path.clone(), found[next].depth + 1);
        if let RepConv2d::Block(block) = found[next].conv {
            let nesting = block.branches().iter().filter(|branch| branch.kind().nests());
            found.extend(nesting.filter_map(|branch| {
                let below = join(&path, &branch.name().to_string());
                let path = join(&below, branch.kind().part_names().conv);
                Some(Nested { path, depth, conv: branch.conv()? })
            }));
        }
        next += 1;
    }
    found
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The way from a layer to a convolution inside it: into the convolutions of these branches, outermost first.
pub(crate) type Address<'a> = &'a [BranchName];

/// Splits the path of a convolution into its layer's, one of `layers`, and the way from there.
pub(crate) fn locate<'a>(
    path: &str,
    layers: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, Vec<BranchName>)> {
    layers.into_iter().find_map(|layer| {
        let rest = match (path.strip_prefix(layer)?, layer) {
            ("", _) => return Some((layer, vec![])),
            (rest, "") => rest,
            (rest, _) => rest.strip_prefix('.')?,
        };
        Some((layer, steps(rest)?))
    })
}

fn steps(path: &str) -> Option<Vec<BranchName>> {
    let mut levels = path.split('.').peekable();
    let mut steps = vec![];
    while let Some(kind) = levels.next() {
        let is_number = |level: &&str| level.bytes().all(|byte| byte.is_ascii_digit());
        let name = match levels.next_if(is_number) {
            Some(nth) => format!("{kind}.{nth}").parse(),
            None => kind.parse(),
        };
        let name: BranchName = name.ok().filter(|name: &BranchName| name.kind.nests())?;
        levels.next().filter(|conv| *conv == name.kind.part_names().conv)?;
        steps.push(name);
    }
    Some(steps)
}

impl RepConv2d {
    /// The convolution at `address`.
    pub(crate) fn at(&self, address: Address<'_>) -> Option<&RepConv2d> {
        let Some((name, rest)) = address.split_first() else {
            return Some(self);
        };
        self.block()?.branch(*name)?.conv()?.at(rest)
    }

    /// Replaces the convolution at `address`, which must be there.
    pub(crate) fn replace_at(
        self,
        address: Address<'_>,
        replace: impl FnOnce(RepConv2d) -> RepConv2d,
    ) -> Self {
        let Some((name, rest)) = address.split_first() else {
            return replace(self);
        };
        let Self::Block(mut block) = self else { unreachable!("the address was checked") };
        let conv = &mut find(&mut block, *name).parts.conv;
        *conv = conv.take().map(|conv| conv.replace_at(rest, replace));
        Self::Block(block)
    }

    /// What the convolution at `address` sees when the layer sees `input`, at inference.
    pub(crate) fn input_at(&self, address: Address<'_>, input: Tensor<4>) -> Tensor<4> {
        let Some((name, rest)) = address.split_first() else {
            return input;
        };
        let found = self.block().and_then(|block| {
            let branch = block.branch(*name)?;
            Some((block.seen_by(branch, input, Pass::Infer), branch.conv()?))
        });
        let (seen, conv) = found.unwrap_or_else(|| unreachable!("the address was checked"));
        conv.input_at(rest, seen)
    }
}

fn find(block: &mut Block, name: BranchName) -> &mut Branch {
    let mut branches = block.branches.iter_mut();
    let found = branches.find(|branch| branch.name() == name);
    found.unwrap_or_else(|| unreachable!("the address was checked"))
}

impl Form {
    /// The form at `address` inside this one, and the geometry it stands for there.
    pub(crate) fn at_mut(
        &mut self,
        address: Address<'_>,
        geometry: &ConvGeometry,
    ) -> Option<(&mut Form, ConvGeometry)> {
        let Some((name, rest)) = address.split_first() else {
            return Some((self, geometry.clone()));
        };
        let Self::Block(block) = self else {
            return None;
        };
        let branch = block.branches.iter_mut().find(|branch| branch.name == *name)?;
        let own = branch.conv_geometry(geometry);
        branch.conv.as_deref_mut()?.at_mut(rest, &own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dyrep_config::BranchKind;

    #[test]
    fn paths_are_split_into_layer_and_steps() {
        let layers = ["conv1", "layer1.0.conv1", "conv10"];
        let path = "layer1.0.conv1.kxk.conv.1x1_kxk.conv2.kxk.3.conv";
        let (layer, steps) = locate(path, layers).unwrap();
        assert_eq!(layer, "layer1.0.conv1");
        let third = BranchName { kind: BranchKind::KXK, nth: 3 };
        assert_eq!(steps, [BranchName::MAIN, BranchKind::POINTWISE_KXK.into(), third]);
        assert_eq!(locate("conv10", layers).unwrap(), ("conv10", vec![]));
        for wrong in ["conv1.kxk", "conv2", "conv1.1x1.conv", "conv1.kxk.1.conv", "conv1.kxk.conv2"]
        {
            assert_eq!(locate(wrong, layers), None, "{wrong}");
        }
        assert_eq!(locate("kxk.conv", [""]).unwrap(), ("", vec![BranchName::MAIN]));
    }
}
