//! The records of CIFAR's binary files, checked as a whole and kept as they are.
//!
//! A record is one or two labels and the three planes of a 32×32 picture, red, green, blue, row by
//! row.

use super::error::CifarError;
use super::source::Found;
use crate::error::DataError;
use crate::image::Image;

const SIDE: u32 = 32;
const PLANE: usize = (SIDE * SIDE) as usize;
const PIXELS: usize = 3 * PLANE;

/// The labels in front of a record's pixels, one byte each: what it is called, and how many classes
/// it counts.
pub(super) type Labels = [(&'static str, usize)];

/// The length of a file, in bytes.
pub(super) const fn length(records: usize, labels: usize) -> u64 {
    (records * (labels + PIXELS)) as u64
}

/// Records whose labels are all in range.
pub(super) struct Records {
    bytes: Vec<u8>,
    labels: usize,
}

impl Records {
    /// Files of whole records, one after the other.
    pub(super) fn new(files: Vec<Found>, labels: &Labels) -> Result<Self, DataError> {
        let stride = labels.len() + PIXELS;
        let mut bytes = Vec::with_capacity(files.iter().map(|file| file.bytes.len()).sum());
        for file in files {
            for (record, content) in file.bytes.chunks_exact(stride).enumerate() {
                for (&(kind, classes), &found) in labels.iter().zip(content) {
                    if usize::from(found) >= classes {
                        let path = file.path;
                        let error =
                            CifarError::LabelOutOfRange { path, record, kind, found, classes };
                        return Err(error.into());
                    }
                }
            }
            bytes.extend_from_slice(&file.bytes);
        }
        Ok(Self { bytes, labels: labels.len() })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / (self.labels + PIXELS)
    }

    /// A label of a record; `place` is its place in front of the pixels.
    pub(super) fn label(&self, record: usize, place: usize) -> usize {
        self.record(record)[place].into()
    }

    /// A record's picture, its planes interleaved.
    pub(super) fn image(&self, record: usize) -> Result<Image, DataError> {
        let planes = &self.record(record)[self.labels..];
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        let colours = red.iter().zip(green).zip(blue);
        let pixels = colours.flat_map(|((&red, &green), &blue)| [red, green, blue]).collect();
        Image::new(SIDE, SIDE, 3, pixels)
    }

    fn record(&self, record: usize) -> &[u8] {
        let stride = self.labels + PIXELS;
        &self.bytes[record * stride..(record + 1) * stride]
    }
}
