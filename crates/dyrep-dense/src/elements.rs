//! Losses element by element.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Tensor};

/// α of the focal loss: how much a positive counts (arXiv 1708.02002, section 3.2).
const ALPHA: f64 = 0.25;
/// γ, by which easy ones count less, is 2.
const EASY: i32 = 2;
/// What keeps an empty union apart from zero (torchvision's `generalized_box_iou_loss`).
const EPSILON: f64 = 1e-7;

/// −(t · ln σ(x) + (1 − t) · ln(1 − σ(x))) of logits and targets between 0 and 1, without overflow.
pub(crate) fn cross_entropy<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let size = logits.clone().abs();
    // max(x, 0), whose gradient at 0 is a half as that of the whole is: a maximum's would be 0 or 1.
    let positive = (logits.clone() + size.clone()) * 0.5;
    positive - logits * targets + size.neg().exp().log1p()
}

/// The focal loss −α_t (1 − p_t)² ln p_t of logits and of targets 0 or 1 (arXiv 1708.02002, equation 5; torchvision's
/// `sigmoid_focal_loss`), element by element.
#[must_use]
pub fn focal<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let p = sigmoid(logits.clone());
    let other = targets.clone().neg() + 1.0;
    // 1 − p_t.
    let missing = (p.clone().neg() + 1.0) * targets.clone() + p * other.clone();
    let weights = targets.clone() * ALPHA + other * (1.0 - ALPHA);
    weights * missing.powi_scalar(EASY) * cross_entropy(logits, targets)
}

/// 1 − GIoU of boxes `[…, 4]` as x1, y1, x2, y2 (arXiv 1902.09630; torchvision's `generalized_box_iou_loss`): `[…, 1]`.
#[must_use]
pub fn giou<const D: usize>(boxes: &Tensor<D>, targets: &Tensor<D>) -> Tensor<D> {
    let [ax1, ay1, ax2, ay2] = corners(boxes);
    let [bx1, by1, bx2, by2] = corners(targets);
    let span = |low: Tensor<D>, high: Tensor<D>| high - low;
    let of_both = |wide: Tensor<D>, high: Tensor<D>| {
        let are: Tensor<D, Bool> =
            wide.clone().greater_elem(0.0).bool_and(high.clone().greater_elem(0.0));
        wide * high * are.float()
    };
    let shared = of_both(
        span(larger(ax1.clone(), bx1.clone()), smaller(ax2.clone(), bx2.clone())),
        span(larger(ay1.clone(), by1.clone()), smaller(ay2.clone(), by2.clone())),
    );
    let around = span(smaller(ax1.clone(), bx1.clone()), larger(ax2.clone(), bx2.clone()))
        * span(smaller(ay1.clone(), by1.clone()), larger(ay2.clone(), by2.clone()));
    let areas = span(ax1, ax2) * span(ay1, ay2) + span(bx1, bx2) * span(by1, by2);
    let union = areas - shared.clone();
    let iou = shared / (union.clone() + EPSILON);
    let giou = iou - (around.clone() - union) / (around + EPSILON);
    giou.neg() + 1.0
}

fn corners<const D: usize>(boxes: &Tensor<D>) -> [Tensor<D>; 4] {
    [0, 1, 2, 3].map(|side| boxes.clone().narrow(D - 1, side, 1))
}

fn larger<const D: usize>(one: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
    one.max_pair(other)
}

fn smaller<const D: usize>(one: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
    one.min_pair(other)
}
