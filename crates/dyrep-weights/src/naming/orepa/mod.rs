//! The published OREPA code (arXiv 2204.00826): its modules in any network, its ResNets and RepVGGs.
//!
//! | theirs | ours |
//! |---|---|
//! | `stage1.0.conv1.weight_orepa_origin`, `.bn` | `layer1.0.conv1.kxk.conv`, `layer1.0.bn1` |
//! | `stage1.0.conv1.vector`, a row a branch | `layer1.0.conv1.kxk.scale`, `….1x1_avg.scale`, … |
//! | `stage1.0.conv3.weight_or1x1_l2i_conv1` | `layer1.0.conv3.1x1_kxk.conv1` |
//! | `stage0.conv1.weight0.weight_orepa_origin`, … to `weight2` | `conv1.0.kxk.conv`, … to `conv1.2`, a stack |
//! | `stage1.0.rbr_dense.weight_rbr_origin`, `.bn` | `stages.0.0.conv.kxk.conv.kxk.conv`, `stages.0.0.conv.kxk.bn` |
//! | `orepa_reparam`, `or1x1_reparam`, `or_large_reparam`, `rbr_reparam` | the layer itself |
//!
//! A name alone does not say what becomes of it: a scale's row is told by the other tensors of its module. Renaming keeps
//! the published part below our path, and `resolve` makes our tensors of all parts of a module at once.
//!
//! ResNets of its form `OREPA_VGG` are not read: their basic blocks have a ReLU more than a ResNet has.

mod kernel;
mod stem;
mod unit;

use super::dbb_networks::{Family, silence};
use super::stages::Place;
use super::{Dialect, Naming, Parts, Translated, Unfit};
use crate::reading::Reading;
use crate::tensor::{Edit, Stored};
use unit::{Form, Unit};

/// What the names of a module's parameters begin with.
const STARTS: [&str; 3] = ["weight_orepa_", "weight_or1x1_", "weight_rbr_"];
/// What a module becomes.
const DEPLOYED: [&str; 3] = ["orepa_reparam", "or1x1_reparam", "or_large_reparam"];
const VECTOR: &str = "vector";

pub(super) const RESNET: Dialect = Dialect {
    recognise: |parts| {
        is_ours(parts)
            && parts.all(&["stage0", "stage1", "stage4", "conv1", "linear"])
            && !parts.any_starts("rbr_")
    },
    translate: |parts| Family::ResNet.translate(parts, |parts, _: &mut Edit| block(parts)),
    complete: |tensors| {
        // A module that has become one convolution has taken its norm in; one that trains has it.
        let folded: Vec<String> =
            tensors.keys().filter_map(|name| Some(name.strip_suffix(".bias")?.into())).collect();
        silence(tensors, |path| folded.iter().any(|known| known == path));
    },
    ..BLOCKS
};

pub(super) const REPVGG: Dialect = Dialect {
    recognise: |parts| {
        is_ours(parts) && parts.all(&["stage0", "stage1", "linear"]) && !parts.any(&["conv1"])
    },
    translate: |parts| match Place::of(parts) {
        // Of a unit without branches beside its k×k module.
        Some((Place::Unit(unit), ["bn", rest @ ..])) => {
            Translated::new(&[&[unit.as_str(), "bn"], rest].concat())
        }
        Some((Place::Unit(unit), rest)) => {
            Translated::new(&[&[unit.as_str(), "conv"], &block(rest)[..]].concat())
        }
        Some((Place::Classifier, rest)) => Translated::new(&[&["head", "fc"], rest].concat()),
        None => Translated::new(&block(parts)),
    },
    ..BLOCKS
};

pub(super) const BLOCKS: Dialect = Dialect {
    naming: Naming::Orepa,
    recognise: is_ours,
    translate: |parts| Translated::new(&block(parts)),
    resolve,
    sole: true,
    ..Dialect::BASE
};

fn is_ours(parts: &Parts<'_>) -> bool {
    STARTS.iter().any(|start| parts.any_starts(start)) || parts.any(&DEPLOYED)
}

/// A module's parts below our path; what `resolve` is to make something of ends as a parameter does.
fn block<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let mut ours = vec![];
    for (at, &part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        let is_parameter = STARTS.iter().any(|start| part.starts_with(start)) || part == VECTOR;
        match part {
            _ if is_parameter && is_last => {
                // The convolution of RepVGG's k×k branch is a block itself.
                let inside = at > 0 && parts[at - 1] == "rbr_dense";
                ours.extend(inside.then_some("conv"));
                ours.extend([part, "weight"]);
            }
            "rbr_dense" => ours.push("kxk"),
            "rbr_1x1" => ours.push("1x1"),
            "rbr_identity" => ours.extend(["identity", "bn"]),
            "rbr_reparam" => {}
            _ if DEPLOYED.contains(&part) => {}
            _ => ours.push(part),
        }
    }
    ours
}

/// Makes our tensors of all modules.
fn resolve(reading: &mut Reading) -> Result<(), Unfit> {
    let mut found: Vec<(String, Form)> = vec![];
    for name in reading.tensors.keys() {
        let place =
            name.strip_suffix(".weight").map(|name| name.rsplit_once('.').unwrap_or(("", name)));
        if let Some((path, form)) = place.and_then(|(path, part)| Some((path, Form::of(part)?)))
            && found.last().is_none_or(|(last, known)| last != path || *known != form)
        {
            found.push((path.to_owned(), form));
        }
    }
    found.sort();
    found.dedup();
    let mut units = vec![];
    for (path, form) in found {
        units.push((Unit::take(&path, form, &mut reading.tensors)?, path));
    }
    stem::take(&mut units, reading)?;
    units.into_iter().try_for_each(|(unit, path)| unit.put(&path, reading))
}

/// Puts a tensor under its name.
fn put(reading: &mut Reading, name: String, stored: Stored) -> Result<(), Unfit> {
    match reading.tensors.get(&name) {
        Some(other) => {
            let reason = format!("it and `{}` stand for `{name}`", other.origin);
            Err(Unfit { tensor: stored.origin, reason })
        }
        None => {
            reading.tensors.insert(name, stored);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
