//! Files that declare far more than they hold: refused in front of the memory that their decoders would take for it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

#[path = "common/tiff.rs"]
mod tiff;

use dyrep_data::{Channels, Contents, DataError, Image};
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
