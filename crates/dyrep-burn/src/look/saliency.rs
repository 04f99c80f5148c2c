//! How much each convolution matters to the loss, gathered while training (DyRep, section 3.2).
//!
//! A score is one number for each candidate and step; what counts is its mean since the last adjustment.
//! Sums stay on the device and are read once an interval. `docs/scores.md` says what each one means.

use std::collections::BTreeMap;

use burn::nn::conv::Conv2d;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use dyrep_config::Score;
use serde::{Deserialize, Serialize};

use crate::adjust::MeanGradient;
use crate::fuse::read_all;
use crate::layer::mix;

/// A convolution that may grow, and its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The convolution's path.
    pub path: String,
    /// Its score since the last adjustment.
    #[serde(with = "crate::number")]
    pub score: f64,
}

/// A plain convolution that may grow.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) path: String,
    pub(crate) conv: Conv2d,
}

/// What is summed up for a candidate.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a candidate")]
pub(crate) enum Sum {
    Score(Tensor<1>),
    Gradient(MeanGradient),
}

impl Sum {
    /// What one step adds; none for a score that needs no gradient.
    fn of_step(score: Score, candidate: &Candidate, gradients: &GradientsParams) -> Option<Self> {
        let Conv2d { weight, bias, .. } = &candidate.conv;
        let gradient = gradients.get::<4>(weight.id)?;
        let weight = weight.val().without_autodiff();
        Some(match score {
            Score::GradNorm => Self::Score(gradient.powi_scalar(2).sum().sqrt()),
            Score::Snip => Self::Score((gradient * weight).abs().sum()),
            Score::SynFlow => Self::Score((gradient * weight).sum()),
            Score::BranchGain => {
                let bias = bias.as_ref().and_then(|bias| gradients.get::<1>(bias.id));
                Self::Gradient(MeanGradient { weight: gradient, bias })
            }
            Score::Random => return None,
        })
    }

    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Score(left), Self::Score(right)) => Self::Score(left + right),
            (Self::Gradient(left), Self::Gradient(right)) => Self::Gradient(MeanGradient {
                weight: left.weight + right.weight,
                bias: left.bias.zip(right.bias).map(|(left, right)| left + right),
            }),
            (_, other) => other,
        }
    }
}

/// What was observed of the candidates since the last adjustment.
pub(crate) enum Observed {
    /// Means of scores.
    Scores(Vec<Scored>),
    /// Means of gradients, from which the score is still to be computed.
    Gradients(Vec<(String, MeanGradient)>),
}

/// Sums over the steps since the last adjustment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saliency {
    pub(crate) sums: BTreeMap<String, Sum>,
    /// Observed since the last [`take`](Self::take).
    pub(crate) steps: usize,
}

impl Saliency {
    /// Adds one step: call with the gradients, before the optimiser uses them. Convolutions without a
    /// gradient, frozen ones say, are not scored.
    pub(crate) fn observe(
        &mut self,
        candidates: &[Candidate],
        gradients: &GradientsParams,
        score: Score,
    ) {
        for candidate in candidates {
            let Some(value) = Sum::of_step(score, candidate, gradients) else {
                continue;
            };
            let sum = match self.sums.remove(&candidate.path) {
                Some(sum) => sum.add(value),
                None => value,
            };
            self.sums.insert(candidate.path.clone(), sum);
        }
        self.steps += 1;
    }

    /// The means of every candidate, in their order; starts anew.
    ///
    /// [`Score::Random`] is drawn here, from `seed` and `event`. Candidates never observed are left out.
    pub(crate) fn take(
        &mut self,
        candidates: &[Candidate],
        score: Score,
        [seed, event]: [u64; 2],
    ) -> Observed {
        let Self { mut sums, steps } = std::mem::take(self);
        let paths = candidates.iter().map(|candidate| candidate.path.clone());
        if score == Score::Random {
            let draw = |path: String| {
                let score = mix([seed, event], &path) as f64 / u64::MAX as f64;
                Scored { path, score }
            };
            return Observed::Scores(paths.map(draw).collect());
        }
        let mut scores = vec![];
        let mut gradients = vec![];
        let steps = steps as f64;
        for path in paths {
            match sums.remove(&path) {
                Some(Sum::Score(sum)) => scores.push((path, sum / steps)),
                Some(Sum::Gradient(MeanGradient { weight, bias })) => {
                    let bias = bias.map(|bias| bias / steps);
                    gradients.push((path, MeanGradient { weight: weight / steps, bias }));
                }
                None => {}
            }
        }
        if score == Score::BranchGain {
            return Observed::Gradients(gradients);
        }
        let (paths, means): (Vec<_>, Vec<_>) = scores.into_iter().unzip();
        let scored =
            paths.into_iter().zip(read_all(means)).map(|(path, score)| Scored { path, score });
        Observed::Scores(scored.collect())
    }
}
