//! Floats in JSON, also those that JSON has no number for.
//!
//! A loss that diverged is NaN or infinite, and a report has to show it. serde_json writes such values as
//! `null`, which does not tell one from another and cannot be read back as a float. Here they are the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"`, which are also what JavaScript's `Number` turns into these values.
//! The sign and the payload of a NaN are lost.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float as it is written.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f64),
    Named(Name),
}

/// A float that JSON has no number for.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Name {
    NaN,
    Infinity,
    #[serde(rename = "-Infinity")]
    MinusInfinity,
}

impl From<f64> for Written {
    fn from(value: f64) -> Self {
        if value.is_finite() {
            Self::Finite(value)
        } else if value.is_nan() {
            Self::Named(Name::NaN)
        } else if value > 0.0 {
            Self::Named(Name::Infinity)
        } else {
            Self::Named(Name::MinusInfinity)
        }
    }
}

impl From<Written> for f64 {
    fn from(written: Written) -> Self {
        match written {
            Written::Finite(value) => value,
            Written::Named(Name::NaN) => Self::NAN,
            Written::Named(Name::Infinity) => Self::INFINITY,
            Written::Named(Name::MinusInfinity) => Self::NEG_INFINITY,
        }
    }
}

pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    Written::from(*value).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Written::deserialize(from).map(f64::from)
}

/// For a float that may be missing, which is not the same as NaN.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Written};

    pub(in crate::report) fn serialize<S: Serializer>(
        value: &Option<f64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Written::from).serialize(to)
    }

    pub(in crate::report) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(f64::from))
    }
}

/// For floats with names.
pub(super) mod named {
    use super::{Deserialize, Deserializer, Serializer, Written};

    pub(in crate::report) fn serialize<S: Serializer>(
        rows: &[(String, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(rows.iter().map(|(name, value)| (name, Written::from(*value))))
    }

    pub(in crate::report) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, f64)>, D::Error> {
        let rows = Vec::<(String, Written)>::deserialize(from)?;
        Ok(rows.into_iter().map(|(name, value)| (name, value.into())).collect())
    }
}
