//! Some samples of a data set.

use std::sync::Arc;

use crate::dataset::{Contents, Dataset};
use crate::error::DataError;
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::rng::permutation;

/// Some samples of another data set, with its classes.
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// `count` samples, drawn without putting back, every choice equally likely; all of them if there are no more. The same
    /// seed gives the same samples.
    #[must_use]
    pub fn sample(dataset: Arc<dyn Dataset>, count: usize, seed: u64) -> Self {
        let mut indices = permutation(dataset.len(), seed, 0);
        indices.truncate(count);
        Self { dataset, indices }
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn channels(&self) -> usize {
        self.dataset.channels()
    }

    fn label(&self, index: usize) -> usize {
        self.dataset.label(self.indices[index])
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        self.dataset.image(self.indices[index])
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        self.dataset.read(self.indices[index], buffer)
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(self.indices[index])
    }

    fn left_out(&self) -> LeftOut {
        self.dataset.left_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::Digits;

    #[test]
    fn a_sample_is_of_the_whole_and_repeats_nothing() {
        let whole: Arc<dyn Dataset> = Arc::new(Digits::test());
        let part = Subset::sample(Arc::clone(&whole), 50, 7);
        assert_eq!((part.len(), part.classes(), part.channels()), (50, whole.classes(), 1));
        let mut indices = part.indices.clone();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 50);
        for index in 0..50 {
            let from = part.indices[index];
            assert_eq!(part.label(index), whole.label(from));
            assert_eq!(part.name(index), whole.name(from));
            assert_eq!(
                part.image(index).map(|it| it.pixels().to_vec()).ok(),
                whole.image(from).map(|it| it.pixels().to_vec()).ok()
            );
        }
        assert_eq!(Subset::sample(Arc::clone(&whole), 50, 7).indices, part.indices);
        assert_ne!(Subset::sample(Arc::clone(&whole), 50, 8).indices, part.indices);
        assert_eq!(Subset::sample(Arc::clone(&whole), 9999, 0).len(), whole.len());
    }
}
