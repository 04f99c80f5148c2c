//! Files that declare far more than they hold: refused in front of the memory that their decoders would take for it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

#[path = "common/progressive.rs"]
mod progressive;
#[path = "common/tiff.rs"]
mod tiff;

use dyrep_data::{Channels, Contents, DataError, Image};
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
fn a_tiffs_tiles_are_not_much_wider_than_it(#[case] samples: u16, #[case] tile: u32) {
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
fn samples_that_a_tiff_does_not_show_are_passed_over() {
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
fn a_jpeg_in_a_tiff_is_decoded_where_it_fits() {
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
fn a_jpeg_is_no_larger_than_its_part_of_the_tiff() {
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

/// Behind the end of the file, as it tells it, is a chunk that is cut. The decoder would take 402 MB for the frame in it.
#[test]
fn a_webps_frame_is_no_larger_than_it() {
    let features = [&b"VP8X\x0a\0\0\0"[..], &[0, 0, 0, 0, 6, 0, 0, 4, 0, 0]].concat();
    let frame =
        [&b"VP8 \xf0\xff\xff\x7f"[..], &[0, 0, 0, 0x9d, 1, 0x2a, 255, 63, 255, 63]].concat();
    let bytes = [&b"RIFF\x16\0\0\0WEBP"[..], &features, &frame, &[0; 100]].concat();
    let told = "a frame of 16383x16383 in a picture of 7x5";
    assert_eq!(reason(&bytes), told);
}
