//! From a file to an [`Image`] of known channels: JPEG and PNG, told apart by their contents.
//!
//! | file | asked for grey | asked for RGB |
//! |---|---|---|
//! | grey | as it is | replicated |
//! | RGB, palette, YCbCr, CMYK | refused | converted by the decoder |
//! | with transparency | refused | refused |
//!
//! 16-bit samples are scaled to 8 bits, rounding to nearest; fewer than 8 bits are expanded.
//! As in torchvision, an EXIF orientation is not applied.
//!
//! DIFFERENCE: torchvision's loader calls Pillow's `convert("RGB")`, which drops transparency and
//! clips 16-bit grey to 255. Here the first is refused, because the colours under transparent
//! pixels are arbitrary, and the second scaled.

use std::fmt;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::error::DataError;
use crate::image::Image;
use crate::jpeg;

/// The memory a decoder may take: [`Image::MAX_PIXELS`] of 16-bit RGB, 6 bytes each.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// The channels that images are decoded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One channel of luminance.
    Grey,
    /// Red, green and blue.
    Rgb,
}

impl Channels {
    /// Their number: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grey => "1 (grey)",
            Self::Rgb => "3 (RGB)",
        })
    }
}

/// Reads and decodes the file at `path`.
///
/// # Errors
///
/// A [`DataError`] with the path if the file cannot be read, is empty, no JPEG or PNG, truncated or
/// corrupt, declares too many pixels, or has channels that `channels` would lose.
pub(crate) fn decode_file(path: &Path, channels: Channels) -> Result<Image, DataError> {
    let bytes =
        fs::read(path).map_err(|source| DataError::Unreadable { path: path.to_owned(), source })?;
    let format = format_of(path, &bytes)?;
    let undecodable = |error: image::ImageError| DataError::Undecodable {
        path: path.to_owned(),
        reason: error.to_string(),
    };

    let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    // Constructing a decoder reads the header only: refusals come before any pixel is allocated.
    let decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > Image::MAX_PIXELS {
        let path = path.to_owned();
        return Err(DataError::TooManyPixels { path, width, height, limit: Image::MAX_PIXELS });
    }
    check_channels(path, decoder.color_type(), channels)?;
    // The last of the checks, so that a file wrong in several ways is told the most telling one.
    if format == ImageFormat::Jpeg && !jpeg::is_complete(&bytes) {
        return Err(DataError::Truncated { path: path.to_owned(), bytes: bytes.len() });
    }
    let decoded = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    Image::new(width, height, channels.count(), convert(decoded, channels))
}

/// JPEG or PNG by the first bytes. The extension is not asked: ImageNet has a PNG named `.JPEG`.
fn format_of(path: &Path, bytes: &[u8]) -> Result<ImageFormat, DataError> {
    if bytes.is_empty() {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    }
    let found = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => return Ok(format),
        Ok(other) => other.to_mime_type(),
        Err(_) => "of an unknown format",
    };
    Err(DataError::UnknownFormat { path: path.to_owned(), found: found.to_owned() })
}

/// Accepts what converts to `expected` without losing a channel.
fn check_channels(path: &Path, found: ColorType, expected: Channels) -> Result<(), DataError> {
    let fits = match expected {
        Channels::Grey => !found.has_alpha() && !found.has_color(),
        Channels::Rgb => !found.has_alpha(),
    };
    if fits {
        return Ok(());
    }
    let name = match (found.has_color(), found.has_alpha()) {
        (true, true) => "RGBA",
        (true, false) => "RGB",
        (false, true) => "grey and alpha",
        (false, false) => "grey",
    };
    let found = format!("{} ({name})", found.channel_count());
    Err(DataError::UnsupportedChannels { path: path.to_owned(), found, expected })
}

/// The pixels in 8 bits. For the images that `check_channels` accepts, no conversion loses colour.
fn convert(decoded: DynamicImage, channels: Channels) -> Vec<u8> {
    match channels {
        Channels::Grey => decoded.into_luma8().into_raw(),
        Channels::Rgb => decoded.into_rgb8().into_raw(),
    }
}
