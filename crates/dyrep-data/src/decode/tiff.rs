//! What a TIFF says of its first picture, held against the file (revision 6.0, section 2). What cannot be followed is
//! left to the decoder.
//!
//! Its decoder takes memory for as many values as an entry declares, before it reads any, and for rows as long as a
//! strip or tile says (`chunks.rs`), or a JPEG in one as large as that says (`jpeg.rs`).

mod chunks;
mod directory;
mod jpeg;

use super::colours::Alpha;

use self::chunks::Layout;
use self::directory::Directory;

/// Places and lengths of strips, then those of tiles.
const PARTS: [[u16; 2]; 2] = [[273, 279], [324, 325]];

/// What the samples beside the colours are, and the value of an opacity by which they have been multiplied.
const BESIDE_COLOURS: u16 = 338;
const ASSOCIATED: u64 = 1;

/// Refuses an entry of the first directory that declares more values than the file has bytes for, and strips or tiles
/// that would take much more memory than the picture.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let Some(directory) = Directory::of(bytes) else { return Ok(()) };
    for entry in directory.entries() {
        if entry.bytes() > bytes.len() as u64 {
            return Err(format!(
                "tag {} declares {} values in a file of {} bytes",
                entry.tag,
                entry.count,
                bytes.len()
            ));
        }
    }
    let layout = Layout::of(directory)?;
    chunks::check(&layout)?;
    jpeg::check(directory, &layout)
}

/// Whether the strips or tiles of the first picture lie inside the file.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let Some(directory) = Directory::of(bytes) else { return true };
    PARTS.iter().all(|&[places, lengths]| {
        let mut parts = directory.values(places).zip(directory.values(lengths));
        parts.all(|(place, length)| place.saturating_add(length) <= bytes.len() as u64)
    })
}

/// What the first sample beside the colours says of them, if it says anything.
pub(super) fn alpha(bytes: &[u8]) -> Alpha {
    let kinds = Directory::of(bytes).and_then(|directory| directory.values(BESIDE_COLOURS).next());
    if kinds == Some(ASSOCIATED) { Alpha::Premultiplied } else { Alpha::Straight }
}

#[cfg(test)]
mod tests {
    use super::directory::file;
    use super::*;
    use rstest::rstest;

    #[rstest]
    fn values_lie_in_the_file(#[values(true, false)] little: bool) {
        for (kind, each) in [(1, 1), (3, 2), (4, 4), (5, 8), (16, 8)] {
            let holding = |values| file(little, &[(700, kind, values, 0)], 400);
            let most = (holding(0).len() / each) as u32;
            assert_eq!(check(&holding(most)), Ok(()));
            for values in [most + 1, 8_000_000, u32::MAX] {
                let reason = check(&holding(values)).unwrap_err();
                let told = format!("tag 700 declares {values} values");
                assert!(reason.starts_with(&told), "{reason}");
            }
        }
        let whole = file(little, &[(700, 3, 9_000, 0)], 0);
        for length in 0..whole.len() {
            let _any = check(&whole[..length]);
        }
        assert_eq!(check(b"II*\0\xff\xff\xff\xff"), Ok(()));
    }

    #[rstest]
    fn only_whole_files_have_their_strips(#[values(true, false)] little: bool) {
        let strip = |place, length, pixels| {
            file(little, &[(273, 4, 1, place), (279, 4, 1, length)], pixels)
        };
        assert!(is_whole(&strip(38, 10, 10)));
        assert!(!is_whole(&strip(38, 10, 9)));
        assert!(!is_whole(&strip(u32::MAX, u32::MAX, 9)));
        // No directory at all: the decoder says so.
        assert!(is_whole(&strip(0, 0, 0)[..6]));
    }
}
