//! How files become images: the options.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::Image;

/// The channels that images are decoded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// One channel of luma. Colour becomes (19595 R + 38470 G + 7471 B + 32768) / 65536, which is
    /// Pillow's `convert("L")` and torchvision's `Grayscale`, to the bit.
    Grey,
    /// Red, green and blue. Grey is replicated.
    Rgb,
}

impl Channels {
    /// Their number: 1 or 3.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    /// Those of so many channels, if there are any.
    #[must_use]
    pub const fn of_count(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            _ => None,
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grey => "1 (grey)",
            Self::Rgb => "3 (RGB)",
        })
    }
}

/// What becomes of a camera's note that a picture is to be seen turned or mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// It is ignored, as torchvision does; networks trained on ImageNet expect it.
    #[default]
    AsStored,
    /// It is obeyed: the EXIF orientation, 1 to 8.
    Upright,
}

/// How a file becomes an image.
///
/// ```
/// use dyrep_data::{Channels, Decoding, Orientation};
///
/// let decoding = Decoding { orientation: Orientation::Upright, ..Channels::Rgb.into() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding {
    /// The channels that it is decoded to.
    pub channels: Channels,
    /// Whether a camera's orientation counts; not unless asked for.
    pub orientation: Orientation,
    /// Whether a JPEG that is going to be much smaller may be decoded at a half, a quarter or an
    /// eighth of its size, with the feature `turbojpeg`. Each side of the part that is cut out
    /// keeps at least twice its final length. Much faster for pictures of many megapixels; the
    /// pixels differ by some levels, hence not unless asked for.
    pub reduced: bool,
    /// What shows through where a picture is transparent: red, green, blue. White unless asked for:
    /// what is drawn for pages and viewers is dark on a light ground, and dark lines on black would
    /// be nothing at all.
    pub background: [u8; 3],
    /// The most pixels, width × height, that a file may declare: [`Image::MAX_PIXELS`] unless asked
    /// for, and never more than [`Image::LARGEST`]. A picture takes up to sixteen bytes a pixel while
    /// it is decoded, in each thread: sixteen for a TIFF of RGBA in 16 bits, eleven for such a PNG,
    /// seven or eight for RGBA in 8 bits, three for an RGB JPEG or, if it is progressive, nine.
    pub max_pixels: u64,
}

impl From<Channels> for Decoding {
    fn from(channels: Channels) -> Self {
        Self {
            channels,
            orientation: Orientation::AsStored,
            reduced: false,
            background: [255; 3],
            max_pixels: Image::MAX_PIXELS,
        }
    }
}
