//! `[loss]`: cross entropy. The weights of its classes are a name or a list.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::super::bounds::{BelowOne, Positive, Real, real};

/// `[loss]`: cross entropy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// The share of the target spread evenly over all classes, 0 to below 1 (arXiv 1512.00567, section 7);
    /// 0 if absent.
    #[serde(deserialize_with = "real::<BelowOne, _>")]
    pub label_smoothing: f64,
    /// How much each class counts in the mean; all alike if absent.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

fn some<'de, D: Deserializer<'de>>(d: D) -> Result<Option<ClassWeights>, D::Error> {
    ClassWeights::deserialize(d).map(Some)
}

/// How much each class counts in the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// Pictures over (classes times pictures of the class): every class as a whole counts the same.
    Balanced,
    /// These, above 0, in the order of the classes.
    Each(Vec<f64>),
}

const BALANCED: &str = "balanced";

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str(BALANCED),
            Self::Each(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrList)
    }
}

struct NameOrList;

impl<'de> Visitor<'de> for NameOrList {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"balanced\" or a list of numbers, one a class")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ClassWeights, E> {
        match name {
            BALANCED => Ok(ClassWeights::Balanced),
            _ => Err(E::unknown_variant(name, &[BALANCED])),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<ClassWeights, A::Error> {
        let weights = Vec::<Real<Positive>>::deserialize(SeqAccessDeserializer::new(items))?;
        if weights.is_empty() {
            return Err(A::Error::invalid_value(Unexpected::Other("none"), &self));
        }
        Ok(ClassWeights::Each(weights.into_iter().map(|weight| weight.get()).collect()))
    }
}
