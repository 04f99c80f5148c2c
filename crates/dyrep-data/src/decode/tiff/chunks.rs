//! What the strips and tiles of a TIFF take in memory, told by their sizes, in front of any of their pixels.
//!
//! Its decoder unpacks one row of a strip or tile at a time, however wide the tile and however many samples a pixel
//! has that no picture shows.

use std::fmt;

use super::super::still::BESIDE_PIXELS;
use super::directory::Directory;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const SAMPLES: u16 = 277;
const STRIP_HEIGHT: u16 = 278;
const PLANES: u16 = 284;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_PLACES: u16 = 324;

/// Planes that lie one behind the other, each in strips or tiles of its own.
const SEPARATE: u64 = 2;
/// The most samples of a pixel that a picture shows.
const SHOWN: u64 = 4;

/// Refuses strips or tiles of which a row takes more than is allowed beside the picture's own.
pub(super) fn check(layout: &Layout) -> Result<(), String> {
    let Layout { chunk, shown, bits } = layout;
    let bytes = |size: Size| size.row().saturating_mul(*bits).div_ceil(8);
    let (row, shown) = (bytes(*chunk), bytes(*shown));
    if row.saturating_sub(shown) > BESIDE_PIXELS {
        return Err(format!(
            "its strips or tiles are of {chunk} of {bits} bits, {row} bytes a row; a row may take {BESIDE_PIXELS} bytes \
             more than one of the picture, which has {shown}"
        ));
    }
    Ok(())
}

/// The sizes of the picture and its strips or tiles.
pub(super) struct Layout {
    pub(super) chunk: Size,
    /// The picture, as much of it as strips or tiles of one kind show.
    pub(super) shown: Size,
    /// Of a sample.
    bits: u64,
}

/// In pixels, and samples of a pixel.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) samples: u64,
}

impl Size {
    /// Samples of a row.
    fn row(self) -> u64 {
        self.width.saturating_mul(self.samples)
    }

    /// Samples of all rows.
    pub(super) fn area(self) -> u64 {
        self.row().saturating_mul(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, samples } = self;
        write!(f, "{width}x{height} pixels of {samples} samples")
    }
}

impl Layout {
    /// Sizes that are no numbers are refused: the decoder takes some of them for numbers.
    pub(super) fn of(directory: Directory<'_>) -> Result<Self, String> {
        let number = |tag, default| match directory.find(tag) {
            Some(entry) if !entry.is_of_whole_numbers() => {
                Err(format!("tag {tag} is of another type than whole numbers"))
            }
            _ => Ok(directory.values(tag).next().unwrap_or(default)),
        };
        let (width, height) = (number(WIDTH, 0)?, number(HEIGHT, 0)?);
        let samples = if number(PLANES, 1)? == SEPARATE { 1 } else { number(SAMPLES, 1)? };
        let chunk = match directory.find(TILE_PLACES) {
            Some(_) => {
                Size { width: number(TILE_WIDTH, 0)?, height: number(TILE_HEIGHT, 0)?, samples }
            }
            None => Size { width, height: number(STRIP_HEIGHT, height)?.min(height), samples },
        };
        let shown = Size { width, height, samples: samples.min(SHOWN) };
        Ok(Self { chunk, shown, bits: number(BITS, 1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::file;
    use super::*;
    use rstest::rstest;

    fn told(entries: &[(u16, u16, u32, u32)]) -> Result<(), String> {
        check(&Layout::of(Directory::of(&file(true, entries, 0)).unwrap())?)
    }

    #[rstest]
    // As a strip of any width, whose rows are the picture's.
    #[case::strip(&[(256, 4, 1, 1 << 30), (277, 3, 1, 4), (258, 3, 1, 16)], true)]
    #[case::tile(&[(256, 4, 1, 7), (277, 3, 1, 4), (258, 3, 1, 16), (324, 4, 1, 0), (322, 4, 1, 512)], true)]
    #[case::wide_tile(&[(256, 4, 1, 1), (277, 3, 1, 4), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, u32::MAX)], false)]
    #[case::widest_tile(&[(256, 4, 1, 0), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, 1 << 26)], true)]
    #[case::too_wide(&[(256, 4, 1, 0), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, (1 << 26) + 1)], false)]
    #[case::many_samples(&[(256, 4, 1, 2000), (277, 3, 1, 65_535), (258, 3, 1, 8)], false)]
    #[case::many_planes(&[(256, 4, 1, 2000), (277, 3, 1, 65_535), (258, 3, 1, 8), (284, 3, 1, 2)], true)]
    // The decoder would take the text `@`, which is no number, for 64 bits.
    #[case::no_number(&[(256, 4, 1, 7), (258, 2, 2, 0x40)], false)]
    fn rows_take_little_beside_the_pictures(
        #[case] entries: &[(u16, u16, u32, u32)],
        #[case] good: bool,
    ) {
        assert_eq!(told(entries).is_ok(), good, "{:?}", told(entries));
    }
}
