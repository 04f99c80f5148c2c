//! `[strategy]`: where branches come from. What a fixed strategy needs is its name, and which convolutions it is for; what
//! growing needs has the names and spellings of the controller's own configuration.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::bounds::{Name, Names};
use super::growth::GrowthRecipe;
use super::selection::SelectionRecipe;

/// Strategies.
pub const STRATEGIES: &[&str] = &["plain", "acnet", "repvgg", "dbb", "dyrep"];

struct Strategies;

impl Names for Strategies {
    const ALL: &'static [&'static str] = STRATEGIES;
}

/// Every key that the section can have.
const KEYS: &[&str] = &[
    "name",
    "only",
    "start",
    "score",
    "per_weight",
    "branches",
    "interval",
    "first_epoch",
    "last_epoch",
    "growths",
    "max_depth",
    "grow_in",
    "never_grow_in",
    "budget",
    "calibration_batches",
    "norm_rule",
    "cut_rule",
    "fidelity",
];

/// Where branches come from. `name` says which; `only` goes with all that start with branches, all other keys belong to
/// `dyrep`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there is one a recipe")]
pub enum StrategyRecipe {
    /// No branches.
    Plain,
    /// ACNet's from the start (arXiv 1908.03930).
    AcNet(FixedRecipe),
    /// RepVGG's from the start (arXiv 2101.03697).
    RepVgg(FixedRecipe),
    /// DBB's from the start (arXiv 2103.13425).
    Dbb(FixedRecipe),
    /// Grown and cut while training; none at the start unless it is said (arXiv 2203.12868).
    DyRep(GrowthRecipe),
}

/// Branches that are there from the start, and stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FixedRecipe {
    /// Which convolutions have them.
    #[serde(skip_serializing_if = "SelectionRecipe::is_default")]
    pub only: SelectionRecipe,
}

impl StrategyRecipe {
    /// The name in a recipe.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::AcNet(_) => "acnet",
            Self::RepVgg(_) => "repvgg",
            Self::Dbb(_) => "dbb",
            Self::DyRep(_) => "dyrep",
        }
    }
}

impl<'de> Deserialize<'de> for StrategyRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

/// Reads the section; the name comes first, and decides which keys may follow.
struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = StrategyRecipe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrategyRecipe, A::Error> {
        if map.next_key_seed(Key { strategy: None })? != Some(true) {
            return Err(A::Error::missing_field("name"));
        }
        let strategy = map.next_value::<Name<Strategies>>()?.into_inner();
        if strategy == "dyrep" {
            let growth = GrowthRecipe::deserialize(MapAccessDeserializer::new(map))?;
            return Ok(StrategyRecipe::DyRep(growth));
        }
        let mut fixed = FixedRecipe::default();
        while map.next_key_seed(Key { strategy: Some(&strategy) })?.is_some() {
            fixed.only = map.next_value()?;
        }
        Ok(match strategy.as_str() {
            "acnet" => StrategyRecipe::AcNet(fixed),
            "repvgg" => StrategyRecipe::RepVgg(fixed),
            "dbb" => StrategyRecipe::Dbb(fixed),
            _ => StrategyRecipe::Plain,
        })
    }
}

/// The key `name`, or, behind a fixed strategy's name, `only`. What is wrong is found on reading a key and not
/// later, so that the fault has the key's place.
struct Key<'a> {
    strategy: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    /// Whether it is `name`.
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let key = String::deserialize(deserializer)?;
        let refused = |with: &str, strategy| {
            let message = format!("`{key}` in [strategy] goes with {with}, not with `{strategy}`");
            Err(D::Error::custom(message))
        };
        match self.strategy {
            _ if !KEYS.contains(&key.as_str()) => Err(D::Error::unknown_field(&key, KEYS)),
            None => Ok(key == "name"),
            Some("plain") if key == "only" => refused("a strategy that has branches", "plain"),
            Some(_) if key == "only" => Ok(false),
            Some(strategy) => refused("the strategy `dyrep`", strategy),
        }
    }
}
