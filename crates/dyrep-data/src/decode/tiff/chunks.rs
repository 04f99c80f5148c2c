//! What the strips and tiles of a TIFF take in memory, told by their sizes, in front of any of their pixels.
//!
//! Its decoder unpacks one row of a strip or tile at a time, however wide the tile and however many samples a pixel
//! has that no picture shows.

use super::super::still::BESIDE_PIXELS;
use super::directory::Directory;

const WIDTH: u16 = 256;
const BITS: u16 = 258;
const SAMPLES: u16 = 277;
const PLANES: u16 = 284;
const TILE_WIDTH: u16 = 322;
const TILE_PLACES: u16 = 324;

/// Planes that lie one behind the other, each in strips or tiles of its own.
const SEPARATE: u64 = 2;
/// The most samples of a pixel that a picture shows.
const SHOWN: u64 = 4;

/// Refuses strips or tiles of which a row takes more than is allowed beside the picture's own.
pub(super) fn check(directory: Directory<'_>) -> Result<(), String> {
    let layout = Layout::of(directory)?;
    let (row, of_picture) = (layout.row_bytes(), layout.shown_row_bytes());
    if row.saturating_sub(of_picture) > BESIDE_PIXELS {
        let Layout { chunk_width, samples, bits, .. } = layout;
        return Err(format!(
            "its strips or tiles have rows of {chunk_width} pixels of {samples} samples of {bits} bits, {row} bytes; a \
             row may take {BESIDE_PIXELS} bytes more than one of the picture, which has {of_picture}"
        ));
    }
    Ok(())
}

/// The sizes of the picture and its strips or tiles.
struct Layout {
    width: u64,
    chunk_width: u64,
    /// Of a pixel, in one strip or tile.
    samples: u64,
    /// Of a sample.
    bits: u64,
}

impl Layout {
    /// Sizes that no decoder reads are refused: it could take them for something else.
    fn of(directory: Directory<'_>) -> Result<Self, String> {
        let number = |tag, default| match directory.find(tag) {
            Some(entry) if !entry.is_of_whole_numbers() => {
                Err(format!("tag {tag} is of another type than whole numbers"))
            }
            _ => Ok(directory.values(tag).next().unwrap_or(default)),
        };
        let width = number(WIDTH, 0)?;
        let tiled = directory.find(TILE_PLACES).is_some();
        let together = number(PLANES, 1)? != SEPARATE;
        let samples = number(SAMPLES, 1)?;
        Ok(Self {
            width,
            chunk_width: if tiled { number(TILE_WIDTH, 0)? } else { width },
            samples: if together { samples } else { 1 },
            bits: number(BITS, 1)?,
        })
    }

    fn row_bytes(&self) -> u64 {
        bytes(self.chunk_width, self.samples, self.bits)
    }

    /// Of a row of the picture, without the samples that it does not show.
    fn shown_row_bytes(&self) -> u64 {
        bytes(self.width, self.samples.min(SHOWN), self.bits)
    }
}

fn bytes(pixels: u64, samples: u64, bits: u64) -> u64 {
    pixels.saturating_mul(samples).saturating_mul(bits).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::super::directory::file;
    use super::*;
    use rstest::rstest;

    fn told(entries: &[(u16, u16, u32, u32)]) -> Result<(), String> {
        check(Directory::of(&file(true, entries, 0)).unwrap())
    }

    #[rstest]
    // As a strip of any width, whose rows are the picture's.
    #[case::strip(&[(256, 4, 1, 1 << 30), (277, 3, 1, 4), (258, 3, 1, 16)], true)]
    #[case::tile(&[(256, 4, 1, 7), (277, 3, 1, 4), (258, 3, 1, 16), (324, 4, 1, 0), (322, 4, 1, 512)], true)]
    #[case::wide_tile(&[(256, 4, 1, 1), (277, 3, 1, 4), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, u32::MAX)], false)]
    #[case::widest_tile(&[(256, 4, 1, 0), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, 1 << 26)], true)]
    #[case::too_wide(&[(256, 4, 1, 0), (258, 3, 1, 8), (324, 4, 1, 0), (322, 4, 1, (1 << 26) + 1)], false)]
    #[case::many_samples(&[(256, 4, 1, 2000), (277, 3, 1, u16::MAX as u32), (258, 3, 1, 8)], false)]
    #[case::many_planes(&[(256, 4, 1, 2000), (277, 3, 1, u16::MAX as u32), (258, 3, 1, 8), (284, 3, 1, 2)], true)]
    // The decoder would take the text `@`, which is no number, for 64 bits.
    #[case::no_number(&[(256, 4, 1, 7), (258, 2, 2, 0x40)], false)]
    fn rows_take_little_beside_the_pictures(
        #[case] entries: &[(u16, u16, u32, u32)],
        #[case] good: bool,
    ) {
        assert_eq!(told(entries).is_ok(), good, "{:?}", told(entries));
    }
}
