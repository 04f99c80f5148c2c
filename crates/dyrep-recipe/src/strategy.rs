//! `[strategy]`: where branches come from. What a fixed strategy needs is its name, and which convolutions it is for; what
//! growing needs has the names and spellings of the controller's own configuration.

use std::path::PathBuf;

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

/// What trains as blocks do without being any.
const REP_OPTIMIZER: &str = "repoptimizer";

/// Strategies: the presets, of which `dyrep` is grown and `repnas` searched, `dyrep-online`, and `repoptimizer`.
pub const STRATEGIES: &[&str] = &{
    let mut names = [DYREP_ONLINE; Preset::NAMES.len() + 2];
    names[Preset::NAMES.len() + 1] = REP_OPTIMIZER;
    let mut i = 0;
    while i < Preset::NAMES.len() {
        names[i] = Preset::NAMES[i];
        i += 1;
    }
    names
};

/// The keys that `repoptimizer` alone has.
const OF_SCALES: [&str; 2] = ["scales", "search"];

/// Every key that the section can have.
const KEYS: &[&str] = &{
    let mut keys = ["name"; growth::KEYS.len() + search::KEYS.len() + OF_SCALES.len() + 1];
    let mut i = 0;
    while i < OF_SCALES.len() {
        keys[growth::KEYS.len() + search::KEYS.len() + 1 + i] = OF_SCALES[i];
        i += 1;
    }
    i = 0;
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
    /// Plain convolutions, whose gradients are multiplied so that they train as CSLA's blocks would (RepOptimizer, arXiv
    /// 2205.15242); or the search for the constants of these.
    RepOptimizer(RepOptimizerRecipe),
}

/// Blocks that a training is equal to, without being any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepOptimizerRecipe {
    /// Which convolutions are trained so.
    pub only: Selection,
    /// A file of the blocks' constants, `scales.json` of a run's folder; absent: those that a search starts from.
    pub scales: Option<PathBuf>,
    /// Whether the constants are searched: the blocks are there, and their scales are learnt.
    pub search: bool,
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
        #[derive(Default, Serialize)]
        struct Named<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            only: Option<&'a Selection>,
            #[serde(flatten)]
            growth: Option<&'a GrowthRecipe>,
            #[serde(flatten)]
            found: Option<&'a SearchRecipe>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scales: Option<&'a PathBuf>,
            #[serde(skip_serializing_if = "Option::is_none")]
            search: Option<bool>,
        }
        let named = Named { name: self.name(), ..Named::default() };
        let said = |only| Some(only).filter(|only: &&Selection| !only.is_default());
        let named = match self {
            Self::Plain => named,
            Self::Fixed(FixedRecipe { only, .. }) => Named { only: said(only), ..named },
            Self::DyRep(growth) => Named { growth: Some(growth), ..named },
            Self::RepNas(search) => Named { found: Some(search), ..named },
            Self::RepOptimizer(RepOptimizerRecipe { only, scales, search }) => {
                let scales = scales.as_ref();
                Named { only: said(only), scales, search: Some(*search), ..named }
            }
        };
        named.serialize(serializer)
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
            Self::RepOptimizer(_) => REP_OPTIMIZER,
        }
    }

    /// The branches that the network is built with, and which convolutions have them. Those of
    /// [`RepOptimizer`](Self::RepOptimizer) stand in front of the network's own norms, and so come after it is built.
    #[must_use]
    pub fn branching(&self) -> Branching {
        let starting = |branches, only: &Selection| Branching { branches, only: only.clone() };
        match self {
            Self::Plain | Self::RepOptimizer(_) => Branching::default(),
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
            key if OF_SCALES.contains(&key) => name == REP_OPTIMIZER,
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
        if name == REP_OPTIMIZER {
            let mut recipe = RepOptimizerRecipe::default();
            while let Some(key) = keys.next_key::<String>()? {
                match key.as_str() {
                    "only" => recipe.only = keys.next_value()?,
                    "scales" => recipe.scales = Some(keys.next_value()?),
                    _ => recipe.search = keys.next_value()?,
                }
            }
            return Ok(Self::RepOptimizer(recipe));
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
