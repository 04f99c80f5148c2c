//! A data set that is made up in memory, for measuring what comes after the disk.

mod picture;

use std::path::PathBuf;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use self::picture::{picture, shifted};
use crate::dataset::{Contents, Dataset, decoded};
use crate::decode::{Channels, Decoding};
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

/// How a [`Synthetic`] data set holds its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// As pixels: nothing is decoded.
    Pixels,
    /// As JPEG files.
    ///
    /// They come from the encoder of the `image` crate, which keeps colour at full size (4:4:4).
    /// Cameras and ImageNet mostly halve it (4:2:0), which takes less to decode.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

/// What a [`Synthetic`] data set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticConfig {
    /// Number of samples; at least 1.
    pub samples: usize,
    /// Number of classes; at least 1. Sample `i` is of class `i % classes`.
    pub classes: usize,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Grey or RGB.
    pub channels: Channels,
    /// Determines the pictures.
    pub seed: u64,
    /// How they are held.
    pub encoding: Encoding,
}

/// 1,000 JPEG pictures of ImageNet's usual size, 500×375, of 1,000 classes.
impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            samples: 1000,
            classes: 1000,
            width: 500,
            height: 375,
            channels: Channels::Rgb,
            seed: 0,
            encoding: Encoding::Jpeg { quality: 90 },
        }
    }
}

/// Pictures like photographs, the same for the same [`SyntheticConfig`] on every machine.
///
/// Eight pictures are made at the start, fewer if they would take much memory. With
/// [`Encoding::Pixels`], a sample is one of them, shifted by its own number of pixels, which costs a
/// copy. With [`Encoding::Jpeg`], 64 such shifts are encoded at the start and a sample is one of
/// these files, byte for byte: there are no more different files than that. The labels have nothing
/// to do with the pictures.
///
/// ```
/// use dyrep_data::{Dataset, Encoding, Synthetic, SyntheticConfig};
///
/// # fn main() -> Result<(), dyrep_data::DataError> {
/// let config = SyntheticConfig { samples: 10, width: 64, height: 48, ..Default::default() };
/// let pictures = Synthetic::new(SyntheticConfig { encoding: Encoding::Pixels, ..config })?;
/// assert_eq!(pictures.image(3)?, pictures.image(3)?);
/// assert_ne!(pictures.image(3)?, pictures.image(4)?);
/// # Ok(())
/// # }
/// ```
pub struct Synthetic {
    config: SyntheticConfig,
    classes: Vec<String>,
    pictures: Vec<Vec<u8>>,
    files: Vec<Vec<u8>>,
}

/// Pictures made, and files encoded, unless that takes more than `MEMORY` bytes.
const PICTURES: usize = 8;
const FILES: usize = 64;
const MEMORY: usize = 256 << 20;

impl Synthetic {
    /// Makes the pictures.
    ///
    /// # Errors
    ///
    /// [`DataError::InvalidSynthetic`] if there are no samples or classes, a side is 0 or, of a
    /// JPEG, more than 65,535, there are more than [`Image::MAX_PIXELS`], or the quality is not 1
    /// to 100.
    pub fn new(config: SyntheticConfig) -> Result<Self, DataError> {
        check(&config)?;
        let SyntheticConfig { samples, width, height, channels, seed, encoding, .. } = config;
        let bytes = width as usize * height as usize * channels.count();
        let most = |wanted: usize| wanted.min(samples).min(MEMORY / bytes).max(1);
        let make = |number| {
            picture(width, height, channels.count(), SampleRng::of_picture(seed, number as u64))
        };
        let classes = (0..config.classes).map(|class| format!("class {class}")).collect();
        let pictures = (0..most(PICTURES)).map(make).collect();
        let mut set = Self { config, classes, pictures, files: Vec::new() };
        if let Encoding::Jpeg { quality } = encoding {
            set.files = (0..most(FILES)).map(|file| set.encode(file, quality)).collect();
            set.pictures.clear();
        }
        Ok(set)
    }

    /// The pixels of a sample.
    fn pixels(&self, index: usize) -> Vec<u8> {
        let SyntheticConfig { width, height, channels, seed, .. } = self.config;
        // The first numbers make the pictures themselves.
        let mut rng = SampleRng::of_picture(seed, (PICTURES + index) as u64);
        let (right, down) = (rng.below(width) as usize, rng.below(height) as usize);
        let (row, shift) = (width as usize * channels.count(), right * channels.count());
        shifted(&self.pictures[index % self.pictures.len()], row, (shift, down))
    }

    fn encode(&self, index: usize, quality: u8) -> Vec<u8> {
        let SyntheticConfig { width, height, channels, .. } = self.config;
        let colours = match channels {
            Channels::Grey => ExtendedColorType::L8,
            Channels::Rgb => ExtendedColorType::Rgb8,
        };
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality)
            .encode(&self.pixels(index), width, height, colours)
            .expect("the size was checked, and a `Vec` takes all that is written");
        file
    }
}

fn check(config: &SyntheticConfig) -> Result<(), DataError> {
    let SyntheticConfig { samples, classes, width, height, encoding, .. } = *config;
    let at_least = |option, found: usize| (option, found as u64, found > 0, "at least 1");
    let (longest, side, quality) = match encoding {
        Encoding::Pixels => (u32::MAX, "at least 1", 1),
        Encoding::Jpeg { quality } => (u16::MAX.into(), "1 to 65535", quality),
    };
    let of = |option, found: u32| (option, found.into(), (1..=longest).contains(&found), side);
    let area = u64::from(width) * u64::from(height);
    let checks = [
        at_least("samples", samples),
        at_least("classes", classes),
        of("width", width),
        of("height", height),
        ("width × height", area, area <= Image::MAX_PIXELS, "at most 89478485"),
        ("quality", quality.into(), (1..=100).contains(&quality), "1 to 100"),
    ];
    match checks.into_iter().find(|(_, _, fits, _)| !fits) {
        Some((option, found, _, expected)) => {
            Err(DataError::InvalidSynthetic { option, found, expected })
        }
        None => Ok(()),
    }
}

impl Dataset for Synthetic {
    fn len(&self) -> usize {
        self.config.samples
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        self.config.channels.count()
    }

    fn label(&self, index: usize) -> usize {
        assert!(index < self.len(), "sample {index} of {}", self.len());
        index % self.config.classes
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decoded(self, index)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        assert!(index < self.len(), "sample {index} of {}", self.len());
        let SyntheticConfig { width, height, channels, encoding, .. } = self.config;
        if encoding == Encoding::Pixels {
            return Image::new(width, height, channels.count(), self.pixels(index))
                .map(Contents::Image);
        }
        buffer.clear();
        buffer.extend_from_slice(&self.files[index % self.files.len()]);
        let path = PathBuf::from(self.name(index));
        Ok(Contents::File { path, decoding: Decoding::from(channels) })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic picture {index}")
    }
}

/// The options without the pictures.
impl std::fmt::Debug for Synthetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Synthetic").field(&self.config).finish()
    }
}
