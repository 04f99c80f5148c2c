//! Recipes: everything that a training run is made of, in one TOML file.
//!
//! ```text
//! file ─▶ tree (keys with lines) ◀─ overrides
//!           └─▶ serde, section by section ─▶ checks across sections ─▶ Recipe
//! ```
//!
//! A recipe is plain data; it builds nothing. Reading it checks everything that can be known without the data
//! and the network: keys, types, names, bounds, and what does not go together. The first mistake in the
//! file's order is told with its line, and overrides count as lines behind the file. The keys and the shipped
//! recipes are described in `recipes/README.md`.
//!
//! A section holds the very configuration that is used: [`TransformSpec`](dyrep_data::TransformSpec)s and
//! [`MixSpec`](dyrep_data::MixSpec)s, an [`OptimizerConfig`], a [`ScheduleConfig`], a [`LossConfig`], a
//! [`ControllerConfig`], [`Branches`](dyrep_config::Branches) and a [`Selection`](dyrep_config::Selection). What a section
//! leaves to the run is filled in by one method each: [`Recipe::controller`], [`Recipe::search`].

mod augmentation;
mod beside;
mod check;
mod distillation;
mod error;
mod fault;
mod growth;
mod optimization;
mod overrides;
mod read;
mod resumed;
mod run;
mod search;
mod shipped;
mod strategy;
mod task;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dyrep_config::{ControllerConfig, SearchConfig};
use dyrep_schema as bounds;
use serde::{Deserialize, Serialize};

pub use augmentation::AugmentationRecipe;
pub use distillation::DistillationRecipe;
pub use error::{Place, RecipeError};
pub use growth::GrowthRecipe;
pub use optimization::{
    ClassWeights, LossConfig, Method, OPTIMIZERS, OptimizerConfig, ParameterGroup, Plateau,
    ScheduleConfig, ScheduleKind,
};
pub use overrides::Override;
pub use run::{EvaluationRecipe, RunRecipe, Shipped};
pub use search::SearchRecipe;
pub use strategy::{FixedRecipe, RepOptimizerRecipe, STRATEGIES, StrategyRecipe};
pub use task::{DataRecipe, DataSet, MODELS, ModelRecipe, SamplerRecipe};

use error::{Sources, suggest};
use fault::{Fault, Kind};
use read::Reader;
use tree::{At, Table};

/// Files larger than this are no recipes: a wrong path is refused before it fills the memory.
const LARGEST: u64 = 1 << 20;

/// The sections there are.
const SECTIONS: &[&str] = &[
    "model",
    "data",
    "augmentation",
    "optimizer",
    "schedule",
    "loss",
    "distillation",
    "strategy",
    "evaluation",
    "run",
];

/// A training run.
///
/// Deserialised from any format it goes through the same checks as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct Recipe {
    /// The network. Required.
    pub model: ModelRecipe,
    /// The pictures. Required.
    pub data: DataRecipe,
    /// How training pictures are changed; not at all if absent.
    pub augmentation: AugmentationRecipe,
    /// The optimiser. Required.
    pub optimizer: OptimizerConfig,
    /// How long, and at which rate. Required.
    pub schedule: ScheduleConfig,
    /// The loss; cross entropy if absent.
    pub loss: LossConfig,
    /// A teacher; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distillation: Option<DistillationRecipe>,
    /// Where branches come from. Required.
    pub strategy: StrategyRecipe,
    /// What happens after an epoch.
    pub evaluation: EvaluationRecipe,
    /// What is not about learning.
    pub run: RunRecipe,
}

impl Recipe {
    /// Reads a recipe from `text`, with `overrides` applied in their order. `origin` is what messages call
    /// the text: a file's path.
    ///
    /// An override of `strategy.name` to another strategy than the file's drops the file's other keys of
    /// that section: they belong to the strategy that they were written for.
    ///
    /// # Errors
    /// The first mistake in the file's order, with its line; mistakes in overrides come behind the file's.
    pub fn parse(text: &str, origin: &str, overrides: &[Override]) -> Result<Self, RecipeError> {
        let sources = Sources { origin, text, overrides };
        let mut root = Table::parse(text).map_err(|error| {
            let place = sources.place(At { source: 0, offset: error.offset });
            RecipeError::Syntax { place, reason: error.reason }
        })?;
        overrides::apply(&mut root, overrides)?;
        Parts::read(&root).map_err(|fault| sources.error(fault))
    }

    /// Reads a recipe from a file, with `overrides` applied in their order.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 1 MiB or no UTF-8; otherwise as [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>, overrides: &[Override]) -> Result<Self, RecipeError> {
        let path = path.as_ref();
        Self::parse(&read(path)?, &path.display().to_string(), overrides)
    }

    /// A shipped recipe, with `overrides` applied in their order.
    ///
    /// # Errors
    /// A name that none has; mistakes in overrides.
    pub fn builtin(name: &str, overrides: &[Override]) -> Result<Self, RecipeError> {
        let text = Self::builtin_text(name)?;
        Self::parse(text, &format!("recipes/{name}.toml"), overrides)
    }

    /// The text of a shipped recipe, comments included.
    ///
    /// # Errors
    /// A name that none has.
    pub fn builtin_text(name: &str) -> Result<&'static str, RecipeError> {
        let found = shipped::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text).ok_or_else(|| RecipeError::UnknownRecipe {
            name: name.to_owned(),
            suggestion: suggest(name, &shipped::NAMES),
            known: &shipped::NAMES,
        })
    }

    /// The names of the shipped recipes, in alphabetical order.
    #[must_use]
    pub const fn builtin_names() -> &'static [&'static str] {
        &shipped::NAMES
    }

    /// The controller's configuration, where the strategy grows.
    #[must_use]
    pub fn controller(&self) -> Option<ControllerConfig> {
        match &self.strategy {
            StrategyRecipe::DyRep(growth) => {
                Some(growth.controller(self.schedule.epochs, self.run.seed))
            }
            _ => None,
        }
    }

    /// The search's configuration, where the strategy searches.
    #[must_use]
    pub fn search(&self) -> Option<SearchConfig> {
        match &self.strategy {
            StrategyRecipe::RepNas(search) => search.search(self.schedule.epochs, self.run.seed),
            _ => None,
        }
    }

    /// The recipe as TOML, defaults included, which reads back as the same recipe.
    ///
    /// # Errors
    /// A path that is no UTF-8, or a number that TOML has not: neither comes from a file.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        toml::to_string(self).map_err(|error| RecipeError::Unwritable { reason: error.to_string() })
    }
}

impl TryFrom<toml::Table> for Recipe {
    type Error = RecipeError;

    fn try_from(table: toml::Table) -> Result<Self, RecipeError> {
        let unwritable =
            |error: toml::ser::Error| RecipeError::Unwritable { reason: error.to_string() };
        Self::parse(&toml::to_string(&table).map_err(unwritable)?, "recipe", &[])
    }
}

fn read(path: &Path) -> Result<String, RecipeError> {
    let refuse = |reason| RecipeError::Unreadable { path: path.to_owned(), reason };
    if path.is_dir() {
        return Err(refuse("is a folder; a recipe is a TOML file".to_owned()));
    }
    let unreadable = |error: std::io::Error| refuse(format!("cannot be read: {error}"));
    let mut bytes = vec![];
    let file = File::open(path).map_err(unreadable)?;
    let size = file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if size as u64 > LARGEST {
        return Err(refuse("is larger than 1 MiB, and so no recipe".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let place = Place::File { origin: path.display().to_string(), line: Some(line) };
        RecipeError::Syntax { place, reason: "the text is not UTF-8".to_owned() }
    })
}

/// The sections that could be read.
struct Parts {
    model: Option<ModelRecipe>,
    data: Option<DataRecipe>,
    augmentation: Option<AugmentationRecipe>,
    optimizer: Option<OptimizerConfig>,
    schedule: Option<ScheduleConfig>,
    loss: Option<LossConfig>,
    distillation: Option<Option<DistillationRecipe>>,
    strategy: Option<StrategyRecipe>,
    evaluation: Option<EvaluationRecipe>,
    run: Option<RunRecipe>,
}

impl Parts {
    /// The recipe, or its first fault. Each section is read by itself, so that a fault in one does not hide
    /// an earlier one in another.
    fn read(root: &Table) -> Result<Recipe, Fault> {
        let mut faults = vec![];
        for entry in &root.entries {
            if !SECTIONS.contains(&entry.key.as_str()) {
                let kind = Kind::UnknownKey { key: entry.key.clone(), known: SECTIONS };
                faults.push(Fault::new(kind).at(entry.at));
            }
        }
        let parts = Self {
            model: required(root, "model", &mut faults),
            data: required(root, "data", &mut faults),
            augmentation: optional(root, "augmentation", &mut faults),
            optimizer: required(root, "optimizer", &mut faults),
            schedule: required(root, "schedule", &mut faults),
            loss: optional(root, "loss", &mut faults),
            distillation: match root.get("distillation") {
                Some(_) => required(root, "distillation", &mut faults).map(Some),
                None => Some(None),
            },
            strategy: required(root, "strategy", &mut faults),
            evaluation: optional(root, "evaluation", &mut faults),
            run: optional(root, "run", &mut faults),
        };
        faults.extend(check::faults(&parts, root));
        match (faults.into_iter().min_by_key(|fault| fault.at), parts.whole()) {
            (Some(fault), _) => Err(fault),
            (None, Some(recipe)) => Ok(recipe),
            (None, None) => unreachable!("a section that was not read left a fault"),
        }
    }

    fn whole(self) -> Option<Recipe> {
        Some(Recipe {
            model: self.model?,
            data: self.data?,
            augmentation: self.augmentation?,
            optimizer: self.optimizer?,
            schedule: self.schedule?,
            loss: self.loss?,
            distillation: self.distillation?,
            strategy: self.strategy?,
            evaluation: self.evaluation?,
            run: self.run?,
        })
    }
}

/// A section without which there is no recipe.
fn required<T: for<'de> Deserialize<'de>>(
    root: &Table,
    key: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let Some(entry) = root.get(key) else {
        faults.push(Fault::new(Kind::Missing { key }).at(At::END));
        return None;
    };
    match T::deserialize(Reader(&entry.value)) {
        Ok(section) => Some(section),
        Err(fault) => {
            faults.push(fault.within(key, entry.at));
            None
        }
    }
}

/// A section that may be absent.
fn optional<T: Default + for<'de> Deserialize<'de>>(
    root: &Table,
    key: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    match root.get(key) {
        Some(_) => required(root, key, faults),
        None => Some(T::default()),
    }
}
