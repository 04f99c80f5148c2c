//! Our side: the network of a case, a training step and a forward pass of it.

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{
    BranchForm, Branches, Form, InputSizes, LayerStructure, Preset, RepConv2d, RepConv2dConfig,
    Structure, deploy, profile,
};
use dyrep_models::{Model as Zoo, ModelName};
use dyrep_train::{Groups, OptimizerConfig};

use crate::cases::{Blocks, Model, Network};

const CLASSES: usize = 1000;
/// Of the single layer.
const CHANNELS: usize = 128;

/// What is measured.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Net {
    Zoo(Zoo),
    Layer(Layer),
}

/// A layer whose maps' means are classified.
#[derive(Module, Debug)]
struct Layer {
    conv: RepConv2d,
    fc: Linear,
}

impl Net {
    fn init(model: Model, device: &Device) -> Self {
        let name = match model {
            Model::Resnet18 => "resnet18",
            Model::MobilenetV1 => "mobilenet_v1",
            Model::Depthwise13 => {
                let conv = RepConv2dConfig::new([CHANNELS; 2], [13, 13])
                    .with_groups(CHANNELS)
                    .with_padding(PaddingConfig2d::Explicit(6, 6, 6, 6))
                    .init(device);
                let fc = LinearConfig::new(CHANNELS, CLASSES).init(device);
                return Self::Layer(Layer { conv, fc });
            }
        };
        let name: ModelName = name.parse().unwrap_or_else(|e| panic!("{e}"));
        Self::Zoo(name.config(CLASSES).init(device).unwrap_or_else(|e| panic!("{e}")))
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Zoo(net) => net.forward(input),
            Self::Layer(Layer { conv, fc }) => {
                let means = mean_of_maps(conv.forward(input));
                fc.forward(means.flatten::<2>(1, 3))
            }
        }
    }
}

fn input_channels(model: Model) -> usize {
    if let Model::Depthwise13 = model { CHANNELS } else { 3 }
}

/// Floating-point operations that a network asks for by its definition, convolutions alone: of a training step, in
/// which the backward pass counts twice, or of a forward pass of what is deployed.
pub(crate) fn operations(network: Network, training: bool) -> f64 {
    let device = Device::flex();
    let net = grown(Net::init(network.model, &device), network.branches);
    let Network { batch, size, model, .. } = network;
    let one = [1, input_channels(model), size, size];
    let layers = profile(&net, |net| drop(net.forward(Tensor::zeros(one, &device))));
    let macs = layers.iter().map(|layer| match training {
        true => 3 * layer.trained.macs,
        false => layer.deployed.macs,
    });
    2.0 * batch as f64 * macs.sum::<u64>() as f64
}

/// A network in training.
pub(crate) struct Ours {
    net: Option<Net>,
    deployed: Net,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    pictures: Tensor<4>,
    classes: Tensor<1, Int>,
}

impl Ours {
    pub(crate) fn new(network: Network) -> Self {
        let device = Device::flex().autodiff();
        device.seed(0);
        let net = grown(Net::init(network.model, &device), network.branches);
        let Network { batch, size, model, .. } = network;
        let shape = [batch, input_channels(model), size, size];
        let pictures = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        let labels: Vec<i64> = (0..batch as i64).map(|i| i * 61 % 1000).collect();
        Self {
            deployed: deploy(&net),
            net: Some(net),
            optimizer: Groups::default().optimizer(&OptimizerConfig {
                decay_norms_and_biases: true,
                ..OptimizerConfig::imagenet()
            }),
            loss: CrossEntropyLossConfig::new().init(&device),
            pictures,
            classes: Tensor::from_data(TensorData::new(labels, [batch]), &device),
        }
    }

    /// Seconds of a training step.
    pub(crate) fn step(&mut self) -> f64 {
        let started = Instant::now();
        if let Some(net) = self.net.take() {
            let logits = net.forward(self.pictures.clone().autodiff());
            let loss = self.loss.forward(logits, self.classes.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &net);
            self.net = Some(self.optimizer.step(0.01, net, gradients));
            let _value = loss.into_data();
        }
        started.elapsed().as_secs_f64()
    }

    /// Seconds of a forward pass of the deployed network.
    pub(crate) fn infer(&self) -> f64 {
        let started = Instant::now();
        let _logits = self.deployed.forward(self.pictures.clone()).into_data();
        started.elapsed().as_secs_f64()
    }
}

/// Floating-point operations of a step that compose the kernels of sequences, or run those where that is less.
pub(crate) fn composing(network: Network) -> f64 {
    let device = Device::flex();
    let net = grown(Net::init(network.model, &device), network.branches);
    let Network { batch, size, model, .. } = network;
    let one = [1, input_channels(model), size, size];
    let sizes = InputSizes::measure(&net, |net| drop(net.forward(Tensor::zeros(one, &device))));
    let structure = Structure::of(&net);
    let macs = structure.layers().iter().map(|(path, layer)| {
        let Form::Block(block) = &layer.form else { return 0 };
        let geometry = &layer.geometry;
        let [inputs, outputs] = [geometry.in_channels(), geometry.out_channels()];
        let taps: usize = geometry.kernel_size().iter().product();
        // What a plain layer of these sizes takes of one picture is a map's pixels times this.
        let plain = LayerStructure { form: Form::Plain { bias: false }, ..layer.clone() };
        let pixels = sizes.layer_cost(path, &plain).macs as usize / (geometry.fan_in() * outputs);
        let strides: usize = geometry.stride().iter().product();
        let of_branch = |branch: &BranchForm| {
            let composed = branch.name.kind.convolves() && branch.name.kind.nests();
            let Some(middle) = branch.mid_channels.filter(|_| composed) else { return 0 };
            let each = middle / geometry.groups();
            let run = batch * pixels * (each * inputs * strides + each * outputs * taps);
            run.min(each * outputs * inputs * taps)
        };
        block.branches.iter().map(of_branch).sum::<usize>()
    });
    6.0 * macs.sum::<usize>() as f64
}

/// Bytes that the parameters of branches take in training, with their gradients and momenta, and the merged kernels with
/// their gradients.
pub(crate) fn added_bytes(network: Network) -> f64 {
    let net = grown(Net::init(network.model, &Device::flex()), network.branches);
    let structure = Structure::of(&net);
    let blocks = structure.layers().values().filter(|layer| matches!(layer.form, Form::Block(_)));
    let bytes = blocks.map(|layer| {
        let weights = layer.geometry.fan_in() * layer.geometry.out_channels();
        // A plain layer has its own kernel, in these numbers, too.
        let added = layer.form.params(&layer.geometry).saturating_sub(weights as u64);
        12 * added + 8 * weights as u64
    });
    bytes.sum::<u64>() as f64
}

/// Branches for every 3×3 and 13×13 kernel.
fn grown(net: Net, blocks: Blocks) -> Net {
    let mut structure = Structure::of(&net);
    if blocks == Blocks::Preset(Preset::Plain) {
        return net;
    }
    let sizes = [[3, 3], [13, 13]];
    let chosen = structure.layers().iter();
    let chosen = chosen.filter(|(_, layer)| sizes.contains(&layer.geometry.kernel_size()));
    let chosen: Vec<_> =
        chosen.map(|(path, layer)| (path.clone(), layer.geometry.clone())).collect();
    for (path, geometry) in chosen {
        let branches = match blocks {
            Blocks::Preset(preset) => preset.into(),
            Blocks::Online { online, sequences: true } => Branches::Online(online),
            Blocks::Online { online, sequences: false } => {
                let online = Branches::Online(online);
                let mut specs = online.resolve(&geometry).unwrap_or_else(|e| panic!("{e}"));
                specs.iter_mut().for_each(|specs| specs.retain(|spec| !spec.kind.has_middle()));
                specs.unwrap_or_default().into()
            }
        };
        structure.grow(&path, &branches).unwrap_or_else(|e| panic!("{e}"));
    }
    structure.apply(net).unwrap_or_else(|e| panic!("{e}"))
}
