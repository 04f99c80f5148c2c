//! From a detector's outputs to the objects that it finds.

use burn::tensor::Tensor;
use dyrep_boxes::{Anchors, BoxError, Detection, LevelOutputs, PostProcess, Size};
use dyrep_models::LevelOutput;

use crate::detection::Criterion;

/// One level's outputs of a whole batch, on the host.
struct Level {
    logits: Vec<f32>,
    codes: Vec<f32>,
    centreness: Option<Vec<f32>>,
}

impl Criterion {
    /// The objects that outputs say are in each picture of a batch, surest first, in pixels that the network saw; `pictures`
    /// are the sizes before padding.
    ///
    /// # Errors
    /// Outputs that are no numbers, and as [`PostProcess::detect`].
    ///
    /// # Panics
    /// If the outputs are of another batch than the pictures, or of other levels than the anchors.
    pub fn detect(
        &self,
        levels: &[LevelOutput],
        anchors: &Anchors,
        pictures: &[Size],
        by: &PostProcess,
    ) -> Result<Vec<Vec<Detection>>, BoxError> {
        assert_eq!(levels.len(), anchors.levels().len(), "levels of the anchors");
        let read: Vec<Level> = levels
            .iter()
            .map(|level| Level {
                logits: host(level.rows_of_logits(self.classes)),
                codes: host(level.rows_of_boxes()),
                centreness: level.rows_of_centreness().map(host),
            })
            .collect();
        let one = |(number, picture): (usize, &Size)| {
            let levels = read.iter().zip(anchors.by_level()).map(|(level, anchors)| {
                let part = |values: &'_ [f32], each: usize| {
                    let len = anchors.len() * each;
                    assert_eq!(values.len(), pictures.len() * len, "outputs of the batch");
                    number * len..(number + 1) * len
                };
                LevelOutputs {
                    logits: &level.logits[part(&level.logits, self.classes)],
                    codes: &level.codes[part(&level.codes, 4)],
                    centreness: level.centreness.as_ref().map(|all| &all[part(all, 1)]),
                    anchors,
                }
            });
            by.detect(&levels.collect::<Vec<_>>(), self.classes, *picture)
        };
        pictures.iter().enumerate().map(one).collect()
    }
}

fn host(rows: Tensor<3>) -> Vec<f32> {
    let data = rows.into_data().convert::<f32>();
    data.try_to_vec().unwrap_or_else(|_| unreachable!("it was converted"))
}
