//! Pictures made on the spot.

// Each test file uses some of it.
#![allow(dead_code)]

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbImage};

/// A colourful picture: no two neighbouring pixels alike.
pub(crate) fn rgb(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([x * 7 + y, y * 11 + 40, x * y + 90].map(|v| v as u8));
    RgbImage::from_fn(width, height, pixel).into()
}

/// Saves a PNG at `path`, whatever its extension, making the folders above it.
pub(crate) fn save(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save_with_format(path, ImageFormat::Png).unwrap();
}
