//! Averages whose names have lost their dots.
//!
//! Some trainers keep the average of each parameter as a buffer, whose name may have no dots: mmcv's `EMAHook` calls that
//! of `backbone.layer1.0.conv1.weight` `ema_backbone_layer1_0_conv1_weight`, and `LitEma` that of `model.conv1.weight`
//! `model_ema.conv1weight`. Where dots were is told by the trained parameters, which lie beside. Both average parameters
//! alone, and use them with the trained network's running statistics.

use std::collections::HashMap;

use super::Entry;
use super::words::{is_average, is_wrapper};
use crate::tensor::Stored;

/// What stands in front of a flat name of mmcv's.
const MARK: &str = "ema_";
/// The key below which averages lie here.
const KEY: &str = "ema";
/// Last parts of names of what is no parameter and so not averaged.
const BUFFERS: [&str; 2] = ["running_mean", "running_var"];

/// Trained parameters by what becomes of their names without dots; none of two that become the same.
type Flat<'a> = HashMap<String, Option<&'a Entry>>;

/// The averages in `list` whose names are flat, under the names of what they are averages of, below [`KEY`]; and below it
/// the running statistics that go with them. Empty if there are none.
pub(super) fn with_dots(list: &[Entry]) -> Vec<Entry> {
    let trained: Vec<&Entry> =
        list.iter().filter(|entry| !entry.parts.iter().any(|part| is_average(part))).collect();
    let below_key = |entry: &Entry, stored: &Stored| Entry {
        parts: [KEY.to_owned()].into_iter().chain(entry.parts.clone()).collect(),
        stored: stored.clone(),
    };
    let mut roots: HashMap<&[String], Flat<'_>> = HashMap::new();
    let mut averages: Vec<Entry> = vec![];
    for entry in list {
        let Some((root, name)) = flat_name(entry) else { continue };
        let flat = roots.entry(root).or_insert_with(|| flattened(&trained, root));
        if let Some(Some(of)) = flat.get(name)
            && of.stored.shape == entry.stored.shape
        {
            averages.push(below_key(of, &entry.stored));
        }
    }
    if !averages.is_empty() {
        let statistics: Vec<Entry> = trained
            .iter()
            .filter(|entry| entry.parts.last().is_some_and(|last| BUFFERS.contains(&&**last)))
            .filter(|entry| !averages.iter().any(|one| one.parts[1..] == entry.parts[..]))
            .map(|entry| below_key(entry, &entry.stored))
            .collect();
        averages.extend(statistics);
    }
    averages
}

/// Where the network lies of which this may be an average, and the flat name.
fn flat_name(entry: &Entry) -> Option<(&[String], &str)> {
    let (last, front) = entry.parts.split_last()?;
    match (last.strip_prefix(MARK), front.split_last()) {
        (Some(name), _) => Some((front, name)),
        (None, Some((key, root))) if is_average(key) => Some((root, last)),
        _ => None,
    }
}

/// What lies below `root`, perhaps in one more of the usual modules.
fn flattened<'a>(trained: &[&'a Entry], root: &[String]) -> Flat<'a> {
    let mut flat = Flat::new();
    for &entry in trained {
        let Some(rest) = entry.parts.strip_prefix(root) else { continue };
        let inner = rest.split_first().filter(|(first, _)| is_wrapper(first));
        for parts in [Some(rest), inner.map(|(_, inner)| inner)].into_iter().flatten() {
            for name in [parts.join("_"), parts.concat()] {
                // A name of one part is the same in both.
                let other = |known: &mut Option<&Entry>| {
                    *known = known.filter(|known| std::ptr::eq(*known, entry));
                };
                flat.entry(name).and_modify(other).or_insert(Some(entry));
            }
        }
    }
    flat
}
