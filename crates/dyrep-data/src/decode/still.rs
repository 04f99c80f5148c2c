//! Every kind of file but JPEG, by the decoders of the `image` crate: the header first, then all of
//! the first picture in it.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation as Exif;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits};

use super::colours::{self, Alpha};
use super::{Decoding, tiff, webp};

/// The memory that a decoder may take beside the pixels, in bytes: for a line of them, a strip or a
/// tile, and for texts and colour profiles, which may unpack to a thousand times their length.
pub(super) const BESIDE_PIXELS: u64 = 64 * 1024 * 1024;

/// A file whose header has been read.
pub(super) struct Still<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    alpha: Alpha,
}

impl<'a> Still<'a> {
    /// Reads the header only: refusals come before any pixel is allocated.
    pub(super) fn open(format: ImageFormat, bytes: &'a [u8]) -> Result<Self, String> {
        match format {
            ImageFormat::WebP => webp::check(bytes)?,
            ImageFormat::Tiff => tiff::check(bytes)?,
            _ => {}
        }
        let alpha = match format {
            ImageFormat::Tiff => tiff::alpha(bytes),
            _ => Alpha::Straight,
        };
        let decoder = decoder(format, Cursor::new(bytes)).map_err(|error| text(&error))?;
        colours::check(decoder.color_type())?;
        Ok(Self { decoder, alpha })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    /// How the file says that it is to be turned, in front of the pixels.
    pub(super) fn turn(&mut self) -> Option<Exif> {
        self.decoder.orientation().ok()
    }

    /// The pixels in 8 bits, interleaved.
    pub(super) fn decode(mut self, decoding: &Decoding) -> Result<Vec<u8>, String> {
        let mut limits = Limits::default();
        limits.max_alloc = Some(self.decoder.total_bytes().saturating_add(BESIDE_PIXELS));
        self.decoder.set_limits(limits).map_err(|error| text(&error))?;
        let image = DynamicImage::from_decoder(self.decoder).map_err(|error| text(&error))?;
        colours::flatten(image, self.alpha, decoding.channels, decoding.background)
    }
}

fn decoder<'a>(
    format: ImageFormat,
    file: Cursor<&'a [u8]>,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        ImageFormat::WebP => Box::new(WebPDecoder::new(file)?),
        ImageFormat::Bmp => Box::new(BmpDecoder::new(file)?),
        ImageFormat::Tiff => Box::new(TiffDecoder::new(file)?),
        ImageFormat::Gif => Box::new(GifDecoder::new(file)?),
        ImageFormat::Pnm => Box::new(PnmDecoder::new(file)?),
        _ => {
            // This one unpacks what surrounds the pixels while it reads the header.
            let mut limits = Limits::default();
            limits.max_alloc = Some(BESIDE_PIXELS);
            Box::new(PngDecoder::with_limits(file, limits)?)
        }
    })
}

/// The reason without a line's end, which some decoders' texts have.
fn text(error: &ImageError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
