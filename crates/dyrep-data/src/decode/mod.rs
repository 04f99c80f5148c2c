//! From a file's bytes to an [`Image`] of known channels: JPEG, PNG, WebP, BMP, TIFF, GIF and PNM,
//! told apart by their contents.
//!
//! | file | asked for grey | asked for RGB |
//! |---|---|---|
//! | grey, black and white | as it is | replicated |
//! | RGB, palette, YCbCr, CMYK | its luma, as Pillow's `convert("L")` | converted |
//! | with transparency | over [`Decoding::background`], then as above | over [`Decoding::background`] |
//!
//! A TIFF whose colours have been multiplied by their opacity is composed as what it is.
//!
//! 16-bit samples are scaled to 8 bits, rounding to nearest; fewer than 8 bits are expanded. CMYK is
//! taken for inverted in a JPEG, as Adobe writes it and Pillow reads it. Of several pictures in a
//! file, the first one counts.
//!
//! DIFFERENCE: torchvision's loader calls Pillow's `convert("RGB")`, which drops transparency and
//! clips 16-bit grey to 255. Here the first is composed, because the colours under transparent
//! pixels are arbitrary and no viewer shows them, and the second scaled. An alpha channel that is
//! opaque everywhere makes no difference to either. Pillow also turns a TIFF by its orientation,
//! unasked.
//!
//! A [`Decoder`] opens a file: the header is read and checked, no pixel yet. [`Opened`] then gives
//! the whole image, or a window of it. JPEG is decoded by zune-jpeg, which is written in Rust, or
//! with the feature `turbojpeg` by libjpeg-turbo, which decodes as Pillow does to the bit, and only
//! the part of a picture that the window needs; the others by the `image` crate (`still.rs`).

mod colours;
mod kind;
mod markers;
mod options;
mod still;
mod tiff;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod webp;
#[cfg(not(feature = "turbojpeg"))]
mod zune;

#[cfg(feature = "turbojpeg")]
use self::turbo as jpeg;
#[cfg(not(feature = "turbojpeg"))]
use self::zune as jpeg;

use std::path::Path;

use dyrep_resample::{Region, Resampler, View};
use image::metadata::Orientation as Exif;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use self::still::Still;

pub use self::options::{Channels, Decoding, Orientation};

use crate::error::DataError;
use crate::image::Image;
use crate::resample::Window;
use crate::reuse::Reused;
use crate::stages::{Stage, Stopwatch};

/// The buffers that decoding needs, used again for each file.
#[derive(Default)]
pub(crate) struct Decoder {
    pixels: Reused,
    resampler: Resampler,
    pub(crate) watch: Stopwatch,
}

impl Decoder {
    /// Reads the header of the file whose contents are `bytes`; `path` is its name in errors.
    ///
    /// # Errors
    ///
    /// A [`DataError`] with the path if it is empty, of no kind that is read, truncated or corrupt,
    /// or declares too many pixels or none.
    pub(crate) fn open<'a>(
        &'a mut self,
        path: &'a Path,
        bytes: &'a [u8],
        decoding: Decoding,
    ) -> Result<Opened<'a>, DataError> {
        let Self { pixels, resampler, watch } = self;
        let failed = |reason| undecodable(path, reason);
        let format = kind::format_of(path, bytes)?;
        let mut kind = match format {
            ImageFormat::Jpeg => Kind::Jpeg(Box::new(jpeg::Jpeg::open(bytes).map_err(failed)?)),
            other => Kind::Still(Still::open(other, bytes).map_err(failed)?),
        };
        let (width, height) = kind.size();
        if width == 0 || height == 0 {
            return Err(failed(format!("it declares {width}x{height} pixels")));
        }
        let limit = decoding.max_pixels.min(Image::LARGEST);
        if u64::from(width) * u64::from(height) > limit {
            let path = path.to_owned();
            return Err(DataError::TooManyPixels { path, width, height, limit });
        }
        // The last of the checks, so that a file wrong in several ways is told the most telling one.
        if let Some((kind, lacks)) = kind::missing(format, bytes) {
            let (path, bytes) = (path.to_owned(), bytes.len());
            return Err(DataError::Truncated { path, kind, bytes, lacks });
        }
        let turn = match decoding.orientation {
            Orientation::AsStored => Exif::NoTransforms,
            Orientation::Upright => kind.turn(bytes).unwrap_or(Exif::NoTransforms),
        };
        Ok(Opened { kind, path, decoding, turn, pixels, resampler, watch })
    }
}

enum Kind<'a> {
    Jpeg(Box<jpeg::Jpeg<'a>>),
    Still(Still<'a>),
}

impl Kind<'_> {
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Jpeg(jpeg) => jpeg.size(),
            Self::Still(still) => still.size(),
        }
    }

    /// How the file says that it is to be turned.
    fn turn(&mut self, bytes: &[u8]) -> Option<Exif> {
        match self {
            Self::Jpeg(_) => Exif::from_exif_chunk(markers::exif(bytes)?),
            Self::Still(still) => still.turn(),
        }
    }
}

/// What a decoder has written: a part of the image, at a scale of `1 / reduction`.
struct Part {
    /// In pixels of the reduced image.
    region: Region,
    reduction: u32,
}

impl Part {
    /// The place of `region`, given in pixels of the whole image, among what was decoded.
    fn locate(&self, region: Region) -> Region {
        let along = |from: u32, length: u32, start: u32, limit: u32| {
            let first = (from / self.reduction).saturating_sub(start).min(limit - 1);
            let end = (from + length).div_ceil(self.reduction).saturating_sub(start);
            (first, end.clamp(first + 1, limit) - first)
        };
        let Region { left, top, width, height } = self.region;
        let (left, width) = along(region.left, region.width, left, width);
        let (top, height) = along(region.top, region.height, top, height);
        Region { left, top, width, height }
    }
}

/// A file whose header has been read.
pub(crate) struct Opened<'a> {
    kind: Kind<'a>,
    path: &'a Path,
    decoding: Decoding,
    turn: Exif,
    pixels: &'a mut Reused,
    resampler: &'a mut Resampler,
    watch: &'a mut Stopwatch,
}

impl<'a> Opened<'a> {
    /// Width and height in pixels, as the image will be seen.
    pub(crate) fn size(&self) -> (u32, u32) {
        let (width, height) = self.kind.size();
        if swaps_sides(self.turn) { (height, width) } else { (width, height) }
    }

    /// All of the image.
    pub(crate) fn whole(self) -> Result<Image, DataError> {
        self.decoded().map(|(image, _)| image)
    }

    /// All of the image, and the resampler, which is free again.
    fn decoded(self) -> Result<(Image, &'a mut Resampler), DataError> {
        let (width, height) = self.kind.size();
        let channels = self.decoding.channels;
        let mut pixels = Vec::new();
        let failed = |reason| undecodable(self.path, reason);
        match self.kind {
            Kind::Jpeg(jpeg) => {
                let whole = Region::whole(width, height);
                decode_jpeg(*jpeg, channels, whole, 1, &mut pixels).map_err(failed)?;
            }
            Kind::Still(still) => pixels = still.decode(&self.decoding).map_err(failed)?,
        }
        self.watch.lap(Stage::Decode);
        let image = Image::new(width, height, channels.count(), pixels)?;
        Ok((turned(image, self.turn), self.resampler))
    }

    /// A part of the image, scaled.
    pub(crate) fn window(self, window: Window) -> Result<Image, DataError> {
        match self {
            Self {
                kind: Kind::Jpeg(jpeg),
                turn: Exif::NoTransforms,
                path,
                decoding,
                pixels,
                resampler,
                watch,
            } => {
                let channels = decoding.channels;
                let reduction = if decoding.reduced { reduction(window) } else { 1 };
                let pixels = pixels.empty();
                let part = decode_jpeg(*jpeg, channels, window.region, reduction, pixels)
                    .map_err(|reason| undecodable(path, reason))?;
                watch.lap(Stage::Decode);
                let Region { width, height, .. } = part.region;
                let view = View { width, height, channels: channels.count(), pixels };
                Window { region: part.locate(window.region), ..window }.of(view, resampler)
            }
            file => {
                let (image, resampler) = file.decoded()?;
                window.of(image.view(), resampler)
            }
        }
    }
}

/// Decodes a JPEG into `pixels`, which are empty. Its luma is that of the colours that it decodes to,
/// which rounding makes another than the first of its own components.
fn decode_jpeg(
    jpeg: jpeg::Jpeg<'_>,
    channels: Channels,
    region: Region,
    reduction: u32,
    pixels: &mut Vec<u8>,
) -> Result<Part, String> {
    let colour = jpeg.has_colour();
    let decoded = if colour { Channels::Rgb } else { channels };
    let part = jpeg.decode(decoded, region, reduction, pixels)?;
    if colour && channels == Channels::Grey {
        colours::rgb_to_luma(pixels);
    }
    Ok(part)
}

fn undecodable(path: &Path, reason: String) -> DataError {
    DataError::Undecodable { path: path.to_owned(), reason }
}

/// The largest power of two that leaves each side of the window twice its final length, which
/// Pillow's `reducing_gap=2` asks for too, so that antialiasing still has something to average.
fn reduction(window: Window) -> u32 {
    let Window { region, width, height } = window;
    let fits = |by: &u32| region.width / by >= 2 * width && region.height / by >= 2 * height;
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// The image as its orientation says that it is to be seen.
fn turned(image: Image, turn: Exif) -> Image {
    if turn == Exif::NoTransforms {
        return image;
    }
    let (width, height, channels) = (image.width(), image.height(), image.channels());
    let pixels = image.into_pixels();
    let mut turned: DynamicImage = match channels {
        1 => GrayImage::from_raw(width, height, pixels).map(Into::into),
        _ => RgbImage::from_raw(width, height, pixels).map(Into::into),
    }
    .expect("an `Image` holds exactly width × height × channels bytes");
    turned.apply_orientation(turn);
    let (width, height) = (turned.width(), turned.height());
    Image::new(width, height, channels, turned.into_bytes())
        .expect("turning an image changes neither its area nor its channels")
}

/// Whether a turn makes the width the height.
fn swaps_sides(turn: Exif) -> bool {
    matches!(turn, Exif::Rotate90 | Exif::Rotate270 | Exif::Rotate90FlipH | Exif::Rotate270FlipH)
}
