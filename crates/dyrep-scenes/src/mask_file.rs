//! Masks as PNG files: the numbers of a palette or grey values are labels, never colours.

use std::io::Cursor;
use std::path::Path;

use dyrep_data::Image;
use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

use crate::error::SceneError;
use crate::file;
use crate::scene::Mask;

/// The memory that decoding may take beside the pixels, in bytes.
const BESIDE_PIXELS: usize = 64 << 20;

/// Reads a mask from a PNG of a palette or of grey values, 1, 2, 4 or 8 bits a pixel.
///
/// # Errors
///
/// If the file cannot be read, is no such PNG, or has more than [`Image::MAX_PIXELS`].
pub fn read_mask(path: impl AsRef<Path>) -> Result<Mask, SceneError> {
    let path = path.as_ref();
    decode(&file::read(path, file::MASK)?)
        .map_err(|reason| SceneError::MaskFile { path: path.to_owned(), reason })
}

/// Writes a mask as a PNG of 8-bit grey values, whole or not at all.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_mask(path: impl AsRef<Path>, mask: &Mask) -> Result<(), SceneError> {
    write_png(path.as_ref(), (mask.width(), mask.height()), ColorType::Grayscale, mask.labels())
}

/// Writes pixels of 8 bits as a PNG.
pub(crate) fn write_png(
    path: &Path,
    (width, height): (u32, u32),
    colours: ColorType,
    pixels: &[u8],
) -> Result<(), SceneError> {
    file::write(path, |file| {
        let mut encoder = Encoder::new(file, width, height);
        encoder.set_color(colours);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        Ok(writer.finish()?)
    })
}

fn decode(bytes: &[u8]) -> Result<Mask, String> {
    let text = |error: png::DecodingError| error.to_string();
    let limits = Limits { bytes: Image::MAX_PIXELS as usize + BESIDE_PIXELS };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(text)?;
    let info = reader.info();
    let (width, height) = info.size();
    if u64::from(width) * u64::from(height) > Image::MAX_PIXELS {
        return Err(format!("{width}x{height} pixels, more than {}", Image::MAX_PIXELS));
    }
    let bits = match (info.color_type, info.bit_depth) {
        (_, BitDepth::Sixteen) => return Err("16 bits a pixel".to_owned()),
        (ColorType::Grayscale | ColorType::Indexed, depth) => depth as usize,
        (other, _) => return Err(format!("a picture of colours ({other:?})")),
    };
    let length = reader.output_buffer_size().ok_or("more pixels than memory")?;
    let mut packed = vec![0; length];
    reader.next_frame(&mut packed).map_err(text)?;
    let row = reader.output_line_size(width).ok_or("more pixels than memory")?;
    let labels = packed.chunks_exact(row).flat_map(|row| unpacked(row, bits, width as usize));
    Mask::new(width, height, labels.collect()).map_err(|error| error.to_string())
}

/// The values in a row, the first in the highest bits of the first byte.
fn unpacked(row: &[u8], bits: usize, width: usize) -> impl Iterator<Item = u8> {
    let among = 8 / bits;
    let value = move |at: usize| {
        let shifted = row[at / among] >> (8 - bits - at % among * bits);
        shifted & (0xff >> (8 - bits))
    };
    (0..width).map(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

    use super::*;
    use rstest::rstest;

    fn png(colours: ColorType, depth: BitDepth, width: u32, pixels: &[u8]) -> Vec<u8> {
        let mut file = vec![];
        let mut encoder = Encoder::new(&mut file, width, 2);
        encoder.set_color(colours);
        encoder.set_depth(depth);
        if colours == ColorType::Indexed {
            // All colours alike: only the numbers tell labels apart.
            encoder.set_palette(vec![
                7;
                3 * if depth == BitDepth::Eight {
                    256
                } else {
                    1 << depth as usize
                }
            ]);
        }
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        file
    }

    #[rstest]
    #[case(BitDepth::One, &[0b0110_0000, 0b1000_0000], &[0, 1, 1, 1, 0, 0])]
    #[case(BitDepth::Two, &[0b0011_0100, 0b1000_0000], &[0, 3, 1, 2, 0, 0])]
    #[case(BitDepth::Four, &[0x1f, 0x20, 0x34, 0x50], &[1, 15, 2, 3, 4, 5])]
    #[case(BitDepth::Eight, &[0, 254, 255, 1, 2, 3], &[0, 254, 255, 1, 2, 3])]
    fn labels_are_the_file_s_numbers(
        #[case] depth: BitDepth,
        #[case] pixels: &[u8],
        #[case] labels: &[u8],
    ) {
        for colours in [ColorType::Grayscale, ColorType::Indexed] {
            let mask = decode(&png(colours, depth, 3, pixels)).unwrap();
            assert_eq!((mask.width(), mask.height()), (3, 2));
            assert_eq!(mask.labels(), labels, "{colours:?}");
        }
    }

    #[rstest]
    #[case(ColorType::Rgb, BitDepth::Eight, 18)]
    #[case(ColorType::GrayscaleAlpha, BitDepth::Eight, 12)]
    #[case(ColorType::Grayscale, BitDepth::Sixteen, 12)]
    fn pictures_are_no_masks(
        #[case] colours: ColorType,
        #[case] depth: BitDepth,
        #[case] bytes: usize,
    ) {
        assert!(decode(&png(colours, depth, 3, &vec![1; bytes])).is_err());
    }

    #[test]
    fn what_is_cut_or_declares_too_much_is_refused() {
        let file = png(ColorType::Grayscale, BitDepth::Eight, 3, &[1; 6]);
        for length in 0..file.len() - 12 {
            assert!(decode(&file[..length]).is_err(), "{length} of {} bytes", file.len());
        }
        let mut huge = file;
        huge[16..24].fill(0x7f);
        assert!(decode(&huge).is_err());
    }
}
