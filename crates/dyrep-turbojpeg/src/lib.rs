//! A part of a JPEG, decoded by libjpeg-turbo, which writes the pixels that Pillow has.
//!
//! The crate `turbojpeg` wraps the same library but decodes whole pictures only; this one adds the
//! cropping region of TurboJPEG 3 and nothing that dyrep does not use. All `unsafe` is here.
//!
//! Empty without the feature `libjpeg-turbo`.

#[cfg(feature = "libjpeg-turbo")]
mod decompressor;

#[cfg(feature = "libjpeg-turbo")]
pub use decompressor::{Colours, Error, Picture};
