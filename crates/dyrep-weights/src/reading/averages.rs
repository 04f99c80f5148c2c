//! Averages whose names have lost their dots.
//!
//! `LitEma` keeps the average of each parameter as a buffer that is named without dots: that of `model.conv1.weight` is
//! `model_ema.conv1weight`. Where dots were is told by the trained parameters, which lie beside. It averages parameters
//! alone, and uses them with the trained network's running statistics.
//!
//! mmcv's and mmengine's `EMAHook` put the averages in the place of the weights before they save: `state_dict` then holds
//! the averages, and `ema_backbone_conv1_weight` (mmcv) or `ema_state_dict` (mmengine) the weights without averaging. What
//! is called an average there is none.

use std::collections::{HashMap, HashSet};

use super::Entry;
use super::words::{is_average, is_wrapper};
use crate::tensor::Stored;

/// What stands in front of a flat name of mmcv's.
const MARK: &str = "ema_";
/// What mmengine keeps the weights without averaging in, and what else lies there.
const SWAPPED: [&str; 2] = ["ema_state_dict", "steps"];
/// The key below which averages lie here.
const KEY: &str = "ema";
/// Last parts of names of what is no parameter and so not averaged.
const BUFFERS: [&str; 2] = ["running_mean", "running_var"];
/// Networks in a file whose averages may have such names.
const MOST_ROOTS: usize = 16;

/// Trained parameters by what becomes of their names without dots; none of two that become the same.
type Flat<'a> = HashMap<String, Option<&'a Entry>>;

/// The averages in `list` whose names are flat, under the names of what they are averages of, below [`KEY`]; and below it
/// the running statistics that go with them. Empty if there are none.
pub(super) fn with_dots(list: &[Entry]) -> Vec<Entry> {
    let trained = trained(list);
    let below_key = |entry: &Entry, stored: &Stored| Entry {
        parts: [KEY.to_owned()].into_iter().chain(entry.parts.clone()).collect(),
        stored: stored.clone(),
    };
    let mut roots: HashMap<&[String], Flat<'_>> = HashMap::new();
    let (mut averages, mut known) = (vec![], HashSet::new());
    for entry in list {
        let Some([root @ .., key, name]) = entry.parts.get(..) else { continue };
        if !is_average(key) || (roots.len() == MOST_ROOTS && !roots.contains_key(root)) {
            continue;
        }
        let flat =
            roots.entry(root).or_insert_with(|| flattened(&trained, root, |parts| parts.join("")));
        if let Some(Some(of)) = flat.get(name)
            && of.stored.shape == entry.stored.shape
        {
            known.insert(&of.parts);
            averages.push(below_key(of, &entry.stored));
        }
    }
    if !averages.is_empty() {
        let statistics = trained
            .iter()
            .filter(|entry| entry.parts.last().is_some_and(|last| BUFFERS.contains(&&**last)))
            .filter(|entry| !known.contains(&entry.parts));
        averages.extend(statistics.map(|entry| below_key(entry, &entry.stored)));
    }
    averages
}

/// What is called an average in `list` and is what was averaged, if that is so.
pub(super) fn swapped(list: &[Entry]) -> Option<String> {
    let ends =
        |entry: &&Entry| matches!(&entry.parts[..], [.., key, last] if [key, last] == SWAPPED);
    if list.iter().any(|entry| ends(&entry)) {
        return Some(SWAPPED[0].to_owned());
    }
    let trained = trained(list);
    let mut marked = list.iter().filter_map(|entry| {
        let (last, root) = entry.parts.split_last()?;
        Some((root, last.strip_prefix(MARK)?, entry))
    });
    let (root, name, entry) = marked.next()?;
    let flat = flattened(&trained, root, |parts| parts.join("_"));
    flat.contains_key(name).then(|| entry.stored.origin.clone())
}

fn trained(list: &[Entry]) -> Vec<&Entry> {
    list.iter().filter(|entry| !entry.parts.iter().any(|part| is_average(part))).collect()
}

/// What lies below `root`, perhaps in one more of the usual modules.
fn flattened<'a>(
    trained: &[&'a Entry],
    root: &[String],
    flat_name: fn(&[String]) -> String,
) -> Flat<'a> {
    let mut flat = Flat::new();
    for &entry in trained {
        let Some(rest) = entry.parts.strip_prefix(root) else { continue };
        let inner = rest.split_first().filter(|(first, _)| is_wrapper(first));
        for parts in [Some(rest), inner.map(|(_, inner)| inner)].into_iter().flatten() {
            let other = |known: &mut Option<&Entry>| {
                *known = known.filter(|known| std::ptr::eq(*known, entry));
            };
            flat.entry(flat_name(parts)).and_modify(other).or_insert(Some(entry));
        }
    }
    flat
}
