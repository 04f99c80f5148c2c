//! A small network with convolutions of every kind, which trains smoothly.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Tensor};
use burn_train::{TrainOutput, TrainStep};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{RepConv2d, RepConv2dConfig};
use dyrep_tests::params;

/// Convolutions of every kind, each with its norm: no identity, one, a stride, groups, a 1×1; and a depthwise one with a
/// bias and no norm, in front of which a bias would have no gradient but rounding.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) first: RepConv2d,
    pub(crate) same: RepConv2d,
    pub(crate) strided: RepConv2d,
    pub(crate) grouped: RepConv2d,
    pub(crate) pointwise: RepConv2d,
    pub(crate) depthwise: RepConv2d,
    pub(crate) norms: Vec<BatchNorm>,
    pub(crate) head: Linear,
}

impl Net {
    pub(crate) fn new(device: &Device) -> Self {
        let conv = |channels: [usize; 2], kernel: usize, stride: usize, groups: usize| {
            let p = kernel / 2;
            RepConv2dConfig::new(channels, [kernel; 2])
                .with_stride([stride; 2])
                .with_groups(groups)
                .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
                .with_bias(kernel == 5)
                .init(device)
        };
        let norms = [4, 4, 6, 6, 6].map(|channels| BatchNormConfig::new(channels).init(device));
        let net = Self {
            first: conv([3, 4], 3, 1, 1),
            same: conv([4, 4], 3, 1, 1),
            strided: conv([4, 6], 3, 2, 2),
            grouped: conv([6, 6], 3, 1, 3),
            pointwise: conv([6, 6], 1, 1, 1),
            depthwise: conv([6, 6], 5, 1, 6),
            norms: norms.into(),
            head: LinearConfig::new(6, 3).init(device),
        };
        params::scatter(net, |name| (name == "weight").then_some((0.0, 0.5)))
    }

    pub(crate) fn loss(&self, input: Tensor<4>, target: Tensor<2>) -> Tensor<1> {
        let convs = [&self.first, &self.same, &self.strided, &self.grouped, &self.pointwise];
        // Smooth: nothing hangs on which side of zero a rounded number lies.
        let pass = |x, (conv, norm): (&&RepConv2d, &BatchNorm)| tanh(norm.forward(conv.forward(x)));
        let x = convs.iter().zip(&self.norms).fold(input, pass);
        let x = tanh(self.depthwise.forward(x));
        let x: Tensor<2> = mean_of_maps(x).flatten(1, 3);
        (self.head.forward(x) - target).square().mean()
    }
}

impl TrainStep for Net {
    type Input = (Tensor<4>, Tensor<2>);
    type Output = ();

    fn step(&self, (input, target): Self::Input) -> TrainOutput<()> {
        TrainOutput::new(self, self.loss(input, target).backward(), ())
    }
}
