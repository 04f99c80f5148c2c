//! `[[optimizer.groups]]`: layers that are trained in another way than the rest, chosen by their paths.

use std::fmt;

use dyrep_config::PathPatterns;
use serde::{Deserialize, Serialize};

use super::super::bounds::{NotNegative, Positive, some_real};

/// Layers, and what is different for them. Of several groups that match a layer the last one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct ParameterGroup {
    /// Regular expressions on the paths of layers and parameters, one at least; each must match something. Required.
    pub matching: PathPatterns,
    /// What the learning rate is multiplied by, above 0; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate_scale: Option<f64>,
    /// The weight decay of what decays; that of the section if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether they stay as they are, statistics of their norms included, and neither grow nor are cut; false if absent.
    #[serde(skip_serializing_if = "is_false")]
    pub frozen: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    matching: PathPatterns,
    #[serde(default, deserialize_with = "some_real::<Positive, _>")]
    learning_rate_scale: Option<f64>,
    #[serde(default, deserialize_with = "some_real::<NotNegative, _>")]
    weight_decay: Option<f64>,
    #[serde(default)]
    frozen: bool,
}

/// A group that makes no sense.
#[derive(Clone, Copy, Debug)]
enum Senseless {
    NothingMeant,
    NothingSaid,
    FrozenWithFigures,
}

impl fmt::Display for Senseless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingMeant => "`matching` in [optimizer.groups]: expected one pattern at least",
            Self::NothingSaid => {
                "a group in [optimizer.groups] needs `learning_rate_scale`, `weight_decay` or `frozen = true`"
            }
            Self::FrozenWithFigures => {
                "a group in [optimizer.groups] that is frozen has no `learning_rate_scale` and no `weight_decay`"
            }
        })
    }
}

impl TryFrom<Raw> for ParameterGroup {
    type Error = Senseless;

    fn try_from(raw: Raw) -> Result<Self, Senseless> {
        let Raw { matching, learning_rate_scale, weight_decay, frozen } = raw;
        let figures = learning_rate_scale.is_some() || weight_decay.is_some();
        match (matching.is_empty(), figures, frozen) {
            (true, ..) => Err(Senseless::NothingMeant),
            (_, false, false) => Err(Senseless::NothingSaid),
            (_, true, true) => Err(Senseless::FrozenWithFigures),
            _ => Ok(Self { matching, learning_rate_scale, weight_decay, frozen }),
        }
    }
}
