//! What colour and shape transforms do to pixels, once everything random is decided.
//!
//! Two parts, so that each is tested alone: a transform *plans* with random numbers and without an
//! image, and the plan, a list of [`Operation`]s, is applied here without random numbers.
//!
//! Every operation is Pillow's, in its arithmetic of bytes, integers and floats, and equal to it bit
//! for bit: on the recorded pictures of `tests/golden`, and, measured once against Pillow 13.0, on
//! all 2²⁴ colours (grey values, and three turns of the hue) and on 151 × 113 pixels of noise under
//! 60 random arguments each.
//!
//! Pillow's rather than torchvision's own on tensors, because published recipes ran on Pillow's
//! images, timm's RandAugment on nothing else, and whole bytes can be compared exactly. On 200 × 200
//! pixels of noise the two differ by one level at most, where torchvision rounds the grey value
//! down and Pillow to nearest, and by 15 levels in hue, which Pillow keeps in a byte.

mod affine;
mod colour;
#[cfg(test)]
mod golden;
mod hue;
mod levels;

use self::affine::Affine;
use crate::error::DataError;
use crate::image::Image;

/// One change of an image of 1 or 3 channels, which leaves its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    /// Stretches each channel to the whole range.
    AutoContrast,
    /// Makes each channel's histogram as flat as a table can.
    Equalize,
    /// 255 less each value.
    Invert,
    /// Keeps the given number of high bits, 0 to 8.
    Posterize(u32),
    /// Inverts values at or above the threshold, 0 to 256.
    Solarize(u16),
    /// Adds to values below 128.
    SolarizeAdd(u8),
    /// From black, 0, over the image, 1, outwards.
    Brightness(f64),
    /// From the mean grey, 0, over the image, 1, outwards.
    Contrast(f64),
    /// From grey, 0, over the image, 1, outwards; nothing for grey images.
    Saturation(f64),
    /// Turns the hue by a share of the circle, −0.5 to 0.5; nothing for grey images.
    Hue(f64),
    /// From smoothed, 0, over the image, 1, outwards.
    Sharpness(f64),
    /// Turns counter-clockwise around the centre, in degrees.
    Rotate(f64),
    /// Shifts each row to the left by this many times its distance from the top.
    ShearX(f64),
    /// Shifts each column upwards by this many times its distance from the left.
    ShearY(f64),
    /// Shifts to the left by a share of the width.
    TranslateX(f64),
    /// Shifts upwards by a share of the height.
    TranslateY(f64),
}

impl Operation {
    /// Changes the image. `fill` is the pixel of places that no pixel came to.
    pub(super) fn apply(self, image: &mut Image, fill: &[u8]) {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let mut warp = |affine: Affine| affine.warp(image, fill);
        match self {
            Self::AutoContrast => levels::auto_contrast(image),
            Self::Equalize => levels::equalize(image),
            Self::Invert => levels::invert(image),
            Self::Posterize(bits) => levels::posterize(image, bits),
            Self::Solarize(threshold) => levels::solarize(image, threshold),
            Self::SolarizeAdd(amount) => levels::solarize_add(image, amount),
            Self::Brightness(factor) => colour::brightness(image, factor as f32),
            Self::Contrast(factor) => colour::contrast(image, factor as f32),
            Self::Saturation(factor) => colour::saturation(image, factor as f32),
            Self::Sharpness(factor) => colour::sharpness(image, factor as f32),
            Self::Hue(shift) => hue::turn(image, shift),
            Self::Rotate(degrees) => warp(Affine::rotation(degrees, width, height)),
            Self::ShearX(by) => warp(Affine([1.0, by, 0.0, 0.0, 1.0, 0.0])),
            Self::ShearY(by) => warp(Affine([1.0, 0.0, 0.0, by, 1.0, 0.0])),
            Self::TranslateX(share) => warp(Affine([1.0, 0.0, share * width, 0.0, 1.0, 0.0])),
            Self::TranslateY(share) => warp(Affine([1.0, 0.0, 0.0, 0.0, 1.0, share * height])),
        }
    }
}

/// Refuses images whose channels are neither grey nor RGB: their meaning is not known.
pub(super) fn check_channels(transform: &'static str, image: &Image) -> Result<(), DataError> {
    match image.channels() {
        1 | 3 => Ok(()),
        found => {
            let expected = "1 (grey) or 3 (RGB)".to_owned();
            Err(DataError::WrongChannels { transform, found, expected })
        }
    }
}
