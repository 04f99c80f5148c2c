//! When and how branches are searched: the search's own configuration, but for what the run decides; or a structure that a
//! search has found.

use std::path::PathBuf;

use dyrep_config::{SearchConfig, Selection};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, MapAccess};
use serde::{Deserialize, Serialize, Serializer};

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
        let mut section = Section { map, own: Self::default() };
        let config = SearchConfig::deserialize(MapAccessDeserializer::new(&mut section))?;
        Ok(Self { config, ..section.own })
    }
}

/// The section as the search sees it: what the run decides where it is absent is read on the way.
struct Section<A> {
    map: A,
    own: SearchRecipe,
}

#[derive(Deserialize)]
struct Random(#[serde(deserialize_with = "some_whole::<OrNone, _>")] Option<usize>);

#[derive(Deserialize)]
struct Until(#[serde(deserialize_with = "some_whole::<Count, _>")] Option<usize>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for &mut Section<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            match key.as_str() {
                "only" => self.own.only = self.map.next_value()?,
                "structure" => self.own.structure = Some(self.map.next_value()?),
                "random_until" => self.own.random_until = self.map.next_value::<Random>()?.0,
                "search_until" => self.own.search_until = self.map.next_value::<Until>()?.0,
                key => return seed.deserialize(StrDeserializer::new(key)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
