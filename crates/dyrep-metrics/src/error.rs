//! What can be wrong with what a metric is given: which picture, which box, what was expected.

use std::fmt;

use thiserror::Error;

use crate::MAX_CLASSES;

/// A box of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An annotation, by its id.
    Truth(u64),
    /// A detection, by its place in the list that was given, from 0.
    Detection(usize),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(id) => write!(f, "annotation {id}"),
            Self::Detection(place) => write!(f, "detection {place}"),
        }
    }
}

/// Why a metric refuses what it is given. It is then as it was before.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// No classes, or too many.
    #[error("a metric of {found} classes; expected 1 to {MAX_CLASSES}")]
    Classes {
        /// How many.
        found: usize,
    },
    /// A field of a box is not what it can be.
    #[error("picture {picture}, {item}: {field} is {found}; expected {expected}")]
    Field {
        /// The picture's number.
        picture: u64,
        /// The box.
        item: Item,
        /// The field.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it can be.
        expected: String,
    },
    /// A picture is given a second time.
    #[error("picture {picture} is given twice; expected each once")]
    Twice {
        /// The picture's number.
        picture: u64,
    },
    /// Metrics of different classes or ignored labels cannot be merged.
    #[error("{found} cannot be merged into {expected}")]
    Merge {
        /// What was to be merged.
        found: String,
        /// What it was to be merged into.
        expected: String,
    },
    /// Labels and predictions are not of the same pixels.
    #[error("{predicted} predicted labels; expected as many as true ones, {truth}")]
    Lengths {
        /// How many true labels.
        truth: usize,
        /// How many predicted ones.
        predicted: usize,
    },
    /// A label that is no class.
    #[error("pixel {pixel}: the {side} label is {found}; expected {expected}")]
    Label {
        /// The pixel's place in the slices, from 0.
        pixel: usize,
        /// `true` or `predicted`.
        side: &'static str,
        /// The label.
        found: i64,
        /// What it can be.
        expected: String,
    },
}
