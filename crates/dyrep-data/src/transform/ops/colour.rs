//! Brightness, contrast, saturation and sharpness: the image blended with a duller one.
//!
//! ```text
//! out = ⌊dull + factor · (image − dull)⌋ within 0 to 255, in f32
//!
//! brightness  dull = 0
//! contrast    dull = the mean of the grey values, rounded to nearest
//! saturation  dull = the pixel's grey value, (19595 R + 38470 G + 7471 B) / 2¹⁶ to nearest
//! sharpness   dull = (the 3 × 3 neighbours + 4 · the pixel) / 13 to nearest; borders stay
//! ```
//!
//! A factor of 1 gives the image back, 0 the dull one; above 1 exaggerates. The rounding down is
//! Pillow's: a factor of 0.9 on average darkens by half a level more than it says.

use crate::image::Image;

pub(super) fn brightness(image: &mut Image, factor: f32) {
    for value in image.pixels_mut() {
        *value = blend(0, *value, factor);
    }
}

pub(super) fn contrast(image: &mut Image, factor: f32) {
    let pixels = image.pixels().chunks_exact(image.channels());
    let count = pixels.len() as f64;
    let sum: u64 = pixels.map(|pixel| u64::from(luminance(pixel))).sum();
    let mean = (sum as f64 / count + 0.5) as u8;
    for value in image.pixels_mut() {
        *value = blend(mean, *value, factor);
    }
}

pub(super) fn saturation(image: &mut Image, factor: f32) {
    let channels = image.channels();
    for pixel in image.pixels_mut().chunks_exact_mut(channels) {
        let grey = luminance(pixel);
        for value in pixel {
            *value = blend(grey, *value, factor);
        }
    }
}

pub(super) fn sharpness(image: &mut Image, factor: f32) {
    let channels = image.channels();
    let stride = image.width() as usize * channels;
    let source = image.pixels().to_vec();
    let rows = source.len() / stride;
    let target = image.pixels_mut();
    // Where there is no whole neighbourhood, the dull image is the image, and nothing changes.
    for y in 1..rows.saturating_sub(1) {
        for x in channels..stride.saturating_sub(channels) {
            let at = y * stride + x;
            let row = |start: usize| {
                let value = |at: usize| u32::from(source[at]);
                value(start - channels) + value(start) + value(start + channels)
            };
            let neighbours = row(at - stride) + row(at) + row(at + stride);
            let sum = neighbours + 4 * u32::from(source[at]);
            // 13 is odd, so there is no half to decide about.
            let smooth = (2 * sum + 13) / 26;
            target[at] = blend(smooth as u8, source[at], factor);
        }
    }
}

/// From `dull` at a factor of 0 over `value` at 1; the conversion to `u8` cuts off on both sides.
fn blend(dull: u8, value: u8, factor: f32) -> u8 {
    (f32::from(dull) + factor * (f32::from(value) - f32::from(dull))) as u8
}

/// The grey value of a pixel by ITU-R BT.601, as Pillow's `convert("L")` has it in integers.
fn luminance(pixel: &[u8]) -> u8 {
    match *pixel {
        [red, green, blue] => {
            let [red, green, blue] = [red, green, blue].map(u32::from);
            ((red * 19_595 + green * 38_470 + blue * 7_471 + (1 << 15)) >> 16) as u8
        }
        _ => pixel[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::dull(10, 200, 0.0, 10)]
    #[case::same(10, 200, 1.0, 200)]
    #[case::rounded_down(10, 13, 0.5, 11)] // 11.5
    #[case::rounded_down_from_above(13, 10, 0.5, 11)]
    #[case::cut_off_above(10, 200, 1.5, 255)]
    #[case::cut_off_below(200, 10, 1.5, 0)]
    fn blends_are_rounded_down_and_cut_off(
        #[case] dull: u8,
        #[case] value: u8,
        #[case] factor: f32,
        #[case] want: u8,
    ) {
        assert_eq!(blend(dull, value, factor), want);
    }

    #[rstest]
    #[case([255, 0, 0], 76)] // 76.245
    #[case([0, 255, 0], 150)] // 149.685
    #[case([0, 0, 255], 29)] // 29.070
    #[case([200, 220, 40], 194)] // 193.5004
    #[case([255, 255, 255], 255)]
    #[case([7, 7, 7], 7)]
    fn grey_values_are_those_of_bt601(#[case] pixel: [u8; 3], #[case] want: u8) {
        assert_eq!(luminance(&pixel), want);
    }

    #[test]
    fn contrast_turns_around_the_mean() {
        let mut image = Image::new(3, 1, 1, vec![10, 20, 62]).unwrap(); // mean 30.67
        contrast(&mut image, 2.0);
        assert_eq!(image.pixels(), [0, 9, 93]);
    }

    #[test]
    fn smoothing_weighs_the_centre_five_times() {
        let mut pixels = vec![0; 25];
        pixels[12] = 130;
        let mut image = Image::new(5, 5, 1, pixels).unwrap();
        sharpness(&mut image, 0.0);
        let row = [0, 10, 10, 10, 0];
        let middle = [0, 10, 50, 10, 0];
        assert_eq!(image.pixels(), [[0; 5], row, middle, row, [0; 5]].concat());
    }

    #[rstest]
    fn without_a_whole_neighbourhood_sharpness_does_nothing(
        #[values((1, 1), (2, 9), (9, 2), (1, 5))] (width, height): (u32, u32),
        #[values(1, 3)] channels: usize,
    ) {
        let bytes = (width * height) as usize * channels;
        let image = Image::new(width, height, channels, (0..bytes as u8).collect()).unwrap();
        let mut sharpened = image.clone();
        sharpness(&mut sharpened, 3.0);
        assert_eq!(sharpened, image);
    }
}
