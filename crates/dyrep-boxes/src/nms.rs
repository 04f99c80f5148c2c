//! Of boxes that overlap, the one with the highest score: greedy non-maximum suppression.
//!
//! torchvision's `nms` and `batched_nms` (`ops/boxes.py`) as they compute on a CPU.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::bbox::{check_all, overlap};
use crate::{BBox, BoxError};

/// The places of the boxes that stay, highest score first, equal ones in their order (`nms`).
///
/// A box goes if it overlaps one that stays, of a score as high or higher, by more than `threshold`
/// (intersection over union). The overlap is an `f32` and the threshold is not, as in torchvision: an
/// overlap of 3/5, which `f32` rounds up, is above 0.6. Boxes without area overlap nothing and stay.
///
/// # Errors
///
/// Lists of different lengths, a box that is not finite or has a side below 0, a score or a threshold
/// that is NaN.
pub fn nms(boxes: &[BBox], scores: &[f32], threshold: f64) -> Result<Vec<usize>, BoxError> {
    suppress(boxes, scores, |_| 0, threshold)
}

/// [`nms`] among the boxes of each class, and the places of all that stay by score (`batched_nms`).
///
/// DIFFERENCE: torchvision moves the classes of up to 1000 boxes apart and suppresses all at once, which
/// rounds their corners. Here, as there with more, nothing is moved: overlaps within a rounding of the
/// threshold may be decided otherwise. With more it leaves the order of equal scores open, too.
///
/// # Errors
///
/// As [`nms`].
pub fn batched_nms(
    boxes: &[BBox],
    scores: &[f32],
    classes: &[usize],
    threshold: f64,
) -> Result<Vec<usize>, BoxError> {
    if classes.len() != boxes.len() {
        let (found, expected) = (classes.len(), boxes.len());
        return Err(BoxError::Length { what: "classes", found, expected });
    }
    suppress(boxes, scores, |index| classes[index], threshold)
}

fn suppress(
    boxes: &[BBox],
    scores: &[f32],
    class: impl Fn(usize) -> usize,
    threshold: f64,
) -> Result<Vec<usize>, BoxError> {
    if scores.len() != boxes.len() {
        let (found, expected) = (scores.len(), boxes.len());
        return Err(BoxError::Length { what: "scores", found, expected });
    }
    if threshold.is_nan() {
        let (name, expected) = ("threshold", "a number");
        return Err(BoxError::Setting { name, found: threshold, expected });
    }
    check_all(boxes, "box", BBox::check_ordered)?;
    if let Some(index) = scores.iter().position(|score| score.is_nan()) {
        let (what, found) = ("score", scores[index]);
        return Err(BoxError::Number { what, index, found, expected: "a number" });
    }
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| descending(scores[a], scores[b]));
    let mut stay = vec![];
    let mut by_class: HashMap<usize, Vec<(BBox, f32)>> = HashMap::new();
    for index in order {
        let candidate = (boxes[index], boxes[index].area());
        let rivals = by_class.entry(class(index)).or_default();
        let goes = rivals.iter().any(|rival| f64::from(overlap(*rival, candidate)) > threshold);
        if !goes {
            rivals.push(candidate);
            stay.push(index);
        }
    }
    Ok(stay)
}

/// The larger number first; there is no NaN, and 0 equals −0.
pub(crate) fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}
