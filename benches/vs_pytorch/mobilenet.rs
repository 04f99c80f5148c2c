//! MobileNetV1 (arXiv 1704.04861), its depthwise and first convolutions re-parameterisable.

use burn::module::Module;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::Tail;
use dyrep_burn::{RepConv2d, RepConv2dConfig};

/// Output channels and stride of each pair of depthwise and pointwise convolution.
const ROWS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

#[derive(Module, Debug)]
pub(crate) struct MobileNetV1 {
    convs: Vec<RepConv2d>,
    norms: Vec<BatchNorm>,
    avgpool: AdaptiveAvgPool2d,
    fc: Linear,
}

impl MobileNetV1 {
    pub(crate) fn new(device: &Device) -> Self {
        let conv = |channels: [usize; 2], kernel: usize, stride: usize, groups: usize| {
            let pad = kernel / 2;
            RepConv2dConfig::new(channels, [kernel; 2])
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                .with_groups(groups)
                .with_bias(false)
                .init(device)
        };
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let (mut convs, mut norms) = (vec![conv([3, 32], 3, 2, 1)], vec![norm(32)]);
        let mut inputs = 32;
        for (outputs, stride) in ROWS {
            convs.extend([conv([inputs; 2], 3, stride, inputs), conv([inputs, outputs], 1, 1, 1)]);
            norms.extend([norm(inputs), norm(outputs)]);
            inputs = outputs;
        }
        Self {
            convs,
            norms,
            avgpool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            fc: LinearConfig::new(inputs, 1000).init(device),
        }
    }

    /// Logits `[batch, 1000]` of pictures `[batch, 3, height, width]`.
    pub(crate) fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let pairs = self.convs.iter().zip(&self.norms);
        let x = pairs.fold(pictures, |x, (conv, norm)| conv.forward_norm(x, norm, Tail::relu()));
        self.fc.forward(self.avgpool.forward(x).flatten(1, 3))
    }
}
