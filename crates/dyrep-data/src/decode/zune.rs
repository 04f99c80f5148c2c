//! JPEG by zune-jpeg: pure Rust, always the whole picture.
//!
//! DIFFERENCE: chroma that was stored at half the size is interpolated a little differently from
//! libjpeg-turbo; `tests/agreement/` says by how much. The rest is equal or off by rounding.
//!
//! Baseline files whose components come in scans of their own, with chroma at half the height, are
//! refused: zune-jpeg 0.5.15 decodes them to stripes and reports success.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Channels, Part, markers};
use dyrep_resample::Region;

/// A JPEG whose header has been read.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    size: (u32, u32),
    colour: bool,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        // The caller limits the number of pixels; a picture may be wide and low. Faults in the
        // coded data are tolerated as libjpeg does.
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        let (Some(info), Some(colours)) = (decoder.info(), decoder.input_colorspace()) else {
            return Err("no frame header".to_owned());
        };
        let size = (u32::from(info.width), u32::from(info.height));
        if markers::has_uneven_scans(bytes) {
            return Err("its components are coded one after the other, with fewer rows of colour; only the feature \
                `turbojpeg` decodes such files rightly"
                .to_owned());
        }
        Ok(Self { decoder, size, colour: colours != ColorSpace::Luma })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    pub(super) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Decodes into `pixels`, which are empty, interleaved, and tells which part it holds: here always all of it.
    pub(super) fn decode(
        mut self,
        channels: Channels,
        _region: Region,
        _reduction: u32,
        pixels: &mut Vec<u8>,
    ) -> Result<Part, String> {
        let (width, height) = self.size;
        let space = match channels {
            Channels::Grey => ColorSpace::Luma,
            Channels::Rgb => ColorSpace::RGB,
        };
        let options = self.decoder.options().jpeg_set_out_colorspace(space);
        self.decoder.set_options(options);
        pixels.resize(width as usize * height as usize * channels.count(), 0);
        self.decoder.decode_into(pixels).map_err(|error| error.to_string())?;
        Ok(Part { region: Region::whole(width, height), reduction: 1 })
    }
}
