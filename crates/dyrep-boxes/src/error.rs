//! What is refused, with what was found and what was expected.

use crate::{BBox, Size};

/// Why boxes, scores or settings were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BoxError {
    /// A box that cannot be used where it stands.
    #[error("{what} {index} is {found}; expected {expected}")]
    Box {
        /// What the box is: `object`, `anchor`, `box`.
        what: &'static str,
        /// Its place in its list.
        index: usize,
        /// The box.
        found: BBox,
        /// What it should be.
        expected: &'static str,
    },
    /// A number of a list that cannot be used.
    #[error("{what} {index} is {found}; expected {expected}")]
    Number {
        /// What the number is: `score`, `logit`, `code`.
        what: &'static str,
        /// Its place in its list.
        index: usize,
        /// The number.
        found: f32,
        /// What it should be.
        expected: &'static str,
    },
    /// A setting outside of its bounds.
    #[error("`{name}` is {found}; expected {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        found: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// A list of another length than what it belongs to.
    #[error("{found} {what}; expected {expected}")]
    Length {
        /// What is in the list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A picture or a grid of a size that cannot be used.
    #[error("{what} of {found} (height × width); expected {expected}")]
    Size {
        /// What has the size.
        what: &'static str,
        /// The size.
        found: Size,
        /// What it should be.
        expected: &'static str,
    },
    /// Something wrong in one level of a pyramid.
    #[error("level {level}: {source}")]
    Level {
        /// The level, from 0.
        level: usize,
        /// What is wrong there.
        source: Box<BoxError>,
    },
}

impl BoxError {
    /// The same, as a level's.
    pub(crate) fn in_level(self, level: usize) -> Self {
        Self::Level { level, source: Box::new(self) }
    }
}
