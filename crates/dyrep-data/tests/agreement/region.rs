//! Reading a box off what a transform made of a picture of coordinates.

use dyrep_data::Image;

/// A picture of which each pixel holds its own x and y, and two zeros: four channels are resized
/// twice as fast as two.
pub(crate) fn coordinates(width: u32, height: u32) -> Image {
    assert!(width <= 256 && height <= 256, "a coordinate has to fit into a byte");
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 0, 0]));
    Image::new(width, height, 4, pixels.collect()).unwrap()
}

/// Left, top, width and height of the box of which `resized` is an enlargement.
///
/// An enlargement to twice the size or more begins and ends with copies of the box's outermost
/// pixels: the centres of its first and last pixel lie beyond the centres of those.
pub(crate) fn region(resized: &Image) -> [u32; 4] {
    let pixels = resized.pixels();
    let [left, top, .., right, bottom, _, _] = pixels else { panic!("a picture without corners") };
    let side = |first: u8, last: u8| u32::from(last) - u32::from(first) + 1;
    let (width, height) = (side(*left, *right), side(*top, *bottom));
    assert!(2 * width <= resized.width() && 2 * height <= resized.height(), "not doubled");
    [u32::from(*left), u32::from(*top), width, height]
}
