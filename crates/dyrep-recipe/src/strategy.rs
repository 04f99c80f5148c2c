//! `[strategy]`: where branches come from. What a fixed strategy needs is its name, and which convolutions it is for; what
//! growing needs has the names and spellings of the controller's own configuration.

use std::fmt;

use dyrep_config::{Branching, Preset, Selection};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::bounds::{Name, Names};
use super::growth::{self, GrowthRecipe};

/// Strategies: the presets, of which `dyrep` is grown.
pub const STRATEGIES: &[&str] = &Preset::NAMES;

struct Strategies;

impl Names for Strategies {
    fn all() -> &'static [&'static str] {
        STRATEGIES
    }
}

/// Every key that the section can have.
const KEYS: &[&str] = &{
    let mut keys = ["name"; growth::KEYS.len() + 1];
    let mut i = 0;
    while i < growth::KEYS.len() {
        keys[i + 1] = growth::KEYS[i];
        i += 1;
    }
    keys
};

/// Where branches come from. `name` says which; `only` goes with all that start with branches, all other keys belong to
/// `dyrep`.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one a recipe")]
pub enum StrategyRecipe {
    /// No branches.
    Plain,
    /// Those of a preset from the start, and none later.
    Fixed(FixedRecipe),
    /// Grown and cut while training; none at the start unless it is said (arXiv 2203.12868).
    DyRep(GrowthRecipe),
}

/// Branches that are there from the start, and stay.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedRecipe {
    /// Whose they are.
    pub preset: Preset,
    /// Which convolutions have them.
    pub only: Selection,
}

impl Serialize for StrategyRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            only: Option<&'a Selection>,
            #[serde(flatten)]
            growth: Option<&'a GrowthRecipe>,
        }
        let (only, growth) = match self {
            Self::Plain => (None, None),
            Self::Fixed(fixed) => (Some(&fixed.only).filter(|only| !only.is_default()), None),
            Self::DyRep(growth) => (None, Some(growth)),
        };
        Named { name: self.name(), only, growth }.serialize(serializer)
    }
}

impl StrategyRecipe {
    /// The name in a recipe.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fixed(fixed) => fixed.preset.name(),
            Self::DyRep(_) => "dyrep",
        }
    }

    /// The branches that convolutions start with, and which do.
    #[must_use]
    pub fn branching(&self) -> Branching {
        let starting = |branches, only: &Selection| Branching { branches, only: only.clone() };
        match self {
            Self::Plain => Branching::default(),
            Self::Fixed(FixedRecipe { preset, only }) => starting((*preset).into(), only),
            Self::DyRep(GrowthRecipe { start, only, .. }) => {
                start.clone().map_or_else(Branching::default, |branches| starting(branches, only))
            }
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
            return GrowthRecipe::read(map).map(StrategyRecipe::DyRep);
        }
        let mut only = Selection::default();
        while map.next_key_seed(Key { strategy: Some(&strategy) })?.is_some() {
            only = map.next_value()?;
        }
        Ok(match strategy.parse().map_err(A::Error::custom)? {
            Preset::Plain => StrategyRecipe::Plain,
            preset => StrategyRecipe::Fixed(FixedRecipe { preset, only }),
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
