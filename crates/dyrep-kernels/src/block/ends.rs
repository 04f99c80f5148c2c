//! How branches end: a multiply-add on the way forward, and what is sent back, channel by channel.

use super::{Branch, Core, End, Moments, Norm};
use crate::bundle::{Gradient, Mix};
use crate::norm::affine::{AtBatch, Back, Moment};

impl<T> Branch<T> {
    /// The convolution's bias.
    pub(super) fn bias(&self) -> Option<&T> {
        match &self.core {
            Core::Conv { bias, .. } => bias.as_ref(),
            _ => None,
        }
    }

    /// Whether it ends in a norm.
    pub(super) fn ends_in_norm(&self) -> bool {
        matches!(self.end, End::Norm(_))
    }
}

/// What becomes of a branch's map, which is without its bias; nor do the moments of a norm contain it.
pub(super) fn line(branch: &Branch<&[f32]>, moments: Option<&Moments>, channels: usize) -> AtBatch {
    let scale = match (&branch.end, moments) {
        (End::Norm(norm), Some(moments)) => return AtBatch::new(norm, moments),
        (End::Scale(scale), _) => scale.to_vec(),
        _ => vec![1.0; channels],
    };
    let shift = match branch.bias() {
        Some(bias) => scale.iter().zip(*bias).map(|(scale, bias)| scale * bias).collect(),
        None => vec![0.0; channels],
    };
    AtBatch { scale, shift }
}

/// The gradients of a norm or another end, and what it makes of the gradient behind it.
pub(super) struct Reversed {
    /// Of what the map is multiplied by.
    pub(super) gamma: Vec<f32>,
    /// Σ gradient.
    pub(super) sums: Vec<f32>,
    /// `[a, b, c]` by channel: the gradient of a value is `a · gradient + b · value + c`. Empty if it is the gradient.
    weights: Vec<[f32; 3]>,
}

impl Reversed {
    /// From `sums`, by channel Σ gradient and Σ gradient · (value − mean) over `count` values.
    pub(super) fn of_norm(
        norm: &Norm<&[f32]>,
        moments: &Moments,
        sums: &[[f64; 2]],
        count: usize,
    ) -> Self {
        let mut reversed = Self { gamma: vec![], sums: vec![], weights: vec![] };
        for (channel, sums) in sums.iter().enumerate() {
            let [mean, variance] =
                [&moments.mean, &moments.variance].map(|values| f64::from(values[channel]));
            let parameters = (norm.gamma[channel], norm.epsilon);
            let (Back { a, b, c }, gamma) =
                Back::of_maps(parameters, Moment { mean, variance }, *sums, count as f64);
            reversed.gamma.push(gamma as f32);
            reversed.sums.push(sums[0] as f32);
            reversed.weights.push([a as f32, b as f32, c as f32]);
        }
        reversed
    }

    /// Of an end that is no norm, from Σ gradient and Σ gradient · (value + bias).
    pub(super) fn of_scale(scale: Option<&[f32]>, sums: &[[f64; 2]]) -> Self {
        Self {
            gamma: sums.iter().map(|[_, along]| *along as f32).collect(),
            sums: sums.iter().map(|[sum, _]| *sum as f32).collect(),
            weights: scale.map_or(vec![], |scale| scale.iter().map(|a| [*a, 0.0, 0.0]).collect()),
        }
    }

    /// What flows back into the map.
    pub(super) fn gradient<'a>(&'a self, values: &'a [f32], map: &'a [f32]) -> Gradient<'a> {
        let mix = (!self.weights.is_empty()).then_some(Mix { map, weights: &self.weights });
        Gradient { values, mix }
    }

    pub(super) fn norm(&self, norm: &Norm<&[f32]>) -> Norm<Option<Vec<f32>>> {
        norm_gradient(norm, self.gamma.clone(), self.sums.clone())
    }

    pub(super) fn end(&self, end: &End<&[f32]>) -> End<Option<Vec<f32>>> {
        match end {
            End::Norm(norm) => End::Norm(self.norm(norm)),
            End::Scale(_) => End::Scale(Some(self.gamma.clone())),
            End::Nothing => End::Nothing,
        }
    }

    /// The gradient of a bias: a norm takes it away again.
    pub(super) fn bias(&self, end: &End<&[f32]>) -> Vec<f32> {
        match end {
            End::Norm(_) => vec![0.0; self.sums.len()],
            End::Scale(scale) => self.sums.iter().zip(*scale).map(|(sum, by)| sum * by).collect(),
            End::Nothing => self.sums.clone(),
        }
    }
}

/// The gradients of a norm by the batch's own moments; running statistics have none.
pub(super) fn norm_gradient(
    norm: &Norm<&[f32]>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
) -> Norm<Option<Vec<f32>>> {
    Norm {
        by: norm.by.clone().map(&mut |_| None),
        gamma: Some(gamma),
        beta: Some(beta),
        epsilon: norm.epsilon,
    }
}
