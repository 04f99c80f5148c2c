//! The one error of the crate. Every variant carries the path or the numbers, and says what was
//! expected, so that its text alone is enough to mend the data set.

use std::io;
use std::path::PathBuf;

use crate::cifar::CifarError;
use crate::idx::IdxError;
use crate::ilsvrc::GroundTruthError;
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::parts::PartError;
use crate::scan::EXTENSIONS;
use crate::tar_folder::TarError;

/// What a file may be.
const KINDS: &str = "a JPEG, PNG, WebP, BMP, TIFF, GIF or PNM picture";

/// Everything that can go wrong between a folder on disk and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder of a data set does not exist.
    #[error("{}: no such folder", path.display())]
    FolderMissing {
        /// The folder that was asked for.
        path: PathBuf,
    },

    /// The path of a data set exists and is not a folder.
    #[error("{}: not a folder", path.display())]
    NotAFolder {
        /// The path that was asked for.
        path: PathBuf,
    },

    /// A data set's folder holds no class folder.
    #[error("{}: no class folders; expected <root>/<class>/<image>", path.display())]
    NoClasses {
        /// The root of the data set.
        path: PathBuf,
    },

    /// A class folder holds no image at any depth.
    #[error("{}: class folder without images; {}accepted extensions: {}", path.display(), passed_over(left_out), EXTENSIONS.join(", "))]
    EmptyClass {
        /// The folder of the class.
        path: PathBuf,
        /// What is there instead.
        left_out: LeftOut,
    },

    /// A folder of pictures holds none.
    #[error("{}: no images in this folder; {}accepted extensions: {}", path.display(), passed_over(left_out), EXTENSIONS.join(", "))]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// What is there instead.
        left_out: LeftOut,
    },

    /// The name of a class folder is not UTF-8, so it cannot name a class.
    #[error("{}: the name of a class folder must be UTF-8", path.display())]
    ClassNameNotUtf8 {
        /// The folder of the class.
        path: PathBuf,
    },

    /// A symbolic link that is not followed. Skipping it in silence would change the data set.
    #[error(
        "{}: symbolic link to {}; without `follow_links` only links to files inside the data set's own folder are \
         followed",
        path.display(), target.display()
    )]
    ForbiddenLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },

    /// A file or folder could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// What has an image's name is no file: a folder, a pipe, a socket or a device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// A file too large to be a picture.
    #[error("{}: more than {limit} bytes; expected {}", path.display(), KINDS)]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The largest accepted length in bytes.
        limit: u64,
    },

    /// A file of length zero.
    #[error("{}: the file is empty; expected {}", path.display(), KINDS)]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// The contents are no picture of a kind that is read, whatever the name says.
    #[error("{}: the contents are {found}; expected {}", path.display(), KINDS)]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the first bytes look like.
        found: String,
    },

    /// A file that stops before its end. Decoders fill the missing part with grey.
    #[error("{}: truncated {kind}: {bytes} bytes without {lacks}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// `JPEG`, `WebP`, `TIFF` or `PNM`.
        kind: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// What should be there.
        lacks: &'static str,
    },

    /// The decoder refused the contents.
    #[error("{}: cannot be decoded: {reason}", path.display())]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },

    /// The header declares more pixels than are decoded, as a decompression bomb does.
    #[error(
        "{}: {width}x{height} pixels declared; at most {limit} pixels are decoded (`max_pixels`)",
        path.display()
    )]
    TooManyPixels {
        /// The file.
        path: PathBuf,
        /// Declared width in pixels.
        width: u32,
        /// Declared height in pixels.
        height: u32,
        /// The largest accepted width × height.
        limit: u64,
    },

    /// An image with no or too many pixels, too many channels, or a buffer of another length.
    #[error(
        "image of {width}x{height} with {channels} channels and {bytes} bytes; \
         expected 1 to {} pixels, 1 to 4 channels, and width*height*channels bytes",
        Image::LARGEST
    )]
    InvalidImage {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Channels a pixel.
        channels: usize,
        /// Length of the pixel buffer.
        bytes: usize,
    },

    /// A transform's output would have too many pixels, as when a thin strip is scaled by its
    /// shorter side.
    #[error("the output would be {width}x{height} pixels; at most {limit} are made")]
    OutputTooLarge {
        /// Width of the output in pixels.
        width: u64,
        /// Height of the output in pixels.
        height: u64,
        /// The largest accepted width × height.
        limit: u64,
    },

    /// An image smaller than the crop to be cut from it.
    #[error("image of {width}x{height} (after padding), too small for a crop of {size}x{size}")]
    ImageTooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Side of the crop in pixels.
        size: u32,
    },

    /// A transform has no rule or no values for an image of so many channels.
    #[error("{transform}: the image has {found} channels; expected {expected}")]
    WrongChannels {
        /// Name of the transform.
        transform: &'static str,
        /// Channels of the image.
        found: usize,
        /// The channels that would have been accepted.
        expected: String,
    },

    /// A transform, or the mixing of a batch, was given an option that makes no sense.
    #[error("{transform}: {option} is {found}; expected {expected}")]
    InvalidTransform {
        /// Name of the transform.
        transform: &'static str,
        /// Name of its option.
        option: &'static str,
        /// The value given.
        found: String,
        /// What would have been accepted.
        expected: &'static str,
    },

    /// A transform or the batching failed on one sample; the cause is the source.
    #[error("{name} (sample {index}): {source}")]
    Sample {
        /// The data set's name for the sample: a path where there is one.
        name: String,
        /// Its index in the data set.
        index: usize,
        /// What went wrong with it.
        source: Box<DataError>,
    },

    /// Images of one batch have different shapes, so they cannot be stacked.
    #[error(
        "shape {found:?} in a batch of {expected:?} (channels, height, width); \
         add a transform that makes all images the same size, such as RandomResizedCrop"
    )]
    MixedShapes {
        /// `[channels, height, width]` of this image.
        found: [usize; 3],
        /// `[channels, height, width]` of the first image of the batch.
        expected: [usize; 3],
    },

    /// More samples were unusable than may be skipped.
    #[error(
        "{} samples cannot be used; at most {limit} may be skipped:{}",
        samples.len(), lines(samples)
    )]
    TooManySkipped {
        /// What is wrong with each of them.
        samples: Vec<String>,
        /// How many would have been skipped.
        limit: usize,
    },

    /// Every sample of a class was left out because its file cannot be used: the class would be one in
    /// name only.
    #[error("no picture of the class `{class}` can be used:{}", lines(samples))]
    ClassLost {
        /// Its name.
        class: String,
        /// What is wrong with each of its samples.
        samples: Vec<String>,
    },

    /// All samples of an epoch were unusable.
    #[error("none of the samples can be used:{}", lines(samples))]
    NothingUsable {
        /// What is wrong with each of them.
        samples: Vec<String>,
    },

    /// CIFAR's files are missing or not as published.
    #[error(transparent)]
    Cifar(#[from] CifarError),

    /// The labels of a flat folder are missing or do not fit it.
    #[error(transparent)]
    GroundTruth(#[from] GroundTruthError),

    /// Folders are no parts, or not the parts or classes that they should be.
    #[error(transparent)]
    Parts(#[from] PartError),

    /// IDX files are missing, or their fields do not fit one another.
    #[error(transparent)]
    Idx(#[from] IdxError),

    /// A tar archive cannot be used.
    #[error(transparent)]
    Tar(#[from] TarError),

    /// A synthetic data set was given an option that makes no sense.
    #[error("synthetic data set: {option} is {found}; expected {expected}")]
    InvalidSynthetic {
        /// Name of the option.
        option: &'static str,
        /// The value given.
        found: u64,
        /// What would have been accepted.
        expected: &'static str,
    },

    /// A data set without samples cannot be loaded.
    #[error("the data set has no samples")]
    EmptyDataset,

    /// Batches of size 0 were asked for.
    #[error("the batch size is 0; expected at least 1")]
    ZeroBatchSize,

    /// The last, incomplete batch is to be dropped and there is no other.
    #[error(
        "{samples} samples make no full batch of {batch_size}, and incomplete batches are dropped"
    )]
    NoFullBatch {
        /// Samples in the data set.
        samples: usize,
        /// Samples in a batch.
        batch_size: usize,
    },

    /// The operating system refused to start a loader's thread.
    #[error("{threads} loader threads could not be started: {source}")]
    Thread {
        /// Threads asked for.
        threads: usize,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl DataError {
    /// Whether the contents of one sample are to blame, so that a loader may go on without it. A
    /// mistake in the set-up would be met again with the next sample.
    #[must_use]
    pub fn is_of_one_sample(&self) -> bool {
        match self {
            Self::Sample { source, .. } => source.is_of_one_sample(),
            Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::FileTooLarge { .. }
            | Self::EmptyFile { .. }
            | Self::UnknownFormat { .. }
            | Self::Truncated { .. }
            | Self::Undecodable { .. }
            | Self::TooManyPixels { .. }
            | Self::InvalidImage { .. }
            | Self::OutputTooLarge { .. }
            | Self::ImageTooSmall { .. } => true,
            _ => false,
        }
    }

    /// The error of one sample, with its name and index unless it names the file already.
    pub(crate) fn of_sample(self, name: impl FnOnce() -> String, index: usize) -> Self {
        match self {
            Self::InvalidImage { .. }
            | Self::OutputTooLarge { .. }
            | Self::ImageTooSmall { .. }
            | Self::WrongChannels { .. }
            | Self::InvalidTransform { .. }
            | Self::MixedShapes { .. } => {
                Self::Sample { name: name(), index, source: Box::new(self) }
            }
            named => named,
        }
    }
}

/// What is in a folder that holds no pictures.
fn passed_over(left_out: &LeftOut) -> String {
    if left_out.is_empty() { String::new() } else { format!("left out: {left_out}; ") }
}

/// One a line, the first few.
fn lines(samples: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text: String = samples.iter().take(SHOWN).flat_map(|one| ["\n  ", one]).collect();
    if samples.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", samples.len() - SHOWN));
    }
    text
}
