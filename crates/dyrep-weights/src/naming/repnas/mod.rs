//! The networks of the published RepNAS code (arXiv 2109.03508), of 22 layers, as RepVGG-A's: while branches are searched
//! for, as they were found, and deployed.
//!
//! | theirs | ours |
//! |---|---|
//! | `features.0`, `features.1`, `features.7` | `stem.conv`, `stages.0.0.conv`, `stages.2.0.conv` |
//! | `_ops.0.conv`, `_ops.0.bn` | `1x1.conv`, `1x1.bn`; by the shape also `kxk`, `1xk`, `kx1` |
//! | `_ops.1.conv1.conv`, `.conv1.bn.bn`, `.bn2` | `1x1_avg.conv`, `.bn`, `.avgbn` |
//! | `_ops.3.conv1`, `.bn1.bn`, `.conv2.conv`, `.conv2.bn` | `1x1_kxk.conv1`, the identity added, `.bn1`, `.conv2`, `.bn2` |
//! | the same at a stride of 2: `_ops.3.conv2` alone | `kxk`, beside a `kxk` `kxk.2` |
//! | `skip_connect.bn` | `identity.bn` |
//! | deployed: `features.3.conv` | `stages.1.0.conv` |
//! | `linear` | `head.fc` |
//!
//! A found network numbers the branches that it has, so that their names and shapes alone tell them. Of a network that is
//! searched for those rest that are not chosen. Its dead convolutions, `features.3.conv.conv`, never run.

mod branch;
mod choice;
mod fixed;

use std::collections::BTreeMap;

use dyrep_burn::BranchName;

use super::{Dialect, Naming, Translated, Unfit, silent_norm};
use crate::forms::Told;
use crate::reading::Reading;
use crate::tensor::Stored;
use branch::Branch;
use choice::Choice;

/// Layers, and the first of each stage behind the stem.
const LAYERS: usize = 22;
const STAGES: [usize; 4] = [1, 3, 7, 21];
/// Where branches and what never runs lie below our layers, until it is known what they are.
const OPS: &str = "_ops";
const DEAD: &str = "_dead";
const ALPHAS: &str = "alphas";
const FIXED: &str = "fixed_path";

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::RepNas,
    recognise: |parts| {
        let last = LAYERS - 1;
        // More layers are another network.
        let layers = parts.any(&[&last.to_string()]) && !parts.any(&[&LAYERS.to_string()]);
        layers && parts.all(&["features", "linear"]) && parts.any(&[OPS, "conv", "skip_connect"])
    },
    translate: |parts| match parts {
        ["features", number, rest @ ..] => {
            let Some(layer) = number.parse().ok().and_then(layer) else {
                return Translated::new(parts);
            };
            let ours: &[&str] = match rest {
                ["skip_connect", ..] => &["identity"],
                ["conv", "conv" | "bn", ..] => &[DEAD],
                ["conv", ..] => &[],
                _ => return Translated::new(&[&[layer.as_str()], rest].concat()),
            };
            Translated::new(&[&[layer.as_str()], ours, &rest[1..]].concat())
        }
        ["linear", rest @ ..] => Translated::new(&[&["head", "fc"], rest].concat()),
        _ => Translated::new(parts),
    },
    resolve,
    beside: &[FIXED],
    sole: true,
    ..Dialect::BASE
};

/// Our path of a layer.
fn layer(number: usize) -> Option<String> {
    if number == 0 {
        return Some("stem.conv".to_owned());
    }
    let stage = STAGES.iter().rposition(|first| number >= *first).filter(|_| number < LAYERS)?;
    Some(format!("stages.{stage}.{}.conv", number - STAGES[stage]))
}

/// Makes our branches of theirs.
fn resolve(reading: &mut Reading) -> Result<(), Unfit> {
    pass_over(reading, |name| name.split('.').any(|part| part == DEAD));
    let choice = Choice::of(reading)?;
    let mut without = vec![];
    for number in 0..LAYERS {
        let Some(path) = layer(number) else { continue };
        let branches = branches(&path, reading)?;
        let identity = reading.tensors.get(&format!("{path}.identity.bn.weight"));
        let has_identity = identity.is_some();
        // Of any of them, also of one that does not run; of an identity alone they are the same on both sides.
        let through = identity.and_then(|norm| norm.shape.first()).map(|channels| [*channels; 2]);
        let Some(channels) = branches.values().next().map(Branch::channels).or(through) else {
            continue;
        };
        if let Some(choice) = &choice {
            choice.check(number, &branches)?;
        }
        let runs = |at| choice.as_ref().is_none_or(|it| it.runs(number, at, has_identity));
        let (mut has_main, mut resting) = (false, vec![]);
        for (at, branch) in branches {
            let name = branch.put(&path, reading)?;
            has_main |= name == BranchName::MAIN;
            resting.extend((!runs(at)).then_some(name));
        }
        if !has_main {
            put_main(&path, channels, reading);
            resting.push(BranchName::MAIN);
            without.push(format!("`{path}`"));
        }
        reading.told.insert(path, Told::Resting(resting));
    }
    reading.notes.extend(choice.map(|choice| choice.told()));
    if !without.is_empty() {
        reading.notes.push(format!(
            "in {} no k×k convolution was chosen: the one that every block has is 0 there, and rests",
            without.join(", ")
        ));
    }
    Ok(())
}

/// The branches of the layer at `path`, by their numbers, taken out.
fn branches(path: &str, reading: &mut Reading) -> Result<BTreeMap<usize, Branch>, Unfit> {
    let start = format!("{path}.{OPS}.");
    let below = reading.tensors.range(start.clone()..);
    let names: Vec<String> =
        below.map(|(name, _)| name).take_while(|name| name.starts_with(&start)).cloned().collect();
    let mut parts: BTreeMap<usize, BTreeMap<String, Stored>> = BTreeMap::new();
    for name in names {
        let place = name[start.len()..].split_once('.');
        let place = place.and_then(|(number, part)| Some((number.parse().ok()?, part.to_owned())));
        let (Some((number, part)), Some(stored)) = (place, reading.tensors.remove(&name)) else {
            continue;
        };
        parts.entry(number).or_default().insert(part, stored);
    }
    parts.into_iter().map(|(number, parts)| Ok((number, Branch::of(&parts)?))).collect()
}

/// A block always has a k×k convolution and its norm: of a found network that does without, of zeros.
fn put_main(path: &str, [inputs, outputs]: [usize; 2], reading: &mut Reading) {
    let name = format!("{path}.kxk.conv.weight");
    let shape = vec![outputs, inputs, 3, 3];
    let count = shape.iter().fold(1usize, |all, one| all.saturating_mul(*one));
    let zeros =
        Stored::computed(name.clone(), shape, 4 * count as u64, move || Ok(vec![0.0; count]));
    reading.tensors.insert(name, zeros);
    reading.tensors.extend(silent_norm(&format!("{path}.kxk.bn"), outputs));
}

fn pass_over(reading: &mut Reading, is: impl Fn(&str) -> bool) {
    let Reading { tensors, passed_over, .. } = reading;
    tensors.retain(|name, stored| {
        let goes = is(name);
        passed_over.extend(goes.then(|| stored.origin.clone()));
        !goes
    });
}

#[cfg(test)]
mod tests;
