//! How often which class was taken for which, by pixels, and what follows of it.
//!
//! With n(t, p) the pixels of true class t that were predicted to be p, IoU of a class c is
//! n(c, c) / (Σₚ n(c, p) + Σₜ n(t, c) − n(c, c)) and its accuracy n(c, c) / Σₚ n(c, p) (Long et al.,
//! arXiv 1411.4038, section 5).

use crate::{MetricError, checked, mean};

/// Counts of pixels by true and predicted class.
///
/// Pixels whose true label is the ignored one count nowhere, whatever was predicted there.
///
/// # Which classes a mean is over
///
/// As in mmsegmentation: [`mean_iou`](Self::mean_iou) is over classes that occur among the true or
/// the predicted labels that count, so a class that is nowhere but was predicted has an IoU of 0 and
/// takes part; [`mean_accuracy`](Self::mean_accuracy) is over those that occur among the true ones.
/// torchvision's reference scripts take the mean of all classes, which is not a number as soon as one
/// of them occurs nowhere, and is the same otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    ignore: Option<i64>,
    /// `[true class, predicted class]`.
    counts: Vec<u64>,
}

impl Confusion {
    /// Counts for so many classes, labelled from 0, all of them 0. The label that is ignored is often
    /// 255; it may be a class's own, which then is never asked for.
    ///
    /// # Errors
    /// No classes, or more than [`MAX_CLASSES`](crate::MAX_CLASSES).
    pub fn new(classes: usize, ignore: Option<i64>) -> Result<Self, MetricError> {
        let classes = checked(classes)?;
        Ok(Self { classes, ignore, counts: vec![0; classes * classes] })
    }

    /// Counts pixels: the label of each and what was predicted there, in the same order. Labels may
    /// be of any whole numbers that fit 64 bits with a sign, of different types on either side.
    ///
    /// # Errors
    /// Slices of different lengths; a true label that is neither a class nor ignored; a predicted one
    /// that is no class, where the true one is not ignored. Nothing is counted then.
    pub fn add<T, P>(&mut self, truth: &[T], predicted: &[P]) -> Result<(), MetricError>
    where
        T: Copy + Into<i64>,
        P: Copy + Into<i64>,
    {
        if truth.len() != predicted.len() {
            let (truth, predicted) = (truth.len(), predicted.len());
            return Err(MetricError::Lengths { truth, predicted });
        }
        for (pixel, (&t, &p)) in truth.iter().zip(predicted).enumerate() {
            match self.place(t.into(), p.into()) {
                Ok(Some(place)) => self.counts[place] += 1,
                Ok(None) => {}
                Err((side, found)) => {
                    for (&t, &p) in truth.iter().zip(predicted).take(pixel) {
                        if let Ok(Some(place)) = self.place(t.into(), p.into()) {
                            self.counts[place] -= 1;
                        }
                    }
                    let expected = self.expected(side);
                    return Err(MetricError::Label { pixel, side, found, expected });
                }
            }
        }
        Ok(())
    }

    /// Adds the counts of another, such as another worker's.
    ///
    /// # Errors
    /// Another number of classes or another ignored label.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        if (self.classes, self.ignore) != (other.classes, other.ignore) {
            let (found, expected) = (other.in_words(), self.in_words());
            return Err(MetricError::Merge { found, expected });
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        Ok(())
    }

    /// Pixels of a true class that were predicted to be another, or itself.
    ///
    /// # Panics
    /// If either is no class.
    #[must_use]
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        let Self { classes, counts, .. } = self;
        let both = truth < *classes && predicted < *classes;
        assert!(both, "count of ({truth}, {predicted}) among {classes} classes");
        counts[truth * classes + predicted]
    }

    /// Pixels that count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// By class, from 0 to 1; `None` where the class occurs neither among true nor among predicted
    /// labels.
    #[must_use]
    pub fn iou(&self) -> Vec<Option<f64>> {
        let of_class = |class| {
            let hit = self.count(class, class);
            share(hit, self.truths(class) + self.predictions(class) - hit)
        };
        (0..self.classes).map(of_class).collect()
    }

    /// The mean of [`iou`](Self::iou) over classes that occur; `None` if none does.
    #[must_use]
    pub fn mean_iou(&self) -> Option<f64> {
        mean(self.iou())
    }

    /// The share of a class's pixels that were predicted to be of it, by class, from 0 to 1; `None`
    /// where it has none.
    #[must_use]
    pub fn accuracy(&self) -> Vec<Option<f64>> {
        let of_class = |class| share(self.count(class, class), self.truths(class));
        (0..self.classes).map(of_class).collect()
    }

    /// The mean of [`accuracy`](Self::accuracy) over classes that have pixels; `None` if none has.
    #[must_use]
    pub fn mean_accuracy(&self) -> Option<f64> {
        mean(self.accuracy())
    }

    /// The share of all pixels that count whose class was predicted, from 0 to 1; `None` of none.
    #[must_use]
    pub fn pixel_accuracy(&self) -> Option<f64> {
        share((0..self.classes).map(|class| self.count(class, class)).sum(), self.total())
    }

    fn truths(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    fn predictions(&self, class: usize) -> u64 {
        self.counts[class..].iter().step_by(self.classes).sum()
    }

    /// Where a pixel is counted, if it is.
    fn place(&self, truth: i64, predicted: i64) -> Result<Option<usize>, (&'static str, i64)> {
        if self.ignore == Some(truth) {
            return Ok(None);
        }
        let class = |label| usize::try_from(label).ok().filter(|&class| class < self.classes);
        let truth = class(truth).ok_or(("true", truth))?;
        let predicted = class(predicted).ok_or(("predicted", predicted))?;
        Ok(Some(truth * self.classes + predicted))
    }

    fn expected(&self, side: &str) -> String {
        let classes = format!("a class from 0 to {}", self.classes - 1);
        match self.ignore {
            Some(label) if side == "true" => format!("{classes}, or {label}, which is ignored"),
            _ => classes,
        }
    }

    fn in_words(&self) -> String {
        let ignored = self.ignore.map_or("nothing".to_owned(), |label| label.to_string());
        format!("counts of {} classes that ignore {ignored}", self.classes)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
