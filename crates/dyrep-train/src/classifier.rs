//! A network that sorts pictures into classes, as Burn's loop trains it.

use std::fmt;

use burn::module::{
    Content, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor};
use burn_train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};
use dyrep_models::Network;
use serde::{Deserialize, Serialize};

use crate::pictures::Pictures;

/// Cross-entropy, and what training makes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// The share of the target that is spread over all classes (arXiv 1512.00567, section 7), from 0 to below 1.
    pub label_smoothing: f64,
}

impl Loss {
    /// The mean over a batch, `[1]`; of mixed pictures the mixture of both classes' losses (arXiv 1710.09412).
    fn of(&self, logits: &Tensor<2>, pictures: &Pictures) -> Tensor<1> {
        let own = self.to(logits, &pictures.classes);
        match &pictures.mixed {
            Some((others, share)) => own * *share + self.to(logits, others) * (1.0 - share),
            None => own,
        }
    }

    fn to(&self, logits: &Tensor<2>, classes: &Tensor<1, Int>) -> Tensor<1> {
        let smoothing = (self.label_smoothing > 0.0).then_some(self.label_smoothing as f32);
        let loss = CrossEntropyLossConfig::new().with_smoothing(smoothing);
        loss.init(&logits.device()).forward(logits.clone(), classes.clone())
    }
}

/// A network and its loss: what Burn trains. Its parameters have the network's paths.
#[derive(Clone, Debug)]
pub struct Classifier<N> {
    /// The network.
    pub network: N,
    loss: Loss,
    /// Batches whose gradients are added up for one step.
    parts: usize,
}

impl<N: Network> Classifier<N> {
    /// A network trained with `loss`; the gradients of `parts` batches are added up for one step, so each counts for
    /// that much less.
    ///
    /// # Panics
    /// If `parts` is zero.
    #[must_use]
    pub fn new(network: N, loss: Loss, parts: usize) -> Self {
        assert!(parts > 0, "a step needs at least one batch");
        Self { network, loss, parts }
    }
}

impl<N: Network> TrainStep for Classifier<N> {
    type Input = Pictures;
    type Output = ClassificationOutput;

    fn step(&self, pictures: Pictures) -> TrainOutput<ClassificationOutput> {
        let logits = self.network.forward(pictures.images.clone());
        let loss = self.loss.of(&logits, &pictures);
        let part = match self.parts {
            1 => loss.clone(),
            parts => loss.clone() / parts as f64,
        };
        let output = ClassificationOutput::new(loss, logits, pictures.classes);
        TrainOutput::new(&self.network, part.backward(), output)
    }
}

impl<N: Network> InferenceStep for Classifier<N> {
    type Input = Pictures;
    type Output = ClassificationOutput;

    /// Without smoothing: figures of different recipes compare.
    fn step(&self, pictures: Pictures) -> ClassificationOutput {
        let logits = self.network.forward(pictures.images);
        let loss = Loss::default().to(&logits, &pictures.classes);
        ClassificationOutput::new(loss, logits, pictures.classes)
    }
}

impl<N: Network> Module for Classifier<N> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.network.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { network: self.network.fork(device), ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { network: self.network.to_device(device), ..self }
    }

    fn train(self) -> Self {
        Self { network: self.network.train(), ..self }
    }

    fn valid(&self) -> Self {
        Self { network: self.network.valid(), ..*self }
    }

    fn materialize(self) -> Self {
        Self { network: self.network.materialize(), ..self }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.network.visit(visitor);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Self { network: self.network.map(mapper), ..self }
    }
}

impl<N: Network> ModuleDisplayDefault for Classifier<N> {
    fn content(&self, content: Content) -> Option<Content> {
        content.set_top_level_type("Classifier").add("network", &self.network).optional()
    }
}

impl<N: Network> ModuleDisplay for Classifier<N> {}

impl<N: Network> fmt::Display for Classifier<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −Σ q ln p with q = (1 − ε) · one-hot + ε / classes, mixed by shares.
    fn by_definition(logits: &[[f64; 3]], targets: &[[f64; 3]], smoothing: f64) -> f64 {
        let row = |(logits, targets): (&[f64; 3], &[f64; 3])| -> f64 {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            let terms = logits.iter().zip(targets).map(|(logit, target)| {
                -((1.0 - smoothing) * target + smoothing / 3.0) * (logit - sum.ln())
            });
            terms.sum()
        };
        logits.iter().zip(targets).map(row).sum::<f64>() / logits.len() as f64
    }

    #[test]
    fn smoothed_and_mixed_targets_are_soft_targets() {
        let device = Device::flex();
        let logits = [[0.3, -1.0, 2.0], [1.5, 0.2, -0.4]];
        let tensor = Tensor::<2>::from_data(logits.map(|row| row.map(|x| x as f32)), &device);
        let classes = |values: [i64; 2]| Tensor::<1, Int>::from_data(values, &device);
        let images = Tensor::zeros([2, 1, 1, 1], &device);
        for smoothing in [0.0, 0.1] {
            for share in [None, Some(0.3)] {
                let mixed = share.map(|share| (classes([1, 1]), share));
                let (images, classes) = (images.clone(), classes([2, 0]));
                let pictures = Pictures { images, classes, mixed };
                let keep = share.unwrap_or(1.0);
                let targets = [[0.0, 1.0 - keep, keep], [keep, 1.0 - keep, 0.0]];
                let want = by_definition(&logits, &targets, smoothing);
                let loss = Loss { label_smoothing: smoothing }.of(&tensor, &pictures);
                let off = (f64::from(loss.into_scalar::<f32>()) - want).abs();
                assert!(off < 1e-6, "{smoothing} {share:?}: off by {off:.1e}");
            }
        }
    }
}
