//! The kinds of files, each recognised by its first bytes; and what is in one: names and tensors.
//!
//! Nothing is believed of a file before it was held against the file's length.

mod burnpack;
mod index;
mod other;
mod pytorch;
mod safetensors;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::WeightsError;
use crate::params::Layout;
use crate::tensor::Stored;

/// The longest header of a safetensors file.
const SAFETENSORS_HEADER: u64 = 100_000_000;
/// Bytes at a file's start that tell its kind.
const START: u64 = 512;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// safetensors.
    Safetensors,
    /// PyTorch 1.6 and later: a zip archive.
    Pytorch,
    /// PyTorch up to 1.5: pickles one after the other.
    PytorchLegacy,
    /// PyTorch before 0.1.10: a tar archive.
    PytorchTar,
    /// Burn's: this library's checkpoints and weights.
    Burnpack,
    /// Several files with an index.
    Sharded,
}

impl Container {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Pytorch => "PyTorch",
            Self::PytorchLegacy => "old PyTorch",
            Self::PytorchTar => "tar of old PyTorch",
            Self::Burnpack => "burnpack",
            Self::Sharded => "sharded",
        }
    }

    fn of(start: &[u8]) -> Option<Self> {
        let length = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            Some(Self::Pytorch)
        } else if start.starts_with(&burn_pack::MAGIC_NUMBER.to_le_bytes()) {
            Some(Self::Burnpack)
        } else if start.get(257..262) == Some(b"ustar") {
            Some(Self::PytorchTar)
        } else if length.is_some_and(|n| n <= SAFETENSORS_HEADER) && start.get(8) == Some(&b'{') {
            Some(Self::Safetensors)
        } else if start.starts_with(b"{") {
            Some(Self::Sharded)
        } else {
            start.starts_with(&[0x80]).then_some(Self::PytorchLegacy)
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a file holds, under its own names.
pub(crate) struct Contents {
    pub(crate) container: Container,
    pub(crate) layout: Layout,
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// What stands under the keys that a dialect reads beside weights, and is no tensor of the file.
    pub(crate) beside: BTreeMap<String, Stored>,
    /// What this library wrote beside the tensors, as JSON.
    pub(crate) note: Option<String>,
    /// The file's length in bytes.
    pub(crate) length: u64,
}

impl Contents {
    /// Reads what `file` holds, but no values.
    pub(crate) fn of(file: &Path) -> Result<Self, WeightsError> {
        Self::read(file, true)
    }

    /// The same; an index of other files only where it `may_lead_on`.
    fn read(file: &Path, may_lead_on: bool) -> Result<Self, WeightsError> {
        let failed = |source| WeightsError::Io { file: file.to_owned(), source };
        let opened = File::open(file).map_err(failed)?;
        let length = opened.metadata().map_err(failed)?.len();
        let mut start = vec![];
        opened.take(START).read_to_end(&mut start).map_err(failed)?;
        let Some(container) = Container::of(&start) else {
            let (found, advice) = other::told(&start);
            return Err(WeightsError::Unknown { file: file.to_owned(), found, advice });
        };
        let source = Source { file, container, length };
        let (mut length, mut beside) = (length, BTreeMap::new());
        let (tensors, note) = match container {
            Container::Sharded if !may_lead_on => {
                return Err(source.malformed("an index leads to it, and it is an index again"));
            }
            Container::Sharded => {
                let (found, together) = index::read(&source)?;
                length = together;
                found
            }
            Container::Safetensors => safetensors::read(&source)?,
            Container::Burnpack => burnpack::read(&source)?,
            Container::Pytorch | Container::PytorchLegacy | Container::PytorchTar => {
                let [tensors, found] = pytorch::read(&source)?;
                beside = found;
                (tensors, None)
            }
        };
        let layout = match container {
            Container::Burnpack => Layout::Burn,
            _ => Layout::Torch,
        };
        Ok(Self { container, layout, tensors, beside, note, length })
    }
}

/// Tensors by name, and the note of this library.
type Found = (BTreeMap<String, Stored>, Option<String>);

/// A file whose kind is known.
struct Source<'a> {
    file: &'a Path,
    container: Container,
    length: u64,
}

impl Source<'_> {
    fn malformed(&self, reason: impl fmt::Display) -> WeightsError {
        WeightsError::Malformed {
            file: self.file.to_owned(),
            container: self.container.name(),
            reason: reason.to_string(),
        }
    }

    fn io(&self, source: std::io::Error) -> WeightsError {
        WeightsError::Io { file: self.file.to_owned(), source }
    }

    fn oversized(&self, what: impl Into<String>, declared: u64, limit: u64) -> WeightsError {
        WeightsError::Oversized { file: self.file.to_owned(), what: what.into(), declared, limit }
    }
}
