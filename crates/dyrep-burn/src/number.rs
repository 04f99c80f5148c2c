//! Floats in JSON, also those that JSON has no number for.
//!
//! A loss that diverged is NaN or infinite, and so may be scores and ratios; a record has to show it. serde_json writes
//! such values as `null`, which does not tell one from another and cannot be read back as a float. Here they are the
//! strings `"NaN"`, `"Infinity"` and `"-Infinity"`, which are also what JavaScript's `Number` turns into these values.
//! The sign and the payload of a NaN are lost. What older records have as `null` is read as NaN.
//!
//! For `#[serde(with = "…")]` on fields of type `f64`.

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

/// The value, as it is written or was once.
fn read<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<Written>::deserialize(from)?.map_or(f64::NAN, f64::from))
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

/// A float.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    Written::from(*value).serialize(to)
}

/// A float.
///
/// # Errors
/// What is no number, and none of the names.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    read(from)
}

/// For a float that may be missing, which is not the same as NaN.
pub mod optional {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Written};

    /// A float or nothing.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Written::from).serialize(to)
    }

    /// A float or nothing.
    ///
    /// # Errors
    /// What is no number, and none of the names.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Written>::deserialize(from)?.map(f64::from))
    }
}

/// For floats with names, whatever these are.
pub mod named {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Written};

    /// A float as it was written.
    #[derive(serde::Deserialize)]
    struct Read(#[serde(deserialize_with = "super::read")] f64);

    /// Pairs of a name and a float.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<N: Serialize, S: Serializer>(
        rows: &[(N, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(rows.iter().map(|(name, value)| (name, Written::from(*value))))
    }

    /// Pairs of a name and a float.
    ///
    /// # Errors
    /// What are no such pairs.
    pub fn deserialize<'de, N: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(N, f64)>, D::Error> {
        let rows = Vec::<(N, Read)>::deserialize(from)?;
        Ok(rows.into_iter().map(|(name, Read(value))| (name, value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct All {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super::optional")]
        maybe: Option<f64>,
        #[serde(with = "super::named")]
        rows: Vec<(String, f64)>,
    }

    #[test]
    fn every_float_comes_back() {
        for value in [0.1, -0.0, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let all = All { one: value, maybe: Some(value), rows: vec![("a".into(), value)] };
            let text = serde_json::to_string(&all).unwrap();
            let All { one, maybe, rows } = serde_json::from_str(&text).unwrap();
            for back in [one, maybe.unwrap(), rows[0].1] {
                let same = back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan();
                assert!(same, "{value}: {text}");
            }
        }
    }

    #[test]
    fn what_json_had_no_number_for_is_read() {
        let old = r#"{"one": null, "maybe": null, "rows": [["a", null]]}"#;
        let All { one, maybe, rows } = serde_json::from_str(old).unwrap();
        assert!(one.is_nan() && maybe.is_none() && rows[0].1.is_nan());
        assert!(serde_json::from_str::<All>(r#"{"one": "2", "maybe": null, "rows": []}"#).is_err());
    }
}
