//! Checkpoints keep weights inside other things: `{"state_dict": …, "optimizer": …}`, `module.conv1.weight`, averages.
//!
//! Names in a file are the paths through its dictionaries, joined by dots; this finds the prefix below which the weights
//! of one network lie. No tensors here.

use std::collections::BTreeSet;

/// Which weights of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Those that were trained; their average if the file has nothing else.
    #[default]
    Trained,
    /// Their moving average (EMA).
    Average,
    /// Those under a key of the file's outermost dictionary.
    Key(String),
}

/// Keys under which trained weights lie, the surest first.
const TRAINED: [&str; 7] =
    ["state_dict", "model_state_dict", "model_state", "model", "net", "network", "params"];
/// Keys under which averaged weights lie.
const AVERAGE: [&str; 6] =
    ["state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema"];
/// Modules around a network: data parallelism, compilation, averaging.
const SHELLS: [&str; 2] = ["module", "_orig_mod"];

/// Tensors that are no weights: they count batches, or repeat what a layer is by definition.
pub(crate) fn is_ignored(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "num_batches_tracked" | "n_averaged" | "id_tensor")
}

/// The prefix, with its dot, below which the wanted weights lie.
///
/// # Errors
/// The part is not there: the names of those that are.
pub(crate) fn prefix<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    part: &Part,
) -> Result<String, Vec<String>> {
    let mut prefix = String::new();
    match part {
        Part::Trained => {}
        Part::Key(key) => prefix = format!("{key}."),
        Part::Average => {
            let heads = heads(names.clone(), "");
            let Some(key) = AVERAGE.iter().find(|key| heads.contains(**key)) else {
                return Err(owned(&heads));
            };
            prefix = format!("{key}.");
        }
    }
    if !names.clone().any(|name| name.starts_with(&prefix)) {
        return Err(owned(&heads(names, "")));
    }
    while let Some(key) = inner(names.clone(), &prefix) {
        prefix.push_str(key);
        prefix.push('.');
    }
    Ok(prefix)
}

/// The key below which the weights lie, if what lies below `prefix` is not a network yet.
fn inner<'a>(names: impl Iterator<Item = &'a str> + Clone, prefix: &str) -> Option<&'static str> {
    let heads = heads(names.clone(), prefix);
    let all = || TRAINED.into_iter().chain(AVERAGE);
    if heads.len() == 1 {
        return all().chain(SHELLS).find(|key| heads.contains(key));
    }
    // A network may have a part called `model`; then what lies beside it are weights, too.
    let beside = names.filter_map(|name| name.strip_prefix(prefix)).any(|name| {
        let head = name.split('.').next().unwrap_or(name);
        name.ends_with("weight") && !all().any(|key| key == head)
    });
    if beside {
        return None;
    }
    all().find(|key| heads.contains(key))
}

/// The first parts of all names below `prefix`.
fn heads<'a>(names: impl Iterator<Item = &'a str>, prefix: &str) -> BTreeSet<&'a str> {
    names
        .filter(|name| !is_ignored(name))
        .filter_map(|name| name.strip_prefix(prefix))
        .filter_map(|name| name.split('.').next())
        .collect()
}

fn owned(heads: &BTreeSet<&str>) -> Vec<String> {
    heads.iter().map(|head| (*head).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], part: &Part) -> Result<String, Vec<String>> {
        prefix(names.iter().copied(), part)
    }

    #[test]
    fn weights_are_found_in_what_is_around_them() {
        let plain = |names: &[&str]| of(names, &Part::Trained).unwrap();
        assert_eq!(plain(&["conv1.weight", "fc.bias"]), "");
        assert_eq!(plain(&["conv1.weight"]), "");
        assert_eq!(plain(&["module.conv1.weight", "module.fc.bias"]), "module.");
        let trained = ["state_dict.conv1.weight", "optimizer.state.0.momentum_buffer"];
        assert_eq!(plain(&trained), "state_dict.");
        let deep =
            ["state_dict.model._orig_mod.conv1.weight", "state_dict.model._orig_mod.fc.bias"];
        assert_eq!(plain(&deep), "state_dict.model._orig_mod.");
        // A network with a part called `model`.
        assert_eq!(plain(&["model.conv1.weight", "head.weight"]), "");
    }

    #[test]
    fn averages_are_found_when_asked_for() {
        let both = ["model.fc.weight", "model_ema.n_averaged", "model_ema.module.fc.weight"];
        assert_eq!(of(&both, &Part::Trained).unwrap(), "model.");
        assert_eq!(of(&both, &Part::Average).unwrap(), "model_ema.module.");
        assert_eq!(of(&both, &Part::Key("model".into())).unwrap(), "model.");
        assert_eq!(of(&both[1..], &Part::Trained).unwrap(), "model_ema.module.");
        assert_eq!(of(&both[..1], &Part::Average), Err(vec!["model".to_owned()]));
        assert_eq!(of(&both[..1], &Part::Key("x".into())), Err(vec!["model".to_owned()]));
    }
}
