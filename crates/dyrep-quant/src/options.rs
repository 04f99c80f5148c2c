//! What a user decides: how many scales, how inputs are measured, what stays `f32`.

use std::fmt;
use std::str::FromStr;

use dyrep_burn::PathPatterns;
use serde::{Deserialize, Serialize};

use crate::error::QuantError;

/// The share of inputs that [`Calibration::Percentile`] keeps unless told otherwise, in percent.
const PERCENTILE: f64 = 99.99;

/// How many scales a layer's weights have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// One for each output channel.
    #[default]
    PerChannel,
    /// One for all.
    PerTensor,
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PerChannel => "per_channel",
            Self::PerTensor => "per_tensor",
        })
    }
}

impl FromStr for Granularity {
    type Err = QuantError;

    fn from_str(text: &str) -> Result<Self, QuantError> {
        [Self::PerChannel, Self::PerTensor]
            .into_iter()
            .find(|one| one.to_string() == text)
            .ok_or_else(|| QuantError::Option {
                found: text.to_owned(),
                expected: "per_channel or per_tensor",
            })
    }
}

/// How the largest magnitude of a layer's input is chosen; larger ones are clipped to it.
///
/// As text: `min_max`, `mse`, `percentile` (99.99) or `percentile:99.9`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// The largest that was seen: nothing is clipped.
    MinMax,
    /// So that this share of all values is kept, in percent, above 0 and up to 100.
    Percentile(f64),
    /// Where rounding and clipping together make the least squared error.
    #[default]
    Mse,
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.pad("min_max"),
            Self::Mse => f.pad("mse"),
            Self::Percentile(percent) => f.pad(&format!("percentile:{percent}")),
        }
    }
}

impl FromStr for Calibration {
    type Err = QuantError;

    fn from_str(text: &str) -> Result<Self, QuantError> {
        let refused = || QuantError::Option {
            found: text.to_owned(),
            expected: "min_max, mse, percentile, or percentile:P with P above 0 and up to 100",
        };
        let method = match text.split_once(':') {
            None if text == "min_max" => Self::MinMax,
            None if text == "mse" => Self::Mse,
            None if text == "percentile" => Self::Percentile(PERCENTILE),
            Some(("percentile", percent)) => {
                Self::Percentile(percent.parse().map_err(|_| refused())?)
            }
            _ => return Err(refused()),
        };
        method.check().map_err(|_| refused())?;
        Ok(method)
    }
}

impl Calibration {
    pub(crate) fn check(self) -> Result<(), QuantError> {
        match self {
            Self::Percentile(percent) if !(percent > 0.0 && percent <= 100.0) => {
                Err(QuantError::Percentile { found: percent })
            }
            _ => Ok(()),
        }
    }
}

/// How to quantise. The default is one scale for each output channel, [`Calibration::Mse`], and nothing left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Options {
    /// Scales of weights.
    pub granularity: Granularity,
    /// Scales of inputs.
    pub calibration: Calibration,
    /// Layers that stay `f32`, by path. Each pattern must match one.
    pub keep: PathPatterns,
}

impl Options {
    /// Sets the scales of weights.
    pub fn with_granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Sets how inputs are measured.
    pub fn with_calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = calibration;
        self
    }

    /// Leaves layers in `f32`.
    pub fn keeping(mut self, keep: PathPatterns) -> Self {
        self.keep = keep;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_back_from_their_text() {
        for method in [Calibration::MinMax, Calibration::Mse, Calibration::Percentile(99.9)] {
            assert_eq!(method.to_string().parse::<Calibration>().unwrap(), method);
        }
        assert_eq!("percentile".parse::<Calibration>().unwrap(), Calibration::Percentile(99.99));
        for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
            assert_eq!(granularity.to_string().parse::<Granularity>().unwrap(), granularity);
        }
        for wrong in ["", "max", "percentile:", "percentile:0", "percentile:101", "percentile:nan"]
        {
            let error = wrong.parse::<Calibration>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("mse"), "{error}");
        }
        assert!("channel".parse::<Granularity>().is_err());
    }
}
