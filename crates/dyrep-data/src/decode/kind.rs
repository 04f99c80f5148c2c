//! Which kind of file it is, and whether all of it is there.
//!
//! A kind is known by the first bytes; the name is not asked: ImageNet has a PNG named `.JPEG`.
//!
//! Some decoders fill what a file lacks and report success, so a download that stopped half-way
//! would train the network on grey. For their kinds the end is looked for in front of them, in what
//! the file says about itself. The others (PNG, BMP, GIF, binary PNM) notice a missing byte.

use std::path::Path;

use image::ImageFormat;

use super::markers;
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
        ImageFormat::WebP if !has_chunks(bytes) => Some(("WebP", "the chunks that it declares")),
        ImageFormat::Tiff if !has_strips(bytes) => Some(("TIFF", "the pixels that it declares")),
        ImageFormat::Pnm if !ends_between_numbers(bytes) => {
            Some(("PNM", "white space behind the last number, which may be cut"))
        }
        _ => None,
    }
}

/// Whether a RIFF file holds all of its chunks. No decoder then takes memory for one that it lacks.
fn has_chunks(bytes: &[u8]) -> bool {
    let number = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|&it| u32::from_le_bytes(it));
    let Some(end) = number(4).map(|length| (length as usize).saturating_add(8)) else {
        return false;
    };
    let mut at = 12;
    // Padding to an even length may be missing at the very end.
    while at + 8 <= end.min(bytes.len()) {
        let Some(length) = number(at + 4) else { return false };
        at = at.saturating_add(8 + length as usize).saturating_add((length % 2) as usize);
    }
    end <= bytes.len() && at <= end.saturating_add(1)
}

/// Whether the samples of a text form (`P2`, `P3`) end between two numbers: a cut one is a number,
/// too.
fn ends_between_numbers(bytes: &[u8]) -> bool {
    !matches!(bytes, [b'P', b'2' | b'3', .., b'0'..=b'9'])
}

/// Whether the strips or tiles of a TIFF's first picture lie inside the file. What cannot be followed
/// is left to the decoder.
fn has_strips(bytes: &[u8]) -> bool {
    let tiff = Tiff { bytes, little: bytes.starts_with(b"II") };
    let Some(entries) = tiff.entries() else { return true };
    // Strips' offsets and lengths, then those of tiles.
    for [offsets, lengths] in [[273, 279], [324, 325]] {
        let find = |tag: u64| entries.clone().find(|&at| tiff.number(at, 2) == Some(tag));
        let (Some(offsets), Some(lengths)) = (find(offsets), find(lengths)) else { continue };
        let mut parts = tiff.values(offsets).zip(tiff.values(lengths));
        if parts.any(|(offset, length)| offset.saturating_add(length) > bytes.len() as u64) {
            return false;
        }
    }
    true
}

/// The numbers of a TIFF (revision 6.0, section 2).
#[derive(Clone, Copy)]
struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    /// The number of so many bytes.
    fn number(self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let push = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, push),
            false => bytes.iter().fold(0, push),
        })
    }

    /// Where the entries of the first directory are; each has 12 bytes.
    fn entries(self) -> Option<impl Iterator<Item = usize> + Clone + 'a> {
        let at = usize::try_from(self.number(4, 4)?).ok()?;
        let count = usize::try_from(self.number(at, 2)?).ok()?;
        Some((0..count).map(move |entry| at + 2 + 12 * entry))
    }

    /// The values of an entry: in it, if four bytes hold them, else where it says.
    fn values(self, entry: usize) -> impl Iterator<Item = u64> + 'a {
        let size = match self.number(entry + 2, 2) {
            Some(3) => 2,
            Some(4) => 4,
            _ => 0,
        };
        let count = self.number(entry + 4, 4).filter(|_| size > 0).unwrap_or_default();
        let inside = count.saturating_mul(size as u64) <= 4;
        let at = if inside { Some(entry as u64 + 8) } else { self.number(entry + 8, 4) };
        // As many as there are bytes for, whatever the file says.
        (0..count).map_while(move |value| {
            let at = at?.checked_add(value * size as u64)?;
            self.number(usize::try_from(at).ok()?, size)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn riff(declared: u32, chunks: &[(u32, usize)]) -> Vec<u8> {
        let mut bytes = [b"RIFF", &declared.to_le_bytes()[..], b"WEBP"].concat();
        for &(length, there) in chunks {
            bytes.extend(b"VP8 ");
            bytes.extend(length.to_le_bytes());
            bytes.extend(vec![7; there]);
        }
        bytes
    }

    #[rstest]
    #[case::whole(riff(16, &[(4, 4)]), true)]
    #[case::two(riff(28, &[(4, 4), (4, 4)]), true)]
    #[case::padded(riff(16, &[(3, 4)]), true)]
    #[case::padding_left_out(riff(15, &[(3, 3)]), true)]
    #[case::bytes_behind(riff(16, &[(4, 9)]), true)]
    #[case::cut(riff(16, &[(4, 3)]), false)]
    #[case::cut_at_a_chunk(riff(28, &[(4, 4)]), false)]
    #[case::chunk_beyond_the_end(riff(16, &[(u32::MAX, 4)]), false)]
    #[case::cut_in_front(b"RIFF\x10\0\0".to_vec(), false)]
    fn only_whole_webps_have_their_chunks(#[case] bytes: Vec<u8>, #[case] whole: bool) {
        assert_eq!(has_chunks(&bytes), whole);
    }

    /// One directory of one strip at offset 8, in both orders of bytes.
    fn tiff(little: bool, offset: u32, length: u32, pixels: usize) -> Vec<u8> {
        let four = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let two = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(four(8));
        bytes.extend(two(2));
        for (tag, value) in [(273, offset), (279, length)] {
            bytes.extend([&two(tag)[..], &two(4), &four(1), &four(value)].concat());
        }
        bytes.extend(four(0));
        bytes.extend(vec![0; pixels]);
        bytes
    }

    #[rstest]
    fn only_whole_tiffs_have_their_strips(#[values(true, false)] little: bool) {
        assert!(has_strips(&tiff(little, 38, 10, 10)));
        assert!(!has_strips(&tiff(little, 38, 10, 9)));
        assert!(!has_strips(&tiff(little, u32::MAX, u32::MAX, 9)));
        // No directory at all: the decoder says so.
        assert!(has_strips(&tiff(little, 0, 0, 0)[..6]));
    }

    #[test]
    fn numbers_may_not_end_with_the_file() {
        assert!(ends_between_numbers(b"P2 1 1 255 12\n"));
        assert!(!ends_between_numbers(b"P2 1 1 255 12"));
        assert!(ends_between_numbers(b"P5 1 1 255 2"));
    }
}
