//! When and how branches are searched: the search's own configuration, but for what the run decides; or a structure that a
//! search has found.

use std::path::PathBuf;

use dyrep_config::{SearchConfig, Selection};
use serde::de::MapAccess;
use serde::{Deserialize, Serialize, Serializer};

use super::beside::read_beside;
use super::bounds::{Count, OrNone, some_whole};

/// The keys of the strategy `repnas` alone, beside `name` and `only`.
pub(super) const KEYS: &[&str] = &[
    "structure",
    "share",
    "random_until",
    "search_until",
    "alpha_learning_rate",
    "alpha_betas",
    "alpha_weight_decay",
];

/// When and how branches are searched.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchRecipe {
    /// Which convolutions are searched.
    #[serde(skip_serializing_if = "Selection::is_default")]
    pub only: Selection,
    /// What a search has found, a file of the structure or the run's folder: it is trained from scratch, and nothing is
    /// searched. The keys of the search then mean nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<PathBuf>,
    /// Epochs of random masks. Absent: a tenth of the run's, as in the published 15 of 150.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_until: Option<usize>,
    /// The last epoch of the search. Absent: a third of the run's, as in the published 50 of 150.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_until: Option<usize>,
    /// All else.
    #[serde(flatten, serialize_with = "of_the_section")]
    pub config: SearchConfig,
}

/// Writes what the section has keys for.
fn of_the_section<S: Serializer>(config: &SearchConfig, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Section {
        share: f64,
        alpha_learning_rate: f64,
        alpha_betas: [f64; 2],
        alpha_weight_decay: f64,
    }
    let SearchConfig { share, alpha_learning_rate, alpha_betas, alpha_weight_decay, .. } = *config;
    Section { share, alpha_learning_rate, alpha_betas, alpha_weight_decay }.serialize(to)
}

impl SearchRecipe {
    /// The search's configuration in a run of so many epochs with this seed; none where a structure is given.
    #[must_use]
    pub fn search(&self, epochs: usize, seed: u64) -> Option<SearchConfig> {
        let search_until = self.search_until.unwrap_or((epochs / 3).max(1));
        let usual = (epochs / 10).min(search_until.saturating_sub(1));
        let random_until = self.random_until.unwrap_or(usual);
        let config = SearchConfig { random_until, search_until, seed, ..self.config.clone() };
        self.structure.is_none().then_some(config)
    }

    /// Reads what stands beside the strategy's name: `only`, [`KEYS`], and no others.
    pub(super) fn read<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let mut own = Self::default();
        // What the run decides where it is absent, among others.
        let config = read_beside(map, |key, map| {
            match key {
                "only" => own.only = map.next_value()?,
                "structure" => own.structure = Some(map.next_value()?),
                "random_until" => own.random_until = map.next_value::<Random>()?.0,
                "search_until" => own.search_until = map.next_value::<Until>()?.0,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { config, ..own })
    }
}

#[derive(Deserialize)]
struct Random(#[serde(deserialize_with = "some_whole::<OrNone, _>")] Option<usize>);

#[derive(Deserialize)]
struct Until(#[serde(deserialize_with = "some_whole::<Count, _>")] Option<usize>);
