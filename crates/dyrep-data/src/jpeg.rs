//! Whether a JPEG is complete: a walk over its markers (ITU-T T.81, annex B) to the end of image.
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
const TEMPORARY: u8 = 0x01;
/// RST0 to RST7 stand alone, inside the coded data.
const RESTART: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;

/// Whether the markers of `bytes`, which begin with SOI, lead to an EOI.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            END_OF_IMAGE => return true,
            START_OF_IMAGE | TEMPORARY => after,
            marker if RESTART.contains(&marker) => after,
            _ => match skip_segment(after) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    false
}

/// The next marker and what follows it. Coded data, in which 0xFF is stuffed with 0x00, is skipped.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let start = rest.iter().position(|&byte| byte == 0xFF)?;
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

/// What follows a segment, whose first two bytes are its length, themselves included.
fn skip_segment(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.first_chunk::<2>().map(|&length| u16::from_be_bytes(length))?;
    bytes.get(usize::from(length)..)
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
