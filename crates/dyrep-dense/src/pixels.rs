//! The loss of a class for every pixel.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use dyrep_models::Segmented;

/// The label of pixels that nobody is asked for.
pub const IGNORED: i64 = 255;

/// The cross-entropy of logits `[batch, classes, height, width]` and labels `[batch, height, width]`, the mean over all
/// pixels that are not [`IGNORED`] (PyTorch's `cross_entropy(ignore_index=255)`); 0 where all are, where PyTorch has no
/// number.
///
/// # Panics
/// If labels are of another shape.
#[must_use]
pub fn pixel_loss(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    let [batch, _, height, width] = logits.dims();
    assert_eq!(labels.dims(), [batch, height, width], "a label for every pixel");
    let ignored = labels.clone().equal_elem(IGNORED);
    let asked = ignored.clone().bool_not().float();
    let labels = labels.mask_fill(ignored, 0).unsqueeze_dim::<4>(1);
    let of_label = log_softmax(logits, 1).gather(1, labels).squeeze_dim::<3>(1);
    let count = asked.clone().sum().clamp_min(1.0);
    (of_label * asked).sum().neg() / count
}

/// The loss of both heads: the second one's counts so much less, 0.4 in PSPNet's paper (arXiv 1612.01105, section 3.3), 0.5
/// in torchvision's references.
///
/// # Panics
/// As [`pixel_loss`].
#[must_use]
pub fn segmentation_loss(
    outputs: Segmented,
    labels: &Tensor<3, Int>,
    auxiliary_weight: f64,
) -> Tensor<1> {
    let loss = pixel_loss(outputs.logits, labels.clone());
    match outputs.auxiliary {
        Some(logits) => loss + pixel_loss(logits, labels.clone()) * auxiliary_weight,
        None => loss,
    }
}
