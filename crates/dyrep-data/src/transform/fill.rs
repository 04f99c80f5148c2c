//! The colour of what a transform blanks out.

use dyrep_resample::Region;
use dyrep_schema::bytes;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::checks::invalid;
use crate::error::DataError;
use crate::image::Image;

/// A pixel: one value for all channels, or one for each.
///
/// In a recipe, a list of 1 to 4 numbers from 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "Vec<u8>")]
pub struct Fill(Vec<u8>);

impl Fill {
    /// A fill of one value for all channels, or of one for each.
    ///
    /// # Errors
    ///
    /// Unless there are 1 to 4 values.
    pub fn new(values: impl Into<Vec<u8>>) -> Result<Self, DataError> {
        let values = values.into();
        if (1..=4).contains(&values.len()) {
            return Ok(Self(values));
        }
        let found = format!("{} values", values.len());
        Err(invalid("Fill", "values", found, "1 for all channels, or one for each of up to 4"))
    }

    /// The same value in every channel.
    #[must_use]
    pub fn grey(value: u8) -> Self {
        Self(vec![value])
    }

    /// One value for all channels, or one for each.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        &self.0
    }

    /// The pixel for an image of so many channels.
    pub(super) fn pixel(
        &self,
        transform: &'static str,
        channels: usize,
    ) -> Result<Vec<u8>, DataError> {
        per_channel(transform, "fill", &self.0, channels)
    }
}

impl<'de> Deserialize<'de> for Fill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = bytes(deserializer)?;
        let count = values.len();
        Self::new(values).map_err(|_| D::Error::invalid_length(count, &"a list of 1 to 4"))
    }
}

impl From<Fill> for Vec<u8> {
    fn from(fill: Fill) -> Self {
        fill.0
    }
}

/// One value for each channel, from as many or from one for all.
///
/// Anything else is an error of the recipe: three values of a colour say nothing about grey.
pub(super) fn per_channel<T: Copy>(
    transform: &'static str,
    option: &'static str,
    values: &[T],
    channels: usize,
) -> Result<Vec<T>, DataError> {
    match values {
        [value] => Ok(vec![*value; channels]),
        _ if values.len() == channels => Ok(values.to_vec()),
        _ => Err(DataError::WrongChannels {
            transform,
            found: channels,
            expected: format!("as many as `{option}` has values, {}", values.len()),
        }),
    }
}

/// Gives every row of a region, as bytes, to `paint`.
pub(super) fn paint_rows(image: &mut Image, region: Region, mut paint: impl FnMut(&mut [u8])) {
    let channels = image.channels();
    let stride = image.width() as usize * channels;
    let start = region.left as usize * channels;
    let bytes = region.width as usize * channels;
    let rows = image.pixels_mut().chunks_exact_mut(stride);
    for row in rows.skip(region.top as usize).take(region.height as usize) {
        paint(&mut row[start..start + bytes]);
    }
}

/// Fills a region with one pixel.
pub(super) fn paint(image: &mut Image, region: Region, pixel: &[u8]) {
    paint_rows(image, region, |row| {
        row.chunks_exact_mut(pixel.len()).for_each(|target| target.copy_from_slice(pixel));
    });
}
