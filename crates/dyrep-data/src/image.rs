//! An 8-bit image in memory, rows of interleaved channels (HWC), as decoders deliver it.
//!
//! Its invariant, checked once in [`Image::new`]: sides of at least 1, no more pixels than
//! [`Image::LARGEST`], 1 to 4 channels, and exactly `height × width × channels` bytes. Every
//! transform may rely on it.

use dyrep_resample::View;

use crate::error::DataError;

/// Pixels of `[height, width, channels]`, one byte each.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    channels: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// The most pixels, width × height, that a file may declare unless its
    /// [`Decoding`](crate::Decoding) allows more, and that a transform makes.
    ///
    /// Pillow warns of a decompression bomb at this number. It keeps a file of a few bytes from
    /// taking all memory.
    pub const MAX_PIXELS: u64 = 89_478_485;

    /// The most pixels that an image may have, whatever is allowed: far from any overflow.
    pub const LARGEST: u64 = 1 << 30;

    /// An image from its pixels, row by row, channels interleaved.
    ///
    /// # Errors
    ///
    /// [`DataError::InvalidImage`] if a side is 0, there are more than [`Image::LARGEST`],
    /// `channels` is not 1 to 4, or `pixels` does not hold exactly `height × width × channels` bytes.
    pub fn new(
        width: u32,
        height: u32,
        channels: usize,
        pixels: Vec<u8>,
    ) -> Result<Self, DataError> {
        let area = u64::from(width) * u64::from(height);
        let bytes = pixels.len();
        if !(1..=Self::LARGEST).contains(&area)
            || !(1..=4).contains(&channels)
            || area * channels as u64 != bytes as u64
        {
            return Err(DataError::InvalidImage { width, height, channels, bytes });
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Channels a pixel.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels, `[height, width, channels]`.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels to be changed in place, `[height, width, channels]`.
    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The pixels by value, `[height, width, channels]`.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// `[channels, height, width]`, the image's shape in a batch.
    pub(crate) fn shape(&self) -> [usize; 3] {
        [self.channels, self.height as usize, self.width as usize]
    }

    /// The pixels and their shape, borrowed.
    pub(crate) fn view(&self) -> View<'_> {
        let Self { width, height, channels, ref pixels } = *self;
        View { width, height, channels, pixels }
    }

    /// Writes the pixels as planes, `[channels, height, width]`, into all of a buffer of their length.
    pub(crate) fn write_planes(&self, planes: &mut [u8]) -> Written {
        assert_eq!(planes.len(), self.pixels.len(), "bytes of the planes and of {self:?}");
        match self.channels {
            1 => planes.copy_from_slice(&self.pixels),
            2 => split::<2>(&self.pixels, planes),
            3 => split_rgb(&self.pixels, planes),
            _ => split::<4>(&self.pixels, planes),
        }
        Written(())
    }

    /// A copy with a border of `padding` black pixels on every side.
    ///
    /// # Errors
    ///
    /// [`DataError::OutputTooLarge`] if it would have too many pixels.
    pub(crate) fn pad(&self, padding: u32) -> Result<Self, DataError> {
        let padded = |side: u32| u64::from(side) + 2 * u64::from(padding);
        let (width, height) = checked_size(padded(self.width), padded(self.height))?;
        let stride = width as usize * self.channels;
        let side = padding as usize * self.channels;
        let mut pixels = vec![0; stride * height as usize];
        let row = self.width as usize * self.channels;
        let inner = pixels.chunks_exact_mut(stride).skip(padding as usize);
        for (target, source) in inner.zip(self.pixels.chunks_exact(row)) {
            target[side..side + row].copy_from_slice(source);
        }
        Ok(Self { width, height, channels: self.channels, pixels })
    }

    /// Mirrors every row.
    pub(crate) fn flip_horizontally(&mut self) {
        let (row, channels) = (self.width as usize * self.channels, self.channels);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for row in self.pixels.chunks_exact_mut(row) {
                    // Reversing the bytes mirrors the pixels and the order of their channels; the
                    // second reversal puts the channels right again.
                    row.reverse();
                    match channels {
                        3 => row.as_chunks_mut::<3>().0.iter_mut().for_each(|p| p.swap(0, 2)),
                        _ => row.chunks_exact_mut(channels).for_each(<[u8]>::reverse),
                    }
                }
            },
        );
    }
}

/// The proof that every byte of a place in a batch is an image's: nobody else can make one. Batches
/// are made in memory that is used again, and hold no place without it.
#[derive(Debug)]
pub(crate) struct Written(());

/// Interleaved channels to planes.
fn split<const CHANNELS: usize>(pixels: &[u8], planes: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    for (channel, plane) in planes.chunks_exact_mut(pixels.len()).enumerate() {
        for (target, pixel) in plane.iter_mut().zip(pixels) {
            *target = pixel[channel];
        }
    }
}

/// RGB to planes, all three in one go and with the widest registers of the processor: taking every
/// third byte is a shuffle, which the baseline does not have. 15 times as fast as [`split`].
fn split_rgb(pixels: &[u8], planes: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks::<3>();
    let (red, rest) = planes.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let planes = red.iter_mut().zip(green).zip(blue);
            for (((red, green), blue), pixel) in planes.zip(pixels) {
                [*red, *green, *blue] = *pixel;
            }
        },
    );
}

/// The size of a transform's output, if it has no more than [`Image::MAX_PIXELS`].
pub(crate) fn checked_size(width: u64, height: u64) -> Result<(u32, u32), DataError> {
    let narrow = |side: u64| u32::try_from(side).ok();
    match (narrow(width), narrow(height)) {
        (Some(w), Some(h)) if width * height <= Image::MAX_PIXELS => Ok((w, h)),
        _ => Err(DataError::OutputTooLarge { width, height, limit: Image::MAX_PIXELS }),
    }
}

/// The size without the pixels, which would fill a screen.
impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}x{}, {} channels)", self.width, self.height, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::Window;
    use dyrep_resample::{Region, Resampler};
    use rstest::rstest;

    #[rstest]
    #[case::no_width(0, 2, 3, 0)]
    #[case::no_height(2, 0, 3, 0)]
    #[case::no_channels(2, 2, 0, 0)]
    #[case::five_channels(1, 1, 5, 5)]
    #[case::too_few_bytes(2, 2, 3, 11)]
    #[case::too_many_bytes(2, 2, 3, 13)]
    #[case::overflow(u32::MAX, u32::MAX, 4, 4)]
    fn invalid_images_are_refused(
        #[case] width: u32,
        #[case] height: u32,
        #[case] channels: usize,
        #[case] bytes: usize,
    ) {
        let error = Image::new(width, height, channels, vec![0; bytes]).unwrap_err();
        assert!(matches!(error, DataError::InvalidImage { .. }), "{error}");
    }

    #[test]
    fn outputs_are_limited() {
        assert_eq!(checked_size(Image::MAX_PIXELS, 1).unwrap(), (89_478_485, 1));
        for (width, height) in [(Image::MAX_PIXELS, 2), (1 << 32, 1), (u64::MAX, u64::MAX)] {
            let error = checked_size(width, height).unwrap_err();
            assert!(matches!(error, DataError::OutputTooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn planes_follow_one_another() {
        let image = Image::new(2, 1, 3, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let mut planes = [0; 6];
        image.write_planes(&mut planes);
        assert_eq!(planes, [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn padding_then_cropping_is_the_identity() {
        let image = Image::new(3, 2, 2, (1..=12).collect()).unwrap();
        let padded = image.pad(2).unwrap();
        assert_eq!((padded.width(), padded.height()), (7, 6));
        assert_eq!(padded.pixels().iter().filter(|&&p| p != 0).count(), 12);
        let inner = Region { left: 2, top: 2, width: 3, height: 2 };
        assert_eq!(
            Window::crop(inner).of(padded.view(), &mut Resampler::default()).unwrap(),
            image
        );
    }
}
