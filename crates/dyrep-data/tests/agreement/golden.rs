//! What the scripts in `tests/golden` recorded, and how pictures are held against one another.

use std::fs;
use std::path::{Path, PathBuf};

use dyrep_data::{DataError, Dataset, Decoding, Image, ImageFolder};
use tempfile::tempdir;

/// A file of `tests`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The fields of each line of a table.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path(name)).unwrap();
    text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

/// A golden PNG, read without any code of ours.
pub(crate) fn png(name: &str) -> Image {
    let picture = image::open(path(name)).unwrap().into_rgb8();
    Image::new(picture.width(), picture.height(), 3, picture.into_raw()).unwrap()
}

/// The bytes of a file, decoded through a data set that holds nothing else.
pub(crate) fn decode(bytes: &[u8], decoding: impl Into<Decoding>) -> Result<Image, DataError> {
    let root = tempdir().unwrap();
    fs::create_dir(root.path().join("class")).unwrap();
    fs::write(root.path().join("class/x.jpg"), bytes).unwrap();
    ImageFolder::open(root.path(), decoding.into()).unwrap().image(0)
}

/// A part of a picture, cut without any code of ours.
pub(crate) fn part(image: &Image, left: usize, top: usize, width: usize, height: usize) -> Image {
    let (channels, stride) = (image.channels(), image.width() as usize * image.channels());
    let row = |y: usize| &image.pixels()[y * stride..][left * channels..][..width * channels];
    let pixels = (top..top + height).flat_map(row).copied().collect();
    Image::new(width as u32, height as u32, channels, pixels).unwrap()
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// How far pictures are from one another: in levels, and by the share of pixels of which a channel
/// is off by more than one level, which rounding alone can explain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Difference {
    pub(crate) levels: u8,
    pixels: usize,
    off: usize,
}

impl Difference {
    pub(crate) fn of(found: &Image, want: &Image) -> Self {
        let size = |image: &Image| (image.width(), image.height(), image.channels());
        assert_eq!(size(found), size(want));
        let pixels = found.pixels().chunks_exact(found.channels());
        let gaps = pixels.zip(want.pixels().chunks_exact(want.channels())).map(|(found, want)| {
            found.iter().zip(want).map(|(&found, &want)| found.abs_diff(want)).max().unwrap()
        });
        gaps.fold(Self::default(), |sum, gap| Self {
            levels: sum.levels.max(gap),
            pixels: sum.pixels + 1,
            off: sum.off + usize::from(gap > 1),
        })
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            levels: self.levels.max(other.levels),
            pixels: self.pixels + other.pixels,
            off: self.off + other.off,
        }
    }

    pub(crate) fn share(self) -> f64 {
        self.off as f64 / self.pixels as f64
    }
}

/// The largest difference that a test accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) levels: u8,
    pub(crate) share: f64,
}

impl Bound {
    pub(crate) const EXACT: Self = Self { levels: 0, share: 0.0 };

    /// Fails with the measured numbers.
    pub(crate) fn check(self, what: &str, found: Difference) {
        assert!(
            found.levels <= self.levels && found.share() <= self.share,
            "{what}: {} levels, {:.4} of the pixels off by more than 1; accepted are {self:?}",
            found.levels,
            found.share()
        );
    }
}
