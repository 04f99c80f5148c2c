//! `detectors.json`, as its script writes it.

use dyrep_boxes::{BBox, Match, Size};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) overlaps: Overlaps,
    pub(crate) transforms: Transforms,
    pub(crate) anchors: Vec<AnchorCase>,
    pub(crate) coding: CodingCases,
    pub(crate) matching: Vec<MatchingCase>,
    pub(crate) exact_matching: ExactMatching,
    pub(crate) suppression: Vec<SuppressionCase>,
    pub(crate) post: Vec<PostCase>,
}

#[derive(Deserialize)]
pub(crate) struct Overlaps {
    pub(crate) boxes: Vec<[f32; 4]>,
    pub(crate) areas: Vec<f32>,
    pub(crate) overlaps: Vec<Vec<Option<f32>>>,
    pub(crate) picture: [u32; 2],
    pub(crate) clipped: Vec<[f32; 4]>,
    pub(crate) min_side: f32,
    pub(crate) large: Vec<usize>,
    pub(crate) to: [u32; 2],
    pub(crate) resized: Vec<[f32; 4]>,
}

#[derive(Deserialize)]
pub(crate) struct Transforms {
    pub(crate) batches: Vec<Batch>,
    pub(crate) sizes: Vec<[[u32; 2]; 2]>,
}

#[derive(Deserialize)]
pub(crate) struct Batch {
    pub(crate) batch: Vec<[u32; 2]>,
    pub(crate) min_size: u32,
    pub(crate) max_size: u32,
    pub(crate) resized: Vec<[u32; 2]>,
    pub(crate) padded: [u32; 2],
    pub(crate) levels: Vec<[u32; 2]>,
}

#[derive(Deserialize)]
pub(crate) struct AnchorCase {
    pub(crate) generator: String,
    pub(crate) padded: [u32; 2],
    pub(crate) grids: Vec<[u32; 2]>,
    pub(crate) counts: Vec<usize>,
    pub(crate) some: Vec<(usize, [f32; 4])>,
    pub(crate) weighed: i64,
}

#[derive(Deserialize)]
pub(crate) struct CodingCases {
    pub(crate) objects: Vec<[f32; 4]>,
    pub(crate) anchors: Vec<[f32; 4]>,
    pub(crate) codes: Vec<[f32; 4]>,
    pub(crate) distances: Vec<[f32; 4]>,
    pub(crate) weights: [f32; 4],
    pub(crate) encoded: Vec<[f32; 4]>,
    pub(crate) decoded: Vec<[f32; 4]>,
    pub(crate) weighted_encoded: Vec<[f32; 4]>,
    pub(crate) weighted_decoded: Vec<[f32; 4]>,
    pub(crate) linear_encoded: Vec<[f32; 4]>,
    pub(crate) linear_decoded: Vec<[f32; 4]>,
    pub(crate) pixels_encoded: Vec<[f32; 4]>,
    pub(crate) pixels_decoded: Vec<[f32; 4]>,
}

/// RetinaNet's with thresholds, FCOS's with a radius.
#[derive(Deserialize)]
pub(crate) struct MatchingCase {
    pub(crate) generator: String,
    pub(crate) padded: [u32; 2],
    pub(crate) case: String,
    pub(crate) objects: Vec<[f32; 4]>,
    pub(crate) high: Option<f32>,
    pub(crate) low: Option<f32>,
    #[serde(default)]
    pub(crate) allow: bool,
    pub(crate) radius: Option<f32>,
    /// How many anchors in a row, and their match.
    pub(crate) matched: Vec<(usize, i64)>,
}

#[derive(Deserialize)]
pub(crate) struct ExactMatching {
    pub(crate) objects: Vec<[f32; 4]>,
    pub(crate) anchors: Vec<[f32; 4]>,
    pub(crate) cases: Vec<ExactCase>,
}

#[derive(Deserialize)]
pub(crate) struct ExactCase {
    pub(crate) high: f32,
    pub(crate) low: f32,
    pub(crate) allow: bool,
    pub(crate) matched: Vec<i64>,
}

#[derive(Deserialize)]
pub(crate) struct SuppressionCase {
    pub(crate) case: String,
    pub(crate) boxes: Vec<[f32; 4]>,
    pub(crate) scores: Vec<f32>,
    pub(crate) classes: Vec<usize>,
    pub(crate) threshold: f64,
    pub(crate) kept: Vec<usize>,
    pub(crate) kept_by_class: Vec<usize>,
}

#[derive(Deserialize)]
pub(crate) struct PostCase {
    pub(crate) case: String,
    pub(crate) model: String,
    pub(crate) picture: [u32; 2],
    pub(crate) padded: [u32; 2],
    pub(crate) grids: Vec<[u32; 2]>,
    pub(crate) sizes: Vec<Vec<f32>>,
    pub(crate) classes: usize,
    pub(crate) logits: Vec<f32>,
    pub(crate) codes: Vec<f32>,
    pub(crate) centreness: Option<Vec<f32>>,
    pub(crate) score_thresh: f32,
    pub(crate) nms_thresh: f64,
    pub(crate) detections_per_img: usize,
    pub(crate) topk_candidates: usize,
    pub(crate) tied: bool,
    pub(crate) boxes: Vec<[f32; 4]>,
    pub(crate) scores: Vec<f32>,
    pub(crate) labels: Vec<usize>,
}

pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("detectors.json")).unwrap()
}

pub(crate) fn boxes(rows: &[[f32; 4]]) -> Vec<BBox> {
    rows.iter().map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect()
}

/// torchvision writes heights first, too.
pub(crate) fn size([height, width]: [u32; 2]) -> Size {
    Size { height, width }
}

/// A match by torchvision's number.
pub(crate) fn matches(code: i64) -> Match {
    match code {
        -1 => Match::Background,
        -2 => Match::Ignored,
        object => Match::Object(usize::try_from(object).unwrap()),
    }
}
