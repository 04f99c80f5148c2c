//! The losses of RetinaNet (arXiv 1708.02002, section 4) and FCOS (arXiv 1904.01355, section 3), as torchvision has them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_boxes::Anchors;
use dyrep_models::{DetectionHead, LevelOutput};

use crate::elements::{cross_entropy, focal, giou};
use crate::targets::{NOT_ASKED, Targets, TargetsError, Truth};

/// How a detector's outputs are held against what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criterion {
    /// How objects are found.
    pub head: DetectionHead,
    /// Classes of the detector, without the background.
    pub classes: usize,
}

/// A batch's losses, `[1]` each; what is trained by is their sum.
#[derive(Clone, Debug)]
pub struct DetectionLosses {
    /// Of the classes: the focal loss.
    pub classes: Tensor<1>,
    /// Of the boxes: RetinaNet's absolute differences of codes, FCOS's 1 − GIoU.
    pub boxes: Tensor<1>,
    /// Of how central places are, of FCOS.
    pub centreness: Option<Tensor<1>>,
}

impl DetectionLosses {
    /// Their sum.
    #[must_use]
    pub fn total(&self) -> Tensor<1> {
        let sum = self.classes.clone() + self.boxes.clone();
        match &self.centreness {
            Some(centreness) => sum + centreness.clone(),
            None => sum,
        }
    }
}

impl Criterion {
    /// What every anchor is to say of pictures: which object it finds by overlap (RetinaNet) or by place (FCOS).
    ///
    /// # Errors
    /// Boxes and classes that are not as many, a class that is not there, a box that is none.
    pub fn targets(&self, pictures: &[Truth], anchors: &Anchors) -> Result<Targets, TargetsError> {
        Targets::new(self.head, self.classes, pictures, anchors)
    }

    /// A batch's losses. RetinaNet's are divided by the anchors that find something in the same picture, FCOS's by those of
    /// the whole batch.
    ///
    /// # Panics
    /// If the outputs are of another batch or of other levels than the targets', or of another head.
    #[must_use]
    pub fn loss(&self, levels: &[LevelOutput], targets: &Targets) -> DetectionLosses {
        let cat = |rows: &dyn Fn(&LevelOutput) -> Tensor<3>| {
            Tensor::cat(levels.iter().map(rows).collect(), 1)
        };
        let logits = cat(&|level| level.rows_of_logits(self.classes));
        let boxes = cat(&LevelOutput::rows_of_boxes);
        let shape = [targets.batch, targets.each(), self.classes];
        assert_eq!(logits.dims(), shape, "logits of the targets' batch and anchors");
        let given = Given::new(targets, &logits.device());
        let by = self.divisors(targets, &logits.device());
        let hot = given.hot(self.classes);
        let classes = focal(logits, hot) * given.asked.clone() * by.clone();
        let found = given.found.clone() * by;
        let (boxes, centreness) = match self.head {
            DetectionHead::RetinaNet => ((boxes - given.boxes).abs() * found, None),
            DetectionHead::Fcos => {
                let central = cat(&|level| {
                    let rows = level.rows_of_centreness();
                    rows.unwrap_or_else(|| panic!("FCOS says how central places are"))
                });
                let of_boxes = giou(&from_distances(boxes, given.anchors), &given.boxes);
                let of_centre = cross_entropy(central, given.centreness) * found.clone();
                (of_boxes * found, Some(of_centre.sum()))
            }
        };
        DetectionLosses { classes: classes.sum(), boxes: boxes.sum(), centreness }
    }

    /// What each picture's losses are multiplied by, `[batch, 1, 1]`.
    fn divisors(&self, targets: &Targets, device: &Device) -> Tensor<3> {
        let found = targets.found();
        let all: usize = found.iter().sum();
        let by = |found: &usize| match self.head {
            DetectionHead::RetinaNet => 1.0 / ((*found).max(1) * targets.batch) as f32,
            DetectionHead::Fcos => 1.0 / all.max(1) as f32,
        };
        let values: Vec<f32> = found.iter().map(by).collect();
        Tensor::from_data(TensorData::new(values, [targets.batch, 1, 1]), device)
    }
}

/// Targets as tensors.
struct Given {
    /// `[batch, anchors, 1]`.
    classes: Tensor<3, Int>,
    /// 1 where an anchor is asked for its class, `[batch, anchors, 1]`.
    asked: Tensor<3>,
    /// 1 where it finds something, `[batch, anchors, 1]`.
    found: Tensor<3>,
    /// `[batch, anchors, 4]`.
    boxes: Tensor<3>,
    /// `[batch, anchors, 1]`; of RetinaNet zeros of one anchor.
    centreness: Tensor<3>,
    /// `[1, anchors, 4]`.
    anchors: Tensor<3>,
}

impl Given {
    fn new(targets: &Targets, device: &Device) -> Self {
        let (batch, each) = (targets.batch, targets.each());
        let floats = |values: &[f32], shape: [usize; 3]| {
            Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
        };
        let classes = TensorData::new(targets.classes.clone(), [batch, each, 1]);
        let classes = Tensor::<3, Int>::from_data(classes, device);
        Self {
            asked: classes.clone().not_equal_elem(NOT_ASKED).float(),
            found: classes.clone().greater_equal_elem(0).float(),
            classes,
            boxes: floats(&targets.boxes, [batch, each, 4]),
            centreness: match targets.centreness.is_empty() {
                true => Tensor::zeros([1, 1, 1], device),
                false => floats(&targets.centreness, [batch, each, 1]),
            },
            anchors: floats(&targets.anchors, [1, each, 4]),
        }
    }

    /// 1 for an anchor's class, 0 elsewhere, `[batch, anchors, classes]`.
    fn hot(&self, classes: usize) -> Tensor<3> {
        let [batch, each, _] = self.classes.dims();
        let device = self.classes.device();
        let numbers = Tensor::<1, Int>::arange(0..classes as i64, &device).reshape([1, 1, classes]);
        let numbers = numbers.expand([batch, each, classes]);
        self.classes.clone().expand([batch, each, classes]).equal(numbers).float()
    }
}

/// The corners of boxes whose sides are so many anchors' widths and heights from the anchors' centres.
fn from_distances(distances: Tensor<3>, anchors: Tensor<3>) -> Tensor<3> {
    let low = anchors.clone().narrow(2, 0, 2);
    let high = anchors.narrow(2, 2, 2);
    let centre = (low.clone() + high.clone()) * 0.5;
    let size = high - low;
    let low = centre.clone() - distances.clone().narrow(2, 0, 2) * size.clone();
    let high = centre + distances.narrow(2, 2, 2) * size;
    Tensor::cat(vec![low, high], 2)
}
