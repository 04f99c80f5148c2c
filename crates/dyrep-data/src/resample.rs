//! Cutting a part out of an image and scaling it: what most pipelines begin with.

use dyrep_resample::{Region, Resampler, View};

use crate::error::DataError;
use crate::image::Image;

/// A part of an image, and the size that it is scaled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub(crate) region: Region,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Window {
    /// A part that keeps its size: a crop.
    pub(crate) fn crop(region: Region) -> Self {
        Self { region, width: region.width, height: region.height }
    }

    /// The window of `source`.
    ///
    /// The caller has checked that the region lies inside and that the output is not too large.
    pub(crate) fn of(
        self,
        source: View<'_>,
        resampler: &mut Resampler,
    ) -> Result<Image, DataError> {
        let Self { region, width, height } = self;
        let pixels = if (region.width, region.height) == (width, height) {
            copy(source, region)
        } else {
            resampler.resample(source, region, width, height)
        };
        Image::new(width, height, source.channels, pixels)
    }
}

/// The pixels of a region.
fn copy(source: View<'_>, region: Region) -> Vec<u8> {
    let Region { left, top, width, height } = region;
    let row = width as usize * source.channels;
    let stride = source.width as usize * source.channels;
    let start = left as usize * source.channels;
    let mut pixels = Vec::with_capacity(row * height as usize);
    for line in source.pixels.chunks_exact(stride).skip(top as usize).take(height as usize) {
        pixels.extend_from_slice(&line[start..start + row]);
    }
    pixels
}
