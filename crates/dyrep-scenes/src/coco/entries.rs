//! A file of COCO's annotations, as it is written.

use serde::Deserialize;

use super::Segmentation;

pub(super) const EXPECTED: &str =
    "COCO's annotations: an object with `images`, `annotations` and `categories`";

#[derive(Deserialize)]
pub(super) struct Entries {
    pub(super) images: Vec<Picture>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) categories: Vec<Category>,
}

#[derive(Deserialize)]
pub(super) struct Picture {
    pub(super) id: u64,
    pub(super) file_name: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

#[derive(Deserialize)]
pub(super) struct Annotation {
    pub(super) id: u64,
    pub(super) image_id: u64,
    pub(super) category_id: u64,
    /// `null` is what some programs write for what is not a number.
    #[serde(default)]
    pub(super) bbox: Option<Vec<Option<f64>>>,
    #[serde(default)]
    pub(super) area: Option<f64>,
    /// 0 or 1, and in some files a truth value.
    #[serde(default)]
    pub(super) iscrowd: Crowd,
    #[serde(default)]
    pub(super) segmentation: Option<Segmentation>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Crowd {
    Number(u64),
    Truth(bool),
}

impl Default for Crowd {
    fn default() -> Self {
        Self::Truth(false)
    }
}

impl Crowd {
    pub(super) fn is_crowd(&self) -> bool {
        match *self {
            Self::Number(number) => number != 0,
            Self::Truth(truth) => truth,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub(super) id: u64,
    pub(super) name: String,
}
