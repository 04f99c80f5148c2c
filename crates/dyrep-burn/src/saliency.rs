//! How much each convolution matters to the loss, gathered while training (DyRep, section 3.2).
//!
//! A score is one number for each candidate and step; what counts is its mean since the last adjustment.
//! Sums stay on the device and are read once an interval.
//!
//! A trap: a convolution followed by a batch norm does the same whatever its scale, so its gradient is
//! orthogonal to its weight and [`Score::SynFlow`], Σ g·w, is zero but for the norm's ε. Among such
//! convolutions it ranks by rounding; [`Score::Snip`] and [`Score::GradNorm`] do not.

use std::collections::BTreeMap;

use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::build::mix;
use crate::error::UnknownName;
use crate::nest;
use crate::walk::layers;

/// A measure of a convolution's weight `w` with gradient `g`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// ‖g‖.
    GradNorm,
    /// Σ |g · w| (SNIP, arXiv 1810.02340).
    #[default]
    Snip,
    /// Σ g · w with its sign, on the real loss: the published default (after arXiv 2006.05467).
    #[serde(rename = "synflow")]
    SynFlow,
    /// A number drawn from (seed, path, adjustment): the control.
    Random,
}

impl Score {
    /// All scores.
    pub const ALL: [Self; 4] = [Self::GradNorm, Self::Snip, Self::SynFlow, Self::Random];

    /// The score's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GradNorm => "grad_norm",
            Self::Snip => "snip",
            Self::SynFlow => "synflow",
            Self::Random => "random",
        }
    }

    /// The score of one step, `[1]`; none if it needs no gradient.
    fn of_step(self, weight: Tensor<4>, gradient: Tensor<4>) -> Option<Tensor<1>> {
        match self {
            Self::GradNorm => Some(gradient.powi_scalar(2).sum().sqrt()),
            Self::Snip => Some((gradient * weight).abs().sum()),
            Self::SynFlow => Some((gradient * weight).sum()),
            Self::Random => None,
        }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Score {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|score| score.name() == name).ok_or_else(|| UnknownName {
            what: "score",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// A convolution that may grow, and its mean score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The convolution's path.
    pub path: String,
    /// Its mean score since the last adjustment.
    pub score: f64,
}

/// Sums of scores since the last adjustment.
#[derive(Clone, Debug, Default)]
pub struct Saliency {
    sums: BTreeMap<String, Tensor<1>>,
    steps: usize,
}

impl Saliency {
    /// Adds one step's scores: call with the gradients, before the optimiser uses them.
    ///
    /// `max_depth` is how many blocks a candidate may end up nested in. Convolutions without a gradient,
    /// frozen ones say, are not scored.
    pub fn observe<M: Module>(
        &mut self,
        model: &M,
        gradients: &GradientsParams,
        score: Score,
        max_depth: usize,
    ) {
        for (path, id, weight) in candidates(model, max_depth) {
            let Some(gradient) = gradients.get::<4>(id) else {
                continue;
            };
            let Some(value) = score.of_step(weight.without_autodiff(), gradient) else {
                continue;
            };
            let sum = match self.sums.remove(&path) {
                Some(sum) => sum + value,
                None => value,
            };
            self.sums.insert(path, sum);
        }
        self.steps += 1;
    }

    /// Steps observed since the last [`take`](Self::take).
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The mean score of every candidate of `model`, in field order; starts anew.
    ///
    /// [`Score::Random`] is drawn here, from `seed` and `event`. Candidates never observed are left out.
    pub fn take<M: Module>(
        &mut self,
        model: &M,
        score: Score,
        max_depth: usize,
        [seed, event]: [u64; 2],
    ) -> Vec<Scored> {
        let Self { mut sums, steps } = std::mem::take(self);
        let paths = candidates(model, max_depth).into_iter().map(|(path, _, _)| path);
        if score == Score::Random {
            let draw = |path: String| {
                let score = mix([seed, event], &path) as f64 / u64::MAX as f64;
                Scored { path, score }
            };
            return paths.map(draw).collect();
        }
        let (paths, sums): (Vec<_>, Vec<_>) =
            paths.filter_map(|path| sums.remove(&path).map(|sum| (path, sum))).unzip();
        if sums.is_empty() {
            return vec![];
        }
        // One read for all.
        let sums = Tensor::cat(sums, 0).into_data();
        let means = sums.iter::<f64>().map(|sum| sum / steps as f64);
        paths.into_iter().zip(means).map(|(path, score)| Scored { path, score }).collect()
    }
}

/// Plain convolutions with square kernels larger than 1×1 that may become a block at most `max_depth` deep.
fn candidates<M: Module>(model: &M, max_depth: usize) -> Vec<(String, ParamId, Tensor<4>)> {
    let mut found = vec![];
    for (path, layer) in &layers(model) {
        for nested in nest::all(path, layer) {
            let crate::RepConv2d::Plain(conv) = nested.conv else {
                continue;
            };
            let [height, width] = nested.conv.geometry().kernel_size();
            if height == width && height > 1 && nested.depth < max_depth {
                found.push((nested.path, conv.weight.id, conv.weight.val()));
            }
        }
    }
    found
}
