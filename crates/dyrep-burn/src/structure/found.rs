//! The form of a layer, from the names and shapes of its tensors: what is grown where.
//!
//! A layer at `conv1` is a block if there are tensors below `conv1.kxk`. Which branches it has, how each ends and whether a
//! norm follows the sum are told by the names below; a convolution that may be a block is looked at in the same way. It is a
//! stack if there are tensors below `conv1.0`, and its kernel is one that can be layers in sequence.

use std::collections::{BTreeMap, BTreeSet};

use dyrep_config::{BranchName, BranchSpec, Composition, End};

use super::{BlockForm, BranchForm, Form, StackForm};
use crate::geometry::ConvGeometry;
use crate::layer::{AFTER, CONSTANT, SCALE};
use crate::look::nest::join;

/// Names of tensors, with their shapes.
type Shapes = BTreeMap<String, Vec<usize>>;

impl Form {
    /// The form of the layer at `path` for a convolution of `geometry`, if the tensors have one whose kernels are of the
    /// shapes that it asks for: building it then takes no more memory than the tensors do. How a stack's layers become one
    /// kernel is seen in no tensor: it is taken to be [`Composition::Sequence`].
    #[must_use]
    pub fn found(path: &str, geometry: &ConvGeometry, tensors: &Shapes) -> Option<Self> {
        let is_block = any_below(&join(path, &BranchName::MAIN.to_string()), tensors);
        if !is_block
            && any_below(&join(path, "0"), tensors)
            && let Some(own) = geometry.in_sequence()
        {
            let layer = |(number, own): (usize, &ConvGeometry)| {
                Self::found(&join(path, &number.to_string()), own, tensors)
            };
            let layers = own.iter().enumerate().map(layer).collect::<Option<_>>()?;
            let norm_after = any_below(&join(path, AFTER), tensors);
            let composition = Composition::default();
            return Some(Self::Stack(StackForm { layers, composition, norm_after }));
        }
        if !is_block {
            let weight = tensors.get(&join(path, "weight"))?;
            let bias = tensors.contains_key(&join(path, "bias"));
            return (*weight == geometry.weight_shape()).then_some(Self::Plain { bias });
        }
        let mut branches = vec![];
        for name in names_below(path, tensors) {
            branches.push(branch(path, name, geometry, tensors)?);
        }
        branches.sort_by_key(|form| (form.name != BranchName::MAIN, form.name));
        let norm_after = any_below(&join(path, AFTER), tensors);
        Some(Self::Block(BlockForm { branches, norm_after }))
    }
}

fn branch(
    path: &str,
    name: BranchName,
    geometry: &ConvGeometry,
    tensors: &Shapes,
) -> Option<BranchForm> {
    let (kind, path) = (name.kind, join(path, &name.to_string()));
    let (names, has) = (kind.part_names(), |name: &str| any_below(&join(&path, name), tensors));
    let end = match () {
        () if has(names.norm) => End::Norm,
        () if has(SCALE) && kind.has_first(geometry) && !has(names.first[1]) => End::Linear,
        () if has(SCALE) => End::Scale,
        () if has(CONSTANT) => End::Constant,
        () => End::Nothing,
    };
    let first = || tensors.get(&join(&path, &join(names.first[0], "weight")));
    let middle = if kind.has_middle() { *first()?.first()? } else { 0 };
    let mut form = BranchForm::new(name, BranchSpec::new(kind, end), middle);
    if kind.window(geometry).is_err() {
        // It is refused by name where the structure is checked.
        return Some(form);
    }
    if kind.has_middle() {
        let pointwise = form.first_geometry(geometry)?.validated().ok()?;
        first().filter(|shape| **shape == pointwise.weight_shape())?;
    }
    if kind.convolves() {
        let own = form.conv_geometry(geometry);
        form.conv = Some(Box::new(Form::found(&join(&path, names.conv), &own, tensors)?));
    }
    Some(form)
}

/// The branches that there are tensors of.
fn names_below(path: &str, tensors: &Shapes) -> BTreeSet<BranchName> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let below = tensors.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
    let parsed = below.filter_map(|(name, _)| {
        let mut levels = name[prefix.len()..].split('.');
        let (kind, next) = (levels.next()?, levels.next()?);
        let nth = next.bytes().all(|byte| byte.is_ascii_digit());
        let name = if nth { format!("{kind}.{next}") } else { kind.to_owned() };
        name.parse().ok()
    });
    parsed.collect()
}

fn any_below(path: &str, tensors: &Shapes) -> bool {
    let prefix = format!("{path}.");
    tensors.contains_key(path)
        || tensors.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
}
