//! Tables from level to level: inverting, posterizing, solarizing; stretching and equalizing, whose
//! tables come from each channel's histogram.

use crate::image::Image;

type Histogram = [u32; 256];

pub(super) fn invert(image: &mut Image) {
    map(image, |value| !value);
}

/// Keeps the `bits` high bits, 0 to 8.
pub(super) fn posterize(image: &mut Image, bits: u32) {
    let mask = !u8::MAX.checked_shr(bits).unwrap_or(0);
    map(image, |value| value & mask);
}

/// Inverts from `threshold`, 0 to 256, on.
pub(super) fn solarize(image: &mut Image, threshold: u16) {
    map(image, |value| if u16::from(value) < threshold { value } else { !value });
}

/// Adds to the darker half.
pub(super) fn solarize_add(image: &mut Image, amount: u8) {
    map(image, |value| if value < 128 { value.saturating_add(amount) } else { value });
}

/// Maps the darkest level of each channel to 0 and the brightest to 255, those between linearly,
/// rounded down. A channel of one level stays.
pub(super) fn auto_contrast(image: &mut Image) {
    map_channels(image, |histogram| {
        let low = histogram.iter().position(|&count| count > 0)?;
        let high = histogram.iter().rposition(|&count| count > 0)?;
        if low == high {
            return None;
        }
        // Pillow's arithmetic in the same order: 255 itself may come out as 254.99…, which is 254.
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|level| (level as f64 * scale + offset) as u8))
    });
}

/// Maps each level to the share of pixels below it.
///
/// With `step = ⌊(pixels − pixels of the brightest level) / 255⌋`, level `l` becomes
/// `⌊(⌊step / 2⌋ + pixels darker than l) / step⌋`, at most 255. A channel of one level stays, and
/// so does one of fewer pixels than levels, whose step is 0.
pub(super) fn equalize(image: &mut Image) {
    map_channels(image, |histogram| {
        let brightest = histogram.iter().rposition(|&count| count > 0)?;
        let step = histogram[..brightest].iter().sum::<u32>() / 255;
        if step == 0 {
            return None;
        }
        let mut darker = step / 2;
        Some(std::array::from_fn(|level| {
            let target = (darker / step).min(255) as u8;
            darker += histogram[level];
            target
        }))
    });
}

fn map(image: &mut Image, table: impl Fn(u8) -> u8) {
    for value in image.pixels_mut() {
        *value = table(*value);
    }
}

/// Maps each channel by a table of its own, made from its histogram; with none, it stays.
fn map_channels(image: &mut Image, table: impl Fn(&Histogram) -> Option<[u8; 256]>) {
    let channels = image.channels();
    for channel in 0..channels {
        let mut histogram = [0; 256];
        for &value in image.pixels().iter().skip(channel).step_by(channels) {
            histogram[usize::from(value)] += 1;
        }
        if let Some(table) = table(&histogram) {
            for value in image.pixels_mut().iter_mut().skip(channel).step_by(channels) {
                *value = table[usize::from(*value)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn image(pixels: &[u8]) -> Image {
        Image::new(pixels.len() as u32, 1, 1, pixels.to_vec()).unwrap()
    }

    #[rstest]
    #[case(0, [0, 0, 0, 0])]
    #[case(1, [0, 0, 128, 128])]
    #[case(3, [0, 96, 128, 224])]
    #[case(8, [3, 127, 128, 255])]
    fn posterizing_keeps_high_bits(#[case] bits: u32, #[case] want: [u8; 4]) {
        let mut image = image(&[3, 127, 128, 255]);
        posterize(&mut image, bits);
        assert_eq!(image.pixels(), want);
    }

    #[rstest]
    #[case(0, [252, 127, 0])]
    #[case(128, [3, 127, 0])]
    #[case(255, [3, 128, 0])]
    #[case(256, [3, 128, 255])]
    fn solarizing_inverts_from_the_threshold_on(#[case] threshold: u16, #[case] want: [u8; 3]) {
        let mut image = image(&[3, 128, 255]);
        solarize(&mut image, threshold);
        assert_eq!(image.pixels(), want);
    }

    #[test]
    fn solarize_add_brightens_the_darker_half() {
        let mut image = image(&[0, 127, 128, 255]);
        solarize_add(&mut image, 200);
        assert_eq!(image.pixels(), [200, 255, 128, 255]);
    }

    #[test]
    fn channels_are_stretched_apart() {
        let mut image = Image::new(3, 1, 3, vec![50, 7, 0, 60, 7, 128, 101, 7, 255]).unwrap();
        auto_contrast(&mut image);
        assert_eq!(image.pixels(), [0, 7, 0, 50, 7, 128, 255, 7, 255]);
    }

    #[test]
    fn equal_counts_spread_evenly() {
        let levels = [10, 20, 30, 40, 50, 60];
        let mut image = image(&levels.repeat(51));
        equalize(&mut image); // 255 pixels below the brightest level, so a step of 1
        assert_eq!(image.pixels(), [0, 51, 102, 153, 204, 255].repeat(51));
    }

    /// 510 pixels below the brightest level, so a step of 2 and a start at 1: (1 + 3) / 2 is 2.
    #[test]
    fn equalizing_rounds_from_half_a_step() {
        let mut image = image(&[vec![10; 3], vec![20; 507], vec![30; 100]].concat());
        equalize(&mut image);
        assert_eq!(image.pixels(), [vec![0; 3], vec![2; 507], vec![255; 100]].concat());
    }

    #[rstest]
    #[case::one_pixel(vec![9])]
    #[case::one_level(vec![9; 1000])]
    #[case::few_pixels((0..255).collect())]
    fn what_cannot_be_equalized_stays(#[case] pixels: Vec<u8>) {
        let mut equalized = image(&pixels);
        equalize(&mut equalized);
        assert_eq!(equalized.pixels(), pixels);
    }
}
