//! The library's decompressor behind a safe handle.

#![allow(unsafe_code, reason = "calls into libjpeg-turbo")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;

use dyrep_resample::Region;
use turbojpeg_sys as raw;

/// Scans of a progressive JPEG; more than a hundred times as many as encoders write are an attack.
const MAX_SCANS: c_int = 1000;

/// What the library said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Luminance.
    Grey,
    /// RGB, or YCbCr that is converted to it.
    Rgb,
    /// CMYK, or YCCK that is converted to it; not inverted if it was.
    Cmyk,
}

/// A handle of the library.
///
/// It serves one picture: tables that one file defines stay in it, and a later file that lacks them would be decoded with
/// them, so that what comes of a damaged file would depend on the file before.
#[derive(Debug)]
struct Handle(NonNull<c_void>);

// SAFETY: the library ties a handle to no thread, and whatever changes it takes `&mut self`.
unsafe impl Send for Handle {}

impl Handle {
    fn new() -> Result<Self, Error> {
        // SAFETY: takes a number; null is answered on failure.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let handle = NonNull::new(handle)
            .ok_or_else(|| Error("libjpeg-turbo could not be started".to_owned()))?;
        let mut handle = Self(handle);
        handle.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        Ok(handle)
    }

    fn get(&mut self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: takes a number.
        unsafe { raw::tj3Get(self.0.as_ptr(), parameter as c_int) }
    }

    fn set(&mut self, parameter: raw::TJPARAM, value: c_int) -> Result<(), Error> {
        // SAFETY: takes numbers.
        let result = unsafe { raw::tj3Set(self.0.as_ptr(), parameter as c_int, value) };
        self.check(result)
    }

    /// The error of the last call, unless it was a mere warning.
    fn check(&mut self, result: c_int) -> Result<(), Error> {
        // SAFETY: takes the handle.
        let code = || unsafe { raw::tj3GetErrorCode(self.0.as_ptr()) };
        if result == 0 || code() == raw::TJERR_TJERR_WARNING as c_int {
            return Ok(());
        }
        // SAFETY: the library answers with a string that ends in zero and lives until the next
        // call; it is copied here.
        let text = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0.as_ptr())) };
        Err(Error(text.to_string_lossy().into_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle came from `tj3Init` and is not used afterwards.
        unsafe { raw::tj3Destroy(self.0.as_ptr()) }
    }
}

/// A JPEG whose header has been read. It borrows the bytes, so that they are still the same when
/// they are decoded.
#[derive(Debug)]
pub struct Picture<'a> {
    handle: Handle,
    jpeg: &'a [u8],
    width: u32,
    height: u32,
    colours: Colours,
    /// Width in pixels of the units that a row is coded in, where they can be told.
    unit: Option<u32>,
}

impl<'a> Picture<'a> {
    /// Reads the header of `jpeg`.
    ///
    /// # Errors
    ///
    /// If it is none that the library can decode, or the library has no memory for it.
    pub fn open(jpeg: &'a [u8]) -> Result<Self, Error> {
        let mut handle = Handle::new()?;
        // SAFETY: the pointer and the length are those of one slice.
        let result =
            unsafe { raw::tj3DecompressHeader(handle.0.as_ptr(), jpeg.as_ptr(), jpeg.len() as _) };
        handle.check(result)?;
        let side = |value: c_int| {
            u32::try_from(value).map_err(|_| Error("the header declares no size".to_owned()))
        };
        let colours = match handle.get(raw::TJPARAM_TJPARAM_COLORSPACE) as raw::TJCS {
            raw::TJCS_TJCS_GRAY => Colours::Grey,
            raw::TJCS_TJCS_RGB | raw::TJCS_TJCS_YCbCr => Colours::Rgb,
            raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK => Colours::Cmyk,
            other => return Err(Error(format!("unknown colour space {other}"))),
        };
        let unit = match handle.get(raw::TJPARAM_TJPARAM_SUBSAMP) {
            raw::TJSAMP_TJSAMP_444 | raw::TJSAMP_TJSAMP_GRAY | raw::TJSAMP_TJSAMP_440 => Some(8),
            raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_420 => Some(16),
            raw::TJSAMP_TJSAMP_411 => Some(32),
            // Decoded whole.
            _ => None,
        };
        let width = side(handle.get(raw::TJPARAM_TJPARAM_JPEGWIDTH))?;
        let height = side(handle.get(raw::TJPARAM_TJPARAM_JPEGHEIGHT))?;
        Ok(Self { handle, jpeg, width, height, colours, unit })
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// What is stored.
    #[must_use]
    pub fn colours(&self) -> Colours {
        self.colours
    }

    /// Decodes at `1 / reduction` of the size.
    ///
    /// At least `region`, in pixels of the whole picture, is written to `pixels`, interleaved: one
    /// channel for [`Colours::Grey`], three for `Rgb`, which a grey picture can be asked for too,
    /// and four for `Cmyk`. The answer is what was written, in pixels of the reduced picture. Its
    /// pixels are those that decoding all of the picture would give. Damage in the coded data is
    /// passed over, as Pillow does.
    ///
    /// # Errors
    ///
    /// If the library cannot decode it, or not to these colours.
    ///
    /// # Panics
    ///
    /// If the region is empty or not inside the picture, or `reduction` is not 1, 2, 4 or 8.
    pub fn decode(
        mut self,
        colours: Colours,
        region: Region,
        reduction: u32,
        pixels: &mut Vec<u8>,
    ) -> Result<Region, Error> {
        assert!([1, 2, 4, 8].contains(&reduction), "a reduction by {reduction}");
        let Region { left, top, width, height } = region;
        let inside = left + width <= self.width && top + height <= self.height;
        assert!(width > 0 && height > 0 && inside, "{region:?} of {}x{}", self.width, self.height);
        let factor = raw::tjscalingfactor { num: 1, denom: reduction as c_int };
        // SAFETY: takes numbers.
        let result = unsafe { raw::tj3SetScalingFactor(self.handle.0.as_ptr(), factor) };
        self.handle.check(result)?;
        let part = self.write(colours, self.around(region, reduction), pixels);
        if part.is_ok() || self.unit.take().is_none() {
            return part;
        }
        // Sampling factors that the library names by their ratios alone may make units wider than
        // its table says, and then it refuses the region.
        self.write(colours, self.around(region, reduction), pixels)
    }

    /// What is to be written so that `region` is among it, in pixels of the reduced picture.
    ///
    /// Rows begin at a unit. One unit more on either side gives the interpolation of chroma the
    /// neighbours that it has in the whole picture.
    fn around(&self, region: Region, reduction: u32) -> Region {
        let (width, height) = (self.width.div_ceil(reduction), self.height.div_ceil(reduction));
        let Some(unit) = self.unit.map(|unit| unit / reduction).filter(|unit| *unit > 0) else {
            return Region::whole(width, height);
        };
        let left = (region.left / reduction / unit).saturating_sub(1) * unit;
        let right = (region.left + region.width).div_ceil(reduction).div_ceil(unit) * unit + unit;
        let top = (region.top / reduction).saturating_sub(unit);
        let bottom = (region.top + region.height).div_ceil(reduction) + unit;
        Region { left, top, width: right.min(width) - left, height: bottom.min(height) - top }
    }

    /// Decodes a region, in pixels of the reduced picture.
    fn write(
        &mut self,
        colours: Colours,
        region: Region,
        pixels: &mut Vec<u8>,
    ) -> Result<Region, Error> {
        let Region { left, top, width, height } = region;
        // Zeros ask for the whole picture, and are all that is taken where units cannot be told.
        let cropped = if self.unit.is_some() { [left, top, width, height] } else { [0; 4] };
        let [x, y, w, h] = cropped.map(|side| side as c_int);
        // SAFETY: takes numbers, which the library checks against the header.
        let result = unsafe {
            raw::tj3SetCroppingRegion(self.handle.0.as_ptr(), raw::tjregion { x, y, w, h })
        };
        self.handle.check(result)?;
        let (format, channels) = match colours {
            Colours::Grey => (raw::TJPF_TJPF_GRAY, 1),
            Colours::Rgb => (raw::TJPF_TJPF_RGB, 3),
            Colours::Cmyk => (raw::TJPF_TJPF_CMYK, 4),
        };
        let pitch = width as usize * channels;
        // What damaged data leave unwritten is black and of no picture before.
        pixels.clear();
        pixels.resize(pitch * height as usize, 0);
        // SAFETY: the library writes `height` rows of `pitch` bytes, which `pixels` holds: the
        // region it was given, or with zeros the whole reduced picture, which `around` then
        // answers. The bytes are those whose header was read, so the size is the same; if they hold
        // no picture, the library refuses them before it writes.
        let result = unsafe {
            raw::tj3Decompress8(
                self.handle.0.as_ptr(),
                self.jpeg.as_ptr(),
                self.jpeg.len() as _,
                pixels.as_mut_ptr(),
                pitch as c_int,
                format,
            )
        };
        self.handle.check(result)?;
        Ok(region)
    }
}
