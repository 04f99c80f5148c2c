//! A network that sorts pictures into classes, as Burn's loop trains it.

use std::fmt;

use burn::module::{
    Content, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Int, Tensor};
use burn_train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};
use dyrep_config::Precision;
use dyrep_data::Dataset;
use dyrep_models::Network;
use dyrep_recipe::{ClassWeights, LossConfig};

use crate::error::TrainError;
use crate::pictures::Pictures;
use crate::run::numbers;
use crate::step_gradients::StepGradients;

/// Cross-entropy, and what training makes of it, as PyTorch's `CrossEntropyLoss`: with ε of smoothing, C classes, weights
/// w, and q = (1 − ε) · one-hot + ε / C,
///
/// ```text
/// − Σᵢ Σ_c w_c q_ic ln p_ic  /  Σᵢ w_yᵢ
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    pub(crate) config: LossConfig,
    /// How much each class counts, in the order of the logits: as asked for, or measured; none: all alike.
    pub(crate) weights: Option<Vec<f32>>,
}

impl Loss {
    /// The loss of a training on this set.
    ///
    /// # Errors
    /// Weights that are to be balanced, and a class without pictures; too few or too many weights; one that is not above 0
    /// and finite in `f32`.
    pub fn new(config: LossConfig, set: &dyn Dataset) -> Result<Self, TrainError> {
        let weights = match &config.class_weights {
            None => None,
            Some(ClassWeights::Balanced) => Some(balanced(set)?),
            Some(ClassWeights::Each(weights)) => {
                Some(weights.iter().map(|weight| *weight as f32).collect())
            }
        };
        let loss = Self { config, weights };
        loss.check(set.classes().len())?;
        Ok(loss)
    }

    /// What was asked for.
    #[must_use]
    pub fn config(&self) -> &LossConfig {
        &self.config
    }

    /// How much each class counts, in the order of the logits; none: all alike.
    #[must_use]
    pub fn class_weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// Whether there is a weight for each of so many classes, if any is given.
    ///
    /// # Errors
    /// Too few or too many weights; one that is not above 0 and finite in `f32`.
    pub fn check(&self, classes: usize) -> Result<(), TrainError> {
        let Some(weights) = &self.weights else { return Ok(()) };
        if weights.len() != classes {
            let (expected, found) = (classes, weights.len());
            return Err(TrainError::ClassWeights { expected, found });
        }
        match weights.iter().find(|weight| !(**weight > 0.0 && weight.is_finite())) {
            Some(weight) => {
                let (option, expected) = ("class weights", "numbers above 0 that 32 bits can hold");
                Err(TrainError::Config { option, expected, found: weight.to_string() })
            }
            None => Ok(()),
        }
    }

    /// The mean over a batch, `[1]`: by the labels, and by what a teacher says where there is one.
    pub(crate) fn of(&self, logits: &Tensor<2>, pictures: &Pictures) -> Tensor<1> {
        let of_labels = || self.of_labels(logits, pictures);
        match &pictures.soft {
            Some(soft) => soft.loss(logits, of_labels),
            None => of_labels(),
        }
    }

    /// Of mixed pictures the mixture of both classes' losses (arXiv 1710.09412), each with the weights of its own classes.
    fn of_labels(&self, logits: &Tensor<2>, pictures: &Pictures) -> Tensor<1> {
        let own = self.to(logits, &pictures.classes);
        match &pictures.mixed {
            Some((others, share)) => own * *share + self.to(logits, others) * (1.0 - share),
            None => own,
        }
    }

    fn to(&self, logits: &Tensor<2>, classes: &Tensor<1, Int>) -> Tensor<1> {
        let smoothing =
            Some(self.config.label_smoothing as f32).filter(|smoothing| *smoothing > 0.0);
        let loss = CrossEntropyLossConfig::new().with_smoothing(smoothing);
        let loss = loss.with_weights(self.weights.clone());
        loss.init(&logits.device()).forward(logits.clone(), classes.clone())
    }
}

/// The weights by which every class as a whole counts the same in an epoch: pictures over (classes times pictures of the
/// class), with a mean of 1 over the pictures.
fn balanced(set: &dyn Dataset) -> Result<Vec<f32>, TrainError> {
    let classes = set.classes();
    let mut counts = vec![0_usize; classes.len()];
    for index in 0..set.len() {
        counts[set.label(index)] += 1;
    }
    if let Some((class, _)) = classes.iter().zip(&counts).find(|(_, count)| **count == 0) {
        return Err(TrainError::NoBalance { class: class.clone() });
    }
    let weight = |count: usize| (set.len() as f64 / (classes.len() * count) as f64) as f32;
    Ok(counts.into_iter().map(weight).collect())
}

/// A network and its loss: what Burn trains. Its parameters have the network's paths.
#[derive(Clone, Debug)]
pub struct Classifier<N> {
    /// The network.
    pub network: N,
    loss: Loss,
    precision: Precision,
    /// Where gradients go, if a step has more than those of one batch, or its loss is scaled.
    shared: Option<StepGradients>,
}

impl<N: Network> Classifier<N> {
    /// A network trained with `loss`, in 32 bits and by the gradients of one batch a step.
    #[must_use]
    pub fn new(network: N, loss: Loss) -> Self {
        Self { network, loss, precision: Precision::F32, shared: None }
    }

    /// Trains in other numbers; `f16` needs a [shared](Self::sharing) step, whose factor the loss is multiplied by.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Hands the gradients of each batch in there and gives none to Burn: see [`DyRep::with_shared_step`].
    ///
    /// [`DyRep::with_shared_step`]: crate::DyRep::with_shared_step
    #[must_use]
    pub fn sharing(self, step: StepGradients) -> Self {
        Self { shared: Some(step), ..self }
    }
}

impl<N: Network> TrainStep for Classifier<N> {
    type Input = Pictures;
    type Output = ClassificationOutput;

    fn step(&self, pictures: Pictures) -> TrainOutput<ClassificationOutput> {
        let images = pictures.images.clone().cast(numbers(self.precision));
        let logits = self.network.forward(images).cast(FloatDType::F32);
        let loss = self.loss.of(&logits, &pictures);
        let Pictures { classes, place, .. } = pictures;
        let [count] = classes.dims();
        let output = ClassificationOutput::new(loss.clone(), logits, classes);
        let Some(step) = &self.shared else {
            return TrainOutput::new(&self.network, loss.backward(), output);
        };
        let gradients = (loss * step.weight(count)).backward();
        let gradients = GradientsParams::from_grads(gradients, &self.network);
        step.hand_in(&self.network, place, count, gradients);
        TrainOutput { grads: GradientsParams::new(), item: output }
    }
}

impl<N: Network> InferenceStep for Classifier<N> {
    type Input = Pictures;
    type Output = ClassificationOutput;

    /// Without smoothing and weights: figures of different recipes compare.
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
        Self {
            network: self.network.valid(),
            loss: self.loss.clone(),
            shared: self.shared.clone(),
            ..*self
        }
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
    use crate::step_gradients::Place;

    /// −Σ w q ln p / Σ w with q = (1 − ε) · one-hot + ε / classes.
    fn by_definition(
        logits: &[[f64; 3]],
        classes: &[usize],
        smoothing: f64,
        weights: &[f64; 3],
    ) -> f64 {
        let row = |(logits, own): (&[f64; 3], &usize)| -> f64 {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            let term = |(class, logit): (usize, &f64)| {
                let hot = if class == *own { 1.0 - smoothing } else { 0.0 };
                -weights[class] * (hot + smoothing / 3.0) * (logit - sum.ln())
            };
            logits.iter().enumerate().map(term).sum()
        };
        let sum: f64 = logits.iter().zip(classes).map(row).sum();
        sum / classes.iter().map(|class| weights[*class]).sum::<f64>()
    }

    #[test]
    fn targets_are_smoothed_weighted_and_mixed() {
        let device = Device::flex();
        let logits = [[0.3, -1.0, 2.0], [1.5, 0.2, -0.4]];
        let tensor = Tensor::<2>::from_data(logits.map(|row| row.map(|x| x as f32)), &device);
        let classes = |values: [i64; 2]| Tensor::<1, Int>::from_data(values, &device);
        let images = Tensor::zeros([2, 1, 1, 1], &device);
        for weights in [None, Some([2.0, 0.25, 0.5])] {
            for smoothing in [0.0, 0.1] {
                for share in [None, Some(0.3)] {
                    let mixed = share.map(|share| (classes([1, 0]), share));
                    let (images, classes) = (images.clone(), classes([2, 0]));
                    let place = Place::default();
                    let pictures = Pictures { images, classes, mixed, soft: None, place };
                    let keep = share.unwrap_or(1.0);
                    let of = |classes: [usize; 2]| {
                        by_definition(&logits, &classes, smoothing, &weights.unwrap_or([1.0; 3]))
                    };
                    let want = keep * of([2, 0]) + (1.0 - keep) * of([1, 0]);
                    let config = LossConfig { label_smoothing: smoothing, class_weights: None };
                    let weights = weights.map(|weights| weights.map(|it| it as f32).to_vec());
                    let loss = Loss { config, weights: weights.clone() };
                    let loss = loss.of(&tensor, &pictures);
                    let off = (f64::from(loss.into_scalar::<f32>()) - want).abs();
                    assert!(off < 1e-6, "{weights:?} {smoothing} {share:?}: off by {off:.1e}");
                }
            }
        }
    }

    /// PyTorch 2.15's `cross_entropy(logits, [2, 0], weight=[2, 0.25, 0.5], label_smoothing=0.1)`.
    #[test]
    fn weights_and_smoothing_are_pytorch_s() {
        let logits = [[0.3, -1.0, 2.0], [1.5, 0.2, -0.4]];
        let found = by_definition(&logits, &[2, 0], 0.1, &[2.0, 0.25, 0.5]);
        assert!((found - PYTORCH).abs() < 1e-12, "{found}");
    }
    const PYTORCH: f64 = 0.384_069_939_083_696_7;

    #[test]
    fn balanced_weights_are_inverse_to_counts() {
        let set = dyrep_data::Digits::train();
        let config =
            LossConfig { class_weights: Some(ClassWeights::Balanced), ..LossConfig::default() };
        let loss = Loss::new(config.clone(), &set).unwrap();
        let weights = loss.class_weights().unwrap();
        let of_all: f64 = (0..set.len()).map(|at| f64::from(weights[set.label(at)])).sum();
        assert!((of_all / set.len() as f64 - 1.0).abs() < 1e-6, "a mean of 1");
        for (class, weight) in weights.iter().enumerate() {
            let count = (0..set.len()).filter(|at| set.label(*at) == class).count();
            let share = f64::from(*weight) * count as f64;
            assert!((share - set.len() as f64 / 10.0).abs() < 1e-3, "each class counts the same");
        }
        let none = dyrep_data::Subset::sample(std::sync::Arc::new(set), 5, 0);
        let error = Loss::new(config, &none).unwrap_err().to_string();
        assert!(error.contains("has no training pictures"), "{error}");
    }
}
