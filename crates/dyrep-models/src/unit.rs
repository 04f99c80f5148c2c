//! What networks of re-parameterised units are made of, in timm's names: a convolution that may be a block, perhaps a
//! squeeze-and-excitation, and a ReLU; pooling and a classifier at the end.

use burn::module::Module;
use burn::nn::pool::AdaptiveAvgPool2d;
use burn::nn::{BatchNorm, Initializer, Linear};
use burn::tensor::Device;
use dyrep_burn::RepConv2d;

use crate::conv_norms::ConvNorm;
use crate::error::ModelError;
use crate::interpret::{Interpreter, Then};
use crate::parts::{average, conv, linear, norm};

/// A convolution, perhaps a batch norm, perhaps a squeeze-and-excitation, and a ReLU.
#[derive(Module, Debug)]
pub struct Unit {
    /// The convolution.
    pub conv: RepConv2d,
    /// Its batch norm, if it started plain.
    pub bn: Option<BatchNorm>,
    /// What weighs channels by their averages.
    pub attn: Option<SqueezeExcite>,
}

impl Unit {
    pub(crate) fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let conv = conv(channels, kernel, stride).with_groups(groups).try_init(device)?;
        Ok(Self { conv, bn: Some(norm(channels[1], device)), attn: None })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        match (&self.bn, &self.attn) {
            (Some(norm), None) => by.conv_norm(&self.conv, norm, x, Then::relu()),
            (norm, attn) => {
                let mut x = match norm {
                    Some(norm) => by.conv_norm(&self.conv, norm, x, Then::end()),
                    None => by.conv(&self.conv, x),
                };
                if let Some(attn) = attn {
                    x = attn.pass(by, x);
                }
                by.relu(x)
            }
        }
    }
}

/// Drops the norms behind blocks: a block of branches ends in their sum, its norms are inside.
pub(crate) fn drop_norms_of_blocks(stem: &mut Unit, stages: &mut [Vec<Unit>]) {
    for unit in std::iter::once(stem).chain(stages.iter_mut().flatten()) {
        unit.bn = unit.bn.take().filter(|_| unit.conv.is_plain());
    }
}

/// The output of the last stage; each stage's is shown.
pub(crate) fn trunk<I: Interpreter>(
    stem: &Unit,
    stages: &[Vec<Unit>],
    by: &mut I,
    images: I::Maps,
    seen: &mut dyn FnMut(&I::Maps),
) -> I::Maps {
    stages.iter().fold(stem.pass(by, images), |x, stage| {
        let x = stage.iter().fold(x, |x, unit| unit.pass(by, x));
        seen(&x);
        x
    })
}

/// The pairs of units that started plain, of a network whose first unit is `stem`.
pub(crate) fn conv_norms<'a>(stem: &'a Unit, stages: &'a [Vec<Unit>]) -> Vec<ConvNorm<'a>> {
    let stages = stages.iter().enumerate().flat_map(|(i, stage)| {
        stage.iter().enumerate().map(move |(j, unit)| (format!("stages.{i}.{j}"), unit))
    });
    let units = std::iter::once(("stem".to_owned(), stem)).chain(stages);
    let pair = |(path, unit): (String, &'a Unit)| {
        Some(ConvNorm::new(&path, ("conv", &unit.conv), ("bn", unit.bn.as_ref()?)))
    };
    units.filter_map(pair).collect()
}

/// Each channel times a factor between 0 and 1 that all channels' averages decide (arXiv 1709.01507, section 3).
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    /// 1×1, with bias, to fewer channels.
    pub fc1: RepConv2d,
    /// 1×1, with bias, back.
    pub fc2: RepConv2d,
}

impl SqueezeExcite {
    /// For maps of `channels` channels, with `inside` of them between the two convolutions.
    pub(crate) fn new(channels: usize, inside: usize, device: &Device) -> Result<Self, ModelError> {
        let conv = |channels| conv(channels, 1, 1).with_bias(true).try_init(device);
        Ok(Self { fc1: conv([channels, inside])?, fc2: conv([inside, channels])? })
    }

    pub(crate) fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        let factors = by.mean(x.clone());
        let factors = by.conv(&self.fc1, factors);
        let factors = by.relu(factors);
        let factors = by.conv(&self.fc2, factors);
        let factors = by.sigmoid(factors);
        by.scale(x, factors)
    }
}

/// What makes logits of the last stage.
#[derive(Module, Debug)]
pub struct Head {
    /// Global average.
    pub global_pool: AdaptiveAvgPool2d,
    /// Classifier.
    pub fc: Linear,
}

impl Head {
    pub(crate) fn new(features: [usize; 2], device: &Device) -> Self {
        let start = Initializer::Normal { mean: 0.0, std: 0.01 };
        Self { global_pool: average(1), fc: linear(features, start, device) }
    }

    pub(crate) fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = by.average("head.global_pool", &self.global_pool, x);
        by.linear(&self.fc, x)
    }
}
