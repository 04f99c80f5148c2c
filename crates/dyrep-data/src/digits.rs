//! Handwritten digits, small enough to ship with the crate: real data for tests and examples.
//!
//! E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
//! Repository, 1998 (its test part), licensed CC BY 4.0. See `assets/NOTICE.md`.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::image::Image;

const FILE: &[u8] = include_bytes!("../assets/digits.csv.gz");
const SIDE: u32 = 8;
const PIXELS: usize = 64;
const CLASSES: usize = 10;
/// One sample in five is for testing.
const TEST_EVERY: usize = 5;

/// 1,797 grey images of 8×8 pixels in 10 classes, with the raw values 0 to 16.
///
/// [`train`](Self::train) and [`test`](Self::test) split them by one fixed rule, without a seed:
/// order the samples by class, within a class as in the file, and take every fifth for testing,
/// from the first on. So each class gives a fifth, rounded up or down, to the 360 test samples, and
/// the other 1,437 are for training. Both parts keep the order of the file. The writers are not
/// told apart in the file, so they occur in both parts.
#[derive(Clone, Debug)]
pub struct Digits {
    classes: Vec<String>,
    samples: Vec<([u8; PIXELS], u8)>,
}

impl Digits {
    /// The largest pixel value: divide by it to get 0 to 1.
    pub const MAX_VALUE: f32 = 16.0;

    /// All 1,797 samples, in the order of the file.
    #[must_use]
    pub fn all() -> Self {
        let classes = (0..CLASSES).map(|digit| digit.to_string()).collect();
        Self { classes, samples: read_samples() }
    }

    /// The 1,437 samples for training.
    #[must_use]
    pub fn train() -> Self {
        Self::part(false)
    }

    /// The 360 samples for testing.
    #[must_use]
    pub fn test() -> Self {
        Self::part(true)
    }

    fn part(test: bool) -> Self {
        let Self { classes, samples } = Self::all();
        let mut by_class: Vec<usize> = (0..samples.len()).collect();
        by_class.sort_by_key(|&index| samples[index].1);
        let mut chosen: Vec<usize> = by_class
            .into_iter()
            .enumerate()
            .filter(|(rank, _)| (rank % TEST_EVERY == 0) == test)
            .map(|(_, index)| index)
            .collect();
        chosen.sort_unstable();
        let samples = chosen.into_iter().map(|index| samples[index]).collect();
        Self { classes, samples }
    }
}

impl Dataset for Digits {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        1
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.samples[index].1)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        Image::new(SIDE, SIDE, 1, self.samples[index].0.to_vec())
    }
}

/// The rows of the embedded file.
fn read_samples() -> Vec<([u8; PIXELS], u8)> {
    let mut text = String::new();
    GzDecoder::new(FILE)
        .read_to_string(&mut text)
        .expect("the embedded file is part of the program, and a test reads it");
    text.lines().map(read_row).collect()
}

/// 64 pixels and a class. The file is part of the program, so a bad row is a bug, not an input.
fn read_row(row: &str) -> ([u8; PIXELS], u8) {
    let mut values = row.split(',').map(|value| {
        value.parse().unwrap_or_else(|_| unreachable!("{value:?} in the embedded digits"))
    });
    let pixels = std::array::from_fn(|_| values.next().unwrap_or_default());
    (pixels, values.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_sixty_four_pixels_and_a_class() {
        let mut text = String::new();
        GzDecoder::new(FILE).read_to_string(&mut text).unwrap();
        for row in text.lines() {
            let values: Vec<u8> = row.split(',').map(|value| value.parse().unwrap()).collect();
            assert_eq!(values.len(), PIXELS + 1, "{row}");
            assert!(values[..PIXELS].iter().all(|&value| f32::from(value) <= Digits::MAX_VALUE));
            assert!(usize::from(values[PIXELS]) < CLASSES);
        }
    }
}
