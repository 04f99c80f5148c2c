//! PSPNet's head (arXiv 1612.01105, section 3.2) as its authors' `semseg` has it.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::activation::Relu;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::tensor::Device;
use dyrep_burn::RepConv2d;

use super::fcn::{self, FcnHead};
use crate::conv_norms::ConvNorm;
use crate::error::ModelError;
use crate::interpret::{Dense, Interpreter, Then};
use crate::parts::{conv, fan_in, norm};

/// Parts of a side that averages are taken over.
const BINS: [usize; 4] = [1, 2, 3, 6];

/// Averages over parts of the picture, through a 1×1 with its norm to a quarter of the channels.
pub type PyramidLevel = (AdaptiveAvgPool2d, RepConv2d, BatchNorm, Relu);

/// A pyramid of averages beside what they are taken of, and what reads both.
#[derive(Module, Debug)]
pub struct PspHead {
    /// The averages, the widest first.
    pub ppm: Vec<PyramidLevel>,
    /// A 3×3 to a quarter of the channels of the stage, and a 1×1 to the classes.
    pub cls: FcnHead,
}

impl PspHead {
    pub(super) fn init(
        channels: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let each = channels.div_ceil(BINS.len());
        let level = |bins: usize| {
            let pool = AdaptiveAvgPool2dConfig::new([bins, bins]).init();
            let conv = conv([channels, each], 1, 1).with_initializer(fan_in(1));
            Ok((pool, conv.try_init(device)?, norm(each, device), Relu))
        };
        let ppm = BINS.into_iter().map(level).collect::<Result<_, ModelError>>()?;
        let cls = fcn::init([channels + BINS.len() * each, each, classes], device)?;
        Ok(Self { ppm, cls })
    }

    pub(super) fn conv_norms<'a>(&'a self, path: &str) -> Vec<ConvNorm<'a>> {
        let level = |(number, (_, conv, norm, _)): (usize, &'a PyramidLevel)| {
            ConvNorm::new(&format!("{path}.ppm.{number}"), ("1", conv), ("2", norm))
        };
        let mut pairs: Vec<_> = self.ppm.iter().enumerate().map(level).collect();
        pairs.push(fcn::conv_norm(&self.cls, &format!("{path}.cls")));
        pairs
    }

    pub(super) fn pass<I: Interpreter + Dense>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        let size = by.size(&x);
        let mut level = |(pool, conv, norm, Relu): &PyramidLevel| {
            let average = by.average_parts(pool, x.clone());
            let reduced = by.conv_norm(conv, norm, average, Then::relu());
            by.resize(reduced, size)
        };
        let levels: Vec<_> = self.ppm.iter().map(&mut level).collect();
        let all = std::iter::once(x).chain(levels).collect();
        let x = by.concat(all);
        fcn::pass(&self.cls, by, x)
    }
}
