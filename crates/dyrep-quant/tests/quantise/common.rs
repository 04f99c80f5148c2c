//! What the tests share: networks that are the same in every run, and pictures.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{PathPatterns, Preset, RepConv2d, RepConv2dConfig};
use dyrep_models::{ConvNorm, ConvNorms, Model, ModelName, Stem};
use dyrep_quant::{Options, Quantized, quantize};
use dyrep_tests::params::{fill, scatter};
use dyrep_tests::under_test;

/// The smallest picture that every network takes, in pixels.
pub(crate) const SIDE: usize = 32;

pub(crate) fn device() -> Device {
    under_test()
}

pub(crate) fn pictures(count: usize, channels: usize, seed: usize) -> Tensor<4> {
    let shape = [count, channels, SIDE, SIDE];
    let value = |i: usize| (0.37 * (i + 9_973 * seed) as f32 + (i as f32).sqrt()).sin();
    let values = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// A narrow network, the same in every run, with norms as training leaves them.
pub(crate) fn network(name: &str, preset: Preset) -> Model {
    let name: ModelName = name.parse().unwrap();
    let config = name.config(10).with_width(8).with_stem(Stem::Small).with_branches(preset);
    let mut salt = 0.0;
    fill(config.init(&device()).unwrap(), |path, shape| {
        salt += 1.0;
        let fan_in: usize = shape[1..].iter().product();
        let (middle, spread) = match path.rsplit('.').next().unwrap() {
            "weight" => (0.0, (6.0 / fan_in as f32).sqrt()),
            "gamma" => (1.0, 0.5),
            "running_var" => (2.0, 1.0),
            // So small that logits are made of what the layers in front give.
            "bias" => (0.0, 0.001),
            _ => (0.0, 0.4),
        };
        let noise = |i: usize| ((78.233 * i as f32 + 7.3 * salt).sin() * 43_758.547).fract();
        let values = (0..shape.iter().product()).map(|i| middle + spread * noise(i)).collect();
        TensorData::new(values, shape.to_vec())
    })
}

pub(crate) fn batches() -> Vec<Tensor<4>> {
    (0..3).map(|seed| pictures(4, 3, seed)).collect()
}

pub(crate) fn quantised(network: &Model, options: &Options) -> Quantized<Model> {
    quantize(network, batches(), Model::forward, options).unwrap()
}

pub(crate) fn patterns(texts: &[&str]) -> PathPatterns {
    PathPatterns::new(texts).unwrap()
}

pub(crate) fn logits(network: &Quantized<Model>) -> Tensor<2> {
    network.run(|network| network.forward(pictures(4, 3, 7)))
}

/// A convolution, a pooling and a linear layer.
#[derive(Module, Debug)]
pub(crate) struct Tiny {
    pub(crate) conv: RepConv2d,
    pub(crate) fc: Linear,
}

impl ConvNorms for Tiny {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        vec![]
    }
}

impl Tiny {
    pub(crate) fn new() -> Self {
        let config = RepConv2dConfig::new([4, 6], [3, 3]).with_groups(2).with_stride([2, 1]);
        let conv = config.with_padding(PaddingConfig2d::Explicit(1, 0, 1, 2)).init(&device());
        let fc = LinearConfig::new(6, 5).init(&device());
        scatter(Self { conv, fc }, |_| Some((0.1, 0.7)))
    }

    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, channels] = [images.dims()[0], self.fc.weight.dims()[0]];
        let map = self.conv.forward(images);
        self.fc.forward(mean_of_maps(map).reshape([batch, channels]))
    }
}
