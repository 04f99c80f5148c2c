//! From a decoder's channels and depths to those asked for: transparency composed, colour made grey,
//! 16 bits made 8.
//!
//! A sample c of opacity a over a background b is (c·a + b·(m − a)) / m, where m is the largest
//! value of a sample: Pillow's `alpha_composite` over an opaque picture. It is rounded once, to
//! nearest, together with the step from 16 bits to 8. Where a is m, which is all of an opaque alpha
//! channel, that is c itself. Samples that have been multiplied by their opacity, as a TIFF's may, are
//! (c·m + b·(m − a)) / m.

use image::{ColorType, DynamicImage};

use super::Channels;

/// Pillow's `convert("L")`: ITU-R 601-2 in 16-bit fixed point. Grey stays as it is, since the
/// weights make 65536.
pub(super) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((19_595 * red + 38_470 * green + 7_471 * blue + 32_768) >> 16) as u8
}

/// RGB to luma in place.
pub(super) fn rgb_to_luma(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 3;
    for at in 0..count {
        pixels[at] = luma([pixels[3 * at], pixels[3 * at + 1], pixels[3 * at + 2]]);
    }
    pixels.truncate(count);
}

/// What the samples of a transparent pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    /// The colour, whatever its opacity.
    Straight,
    /// The colour multiplied by its opacity (associated, premultiplied). None is larger than that; Pillow, too, takes
    /// what is for as much.
    Premultiplied,
}

/// The pixels of `image`, of such transparency, as `channels` of 8 bits, interleaved, over `background`.
///
/// # Errors
///
/// For samples that are no whole numbers, the reason.
pub(super) fn flatten(
    image: DynamicImage,
    alpha: Alpha,
    channels: Channels,
    background: [u8; 3],
) -> Result<Vec<u8>, String> {
    let over = Over { alpha, channels, background };
    Ok(match (image, channels) {
        (DynamicImage::ImageLuma8(grey), Channels::Grey) => grey.into_raw(),
        (DynamicImage::ImageRgb8(colour), Channels::Rgb) => colour.into_raw(),
        (DynamicImage::ImageRgb8(colour), Channels::Grey) => {
            let mut pixels = colour.into_raw();
            rgb_to_luma(&mut pixels);
            pixels
        }
        (DynamicImage::ImageLuma8(it), _) => over.compose::<1, u8>(it.as_raw()),
        (DynamicImage::ImageLumaA8(it), _) => over.compose::<2, u8>(it.as_raw()),
        (DynamicImage::ImageRgba8(it), _) => over.compose::<4, u8>(it.as_raw()),
        (DynamicImage::ImageLuma16(it), _) => over.compose::<1, u16>(it.as_raw()),
        (DynamicImage::ImageLumaA16(it), _) => over.compose::<2, u16>(it.as_raw()),
        (DynamicImage::ImageRgb16(it), _) => over.compose::<3, u16>(it.as_raw()),
        (DynamicImage::ImageRgba16(it), _) => over.compose::<4, u16>(it.as_raw()),
        (other, _) => return Err(unread(other.color())),
    })
}

/// Refuses samples that are no whole numbers.
pub(super) fn check(colour: ColorType) -> Result<(), String> {
    use ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    match colour {
        L8 | La8 | Rgb8 | Rgba8 | L16 | La16 | Rgb16 | Rgba16 => Ok(()),
        other => Err(unread(other)),
    }
}

fn unread(colour: ColorType) -> String {
    format!("its samples are {colour:?}; expected 8 or 16 bits")
}

/// A whole number of a sample's range.
trait Sample: Copy + Into<u64> {
    const MOST: u64;
}

impl Sample for u8 {
    const MOST: u64 = 255;
}

impl Sample for u16 {
    const MOST: u64 = 65_535;
}

#[derive(Clone, Copy)]
struct Over {
    alpha: Alpha,
    channels: Channels,
    background: [u8; 3],
}

impl Over {
    /// Pixels of `STORED` channels: grey, grey and alpha, RGB, or RGB and alpha.
    fn compose<const STORED: usize, S: Sample>(self, samples: &[S]) -> Vec<u8> {
        let (has_alpha, has_colour) = (STORED.is_multiple_of(2), STORED > 2);
        let (pixels, _) = samples.as_chunks::<STORED>();
        let mut composed = Vec::with_capacity(pixels.len() * self.channels.count());
        for pixel in pixels {
            let opacity = if has_alpha { pixel[STORED - 1].into() } else { S::MOST };
            let rgb = std::array::from_fn(|channel| {
                let sample = pixel[if has_colour { channel } else { 0 }].into();
                over::<S>(self.part::<S>(sample, opacity), opacity, self.background[channel])
            });
            match self.channels {
                Channels::Grey => composed.push(luma(rgb)),
                Channels::Rgb => composed.extend(rgb),
            }
        }
        composed
    }

    fn part<S: Sample>(self, sample: u64, opacity: u64) -> u64 {
        match self.alpha {
            Alpha::Straight => sample * opacity,
            Alpha::Premultiplied => sample.min(opacity) * S::MOST,
        }
    }
}

/// A sample's part, of the largest sample times the largest opacity, over the background, in 8 bits.
fn over<S: Sample>(part: u64, opacity: u64, background: u8) -> u8 {
    // How many steps of the sample's range are one of 8 bits: 1 or 257.
    let step = S::MOST / 255;
    let behind = u64::from(background) * step;
    let parts = part + behind * (S::MOST - opacity);
    let whole = S::MOST * step;
    ((parts + whole / 2) / whole) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opaque_or_not_there_is_exact() {
        for value in 0..=255 {
            for other in 0..=255 {
                assert_eq!(over::<u8>(value * 255, 255, other), value as u8);
                assert_eq!(over::<u8>(0, 0, other), other);
                assert_eq!(over::<u16>(value * 257 * 65_535, 65_535, other), value as u8);
                assert_eq!(over::<u16>(0, 0, other), other);
            }
        }
    }

    /// The same as with real numbers, rounded to nearest, whatever the depth.
    #[test]
    fn composing_is_rounded_to_nearest() {
        for sample in (0..65_536).step_by(97) {
            for opacity in (0..65_536).step_by(193) {
                let background = (sample * 31 + opacity * 17) as u8;
                let real = |sample: u64, opacity: u64, most: f64| {
                    let opacity = opacity as f64 / most;
                    let sample = sample as f64 / most * 255.0;
                    sample * opacity + f64::from(background) * (1.0 - opacity)
                };
                let found = f64::from(over::<u16>(sample * opacity, opacity, background));
                assert!((found - real(sample, opacity, 65_535.0)).abs() <= 0.5 + 1e-9);
                let (sample, opacity) = (sample % 256, opacity % 256);
                let found = f64::from(over::<u8>(sample * opacity, opacity, background));
                assert!((found - real(sample, opacity, 255.0)).abs() <= 0.5 + 1e-9);
            }
        }
    }

    #[test]
    fn grey_is_its_own_luma() {
        assert!((0..=255).all(|grey| luma([grey; 3]) == grey));
        // As Pillow has them.
        let primaries = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 99]];
        assert_eq!(primaries.map(luma), [76, 150, 29, 132]);
    }
}
