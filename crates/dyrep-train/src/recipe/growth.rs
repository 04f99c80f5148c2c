//! When and how branches are grown and cut, with the names and spellings of the controller's configuration.

use std::sync::LazyLock;

use dyrep_burn::{BranchKind, BranchSpec, Preset};
use serde::{Deserialize, Deserializer, Serialize};

use super::bounds::{
    AtLeastOne, Count, Depth, Names, NotNegative, OrNone, name, names, real, some_real, some_whole,
    whole,
};
use super::selection::{SelectionRecipe, patterns};

/// What ranks the convolutions that may grow.
pub const SCORES: &[&str] = &["grad_norm", "snip", "synflow", "branch_gain", "random"];
/// How the batch norm of `kxk` is set after a change.
pub const NORM_RULES: &[&str] = &["published", "neutral"];
/// Whether faults of the published code are mended.
pub const FIDELITIES: &[&str] = &["mended", "published"];
/// Presets of branches that a convolution can grow.
pub const PRESETS: &[&str] = Preset::NAMES.split_at(1).1;

/// Names of branches, without those that have a size of their own.
fn branches() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        BranchKind::NAMED.iter().map(|kind| &*String::leak(kind.to_string())).collect()
    });
    &NAMES
}

struct Kinds;

impl Names for Kinds {
    fn all() -> &'static [&'static str] {
        branches()
    }

    fn knows(name: &str) -> bool {
        name.parse::<BranchSpec>().is_ok()
    }
}

macro_rules! name_lists {
    ($($name:ident: $all:ident;)*) => {$(
        struct $name;

        impl Names for $name {
            fn all() -> &'static [&'static str] {
                $all
            }
        }
    )*};
}

name_lists! {
    Scores: SCORES;
    NormRules: NORM_RULES;
    Fidelities: FIDELITIES;
    Presets: PRESETS;
}

/// When and how branches are grown and cut. Serialised it is what the controller's configuration reads, but for the
/// branches at the start; the seed is the run's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrowthRecipe {
    /// Which convolutions start with branches; goes with `start`.
    #[serde(skip_serializing_if = "SelectionRecipe::is_default")]
    pub only: SelectionRecipe,
    /// The branches that they start with; none if absent.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub start: Option<BranchesRecipe>,
    /// One of [`SCORES`]; `snip` if absent.
    #[serde(deserialize_with = "name::<Scores, _>")]
    pub score: String,
    /// Whether a score is divided by the number of the convolution's weights; false if absent.
    pub per_weight: bool,
    /// What a convolution grows; all seven branches if absent.
    pub branches: BranchesRecipe,
    /// Epochs between two changes of structure; 5 if absent, as published for ImageNet.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub interval: usize,
    /// The first epoch, from 1, after which the structure may change; 1 if absent.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub first_epoch: usize,
    /// The last one. It may lie beyond the end, so that a run can be cut short by its epochs alone. Absent:
    /// see [`last_epoch_of`](Self::last_epoch_of).
    #[serde(deserialize_with = "some_whole::<Count, _>", skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<usize>,
    /// Convolutions that grow at one change, at most; 1 if absent.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub growths: usize,
    /// How deep blocks may nest, 16 at most; 2 if absent.
    #[serde(deserialize_with = "whole::<Depth, _>")]
    pub max_depth: usize,
    /// Only convolutions whose path matches one of these regular expressions may grow; none: all.
    #[serde(deserialize_with = "patterns")]
    pub grow_in: Vec<String>,
    /// Convolutions whose path matches one of these regular expressions never grow.
    #[serde(deserialize_with = "patterns")]
    pub never_grow_in: Vec<String>,
    /// What the training form may cost after a growth; no limit if absent.
    #[serde(skip_serializing_if = "BudgetRecipe::is_unlimited")]
    pub budget: BudgetRecipe,
    /// Training batches that new batch norms are measured on; 20 if absent.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub calibration_batches: usize,
    /// One of [`NORM_RULES`]; `published` if absent.
    #[serde(deserialize_with = "name::<NormRules, _>")]
    pub norm_rule: String,
    /// Which branches are cut; the published thresholds if absent.
    pub cut_rule: CutRecipe,
    /// One of [`FIDELITIES`]; `mended` if absent.
    #[serde(deserialize_with = "name::<Fidelities, _>")]
    pub fidelity: String,
}

impl Default for GrowthRecipe {
    fn default() -> Self {
        Self {
            only: SelectionRecipe::default(),
            start: None,
            score: "snip".to_owned(),
            per_weight: false,
            branches: BranchesRecipe::Preset("dyrep".to_owned()),
            interval: 5,
            first_epoch: 1,
            last_epoch: None,
            growths: 1,
            max_depth: 2,
            grow_in: vec![],
            never_grow_in: vec![],
            budget: BudgetRecipe::default(),
            calibration_batches: 20,
            norm_rule: "published".to_owned(),
            cut_rule: CutRecipe::default(),
            fidelity: "mended".to_owned(),
        }
    }
}

impl GrowthRecipe {
    /// The last epoch, from 1, after which the structure of a run of `epochs` may change: as asked for, or
    /// five sixths of them, as in the published 100 of 120.
    #[must_use]
    pub fn last_epoch_of(&self, epochs: usize) -> usize {
        self.last_epoch.unwrap_or(epochs * 5 / 6)
    }
}

/// What a convolution grows: `{ preset = "dbb" }` or `{ exactly = ["kxk", "1x1"] }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchesRecipe {
    /// One of [`PRESETS`]; branches that a geometry cannot have are left out.
    Preset(#[serde(deserialize_with = "name::<Presets, _>")] String),
    /// These, each of which must exist: `kxk`, `1x1:scale`, `4*kxk`, `3x3d2`, ….
    Exactly(#[serde(deserialize_with = "names::<Kinds, _>")] Vec<String>),
}

fn some<'de, D: Deserializer<'de>>(d: D) -> Result<Option<BranchesRecipe>, D::Error> {
    BranchesRecipe::deserialize(d).map(Some)
}

/// Limits on the cost of the training form, as multiples of the deployed network's, not below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetRecipe {
    /// Of parameters; absent: no limit.
    #[serde(
        deserialize_with = "some_real::<AtLeastOne, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub params: Option<f64>,
    /// Of multiply-adds; absent: no limit.
    #[serde(
        deserialize_with = "some_real::<AtLeastOne, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub flops: Option<f64>,
}

impl BudgetRecipe {
    fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// Which branches are cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CutRecipe {
    /// None.
    Never,
    /// The weak ones of each block (arXiv 2203.12868, section 3.3).
    Threshold {
        /// Blocks whose strengths have no larger standard deviation keep all branches; 0.02 if absent.
        #[serde(default = "default::min_deviation", deserialize_with = "real::<NotNegative, _>")]
        min_deviation: f64,
        /// Only branches weaker than this are cut; 0.1 if absent.
        #[serde(default = "default::max_ratio", deserialize_with = "real::<NotNegative, _>")]
        max_ratio: f64,
        /// Whether a branch left alone in its block can be cut; true if absent. Published: false.
        #[serde(default = "default::lone")]
        lone: bool,
    },
    /// All but the strongest of the whole network.
    TopK {
        /// How many stay. Required.
        #[serde(deserialize_with = "whole::<OrNone, _>")]
        keep: usize,
    },
    /// The weakest of the whole network, until the training form is within a budget.
    Budget(BudgetRecipe),
}

impl Default for CutRecipe {
    fn default() -> Self {
        Self::Threshold {
            min_deviation: default::min_deviation(),
            max_ratio: default::max_ratio(),
            lone: default::lone(),
        }
    }
}

mod default {
    pub(super) fn min_deviation() -> f64 {
        0.02
    }

    pub(super) fn max_ratio() -> f64 {
        0.1
    }

    pub(super) fn lone() -> bool {
        true
    }
}
