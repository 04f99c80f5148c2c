//! Accuracy on a data set.

use std::cmp::Ordering;

use burn::tensor::{Device, Tensor};
use dyrep_data::{Batch, DataError, Loader};
use dyrep_models::Network;
use serde::{Deserialize, Serialize};

use crate::input::InputSpec;

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Pictures whose class has the largest logit.
    pub correct: usize,
    /// Pictures whose class is among those with the five largest logits.
    #[serde(default)]
    pub among_five: usize,
    /// Pictures.
    pub total: usize,
}

impl Accuracy {
    /// Between 0 and 1; 0 for no picture.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.correct as f64 / self.total.max(1) as f64
    }

    /// The same for [`among_five`](Self::among_five).
    #[must_use]
    pub fn top_five(self) -> f64 {
        self.among_five as f64 / self.total.max(1) as f64
    }

    /// Counts pictures with logits `[batch, classes]` and these classes.
    pub(crate) fn count_batch(&mut self, logits: Tensor<2>, labels: &[i64]) {
        for_each(&rows(logits), labels, |row, class| self.count(place(row, class)));
    }

    /// Counts a picture whose class has the `place`-th largest logit, from 0; nothing where its logit is no number.
    fn count(&mut self, place: Option<usize>) {
        self.correct += usize::from(place == Some(0));
        self.among_five += usize::from(place.is_some_and(|place| place < 5));
        self.total += 1;
    }
}

/// Classes up to which each keeps all that it is taken for, and how many of those beyond.
const MANY: usize = 100;
const OF_MANY: usize = 5;

/// A class's pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassAccuracy {
    /// How many.
    pub pictures: usize,
    /// Those whose class has the largest logit.
    pub correct: usize,
    /// Other classes that they were taken for, the most frequent first, and how many pictures.
    pub taken_for: Vec<(usize, usize)>,
}

/// Which classes are taken for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Pictures by class and by the class that they were taken for, row after row.
    counts: Vec<usize>,
}

impl Confusion {
    fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts a picture of `class`; one of no class of the network is in no row.
    fn count(&mut self, logits: &[f32], class: usize) {
        if class < self.classes {
            self.counts[class * self.classes + largest(logits)] += 1;
        }
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pictures of `class`, by the class that they were taken for.
    ///
    /// # Panics
    /// If there is no such class.
    #[must_use]
    pub fn of(&self, class: usize) -> &[usize] {
        &self.counts[class * self.classes..(class + 1) * self.classes]
    }

    /// Each class's pictures; of what they were taken for all, or where there are many classes the most frequent.
    #[must_use]
    pub fn by_class(&self) -> Vec<ClassAccuracy> {
        let most = if self.classes > MANY { OF_MANY } else { self.classes };
        let result = |class: usize| {
            let row = self.of(class);
            let others = row.iter().copied().enumerate();
            let mut taken_for: Vec<_> =
                others.filter(|(other, count)| *other != class && *count > 0).collect();
            taken_for.sort_by_key(|(other, count)| (std::cmp::Reverse(*count), *other));
            taken_for.truncate(most);
            ClassAccuracy { pictures: row.iter().sum(), correct: row[class], taken_for }
        };
        (0..self.classes).map(result).collect()
    }

    /// Pairs of a class, another that it was taken for, and how many pictures: the most frequent first, then in the order of
    /// classes.
    #[must_use]
    pub fn most_confused(&self) -> Vec<(usize, usize, usize)> {
        let pair = |(at, count): (usize, &usize)| (at / self.classes, at % self.classes, *count);
        let mut pairs: Vec<_> = self.counts.iter().enumerate().map(pair).collect();
        pairs.retain(|(class, taken_for, count)| class != taken_for && *count > 0);
        pairs.sort_by_key(|(class, taken_for, count)| {
            (std::cmp::Reverse(*count), *class, *taken_for)
        });
        pairs
    }
}

/// The numbers of logits `[batch, classes]`, row after row.
fn rows(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().iter().collect()
}

/// Each picture's row of logits, with its class.
fn for_each(rows: &[f32], labels: &[i64], mut f: impl FnMut(&[f32], usize)) {
    let classes = (rows.len() / labels.len().max(1)).max(1);
    for (row, class) in rows.chunks_exact(classes).zip(labels) {
        f(row, usize::try_from(*class).unwrap_or(usize::MAX));
    }
}

/// How many logits are before that of a class, where it is a number. What is no number is larger than every other logit, so
/// that it is never right; of equal ones the first is the larger one.
fn place(logits: &[f32], class: usize) -> Option<usize> {
    let own = logits.get(class).copied().filter(|own| !own.is_nan())?;
    let before = |(index, logit): &(usize, &f32)| match logit.partial_cmp(&&own) {
        Some(Ordering::Less) => false,
        Some(Ordering::Equal) => *index < class,
        Some(Ordering::Greater) | None => true,
    };
    Some(logits.iter().enumerate().filter(before).count())
}

/// The class with the largest logit, by the same order.
fn largest(logits: &[f32]) -> usize {
    let larger = |left: f32, right: f32| left > right || left.is_nan() && !right.is_nan();
    (1..logits.len()).fold(0, |best, at| if larger(logits[at], logits[best]) { at } else { best })
}

/// Counts correct classes over `loader`'s data set, the model in evaluation mode on `device`.
///
/// # Errors
/// Data that cannot be read.
pub fn evaluate<N: Network>(
    model: &N,
    loader: &Loader,
    input: &InputSpec,
    device: &Device,
) -> Result<Accuracy, DataError> {
    Ok(evaluate_with(model, loader, input, device, |_| {})?.0)
}

/// As [`evaluate`], and which classes are taken for which; `progress` is told after each batch how many pictures are done.
///
/// # Errors
/// Data that cannot be read.
pub fn evaluate_with<N: Network>(
    model: &N,
    loader: &Loader,
    input: &InputSpec,
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<(Accuracy, Confusion), DataError> {
    let mut done = 0;
    evaluate_rows(model, loader, input, device, |batch, _rows| {
        done += batch.labels.len();
        progress(done);
    })
}

/// As [`evaluate_with`]; `seen` is given each batch with its logits, `[batch, classes]` row after row.
///
/// # Errors
/// Data that cannot be read.
pub fn evaluate_rows<N: Network>(
    model: &N,
    loader: &Loader,
    input: &InputSpec,
    device: &Device,
    mut seen: impl FnMut(&Batch, &[f32]),
) -> Result<(Accuracy, Confusion), DataError> {
    let model = model.valid();
    let device = device.clone().inner();
    let (mut accuracy, mut confusion) = (Accuracy::default(), Confusion::new(0));
    for batch in loader.epoch(0) {
        let batch = batch?;
        let logits = model.forward(input.images(&batch, &device));
        let [_, classes] = logits.dims();
        if accuracy.total == 0 {
            confusion = Confusion::new(classes);
        }
        let logits = rows(logits);
        for_each(&logits, &batch.labels, |row, class| {
            accuracy.count(place(row, class));
            confusion.count(row, class);
        });
        seen(&batch, &logits);
    }
    Ok((accuracy, confusion))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: &[(&[f32], usize)]) -> Accuracy {
        let mut accuracy = Accuracy::default();
        rows.iter().for_each(|(logits, class)| accuracy.count(place(logits, *class)));
        accuracy
    }

    #[test]
    fn ranks_are_counted() {
        let logits = [0.1, 0.9, 0.3, 0.5, 0.7, 0.2, 0.4];
        let rows: Vec<(&[f32], usize)> = (0..7).map(|class| (&logits[..], class)).collect();
        let accuracy = counted(&rows);
        assert_eq!(accuracy, Accuracy { correct: 1, among_five: 5, total: 7 });
        // Of equal logits the first is the largest, as for the largest of a row.
        let rows: Vec<(&[f32], usize)> = (0..7).map(|class| (&[0.0; 7][..], class)).collect();
        assert_eq!(counted(&rows), Accuracy { correct: 1, among_five: 5, total: 7 });
        let broken = counted(&[(&[f32::NAN, 1.0], 0), (&[f32::NAN, 1.0], 1)]);
        assert_eq!(broken, Accuracy { correct: 0, among_five: 1, total: 2 });
        assert!((accuracy.top_five() - 5.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn the_largest_logit_is_at_the_first_place() {
        for logits in [[0.1, 0.9, 0.3], [2.0, 2.0, 1.0], [-1.0, -3.0, -1.0]] {
            assert_eq!(place(&logits, largest(&logits)), Some(0), "{logits:?}");
        }
        assert_eq!(largest(&[1.0, f32::NAN, f32::NAN, 5.0]), 1);
    }

    #[test]
    fn classes_that_are_taken_for_others() {
        let device = Device::flex();
        let table =
            [[9.0, 1.0, 2.0], [1.0, 9.0, 2.0], [1.0, 9.0, 2.0], [1.0, 2.0, 9.0], [9.0, 2.0, 1.0]];
        let (logits, labels) = (Tensor::<2>::from_data(table, &device), [0, 0, 0, 2, 1]);
        let (mut accuracy, mut confusion) = (Accuracy::default(), Confusion::new(3));
        accuracy.count_batch(logits.clone(), &labels);
        for_each(&rows(logits), &labels, |row, class| confusion.count(row, class));
        assert_eq!(
            (0..3).map(|class| confusion.of(class).to_vec()).collect::<Vec<_>>(),
            [[1, 2, 0], [1, 0, 0], [0, 0, 1]]
        );
        assert_eq!(confusion.most_confused(), [(0, 1, 2), (1, 0, 1)]);
        let [first, ..] = &confusion.by_class()[..] else { panic!("three classes") };
        let want = ClassAccuracy { pictures: 3, correct: 1, taken_for: vec![(1, 2)] };
        assert_eq!(*first, want);
        assert_eq!(accuracy.correct, 2);
    }
}
