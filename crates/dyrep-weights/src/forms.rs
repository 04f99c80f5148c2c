//! The form of a layer, from the names and shapes of its tensors: what is grown where.
//!
//! A layer at `conv1` is a block if there are tensors below `conv1.kxk.`, and has the branches whose names follow:
//! `conv1.1x1.`, `conv1.identity.`, …; its k×k convolutions are looked at in the same way. No tensors here.

use std::collections::BTreeMap;

use dyrep_burn::{
    BlockForm, BranchForm, BranchKind, ConvGeometry, Form, LayerStructure, Structure,
    StructureError,
};

/// The names of tensors, with shapes.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// The structure that a network whose layers are those of `network` has when its tensors are `tensors`. A layer of which
/// there is nothing, or whose kernel has another shape, stays as it is.
///
/// # Errors
/// A branch that a layer cannot have.
pub(crate) fn structure(
    network: &Structure,
    tensors: &Shapes,
) -> Result<Structure, StructureError> {
    let layers = network.layers().iter().map(|(path, layer)| {
        let found = form(path, tensors).filter(|form| fits(path, form, &layer.geometry, tensors));
        let form = match (found, &layer.form) {
            // A convolution's own bias is a parameter; a file without it is not whole.
            (Some(Form::Plain { bias: false }), Form::Plain { .. }) | (None, _) => {
                layer.form.clone()
            }
            (Some(found), _) => found,
        };
        (path.clone(), LayerStructure { geometry: layer.geometry.clone(), form })
    });
    Structure::new(layers.collect())
}

fn form(path: &str, tensors: &Shapes) -> Option<Form> {
    if !any_below(path, BranchKind::Kxk.name(), tensors) {
        let has = |name: &str| tensors.contains_key(&join(path, name));
        return has("weight").then(|| Form::Plain { bias: has("bias") });
    }
    let kxk = form(&join(path, "kxk.conv"), tensors)?;
    let there =
        |kind: &BranchKind| *kind != BranchKind::Kxk && any_below(path, kind.name(), tensors);
    let branches = BranchKind::ALL.into_iter().filter(there).map(|kind| {
        Some(match kind {
            BranchKind::Pointwise => BranchForm::Pointwise,
            BranchKind::PointwiseAvg => BranchForm::PointwiseAvg,
            BranchKind::OneByK => BranchForm::OneByK,
            BranchKind::KByOne => BranchForm::KByOne,
            BranchKind::Identity => BranchForm::Identity,
            BranchKind::Kxk => return None,
            BranchKind::PointwiseKxk => {
                let first = tensors.get(&join(path, "1x1_kxk.conv1.weight"))?;
                let conv = form(&join(path, "1x1_kxk.conv2"), tensors)?;
                BranchForm::PointwiseKxk { mid_channels: *first.first()?, conv: Box::new(conv) }
            }
        })
    });
    let branches = branches.collect::<Option<Vec<_>>>()?;
    Some(Form::Block(BlockForm { kxk: Box::new(kxk), branches }))
}

/// Whether the kernels have the shapes that `geometry` asks for, so that building the form takes no more memory than
/// the file's own tensors do.
fn fits(path: &str, form: &Form, geometry: &ConvGeometry, tensors: &Shapes) -> bool {
    let (shape, groups) = (geometry.weight_shape(), geometry.groups());
    fits_shape(path, form, shape, groups, tensors)
}

fn fits_shape(path: &str, form: &Form, shape: [usize; 4], groups: usize, tensors: &Shapes) -> bool {
    let is = |name: &str, shape: [usize; 4]| {
        tensors.get(&join(path, name)).is_some_and(|found| *found == shape)
    };
    let Form::Block(block) = form else {
        return is("weight", shape);
    };
    let [outputs, inputs, height, width] = shape;
    let inner = |name: &str, form: &Form, shape| {
        fits_shape(&join(path, name), form, shape, groups, tensors)
    };
    let branches = block.branches.iter().all(|branch| match branch {
        BranchForm::PointwiseKxk { mid_channels: middle, conv } => {
            let second = [outputs, middle / groups, height, width];
            is("1x1_kxk.conv1.weight", [*middle, inputs, 1, 1])
                && inner("1x1_kxk.conv2", conv, second)
        }
        _ => true,
    });
    branches && inner("kxk.conv", &block.kxk, shape)
}

fn any_below(path: &str, name: &str, tensors: &Shapes) -> bool {
    let prefix = join(path, name) + ".";
    tensors.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
