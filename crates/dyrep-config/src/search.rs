//! What a search for branches does when.

use dyrep_schema::{BelowOne, Count, NotNegative, OrNone, Positive, Share, real, whole};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::error::SearchConfigError;

/// How the branches of a network are searched (RepNAS, arXiv 2109.03508). Every gated branch has a score α, zero at first;
/// at each step a share of all of them runs.
///
/// The defaults are those of the published 150 epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// The share of all gated branches that run at once, above 0 and at most 1: K = ⌊share · number⌋.
    #[serde(deserialize_with = "real::<Share, _>")]
    pub share: f64,
    /// Epochs of random masks, in which α stays as it is.
    #[serde(deserialize_with = "whole::<OrNone, _>")]
    pub random_until: usize,
    /// The last epoch, from 1, of the search; behind it the K branches with the highest α train alone.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub search_until: usize,
    /// The rate of the scores' Adam; it falls along half a cosine to 0 over the search.
    #[serde(deserialize_with = "real::<Positive, _>")]
    pub alpha_learning_rate: f64,
    /// What its averages of gradients and of their squares keep at a step, 0 to below 1.
    #[serde(deserialize_with = "betas")]
    pub alpha_betas: [f64; 2],
    /// Weight decay of the scores, added to their gradients.
    #[serde(deserialize_with = "real::<NotNegative, _>")]
    pub alpha_weight_decay: f64,
    /// The seed of masks. Not written where it is 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

fn betas<'de, D: Deserializer<'de>>(d: D) -> Result<[f64; 2], D::Error> {
    #[derive(Deserialize)]
    struct Beta(#[serde(deserialize_with = "real::<BelowOne, _>")] f64);

    let betas = Vec::<Beta>::deserialize(d)?;
    let wrong = |betas: Vec<Beta>| D::Error::invalid_length(betas.len(), &"two numbers");
    <[Beta; 2]>::try_from(betas).map(|betas| betas.map(|beta| beta.0)).map_err(wrong)
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            share: 0.34,
            random_until: 15,
            search_until: 50,
            alpha_learning_rate: 1e-4,
            alpha_betas: [0.5, 0.999],
            alpha_weight_decay: 5e-4,
            seed: 0,
        }
    }
}

impl SearchConfig {
    /// Checks every option.
    ///
    /// # Errors
    /// The first one that makes no sense, with what would.
    pub fn check(&self) -> Result<(), SearchConfigError> {
        let Self { share, random_until, search_until, alpha_learning_rate, .. } = *self;
        let [first, second] = self.alpha_betas;
        let (below_one, decay) = (|beta| (0.0..1.0).contains(&beta), self.alpha_weight_decay);
        let rate = alpha_learning_rate > 0.0 && alpha_learning_rate.is_finite();
        for (option, expected, holds, found) in [
            ("share", "above 0 and at most 1", share > 0.0 && share <= 1.0, share),
            ("alpha_learning_rate", "above 0", rate, alpha_learning_rate),
            ("alpha_betas", "0 to below 1", below_one(first), first),
            ("alpha_betas", "0 to below 1", below_one(second), second),
            (
                "alpha_weight_decay",
                "a number not below 0",
                decay >= 0.0 && decay.is_finite(),
                decay,
            ),
        ] {
            if !holds {
                return Err(SearchConfigError { option, expected, found: found.to_string() });
            }
        }
        if random_until >= search_until {
            let (option, expected) = ("random_until", "below `search_until`");
            let found = format!("{random_until}, where that is {search_until}");
            return Err(SearchConfigError { option, expected, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_sense_are_refused_by_name() {
        assert_eq!(SearchConfig::default().check(), Ok(()));
        let usual = SearchConfig::default;
        for (config, want) in [
            (
                SearchConfig { share: 0.0, ..usual() },
                "search: share must be above 0 and at most 1, got 0",
            ),
            (SearchConfig { share: f64::NAN, ..usual() }, "search: share must be above 0"),
            (SearchConfig { random_until: 50, ..usual() }, "search: random_until must be below"),
            (SearchConfig { alpha_betas: [0.5, 1.0], ..usual() }, "search: alpha_betas must be"),
            (SearchConfig { alpha_learning_rate: 0.0, ..usual() }, "search: alpha_learning_rate"),
            (SearchConfig { alpha_weight_decay: -1.0, ..usual() }, "search: alpha_weight_decay"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        let read = serde_json::from_str::<SearchConfig>;
        assert_eq!(read("{}").unwrap(), SearchConfig::default());
        assert!(read(r#"{"alpha_betas":[0.5]}"#).is_err());
        assert!(read(r#"{"share":1.5}"#).is_err());
    }
}
