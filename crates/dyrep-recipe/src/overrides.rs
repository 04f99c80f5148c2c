//! Changes to a recipe from the command line: `section.key=value`.

use std::fmt;
use std::str::FromStr;

use super::bounds::ByName;
use super::error::RecipeError;
use super::optimization::OptimizerConfig;
use super::tree::{At, Entry, Table, Value};

/// One value of a recipe, set anew: `optimizer.learning_rate=0.05`.
///
/// The value is TOML; what is not, such as a path or a word, counts as a string. Keys may go into tables
/// (`strategy.cut_rule.threshold.max_ratio=0.2`), not into lists, which are given whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    text: String,
    path: Vec<String>,
    value: Value,
}

impl FromStr for Override {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        let refuse = |reason: String| RecipeError::BadOverride { text: text.to_owned(), reason };
        let form = "expected `section.key=value`, for example `schedule.epochs=10`";
        let (path, written) = text.split_once('=').ok_or_else(|| refuse(form.to_owned()))?;
        let path: Vec<String> = path.trim().split('.').map(|key| key.trim().to_owned()).collect();
        let in_keys = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if path.iter().any(|key| key.is_empty() || !key.chars().all(in_keys)) {
            return Err(refuse(form.to_owned()));
        }
        let written = written.trim();
        if written.is_empty() {
            return Err(refuse("expected a value behind `=`".to_owned()));
        }
        let value = match Value::parse(written) {
            Ok(value) => value,
            Err(error) if written.starts_with(['[', '{', '"', '\'']) => {
                return Err(refuse(format!("the value is not TOML: {}", error.reason)));
            }
            Err(_) => Value::String(written.to_owned()),
        };
        Ok(Self { text: text.to_owned(), path, value })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Override {
    fn sets(&self, path: &[&str]) -> bool {
        self.path == path
    }
}

/// Applies overrides in their order.
pub(super) fn apply(root: &mut Table, overrides: &[Override]) -> Result<(), RecipeError> {
    forget_other_strategy(root, overrides);
    forget_other_optimizer(root, overrides);
    for (number, given) in (1..).zip(overrides) {
        let at = At { source: number, offset: 0 };
        root.set(&given.path, at, &given.value).map_err(|depth| {
            let inside = given.path[..depth].join(".");
            let reason = format!("`{inside}` is no table, so nothing in it can be set");
            RecipeError::BadOverride { text: given.text.clone(), reason }
        })?;
    }
    Ok(())
}

/// Another strategy than the file's starts from its own defaults: the file's keys belong to the strategy
/// that they were written for. So strategies can be compared under one recipe.
fn forget_other_strategy(root: &mut Table, overrides: &[Override]) {
    let name = overrides.iter().rev().find(|given| given.sets(&["strategy", "name"]));
    let section = root.entries.iter_mut().find(|entry| entry.key == "strategy");
    let (Some(name), Some(Entry { value: Value::Table(section), .. })) = (name, section) else {
        return;
    };
    if section.get("name").is_some_and(|entry| entry.value != name.value) {
        section.entries.clear();
    }
}

/// Another optimiser than the file's does without the file's keys that it does not have.
fn forget_other_optimizer(root: &mut Table, overrides: &[Override]) {
    let name = overrides.iter().rev().find(|given| given.sets(&["optimizer", "name"]));
    let section = root.entries.iter_mut().find(|entry| entry.key == "optimizer");
    let (
        Some(Override { value: Value::String(name), .. }),
        Some(Entry { value: Value::Table(section), .. }),
    ) = (name, section)
    else {
        return;
    };
    section.entries.retain(|entry| OptimizerConfig::has(name, &entry.key));
}
