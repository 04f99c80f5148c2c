//! The checks of options that several transforms share, so that one mistake has one message.

use std::ops::RangeInclusive;

use crate::error::DataError;
use crate::image::checked_size;

/// Refuses an output of no pixels or of too many, for all transforms that have a `size`.
pub(super) fn checked_side(transform: &'static str, size: u32) -> Result<u32, DataError> {
    if size > 0 && checked_size(size.into(), size.into()).is_ok() {
        return Ok(size);
    }
    Err(invalid(transform, "size", size.to_string(), "1 to 9459 pixels"))
}

/// A probability is a number from 0 to 1.
pub(super) fn checked_probability(
    transform: &'static str,
    probability: f64,
) -> Result<f64, DataError> {
    within(transform, "probability", probability, 0.0..=1.0, "a number from 0 to 1")
}

/// A number in `range`; not a number is in none.
pub(crate) fn within(
    transform: &'static str,
    option: &'static str,
    value: f64,
    range: RangeInclusive<f64>,
    expected: &'static str,
) -> Result<f64, DataError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(invalid(transform, option, value.to_string(), expected))
}

/// Shares of an image's area: `0 < start ≤ end ≤ 1`.
pub(super) fn checked_scale(
    transform: &'static str,
    scale: RangeInclusive<f64>,
) -> Result<RangeInclusive<f64>, DataError> {
    if *scale.end() > 1.0 {
        let found = format!("{scale:?}");
        return Err(invalid(transform, "scale", found, "at most the whole area, 1"));
    }
    positive_range(transform, "scale", scale)
}

/// Aspects: `0 < start ≤ end`, both finite.
pub(super) fn checked_ratio(
    transform: &'static str,
    ratio: RangeInclusive<f64>,
) -> Result<RangeInclusive<f64>, DataError> {
    positive_range(transform, "ratio", ratio)
}

fn positive_range(
    transform: &'static str,
    option: &'static str,
    range: RangeInclusive<f64>,
) -> Result<RangeInclusive<f64>, DataError> {
    let (start, end) = (*range.start(), *range.end());
    if start > 0.0 && start <= end && end.is_finite() {
        return Ok(range);
    }
    let expected = "positive finite numbers, the smaller one first";
    Err(invalid(transform, option, format!("{range:?}"), expected))
}

/// The error for an option that makes no sense.
pub(crate) fn invalid(
    transform: &'static str,
    option: &'static str,
    found: String,
    expected: &'static str,
) -> DataError {
    DataError::InvalidTransform { transform, option, found, expected }
}
