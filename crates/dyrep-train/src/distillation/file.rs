//! A teacher's logits in a file of safetensors: a row for each picture of a data set, in the set's order.
//!
//! ```text
//! logits    [pictures, classes] f32
//! labels    [pictures] i64             the class of each picture
//! metadata  data                       in JSON:
//!             classes                  their names in the order of the logits
//!             names                    the CRC-32 of the pictures' names without their folders
//! ```
//!
//! Labels and metadata say which data set it was, in which order. Files of other programs may do without the metadata.
//! The same logits give the same bytes.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use dyrep_data::Dataset;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// What a teacher says of every picture of a data set. It is held as the bytes of its file: pictures × classes × 4, about.
pub struct TeacherLogits {
    /// What it is called in errors.
    origin: String,
    bytes: Vec<u8>,
    /// Where the logits and the labels are in them.
    logits: Range<usize>,
    labels: Range<usize>,
    classes: usize,
    data: Option<Data>,
}

/// The data set, as metadata tell it.
#[derive(Serialize, Deserialize)]
struct Data {
    classes: Vec<String>,
    /// Of the pictures.
    names: u32,
}

/// The size without the numbers.
impl std::fmt::Debug for TeacherLogits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TeacherLogits({}, [{}, {}])", self.origin, self.pictures(), self.classes)
    }
}

impl TeacherLogits {
    /// Those of a data set's pictures: `logits` is `[pictures, classes]`, row after row in the set's order.
    ///
    /// # Errors
    /// Not a row of the set's classes for each of its pictures; a logit that is no finite number.
    pub fn new(set: &dyn Dataset, logits: Vec<f32>) -> Result<Self, TrainError> {
        let (pictures, classes) = (set.len(), set.classes().len());
        let refused = |reason| TrainError::Teacher { file: ORIGIN.to_owned(), reason };
        if logits.len() != pictures * classes {
            let found = logits.len();
            return Err(refused(format!(
                "{found} numbers, expected {pictures} pictures times {classes} classes"
            )));
        }
        let logits: Vec<u8> = logits.into_iter().flat_map(f32::to_le_bytes).collect();
        let labels: Vec<u8> =
            (0..pictures).flat_map(|index| (set.label(index) as i64).to_le_bytes()).collect();
        let written = || {
            let data = Data { classes: set.classes().to_vec(), names: checksum_of_names(set) };
            let data = serde_json::to_string(&data).map_err(|error| error.to_string())?;
            // One key: several would be written in any order.
            let metadata = HashMap::from([(DATA.to_owned(), data)]);
            let view = |dtype, shape, data| {
                TensorView::new(dtype, shape, data).map_err(|error| error.to_string())
            };
            let tensors = [
                (LOGITS, view(Dtype::F32, vec![pictures, classes], &logits)?),
                (LABELS, view(Dtype::I64, vec![pictures], &labels)?),
            ];
            safetensors::serialize(tensors, Some(metadata)).map_err(|error| error.to_string())
        };
        Self::parse(written().map_err(refused)?, ORIGIN.to_owned())
    }

    /// Those of a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no whole file of safetensors, or lacks a part of what belongs into it; a logit that is
    /// no finite number.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let origin = path.display().to_string();
        match fs::read(path) {
            Ok(bytes) => Self::parse(bytes, origin),
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                Err(TrainError::Teacher { file: origin, reason })
            }
        }
    }

    fn parse(bytes: Vec<u8>, origin: String) -> Result<Self, TrainError> {
        let parts = Parts::of(&bytes);
        let Parts { logits, labels, classes, data } = match parts {
            Ok(parts) => parts,
            Err(reason) => return Err(TrainError::Teacher { file: origin, reason }),
        };
        let teacher = Self { origin, bytes, logits, labels, classes, data };
        let wrong = teacher.values(0..teacher.pictures()).position(|logit| !logit.is_finite());
        match wrong {
            None => Ok(teacher),
            Some(at) => {
                let (picture, class) = (at / classes, at % classes);
                Err(teacher.refused(format!(
                    "the logit of class {class} of picture {picture} is no finite number"
                )))
            }
        }
    }

    /// Whether these are logits of a data set: as many pictures, the same classes, and every label in its place.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, set: &dyn Dataset) -> Result<(), TrainError> {
        let count = |found, expected, what| {
            let reason = format!("logits of {found} {what}, the data have {expected}");
            if found == expected { Ok(()) } else { Err(self.refused(reason)) }
        };
        count(self.pictures(), set.len(), "pictures")?;
        count(self.classes, set.classes().len(), "classes")?;
        let known = self.data.iter().flat_map(|data| &data.classes);
        let mut known = known.zip(set.classes()).enumerate();
        if let Some((at, (there, here))) = known.find(|(_, (there, here))| there != here) {
            return Err(
                self.refused(format!("its class {at} is `{there}`, that of the data `{here}`"))
            );
        }
        let labels = self.bytes[self.labels.clone()].as_chunks::<8>().0;
        for (index, label) in labels.iter().enumerate() {
            let (there, here) = (i64::from_le_bytes(*label), set.label(index));
            if there != here as i64 {
                let name = set.name(index);
                return Err(self.refused(format!(
                    "picture {index} is of class {there} there, {name} of class {here}: the logits are of other \
                     pictures, or in another order"
                )));
            }
        }
        match &self.data {
            Some(Data { names, .. }) if *names != checksum_of_names(set) => Err(self.refused(
                "the logits are of pictures with other names than those of the data, or in another order".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// How many pictures there are logits of.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.logits.len() / (self.classes * 4)
    }

    /// How many logits a picture has.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The logits of a picture, by its index in the data set.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn row(&self, picture: usize) -> impl Iterator<Item = f32> {
        assert!(picture < self.pictures(), "picture {picture} of {}", self.pictures());
        self.values(picture..picture + 1)
    }

    fn values(&self, pictures: Range<usize>) -> impl Iterator<Item = f32> {
        let at = |picture| self.logits.start + picture * self.classes * 4;
        let bytes = &self.bytes[at(pictures.start)..at(pictures.end)];
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// The file, whole.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What tells the file from others.
    pub(crate) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.bytes)
    }

    fn refused(&self, reason: String) -> TrainError {
        TrainError::Teacher { file: self.origin.clone(), reason }
    }
}

const ORIGIN: &str = "a teacher's logits";
const LOGITS: &str = "logits";
const LABELS: &str = "labels";
const DATA: &str = "data";

/// What is where in a file.
struct Parts {
    logits: Range<usize>,
    labels: Range<usize>,
    classes: usize,
    data: Option<Data>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let not_whole =
            |error: safetensors::SafeTensorError| format!("not a whole safetensors file: {error}");
        // Holds what the header says against the file's length.
        SafeTensors::deserialize(bytes).map_err(not_whole)?;
        let (length, header) = SafeTensors::read_metadata(bytes).map_err(not_whole)?;
        let behind = 8 + length;
        let (shape, logits) = tensor(&header, LOGITS, Dtype::F32, behind)?;
        let (labelled, labels) = tensor(&header, LABELS, Dtype::I64, behind)?;
        let &[pictures, classes] = shape else {
            return Err(format!("`{LOGITS}` has shape {shape:?}, expected [pictures, classes]"));
        };
        if pictures == 0 || classes == 0 {
            return Err(format!("`{LOGITS}` has shape {shape:?}: there is nothing in it"));
        }
        if labelled != [pictures] {
            return Err(format!("`{LABELS}` has shape {labelled:?}, expected [{pictures}]"));
        }
        let told = header.metadata().as_ref().and_then(|all| all.get(DATA));
        let data = match told.map(|text| serde_json::from_str::<Data>(text)) {
            None => None,
            Some(Ok(data)) if data.classes.len() == classes => Some(data),
            Some(_) => {
                return Err(format!(
                    "`{DATA}` of its metadata: expected JSON with the names of {classes} classes and a checksum"
                ));
            }
        };
        Ok(Self { logits, labels, classes, data })
    }
}

/// A tensor's shape, and where its numbers are in a file whose header ends at `behind`.
fn tensor<'a>(
    header: &'a Metadata,
    name: &str,
    dtype: Dtype,
    behind: usize,
) -> Result<(&'a [usize], Range<usize>), String> {
    let info = header.info(name).ok_or_else(|| {
        format!("no tensor `{name}`: `dyrep eval --logits` writes `{LOGITS}` and `{LABELS}`")
    })?;
    if info.dtype != dtype {
        return Err(format!("`{name}` holds {:?}, expected {dtype:?}", info.dtype));
    }
    let (from, until) = info.data_offsets;
    Ok((&info.shape, behind + from..behind + until))
}

/// Of the pictures' names in their order. The folders are left out: data may move.
fn checksum_of_names(set: &dyn Dataset) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    for index in 0..set.len() {
        let name = set.name(index);
        checksum.update(name.rsplit(['/', '\\']).next().unwrap_or(&name).as_bytes());
        checksum.update(b"\n");
    }
    checksum.finalize()
}
