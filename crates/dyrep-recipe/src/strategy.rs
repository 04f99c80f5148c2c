//! `[strategy]`: where branches come from. What a fixed strategy needs is its name, and which convolutions it is for; what
//! growing needs has the names and spellings of the controller's own configuration.

use dyrep_config::{Branches, Branching, Preset, Selection};
use serde::de::{Deserializer, Error, MapAccess};
use serde::{Deserialize, Serialize, Serializer};

use super::bounds::{ByName, by_name};
use super::growth::{self, GrowthRecipe};
use super::search::{self, SearchRecipe};

/// What grows without norms inside.
const DYREP_ONLINE: &str = "dyrep-online";

/// What is searched.
const REPNAS: &str = Preset::RepNas.name();

/// Strategies: the presets, of which `dyrep` is grown and `repnas` searched, and `dyrep-online`.
pub const STRATEGIES: &[&str] = &{
    let mut names = [DYREP_ONLINE; Preset::NAMES.len() + 1];
    let mut i = 0;
    while i < Preset::NAMES.len() {
        names[i] = Preset::NAMES[i];
        i += 1;
    }
    names
};

/// Every key that the section can have.
const KEYS: &[&str] = &{
    let mut keys = ["name"; growth::KEYS.len() + search::KEYS.len() + 1];
    let mut i = 0;
    while i < growth::KEYS.len() {
        keys[i + 1] = growth::KEYS[i];
        i += 1;
    }
    let mut i = 0;
    while i < search::KEYS.len() {
        keys[growth::KEYS.len() + i + 1] = search::KEYS[i];
        i += 1;
    }
    keys
};

/// Where branches come from. `name` says which; `only` goes with all that start with branches, all other keys belong to
/// `dyrep` or to `repnas`.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one a recipe")]
pub enum StrategyRecipe {
    /// No branches.
    Plain,
    /// Those of a preset from the start, and none later.
    Fixed(FixedRecipe),
    /// Grown and cut while training; none at the start unless it is said (arXiv 2203.12868). What grows may be
    /// [online](Branches::Online): the strategy `dyrep-online`.
    DyRep(GrowthRecipe),
    /// Searched while training: at the end the best share of all is left (arXiv 2109.03508). Or what a search has found.
    RepNas(SearchRecipe),
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
            #[serde(flatten)]
            search: Option<&'a SearchRecipe>,
        }
        let (only, growth, search) = match self {
            Self::Plain => (None, None, None),
            Self::Fixed(fixed) => (Some(&fixed.only).filter(|only| !only.is_default()), None, None),
            Self::DyRep(growth) => (None, Some(growth), None),
            Self::RepNas(search) => (None, None, Some(search)),
        };
        Named { name: self.name(), only, growth, search }.serialize(serializer)
    }
}

impl StrategyRecipe {
    /// The name in a recipe.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fixed(fixed) => fixed.preset.name(),
            Self::DyRep(growth) if matches!(growth.config.branches, Branches::Online(_)) => {
                DYREP_ONLINE
            }
            Self::DyRep(_) => "dyrep",
            Self::RepNas(_) => REPNAS,
        }
    }

    /// The branches that convolutions start with, and which do.
    #[must_use]
    pub fn branching(&self) -> Branching {
        let starting = |branches, only: &Selection| Branching { branches, only: only.clone() };
        match self {
            Self::Plain => Branching::default(),
            Self::Fixed(FixedRecipe { preset, only }) => starting((*preset).into(), only),
            Self::RepNas(search) => starting(Preset::RepNas.into(), &search.only),
            Self::DyRep(GrowthRecipe { start, only, .. }) => {
                start.clone().map_or_else(Branching::default, |branches| starting(branches, only))
            }
        }
    }
}

impl<'de> Deserialize<'de> for StrategyRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_name(deserializer)
    }
}

impl ByName for StrategyRecipe {
    const PLACE: &str = "[strategy]";
    const NAMES: &'static [&'static str] = STRATEGIES;
    const UNNAMED: Option<&'static str> = None;
    const KEYS: &'static [&'static str] = KEYS;

    fn has(name: &str, key: &str) -> bool {
        match key {
            "only" => name != "plain",
            key if search::KEYS.contains(&key) => name == REPNAS,
            _ => name == "dyrep" || name == DYREP_ONLINE,
        }
    }

    fn read<'de, A: MapAccess<'de>>(name: &'static str, mut keys: A) -> Result<Self, A::Error> {
        if name == "dyrep" || name == DYREP_ONLINE {
            let online = name == DYREP_ONLINE;
            let usual = if online { Branches::Online(Preset::DyRep) } else { Preset::DyRep.into() };
            let growth = GrowthRecipe::read(keys, usual)?;
            return match growth.config.branches {
                Branches::Online(_) => Ok(Self::DyRep(growth)),
                _ if online => Err(A::Error::custom(
                    "`branches` in [strategy] of `dyrep-online` must be `{ online = \"PRESET\" }`",
                )),
                _ => Ok(Self::DyRep(growth)),
            };
        }
        if name == REPNAS {
            return SearchRecipe::read(keys).map(Self::RepNas);
        }
        let mut only = Selection::default();
        while keys.next_key::<String>()?.is_some() {
            only = keys.next_value()?;
        }
        Ok(match name.parse().map_err(A::Error::custom)? {
            Preset::Plain => Self::Plain,
            preset => Self::Fixed(FixedRecipe { preset, only }),
        })
    }
}
