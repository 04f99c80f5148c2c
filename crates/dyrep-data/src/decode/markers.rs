//! What a walk over a JPEG's markers (ITU-T T.81, annex B) tells: whether the file is complete, its
//! EXIF data, and how it is coded.
//!
//! The decoder fills what a truncated file lacks with grey and reports success, so a download that
//! stopped half-way would train the network on grey. A file cut anywhere has lost its EOI marker,
//! and finding that marker takes one pass over the bytes, without decoding. Searching the end of
//! the file for it would not do: bytes may follow the image, and a thumbnail inside a segment has
//! an EOI of its own.
//!
//! What it cannot see: bytes overwritten in the middle of a file of full length.

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_IMAGE: u8 = 0xD8;
const START_OF_SCAN: u8 = 0xDA;
#[cfg(not(feature = "turbojpeg"))]
const SEQUENTIAL_FRAME: u8 = 0xC0;
#[cfg(not(feature = "turbojpeg"))]
const EXTENDED_FRAME: u8 = 0xC1;
const APP1: u8 = 0xE1;
const TEMPORARY: u8 = 0x01;
/// RST0 to RST7 stand alone, inside the coded data.
const RESTART: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;

/// Whether the markers of `bytes`, which begin with SOI, lead to an EOI.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    walk(bytes, |marker, _| (marker == END_OF_IMAGE).then_some(())).is_some()
}

/// The EXIF data in front of the coded data.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    walk(bytes, |marker, segment| match marker {
        APP1 => segment.strip_prefix(b"Exif\0\0").map(Some),
        START_OF_SCAN | END_OF_IMAGE => Some(None),
        _ => None,
    })?
}

/// Whether there is coded data at all. To libjpeg-turbo, a file cut in front of it is one of tables
/// alone: it reports success, and the size of the file before.
#[cfg(feature = "turbojpeg")]
pub(super) fn has_scan(bytes: &[u8]) -> bool {
    let found = walk(bytes, |marker, _| match marker {
        START_OF_SCAN => Some(true),
        END_OF_IMAGE => Some(false),
        _ => None,
    });
    found == Some(true)
}

/// Whether a baseline file codes its components in several scans, with fewer rows of some.
#[cfg(not(feature = "turbojpeg"))]
pub(super) fn has_uneven_scans(bytes: &[u8]) -> bool {
    let mut frame: Option<&[u8]> = None;
    walk(bytes, |marker, segment| match marker {
        SEQUENTIAL_FRAME | EXTENDED_FRAME => {
            // Precision, height, width, the number of components, and three bytes for each, whose
            // second holds the horizontal and vertical sampling.
            frame = segment.get(5..);
            None
        }
        START_OF_SCAN => {
            let Some((&count, components)) = frame.and_then(<[u8]>::split_first) else {
                return Some(false);
            };
            let mut rows = components.chunks_exact(3).map(|component| component[1] & 15);
            let first = rows.next();
            let uneven = rows.any(|of_other| Some(of_other) != first);
            Some(uneven && segment.first().is_some_and(|&in_scan| in_scan < count))
        }
        END_OF_IMAGE => Some(false),
        _ => None,
    })
    .unwrap_or(false)
}

/// Goes from marker to marker until `visit`, which is given the code and the segment's contents,
/// answers. Nothing if the file ends before.
fn walk<'a, T>(bytes: &'a [u8], mut visit: impl FnMut(u8, &'a [u8]) -> Option<T>) -> Option<T> {
    let mut rest = bytes;
    loop {
        let (marker, after) = next_marker(rest)?;
        let alone = matches!(marker, START_OF_IMAGE | END_OF_IMAGE | TEMPORARY)
            || RESTART.contains(&marker);
        let (segment, after) = if alone { (&after[..0], after) } else { split_segment(after)? };
        if let Some(answer) = visit(marker, segment) {
            return Some(answer);
        }
        rest = after;
    }
}

/// The next marker and what follows it. Coded data, in which 0xFF is stuffed with 0x00, is skipped.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let start = memchr::memchr(0xFF, rest)?;
        rest = &rest[start + 1..];
        // Any number of 0xFF may fill up the space before a marker's code.
        let code = rest.iter().position(|&byte| byte != 0xFF)?;
        let marker = rest[code];
        rest = &rest[code + 1..];
        if marker != 0x00 {
            return Some((marker, rest));
        }
    }
}

/// A segment's contents and what follows it. It begins with its length, two bytes that count
/// themselves.
fn split_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.first_chunk::<2>().map(|&length| u16::from_be_bytes(length))?;
    let (segment, rest) = bytes.split_at_checked(usize::from(length))?;
    Some((segment.get(2..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty(&[0xFF, 0xD8, 0xFF, 0xD9], true)]
    #[case::cut_after_start(&[0xFF, 0xD8], false)]
    #[case::bytes_after_the_end(&[0xFF, 0xD8, 0xFF, 0xD9, 1, 2, 3], true)]
    #[case::filled(&[0xFF, 0xD8, 0xFF, 0xFF, 0xFF, 0xD9], true)]
    #[case::stuffed_data(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0x00, 0xD9], false)]
    #[case::restarts(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0xD0, 7, 0xFF, 0xD9], true)]
    #[case::end_of_a_thumbnail(&[0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9], false)]
    #[case::segment_past_the_end(&[0xFF, 0xD8, 0xFF, 0xE1, 0, 9, 0xFF, 0xD9], false)]
    #[case::cut_inside_a_length(&[0xFF, 0xD8, 0xFF, 0xE1, 0], false)]
    #[case::cut_inside_a_marker(&[0xFF, 0xD8, 0xFF], false)]
    fn only_whole_files_are_complete(#[case] bytes: &[u8], #[case] complete: bool) {
        assert_eq!(is_complete(bytes), complete);
    }
}
