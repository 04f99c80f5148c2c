//! What networks that look at places are trained by.
//!
//! ```text
//! objects, anchors ─▶ Criterion::targets ─▶ Targets, plain numbers
//! outputs of a Detector, Targets ─▶ Criterion::loss ─▶ DetectionLosses
//! outputs of a Detector, anchors ─▶ Criterion::detect ─▶ Detection, picture by picture
//! logits of a Segmenter, labels ─▶ pixel_loss
//! ```
//!
//! Targets follow from annotations and shapes alone: whoever loads pictures computes them, and a step waits for nothing.

mod detection;
mod elements;
mod found;
mod pixels;
mod targets;

pub use detection::{Criterion, DetectionLosses};
pub use elements::{focal, giou};
pub use pixels::{IGNORED, pixel_loss, segmentation_loss};
pub use targets::{Targets, TargetsError, Truth};
