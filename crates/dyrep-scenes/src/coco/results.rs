//! Detections in COCO's format for results: `[{image_id, category_id, bbox, score}]`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::SceneError;
use crate::file;

/// One detection, as it is written: every number reads back equal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The picture.
    pub image_id: u64,
    /// The category, which is no class: [`Categories`](crate::Categories) knows both.
    pub category_id: u64,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// How sure the detector is; higher is surer.
    pub score: f64,
}

impl Detection {
    /// A box from its corners `[x1, y1, x2, y2]`, in pixels.
    #[must_use]
    pub fn from_corners(
        image_id: u64,
        category_id: u64,
        [x1, y1, x2, y2]: [f64; 4],
        score: f64,
    ) -> Self {
        Self { image_id, category_id, bbox: [x1, y1, x2 - x1, y2 - y1], score }
    }
}

/// Writes detections, whole or not at all.
///
/// # Errors
///
/// If a number is not finite, which JSON does not know, or the file cannot be written.
pub fn write_detections(
    path: impl AsRef<Path>,
    detections: &[Detection],
) -> Result<(), SceneError> {
    let path = path.as_ref();
    check(path, detections)?;
    file::write(path, |file| Ok(serde_json::to_writer(file, detections)?))
}

/// Reads detections.
///
/// # Errors
///
/// If the file cannot be read or is not in COCO's format for results.
pub fn read_detections(path: impl AsRef<Path>) -> Result<Vec<Detection>, SceneError> {
    let path = path.as_ref();
    serde_json::from_slice(&file::read(path, file::ANNOTATIONS)?).map_err(|source| {
        SceneError::Json {
            path: path.to_owned(),
            source,
            expected: "COCO's results: a list of `image_id`, `category_id`, `bbox` and `score`",
        }
    })
}

fn check(path: &Path, detections: &[Detection]) -> Result<(), SceneError> {
    for (at, &Detection { bbox, score, .. }) in detections.iter().enumerate() {
        let (field, found) = match bbox.iter().all(|side| side.is_finite()) {
            true if score.is_finite() => continue,
            true => ("score", format!("{score}")),
            false => ("bbox", format!("{bbox:?}")),
        };
        return Err(SceneError::Field {
            path: path.to_owned(),
            what: "detection",
            id: at as u64,
            field,
            found,
            expected: "finite numbers",
        });
    }
    Ok(())
}
