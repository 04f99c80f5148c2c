//! What a detector and a segmentation are worth, from plain data: no tensors, no files.
//!
//! [`DetectionMetric`] is COCO's detection metric (AP and AR over boxes), [`Confusion`] the counts of
//! semantic segmentation (IoU, accuracies). Both are given pictures one after the other, can be
//! merged where several workers had some each, and say `None` of what cannot be computed.
//!
//! # Whose arithmetic it is
//!
//! AP and AR are computed by `hotcoco` (MIT, no unsafe code, data from memory), which no caller sees:
//! on the cases of `tests/golden`, with crowds, areas, ties and cut-offs, its numbers are those of
//! pycocotools 2.0.11 to the last bit. It has no features to leave out what is not needed here, so it
//! brings readers of PNG and XML and takes about 25 seconds to compile without optimisation, on two cores
//! (2026-11-30); the counts of segmentation would be no shorter with it and are our own.
//!
//! # Example
//!
//! ```
//! use dyrep_metrics::{Confusion, Detection, DetectionMetric, Truth};
//!
//! let mut metric = DetectionMetric::new(2)?;
//! let bbox = [10.0, 20.0, 50.0, 40.0];
//! let truth = Truth { id: 1, class: 0, bbox, area: 1900.0, is_crowd: false };
//! metric.add(7, &[truth], &[Detection { class: 0, bbox, score: 0.9 }])?;
//! metric.add(8, &[], &[])?;
//! let summary = metric.summary();
//! // As pycocotools', precision is divided by a little more than the detections that count.
//! assert!(summary.ap.is_some_and(|ap| (1.0 - 1e-12..=1.0).contains(&ap)));
//! assert_eq!((summary.ap_large, summary.by_class[1].ap50), (None, None));
//!
//! let mut counts = Confusion::new(3, Some(255))?;
//! counts.add(&[0u8, 0, 1, 255], &[0i64, 1, 1, 2])?;
//! assert_eq!(counts.iou(), [Some(0.5), Some(0.5), None]);
//! assert_eq!((counts.mean_iou(), counts.pixel_accuracy()), (Some(0.5), Some(2.0 / 3.0)));
//! # Ok::<(), dyrep_metrics::MetricError>(())
//! ```

mod detection;
mod error;
mod segmentation;

pub use detection::{ClassSummary, Detection, DetectionMetric, DetectionSummary, Truth};
pub use error::{Item, MetricError};
pub use segmentation::Confusion;

/// As many classes as a metric takes: counts of segmentation are then 128 MB, AP's curves 800 MB.
pub const MAX_CLASSES: usize = 4096;

/// The number of classes, if it is one that a metric takes.
fn checked(classes: usize) -> Result<usize, MetricError> {
    match (1..=MAX_CLASSES).contains(&classes) {
        true => Ok(classes),
        false => Err(MetricError::Classes { found: classes }),
    }
}

/// The mean of what can be computed; `None` of nothing.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values.into_iter().flatten() {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}
