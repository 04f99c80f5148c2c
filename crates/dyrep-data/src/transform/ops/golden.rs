//! Every operation against Pillow's and torchvision's results in `tests/golden`, in RGB and grey.

use image::ImageFormat;

use super::Operation;
use crate::image::Image;

const CASES: &str = include_str!("../../../tests/golden/operations.csv");
const RGB: &[u8] = include_bytes!("../../../tests/golden/rgb.png");
const GREY: &[u8] = include_bytes!("../../../tests/golden/grey.png");

const HEIGHT: usize = 22;

fn operation(name: &str, argument: f64) -> Operation {
    match name {
        "brightness" => Operation::Brightness(argument),
        "contrast" => Operation::Contrast(argument),
        "saturation" => Operation::Saturation(argument),
        "hue" => Operation::Hue(argument),
        "sharpness" => Operation::Sharpness(argument),
        "auto_contrast" => Operation::AutoContrast,
        "equalize" => Operation::Equalize,
        "invert" => Operation::Invert,
        "posterize" => Operation::Posterize(argument as u32),
        "solarize" => Operation::Solarize(argument as u16),
        "solarize_add" => Operation::SolarizeAdd(argument as u8),
        "rotate" => Operation::Rotate(argument),
        "shear_x" => Operation::ShearX(argument),
        "shear_y" => Operation::ShearY(argument),
        "translate_x" => Operation::TranslateX(argument),
        "translate_y" => Operation::TranslateY(argument),
        other => panic!("{other} is no operation"),
    }
}

/// The untouched picture, then one a case, stacked in one file.
fn pictures(png: &[u8]) -> Vec<Image> {
    let stack = image::load_from_memory_with_format(png, ImageFormat::Png).unwrap();
    let (width, channels) = (stack.width(), usize::from(stack.color().channel_count()));
    let bytes = stack.into_bytes();
    let pictures = bytes.chunks_exact(width as usize * HEIGHT * channels);
    assert!(pictures.remainder().is_empty());
    pictures.map(|p| Image::new(width, HEIGHT as u32, channels, p.to_vec()).unwrap()).collect()
}

fn check_operations(png: &[u8], fill: &[u8]) {
    let pictures = pictures(png);
    let (original, results) = pictures.split_first().unwrap();
    assert_eq!(original.channels(), fill.len());
    assert_eq!(CASES.lines().count(), results.len());
    for (line, want) in CASES.lines().zip(results) {
        let (name, argument) = line.split_once(',').unwrap();
        let mut found = original.clone();
        operation(name, argument.parse().unwrap()).apply(&mut found, fill);
        let differences = found.pixels().iter().zip(want.pixels()).map(|(&a, &b)| a.abs_diff(b));
        let worst = differences.max().unwrap();
        assert_eq!(worst, 0, "{line} differs by up to {worst} levels");
    }
}

#[test]
fn operations_are_pillows_in_rgb() {
    check_operations(RGB, &[124, 116, 104]);
}

#[test]
fn operations_are_pillows_in_grey() {
    check_operations(GREY, &[124]);
}
