//! How files become images: the options.

use std::fmt;

/// The channels that images are decoded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One channel of luminance.
    Grey,
    /// Red, green and blue.
    Rgb,
}

impl Channels {
    /// Their number: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
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
}

impl From<Channels> for Decoding {
    fn from(channels: Channels) -> Self {
        Self { channels, orientation: Orientation::AsStored, reduced: false }
    }
}
