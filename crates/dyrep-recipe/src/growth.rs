//! When and how branches are grown and cut: the controller's own configuration, but for what the run decides.

use dyrep_config::{Branches, ControllerConfig, Selection};
use serde::de::MapAccess;
use serde::{Deserialize, Serialize, Serializer};

use super::beside::read_beside;
use super::bounds::{Count, some_whole};

/// The keys that go with the strategy `dyrep`, beside `name`: those of this section, and the controller's but for its seed.
pub(super) const KEYS: &[&str] = &[
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

/// When and how branches are grown and cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GrowthRecipe {
    /// Which convolutions start with branches; goes with `start`.
    #[serde(skip_serializing_if = "Selection::is_default")]
    pub only: Selection,
    /// The branches that they start with; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Branches>,
    /// The last epoch, from 1, after which the structure may change. It may lie beyond the end, so that a run can be cut
    /// short by its epochs alone. Absent: see [`last_epoch_of`](Self::last_epoch_of).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<usize>,
    /// All else. What it has for the last epoch and the seed does not count: see [`controller`](Self::controller).
    #[serde(flatten, serialize_with = "of_the_section")]
    pub config: ControllerConfig,
}

/// Writes what the section has keys for.
fn of_the_section<S: Serializer>(config: &ControllerConfig, to: S) -> Result<S::Ok, S::Error> {
    let ControllerConfig { last_epoch, seed, .. } = ControllerConfig::default();
    ControllerConfig { last_epoch, seed, ..config.clone() }.serialize(to)
}

impl GrowthRecipe {
    /// The last epoch, from 1, after which the structure of a run of `epochs` may change: as asked for, or
    /// five sixths of them, as in the published 100 of 120.
    #[must_use]
    pub fn last_epoch_of(&self, epochs: usize) -> usize {
        self.last_epoch.unwrap_or(epochs * 5 / 6)
    }

    /// The controller's configuration in a run of so many epochs with this seed.
    #[must_use]
    pub fn controller(&self, epochs: usize, seed: u64) -> ControllerConfig {
        let last_epoch = self.last_epoch_of(epochs);
        ControllerConfig { last_epoch, seed, ..self.config.clone() }
    }

    /// Reads what stands beside the strategy's name: [`KEYS`] and no others.
    /// Without `branches` those that are `usual` grow.
    pub(super) fn read<'de, A: MapAccess<'de>>(map: A, usual: Branches) -> Result<Self, A::Error> {
        let (mut own, mut branches) = (Self::default(), usual);
        // What the controller's configuration has no keys for, or what the run decides.
        let config: ControllerConfig = read_beside(map, |key, map| {
            match key {
                "only" => own.only = map.next_value()?,
                "branches" => branches = map.next_value::<Start>()?.0,
                "start" => own.start = Some(map.next_value::<Start>()?.0),
                "last_epoch" => own.last_epoch = map.next_value::<LastEpoch>()?.0,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { config: ControllerConfig { branches, ..config }, ..own })
    }
}

#[derive(Deserialize)]
struct Start(#[serde(deserialize_with = "Branches::read_some")] Branches);

#[derive(Deserialize)]
struct LastEpoch(#[serde(deserialize_with = "some_whole::<Count, _>")] Option<usize>);
