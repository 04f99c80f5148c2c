//! Data sets, decoding, transforms with torchvision's semantics, and a deterministic loader.
//!
//! ```text
//! Dataset ── image(i) ──▶ Pipeline ── apply(image, rng(seed, epoch, i)) ──▶ Loader ──▶ Batch
//! ```
//!
//! * A [`Dataset`] names its classes and decodes one image: [`Digits`] ships with the crate,
//!   [`Cifar10`], [`Cifar100`] and [`Idx`] read the published files, [`ImageFolder`] ImageNet's layouts,
//!   [`TarFolder`] the same in an archive, [`ImageFiles`] pictures without classes, [`Subset`] a
//!   part of any of them, and [`Synthetic`] makes pictures up for benchmarks.
//! * A [`Pipeline`] is a chain of [`Transform`]s on 8-bit pixels. Each draws from the
//!   [`SampleRng`] of its own sample and from nothing else. A recipe file lists it as
//!   [`TransformSpec`]s.
//! * A [`Loader`] orders, decodes, transforms and batches. An epoch is a function of
//!   (seed, epoch) alone: the number of threads changes its speed, never its contents.
//! * A [`Mixer`] decides how the images of a batch are mixed with one another, MixUp or CutMix: a
//!   function of (seed, epoch, batch).
//!
//! Pixels stay `u8` up to the [`Batch`]: uploading them takes a quarter of what `f32` would, and
//! normalising is cheapest on the device. The crate knows no tensor and no model.
//!
//! Nothing is skipped or repaired in silence. A file that cannot be used and a link that leaves the
//! data set are a [`DataError`] each, which names the file, what was found and what was expected.
//!
//! ```
//! use std::sync::Arc;
//! use dyrep_data::{Digits, Loader, LoaderConfig, Pipeline};
//!
//! # fn main() -> Result<(), dyrep_data::DataError> {
//! let config = LoaderConfig { batch_size: 64, shuffle: true, seed: 7, ..LoaderConfig::default() };
//! let loader = Loader::new(Arc::new(Digits::train()), Pipeline::digits_train(), config)?;
//! for batch in loader.epoch(0) {
//!     let batch = batch?;
//!     assert_eq!(batch.shape[1..], [1, 8, 8]); // [n, channels, height, width]
//!     assert_eq!(batch.labels.len(), batch.shape[0]);
//! }
//! # Ok(())
//! # }
//! ```

mod cifar;
mod dataset;
mod decode;
mod digits;
mod error;
mod idx;
mod ilsvrc;
mod image;
mod image_files;
mod image_folder;
mod left_out;
mod loader;
mod mix;
mod parts;
mod reading;
mod resample;
mod reuse;
mod rng;
mod scan;
mod split;
mod stages;
mod subset;
mod synthetic;
mod tar_folder;
mod text;
mod transform;
mod variates;

pub use crate::cifar::{Cifar10, Cifar100, CifarError};
pub use crate::dataset::{Contents, Dataset};
pub use crate::decode::{Channels, Decoding, Orientation};
pub use crate::digits::Digits;
pub use crate::error::DataError;
pub use crate::idx::{Idx, IdxError};
pub use crate::ilsvrc::{GroundTruth, GroundTruthError, Synsets};
pub use crate::image::Image;
pub use crate::image_files::ImageFiles;
pub use crate::image_folder::ImageFolder;
pub use crate::left_out::LeftOut;
pub use crate::loader::{Batch, Epoch, Loader, LoaderConfig, Pixels, Sampling};
pub use crate::mix::{Mix, MixConfig, MixSpec, MixedLabels, Mixer, Pairing};
pub use crate::parts::PartError;
pub use crate::reading::Reading;
pub use crate::rng::SampleRng;
pub use crate::split::{Part, Wanted, classes_without_pictures, open_part, open_split};
pub use crate::stages::StageTimes;
pub use crate::subset::Subset;
pub use crate::synthetic::{Encoding, Synthetic, SyntheticConfig};
pub use crate::tar_folder::{TarError, TarFolder};
pub use crate::transform::{
    CenterCrop, ColorJitter, Cutout, Erase, ErasingMode, Fill, Paint, Pipeline, RandAugment,
    RandomCrop, RandomErasing, RandomHorizontalFlip, RandomResizedCrop, Resize, Transform,
    TransformSpec,
};
