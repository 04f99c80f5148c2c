//! torchvision's `Resize(size)`: the shorter side becomes `size`, the longer one
//! `⌊size · long / short⌋`, bilinear with antialiasing as Pillow does it.
//!
//! Also the one home of resampling. The filter widens with the scale, so a smaller image is an
//! average of what it stands for; within 2 levels of Pillow's.

use fast_image_resize::images::{CroppedImage, Image as Buffer, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::Transform;
use super::checks::checked_side;
use crate::error::DataError;
use crate::image::{Image, checked_size};
use crate::rng::SampleRng;

/// Scales an image so that its shorter side has a given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    size: u32,
}

impl Resize {
    /// A resize of the shorter side to `size` pixels, keeping the proportions.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32) -> Result<Self, DataError> {
        Ok(Self { size: checked_side("Resize", size)? })
    }
}

impl Transform for Resize {
    fn apply(&self, image: Image, _rng: &mut SampleRng) -> Result<Image, DataError> {
        let (width, height) = resized(image.width(), image.height(), self.size)?;
        let whole = Region { left: 0, top: 0, width: image.width(), height: image.height() };
        resample(&image, whole, width, height)
    }
}

/// Width and height once the shorter side is `size`.
fn resized(width: u32, height: u32, size: u32) -> Result<(u32, u32), DataError> {
    let size = u64::from(size);
    let scaled = |long: u32, short: u32| size * u64::from(long) / u64::from(short);
    if width <= height {
        checked_size(size, scaled(height, width))
    } else {
        checked_size(scaled(width, height), size)
    }
}

/// A rectangle inside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The region of `image`, resampled to `width × height`. No pixel outside the region counts.
pub(super) fn resample(
    image: &Image,
    region: Region,
    width: u32,
    height: u32,
) -> Result<Image, DataError> {
    let Region { left, top, width: from_width, height: from_height } = region;
    if (from_width, from_height) == (width, height) {
        return Ok(image.crop(left, top, width, height));
    }
    let pixel = match image.channels() {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    // A view of the region: the resizer's own option for cropping lets pixels outside bleed in.
    // No channel is treated as transparency, which would weight the others.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    let mut target = Buffer::new(width, height, pixel);
    let source = ImageRef::new(image.width(), image.height(), image.pixels(), pixel)
        .expect("an `Image` holds exactly width × height × channels bytes");
    let view = CroppedImage::new(&source, left, top, from_width, from_height)
        .expect("a `Region` lies inside its image");
    Resizer::new()
        .resize(&view, &mut target, &options)
        .expect("source and target have the same supported pixel type, and no crop is asked for");
    Image::new(width, height, image.channels(), target.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_strip_is_not_blown_up() {
        let strip = Image::new(1, 1_000_000, 1, vec![0; 1_000_000]).unwrap();
        let resize = Resize::new(256).unwrap();
        let error = resize.apply(strip, &mut SampleRng::new(0, 0, 0)).unwrap_err();
        let DataError::OutputTooLarge { width, height, .. } = error else { panic!("{error}") };
        assert_eq!((width, height), (256, 256_000_000));
    }

    #[rstest]
    #[case(500, 375, 256, (341, 256))] // 341.33
    #[case(375, 500, 256, (256, 341))]
    #[case(500, 334, 256, (383, 256))] // 383.23
    #[case(256, 300, 256, (256, 300))]
    #[case(100, 100, 7, (7, 7))]
    fn the_longer_side_is_rounded_down(
        #[case] width: u32,
        #[case] height: u32,
        #[case] size: u32,
        #[case] want: (u32, u32),
    ) {
        assert_eq!(resized(width, height, size).unwrap(), want);
    }

    /// A white square on black: were a pixel outside the region read, the result would not be white.
    #[rstest]
    fn nothing_outside_the_region_bleeds_in(
        #[values(1, 2, 3, 4)] channels: usize,
        #[values(3, 9, 10, 31)] side: u32,
    ) {
        let inside = |x: usize| (7..17).contains(&(x / channels % 30));
        let row = |y: usize| {
            (0..30 * channels).map(move |x| if inside(x) && (7..17).contains(&y) { 255 } else { 0 })
        };
        let image = Image::new(30, 30, channels, (0..30).flat_map(row).collect()).unwrap();
        let region = Region { left: 7, top: 7, width: 10, height: 10 };
        let white = resample(&image, region, side, side).unwrap();
        assert!(white.pixels().iter().all(|&value| value == 255));
        let wider = Region { left: 6, ..region };
        assert!(
            resample(&image, wider, side, side).unwrap().pixels().iter().any(|&value| value < 255)
        );
    }

    /// Stripes one pixel wide average to grey; without antialiasing they would come out as stripes.
    #[test]
    fn downscaling_averages() {
        let pixels = (0..64 * 64).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let image = Image::new(64, 64, 1, pixels).unwrap();
        let whole = Region { left: 0, top: 0, width: 64, height: 64 };
        let small = resample(&image, whole, 8, 8).unwrap();
        assert!(
            small.pixels().iter().all(|&value| (120..=135).contains(&value)),
            "{:?}",
            small.pixels()
        );
    }
}
