//! PNG, by the `image` crate.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits};

use super::{Channels, Colours};

/// The memory a decoder may take beside the pixels: for a line of them, and for texts and colour
/// profiles, which may unpack to a thousand times their length.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub(super) type Png<'a> = PngDecoder<Cursor<&'a [u8]>>;

/// Reads the header only: refusals come before any pixel is allocated.
pub(super) fn open(bytes: &[u8]) -> Result<Png<'_>, String> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(|error| error.to_string())
}

pub(super) fn size(png: &Png<'_>) -> (u32, u32) {
    png.dimensions()
}

pub(super) fn colours(png: &Png<'_>) -> Colours {
    let found = png.color_type();
    Colours { colour: found.has_color(), alpha: found.has_alpha() }
}

/// The contents of an `eXIf` chunk in front of the pixels.
pub(super) fn exif(png: &mut Png<'_>) -> Option<Vec<u8>> {
    png.exif_metadata().ok().flatten()
}

/// The pixels in 8 bits, interleaved. Of what fits the channels, no conversion loses colour.
pub(super) fn decode(png: Png<'_>, channels: Channels) -> Result<Vec<u8>, String> {
    let decoded = DynamicImage::from_decoder(png).map_err(|error| error.to_string())?;
    Ok(match channels {
        Channels::Grey => decoded.into_luma8().into_raw(),
        Channels::Rgb => decoded.into_rgb8().into_raw(),
    })
}
