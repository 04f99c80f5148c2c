//! JPEG by libjpeg-turbo: Pillow's pixels, and no more of the picture than is needed.

use dyrep_turbojpeg::{Colours, Picture};

use super::{Channels, Part, markers};
use dyrep_resample::Region;

/// A JPEG whose header has been read.
pub(super) struct Jpeg<'a>(Picture<'a>);

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        if !markers::has_scan(bytes) {
            return Err("the file ends before the coded data".to_owned());
        }
        Picture::open(bytes).map(Self).map_err(|error| error.to_string())
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.0.size()
    }

    pub(super) fn has_colour(&self) -> bool {
        self.0.colours() != Colours::Grey
    }

    /// Decodes into `pixels`, which are empty, interleaved, and tells which part it holds: at least `region`.
    pub(super) fn decode(
        self,
        channels: Channels,
        region: Region,
        reduction: u32,
        pixels: &mut Vec<u8>,
    ) -> Result<Part, String> {
        let wanted = match (self.0.colours(), channels) {
            (Colours::Cmyk, _) => Colours::Cmyk,
            (_, Channels::Grey) => Colours::Grey,
            (_, Channels::Rgb) => Colours::Rgb,
        };
        let region =
            self.0.decode(wanted, region, reduction, pixels).map_err(|error| error.to_string())?;
        if wanted == Colours::Cmyk {
            cmyk_to_rgb(pixels);
        }
        Ok(Part { region, reduction })
    }
}

/// Inverted CMYK to RGB in place, with Pillow's rounding: each colour darkened by black.
fn cmyk_to_rgb(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for index in 0..count {
        let [c, m, y, k] = [0, 1, 2, 3].map(|channel| i32::from(pixels[4 * index + channel]));
        for (channel, ink) in [c, m, y].into_iter().enumerate() {
            let product = (255 - ink) * k + 128;
            let darkened = k - (((product >> 8) + product) >> 8);
            pixels[3 * index + channel] = darkened.clamp(0, 255) as u8;
        }
    }
    pixels.truncate(3 * count);
}
