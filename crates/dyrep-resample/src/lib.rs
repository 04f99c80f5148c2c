//! Bilinear resampling of 8-bit images with antialiasing, as Pillow does it.
//!
//! The filter widens with the scale, so a smaller image is an average of what it stands for; within
//! 2 levels of Pillow's. The work is done by `fast_image_resize`, whose generic code takes a minute
//! to compile: hence a crate of its own, which hardly ever changes.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Rows of interleaved channels, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Channels a pixel, 1 to 4.
    pub channels: usize,
    /// `[height, width, channels]`.
    pub pixels: &'a [u8],
}

/// A rectangle inside an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Columns to its left.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl Region {
    /// An image's whole area.
    #[must_use]
    pub fn whole(width: u32, height: u32) -> Self {
        Self { left: 0, top: 0, width, height }
    }
}

/// Scales parts of images, with buffers that are used again.
#[derive(Default)]
pub struct Resampler(Resizer);

impl Resampler {
    /// The region of `source`, scaled to `width × height` pixels, interleaved as they were. No pixel
    /// outside the region counts.
    ///
    /// # Panics
    ///
    /// If the view's buffer is not of its size, the channels are not 1 to 4, or the region is not
    /// inside the view.
    #[must_use]
    pub fn resample(
        &mut self,
        source: View<'_>,
        region: Region,
        width: u32,
        height: u32,
    ) -> Vec<u8> {
        let target = (width, height);
        // By type, not through the resizer's dynamic entry point, which would compile all of its
        // thirteen pixel formats.
        match source.channels {
            1 => self.resize::<U8>(source, region, target),
            2 => self.resize::<U8x2>(source, region, target),
            3 => self.resize::<U8x3>(source, region, target),
            4 => self.resize::<U8x4>(source, region, target),
            other => panic!("an image of {other} channels; 1 to 4 can be resampled"),
        }
    }

    fn resize<P: PixelTrait>(
        &mut self,
        source: View<'_>,
        region: Region,
        (width, height): (u32, u32),
    ) -> Vec<u8> {
        // No channel is treated as transparency, which would weight the others.
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false);
        let view = TypedImageRef::<P>::from_buffer(source.width, source.height, source.pixels)
            .unwrap_or_else(|error| panic!("{source:?}: {error}"));
        // A view of the region: the resizer's own option for cropping lets pixels outside bleed in.
        let Region { left, top, width: from_width, height: from_height } = region;
        let view = TypedCroppedImage::from_ref(&view, left, top, from_width, from_height)
            .unwrap_or_else(|error| panic!("{region:?}: {error}"));
        let mut pixels = vec![0; width as usize * height as usize * source.channels];
        let mut target = TypedImage::<P>::from_buffer(width, height, &mut pixels)
            .expect("the buffer has the length of its image");
        self.0
            .resize_typed(&view, &mut target, &options)
            .expect("source and target are views of the same pixel type, and no crop is asked for");
        pixels
    }
}
