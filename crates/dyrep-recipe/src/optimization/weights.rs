//! `class_weights` of `[loss]`: a name or a list.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::super::bounds::{Positive, Real};

/// How much each class counts in the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeightsRecipe {
    /// Pictures over (classes times pictures of the class): every class as a whole counts the same.
    Balanced,
    /// These, above 0, in the order of the classes.
    Each(Vec<f64>),
}

const BALANCED: &str = "balanced";

impl Serialize for ClassWeightsRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str(BALANCED),
            Self::Each(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeightsRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrList)
    }
}

struct NameOrList;

impl<'de> Visitor<'de> for NameOrList {
    type Value = ClassWeightsRecipe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"balanced\" or a list of numbers, one a class")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ClassWeightsRecipe, E> {
        match name {
            BALANCED => Ok(ClassWeightsRecipe::Balanced),
            _ => Err(E::unknown_variant(name, &[BALANCED])),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<ClassWeightsRecipe, A::Error> {
        let weights = Vec::<Real<Positive>>::deserialize(SeqAccessDeserializer::new(items))?;
        if weights.is_empty() {
            return Err(A::Error::invalid_value(Unexpected::Other("none"), &self));
        }
        Ok(ClassWeightsRecipe::Each(weights.into_iter().map(|weight| weight.get()).collect()))
    }
}
