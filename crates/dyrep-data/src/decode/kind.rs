//! Which kind of file it is, and whether all of it is there.
//!
//! A kind is known by the first bytes; the name is not asked: ImageNet has a PNG named `.JPEG`.
//!
//! Some decoders fill what a file lacks and report success, so a download that stopped half-way
//! would train the network on grey. For their kinds the end is looked for in front of them, in what
//! the file says about itself. The others (PNG, BMP, GIF, binary PNM) notice a missing byte.

use std::path::Path;

use image::ImageFormat;

use super::{markers, tiff, webp};
use crate::error::DataError;

/// The kind of a file, by its first bytes.
pub(super) fn format_of(path: &Path, bytes: &[u8]) -> Result<ImageFormat, DataError> {
    if bytes.is_empty() {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    }
    let found = match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Bmp
            | ImageFormat::Tiff
            | ImageFormat::Gif
            | ImageFormat::Pnm),
        ) => return Ok(format),
        Ok(other) => other.to_mime_type(),
        Err(_) => brand(bytes),
    };
    Err(DataError::UnknownFormat { path: path.to_owned(), found: found.to_owned() })
}

/// What phones write and cannot be read here deserves its name.
fn brand(bytes: &[u8]) -> &'static str {
    match bytes.get(4..12) {
        Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1" | b"ftyphevc") => "image/heic",
        _ => "of an unknown format",
    }
}

/// What a file lacks, as `(kind, what is missing)`, if its decoder would not notice.
pub(super) fn missing(format: ImageFormat, bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match format {
        ImageFormat::Jpeg if !markers::is_complete(bytes) => {
            Some(("JPEG", "an end-of-image marker"))
        }
        ImageFormat::WebP if !webp::is_whole(bytes) => {
            Some(("WebP", "the chunks that it declares"))
        }
        ImageFormat::Tiff if !tiff::is_whole(bytes) => {
            Some(("TIFF", "the pixels that it declares"))
        }
        ImageFormat::Pnm if !ends_between_numbers(bytes) => {
            Some(("PNM", "white space behind the last number, which may be cut"))
        }
        _ => None,
    }
}

/// Whether the samples of a text form (`P2`, `P3`) end between two numbers: a cut one is a number,
/// too.
fn ends_between_numbers(bytes: &[u8]) -> bool {
    !matches!(bytes, [b'P', b'2' | b'3', .., b'0'..=b'9'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_not_end_with_the_file() {
        assert!(ends_between_numbers(b"P2 1 1 255 12\n"));
        assert!(!ends_between_numbers(b"P2 1 1 255 12"));
        assert!(ends_between_numbers(b"P5 1 1 255 2"));
    }
}
