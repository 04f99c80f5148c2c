//! Files of every accepted kind, and one of each kind of broken file.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::fs;
use std::io::Cursor;
use std::path::Path;

use common::{rgb, save};
use dyrep_data::{Channels, DataError, Dataset, Image, ImageFolder};
use image::{DynamicImage, GrayImage, ImageFormat, RgbaImage};
use rstest::rstest;
use tempfile::tempdir;

/// Decodes a file of the given name and bytes through a data set that holds nothing else.
fn decode(name: &str, bytes: &[u8], channels: Channels) -> Result<Image, DataError> {
    let root = tempdir().unwrap();
    fs::create_dir(root.path().join("class")).unwrap();
    fs::write(root.path().join("class").join(name), bytes).unwrap();
    let result = ImageFolder::open(root.path(), channels).unwrap().image(0);
    if let Err(error) = &result {
        assert!(error.to_string().contains(name), "the error must name the file: {error}");
    }
    result
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn grey(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| image::Luma([(x * 9 + y * 31) as u8])).into()
}

#[test]
fn png_is_exact() {
    let picture = rgb(13, 7);
    let image = decode("x.png", &encode(&picture, ImageFormat::Png), Channels::Rgb).unwrap();
    assert_eq!((image.width(), image.height(), image.channels()), (13, 7, 3));
    assert_eq!(image.pixels(), picture.as_bytes());
}

#[test]
fn jpeg_is_close() {
    let flat = image::RgbImage::from_pixel(20, 10, image::Rgb([200, 100, 50])).into();
    let image = decode("x.JPEG", &encode(&flat, ImageFormat::Jpeg), Channels::Rgb).unwrap();
    assert_eq!((image.width(), image.height(), image.channels()), (20, 10, 3));
    for pixel in image.pixels().chunks(3) {
        // At the encoder's quality of 75 a flat colour moves by a few levels.
        assert!(
            pixel.iter().zip([200, 100, 50]).all(|(&p, want)| p.abs_diff(want) <= 6),
            "{pixel:?}"
        );
    }
}

#[rstest]
#[case::png_named_jpeg("x.jpeg", ImageFormat::Png)]
#[case::jpeg_named_png("x.png", ImageFormat::Jpeg)]
fn contents_count_and_not_the_extension(#[case] name: &str, #[case] format: ImageFormat) {
    let image = decode(name, &encode(&rgb(9, 8), format), Channels::Rgb).unwrap();
    assert_eq!((image.width(), image.height()), (9, 8));
}

#[rstest]
#[case(ImageFormat::Png)]
#[case(ImageFormat::Jpeg)]
fn grey_is_replicated_to_rgb(#[case] format: ImageFormat) {
    let bytes = encode(&grey(11, 5), format);
    let one = decode("x.jpg", &bytes, Channels::Grey).unwrap();
    let three = decode("x.jpg", &bytes, Channels::Rgb).unwrap();
    assert_eq!((one.channels(), three.channels()), (1, 3));
    let replicated: Vec<u8> = one.pixels().iter().flat_map(|&p| [p; 3]).collect();
    assert_eq!(three.pixels(), replicated);
    if format == ImageFormat::Png {
        assert_eq!(one.pixels(), grey(11, 5).as_bytes());
    }
}

#[test]
fn sixteen_bits_are_scaled_to_eight() {
    let values = [0, 128, 129, 257, 0x8000, 0xFF00, 0xFFFF];
    let picture =
        image::ImageBuffer::<image::Luma<u16>, _>::from_vec(7, 1, values.to_vec()).unwrap();
    let bytes = encode(&picture.into(), ImageFormat::Png);
    let image = decode("x.png", &bytes, Channels::Grey).unwrap();
    // Divided by 257 and rounded to nearest.
    assert_eq!(image.pixels(), [0, 0, 1, 1, 128, 254, 255]);
}

/// Opaque alpha is as if there were none; what shows through is white unless asked for.
#[rstest]
fn transparency_is_composed(
    #[values(Channels::Rgb, Channels::Grey)] channels: Channels,
    #[values(ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff)] format: ImageFormat,
) {
    let opaque = RgbaImage::from_fn(9, 8, |x, y| image::Rgba([x as u8, y as u8, 9, 255]));
    let plain = DynamicImage::from(opaque.clone()).to_rgb8();
    let decode = |picture: DynamicImage| decode("x.png", &encode(&picture, format), channels);
    assert_eq!(decode(opaque.clone().into()).unwrap(), decode(plain.into()).unwrap());
    let mut clear = opaque;
    clear.pixels_mut().for_each(|pixel| pixel[3] = 0);
    assert!(decode(clear.into()).unwrap().pixels().iter().all(|&value| value == 255));
}

/// As torchvision's `Grayscale`, whatever the file.
#[rstest]
fn colour_becomes_luma_where_grey_is_asked_for(
    #[values(ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp)] format: ImageFormat,
) {
    let bytes = encode(&rgb(40, 30), format);
    let rgb = decode("x.png", &bytes, Channels::Rgb).unwrap();
    let grey = decode("x.png", &bytes, Channels::Grey).unwrap();
    assert_eq!((grey.width(), grey.height(), grey.channels()), (40, 30, 1));
    let luma = |pixel: &[u8]| {
        let weighted = [19_595, 38_470, 7_471].into_iter().zip(pixel);
        ((weighted.map(|(weight, &value)| weight * u32::from(value)).sum::<u32>() + 32_768) >> 16)
            as u8
    };
    assert!(rgb.pixels().chunks(3).map(luma).eq(grey.pixels().iter().copied()));
}

/// The decoder by itself fills the missing part with grey, so only the search for the end marker can
/// find these. What is kept: a part of the coded data, and all but the end marker.
#[rstest]
#[case::early(0.5)]
#[case::late(0.9)]
#[case::end_marker(1.0)]
fn truncated_jpegs_are_refused(#[case] kept: f64) {
    let bytes = encode(&rgb(64, 64), ImageFormat::Jpeg);
    let coded = bytes.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap() + 20;
    let kept = coded + ((bytes.len() - 2 - coded) as f64 * kept) as usize;
    let error = decode("x.jpg", &bytes[..kept], Channels::Rgb).unwrap_err();
    let DataError::Truncated { bytes, .. } = error else { panic!("{error}") };
    assert_eq!(bytes, kept);
}

#[test]
fn a_jpeg_cut_inside_its_header_is_refused() {
    let bytes = encode(&rgb(64, 64), ImageFormat::Jpeg);
    let error = decode("x.jpg", &bytes[..100], Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Undecodable { .. }), "{error}");
}

#[rstest]
#[case(0.3)]
#[case(0.9)]
fn truncated_pngs_are_refused(#[case] kept: f64) {
    let bytes = encode(&rgb(64, 64), ImageFormat::Png);
    let kept = (bytes.len() as f64 * kept) as usize;
    let error = decode("x.png", &bytes[..kept], Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Undecodable { .. }), "{error}");
}

#[test]
fn a_damaged_png_is_refused() {
    let mut bytes = encode(&rgb(64, 64), ImageFormat::Png);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let error = decode("x.png", &bytes, Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Undecodable { .. }), "{error}");
}

#[test]
fn an_empty_file_is_refused() {
    let error = decode("x.jpg", &[], Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::EmptyFile { .. }), "{error}");
}

#[rstest]
#[case::text(b"this is no picture", "unknown")]
#[case::qoi(b"qoif\0\0\0\x01\0\0\0\x01\x03\0", "image/x-qoi")]
#[case::of_a_phone(b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic")]
fn other_contents_are_refused(#[case] bytes: &[u8], #[case] found: &str) {
    let error = decode("x.png", bytes, Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::UnknownFormat { .. }), "{error}");
    assert!(error.to_string().contains(found), "{error}");
}

/// A PNG whose header declares `width × height` and is otherwise intact, checksum included.
fn png_declaring(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode(&rgb(4, 4), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[rstest]
#[case(60_000, 60_000)]
#[case(10_000, 8_948)]
#[case(1, 89_478_486)]
fn decompression_bombs_are_refused_by_their_header(#[case] width: u32, #[case] height: u32) {
    let error = decode("x.png", &png_declaring(width, height), Channels::Rgb).unwrap_err();
    let DataError::TooManyPixels { width: w, height: h, limit, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((w, h, limit), (width, height, Image::MAX_PIXELS));
}

#[rstest]
#[case(0, 4)]
#[case(4, 0)]
#[case(u32::MAX, u32::MAX)]
fn impossible_sizes_are_refused(#[case] width: u32, #[case] height: u32) {
    let error = decode("x.png", &png_declaring(width, height), Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Undecodable { .. }), "{error}");
}

/// A JPEG's sides have 16 bits; libjpeg takes up to 65,500.
#[test]
fn a_jpeg_may_not_declare_too_much_either() {
    let mut bytes = encode(&rgb(16, 16), ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    let error = decode("x.jpg", &bytes, Channels::Rgb).unwrap_err();
    assert!(
        matches!(error, DataError::TooManyPixels { width: 65_500, height: 65_500, .. }),
        "{error}"
    );
}

#[test]
fn a_file_that_vanished_is_named() {
    let root = tempdir().unwrap();
    let path = root.path().join("a/1.png");
    save(&path, rgb(4, 4));
    let data = ImageFolder::open(root.path(), Channels::Rgb).unwrap();
    fs::remove_file(&path).unwrap();
    let error = data.image(0).unwrap_err();
    assert!(
        matches!(&error, DataError::Unreadable { path: named, .. } if Path::new(named) == path),
        "{error}"
    );
}
