//! TIFFs that no encoder here writes. Those that declare far more than they hold are refused in front of the memory that
//! their decoder would take for it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

#[path = "common/progressive.rs"]
mod progressive;
#[path = "common/tiff.rs"]
mod tiff;

use dyrep_data::{Channels, Contents, DataError, Decoding, Image};
use progressive::progressive;
use rstest::rstest;
use tiff::Tiff;

fn decode(bytes: &[u8]) -> Result<Image, DataError> {
    Contents::File { path: "some.file".into(), decoding: Channels::Rgb.into() }.decode(bytes)
}

/// Why a file is not decoded; the error names it.
fn reason(bytes: &[u8]) -> String {
    match decode(bytes).unwrap_err() {
        DataError::Undecodable { path, reason } => {
            assert_eq!(path.to_str(), Some("some.file"));
            reason
        }
        other => panic!("{other}"),
    }
}

/// One pixel, in a tile that would take 16 GB or 256 TB a row. Less is the same in kind.
#[rstest]
#[case::four(4, u32::MAX)]
#[case::many(u16::MAX, u32::MAX)]
#[case::more_samples_than_width(u16::MAX, 1 << 20)]
fn tiles_are_not_much_wider_than_the_picture(#[case] samples: u16, #[case] tile: u32) {
    let unused = vec![0; usize::from(samples) - 3];
    let bytes = Tiff::rgb(1, 1)
        .with(277, &[samples])
        .with(258, &[8])
        .with(338, &unused)
        .long(322, tile)
        .long(323, 1)
        .tile(&[0; 4]);
    assert!(reason(&bytes).contains("samples of 8 bits"), "{}", reason(&bytes));
}

#[test]
fn samples_that_are_not_shown_are_passed_over() {
    let of = |samples: u16, data: &[u8]| {
        let unused = vec![0; usize::from(samples) - 3];
        Tiff::rgb(2, 1).with(277, &[samples]).with(258, &[8]).with(338, &unused).strip(data)
    };
    let image = decode(&of(5, &[10, 20, 30, 1, 2, 40, 50, 60, 3, 4])).unwrap();
    assert_eq!(image.pixels(), [10, 20, 30, 40, 50, 60]);
}

/// A grey JPEG of one colour, coded progressively, that declares so many pixels and has a scan for a few.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = progressive(8, 1);
    let frame = bytes.windows(2).position(|two| two == [0xFF, 0xC2]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// Colours, or greys if it is so, packed as JPEG.
fn packed(width: u16, height: u16) -> Tiff {
    Tiff::rgb(width, height).with(262, &[1]).with(277, &[1]).with(258, &[8]).with(259, &[7])
}

/// Tables in front of a JPEG may hold all of its header.
fn split(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let scan = jpeg.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
    ([&jpeg[..scan], &[0xFF, 0xD9]].concat(), [&[0xFF, 0xD8], &jpeg[scan..]].concat())
}

#[test]
fn a_jpeg_inside_is_decoded_where_it_fits() {
    let grey = vec![128; 8 * 8 * 3];
    let (tables, scan) = split(&jpeg(8, 8));
    for bytes in [
        packed(8, 8).strip(&jpeg(8, 8)),
        // One strip of more rows than there are, as some write it.
        packed(8, 8).long(278, u32::MAX).strip(&jpeg(8, 8)),
        packed(8, 8).long(322, 16).long(323, 16).tile(&jpeg(16, 16)),
        packed(8, 8).bytes(347, &tables).strip(&scan),
    ] {
        assert_eq!(decode(&bytes).unwrap().pixels(), grey);
    }
}

/// The decoder would take a gigabyte for it.
#[test]
fn a_jpeg_inside_is_no_larger_than_its_part() {
    let large = jpeg(16_384, 16_384);
    let (tables, scan) = split(&large);
    for (bytes, told) in [
        (packed(8, 8).strip(&large), "strip or tile of 8x8"),
        (packed(8, 8).long(278, u32::MAX).strip(&jpeg(8, 9)), "strip or tile of 8x8"),
        (packed(8, 8).bytes(347, &tables).strip(&scan), "strip or tile of 8x8"),
        (packed(8, 8).long(322, 16).long(323, 16).tile(&jpeg(17, 8)), "strip or tile of 16x16"),
        // Nor much larger than the picture.
        (packed(8, 8).long(322, 16_384).long(323, 16_384).tile(&large), "picture of 8x8"),
    ] {
        assert!(reason(&bytes).contains(told), "{}", reason(&bytes));
    }
}

/// Refused for what they are before they are unpacked, which would take 24 bytes a pixel.
#[test]
fn samples_are_whole_numbers() {
    let tiff = Tiff::rgb(4, 1).with(258, &[32; 3]).with(339, &[3; 3]).with(259, &[8]);
    assert_eq!(reason(&tiff.strip(b"not packed")), "its samples are Rgb32F; expected 8 or 16 bits");
}

/// Samples that have been multiplied by their opacity (1 in tag 338) are composed as they are, c + b·(1 − a); those of
/// more than their opacity count as much. The same where they have 16 bits, here 257 times as much.
#[rstest]
fn transparency_may_be_in_the_colours(#[values(8, 16)] bits: u16) {
    let samples: [u16; 16] = [10, 64, 128, 128, 12, 200, 99, 255, 0, 0, 0, 0, 200, 128, 9, 128];
    let data: Vec<u8> = match bits {
        8 => samples.iter().map(|&sample| sample as u8).collect(),
        _ => samples.iter().flat_map(|&sample| (257 * sample).to_le_bytes()).collect(),
    };
    let pixels = |kind: u16, background: [u8; 3]| {
        let tiff = Tiff::rgb(4, 1).with(277, &[4]).with(258, &[bits; 4]).with(338, &[kind]);
        let decoding = Decoding { background, ..Channels::Rgb.into() };
        let contents = Contents::File { path: "x".into(), decoding };
        contents.decode(&tiff.strip(&data)).unwrap().into_pixels()
    };
    let multiplied = [137, 191, 255, 12, 200, 99, 255, 255, 255, 255, 255, 136];
    assert_eq!(pixels(1, [255; 3]), multiplied);
    let multiplied = [10, 89, 179, 12, 200, 99, 0, 51, 102, 128, 153, 60];
    assert_eq!(pixels(1, [0, 51, 102]), multiplied);
    let straight = [132, 159, 191, 12, 200, 99, 255, 255, 255, 227, 191, 132];
    assert_eq!(pixels(2, [255; 3]), straight);
}
