//! Weights in several files, with an index that says which tensor lies in which: `model.safetensors.index.json`.
//!
//! `{"metadata": …, "weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", …}}`. The files lie beside the
//! index; a name that leads anywhere else is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::{Contents, Found, Source};
use crate::error::WeightsError;

/// The longest index, in bytes: a hundred thousand tensors fit.
const LONGEST: u64 = 16 << 20;
/// The most files.
const MOST: usize = 4096;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// All tensors of the index, and how many bytes its files have together.
pub(super) fn read(source: &Source<'_>) -> Result<(Found, u64), WeightsError> {
    if source.length > LONGEST {
        return Err(source.oversized("its index", source.length, LONGEST));
    }
    let text = std::fs::read(source.file).map_err(|error| source.io(error))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| {
        source.malformed(format!("as JSON it would be an index of sharded weights: {error}"))
    })?;
    let files: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    if files.len() > MOST {
        return Err(source.malformed(format!("it names more than {MOST} files")));
    }
    let folder = source.file.parent().unwrap_or(Path::new(""));
    let mut found = Found::default();
    let mut length = 0u64;
    for name in files {
        let mut parts = Path::new(name).components();
        let beside = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !beside {
            return Err(source.malformed(format!("`{name}` in it does not lie beside it")));
        }
        let part = Contents::read(&folder.join(name), false)?;
        length = length.saturating_add(part.length);
        let wanted = |tensor: &String| index.weight_map.get(tensor).is_some_and(|in_| in_ == name);
        found.0.extend(part.tensors.into_iter().filter(|(tensor, _)| wanted(tensor)));
        found.1 = found.1.or(part.note);
    }
    match index.weight_map.iter().find(|(tensor, _)| !found.0.contains_key(*tensor)) {
        Some((tensor, file)) => {
            Err(source.malformed(format!("`{file}` beside it has no tensor `{tensor}`")))
        }
        None => Ok((found, length)),
    }
}
