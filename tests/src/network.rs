//! Random networks: chains of convolutions of any geometry, with and without norms and shortcuts.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{RepConv2d, RepConv2dConfig};

use crate::random::Draw;
use crate::under_test;

/// Channels and size of the pictures that a [`Network`] takes.
pub const INPUT: [usize; 3] = [2, 12, 12];

/// A convolution, perhaps with a norm, perhaps with a shortcut around both.
#[derive(Module, Debug)]
pub struct Unit {
    conv: RepConv2d,
    norm: Option<BatchNorm>,
    shortcut: bool,
}

/// Units in a row, then a linear layer.
#[derive(Module, Debug)]
pub struct Network {
    units: Vec<Unit>,
    fc: Linear,
}

impl Network {
    /// A network of 3 to 5 units; `norms` says how many in a hundred have a norm.
    pub fn random(draw: &mut Draw, norms: usize, device: &Device) -> Self {
        let mut channels = INPUT[0];
        let units = (0..draw.between(3, 5)).map(|_| {
            let unit = Unit::random(draw, channels, norms, device);
            channels = unit.conv.geometry().out_channels();
            unit
        });
        let units: Vec<Unit> = units.collect();
        Self { units, fc: LinearConfig::new(channels, 3).init(device) }
    }

    /// Logits `[batch, 3]`.
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let forward = |x: Tensor<4>, unit: &Unit| unit.forward(x);
        let x = self.units.iter().fold(pictures, forward);
        self.fc.forward(mean_of_maps(x).flatten(1, 3))
    }

    /// A batch of pictures.
    pub fn batch(draw: &mut Draw, device: &Device) -> Tensor<4> {
        let [channels, height, width] = INPUT;
        Tensor::from_data(draw.data(&[6, channels, height, width], -1.0, 1.0), device)
    }
}

impl Unit {
    fn random(draw: &mut Draw, inputs: usize, norms: usize, device: &Device) -> Self {
        let outputs = if draw.chance(50) { inputs } else { 2 * draw.between(1, 3) };
        let groups = if draw.chance(60) { 1 } else { 2 };
        let groups = if inputs == outputs && draw.chance(30) { inputs } else { groups };
        let kernel = [1, 2, 3, 3, 3, 3, 5][draw.between(0, 6)];
        let dilation = if draw.chance(80) { 1 } else { 2 };
        let pad = (kernel - 1) * dilation / 2;
        let stride = if draw.chance(80) { 1 } else { 2 };
        let conv = RepConv2dConfig::new([inputs, outputs], [kernel; 2])
            .with_stride([stride; 2])
            .with_dilation([dilation; 2])
            .with_groups(groups)
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(draw.chance(50))
            .init(device);
        let shortcut = inputs == outputs && stride == 1 && 2 * pad == (kernel - 1) * dilation;
        let norm = draw.chance(norms).then(|| BatchNormConfig::new(outputs).init(device));
        Self { conv, norm, shortcut }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv.forward(input.clone());
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        relu(if self.shortcut { x + input } else { x })
    }
}

/// A random gradient for every parameter that trains: the state of an optimiser without a forward pass, which
/// would move the running statistics.
pub fn random_gradients<M: Module>(module: &M, draw: &mut Draw) -> GradientsParams {
    struct Random<'a>(&'a mut Draw, GradientsParams);
    impl ModuleVisitor for Random<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                let data = self.0.data(&param.dims(), -1.0, 1.0);
                self.1.register(param.id, Tensor::<D>::from_data(data, &under_test()));
            }
        }
    }
    let mut random = Random(draw, GradientsParams::new());
    module.visit(&mut random);
    random.1
}
