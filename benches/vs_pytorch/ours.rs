//! Our side: the network of a case, a training step and a forward pass of it.

use std::time::Instant;

use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use dyrep_burn::{Branches, Preset, Structure, deploy, profile};
use dyrep_models::{Model as Net, ModelName};
use dyrep_train::SgdRecipe;

use crate::cases::{Model, Network};

fn init(model: Model, device: &Device) -> Net {
    let name: ModelName = match model {
        Model::Resnet18 => "resnet18",
        Model::MobilenetV1 => "mobilenet_v1",
    }
    .parse()
    .unwrap_or_else(|e| panic!("{e}"));
    name.config(1000).init(device).unwrap_or_else(|e| panic!("{e}"))
}

/// Floating-point operations that a network asks for by its definition, convolutions alone: of a training step, in
/// which the backward pass counts twice, or of a forward pass of what is deployed.
pub(crate) fn operations(network: Network, training: bool) -> f64 {
    let device = Device::flex();
    let net = grown(init(network.model, &device), network.branches);
    let Network { batch, size, .. } = network;
    let layers = profile(&net, |net| drop(net.forward(Tensor::zeros([1, 3, size, size], &device))));
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
        let net = init(network.model, &device);
        let net = grown(net, network.branches);
        let Network { batch, size, .. } = network;
        let shape = [batch, 3, size, size];
        let pictures = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        let labels: Vec<i64> = (0..batch as i64).map(|i| i * 61 % 1000).collect();
        Self {
            deployed: deploy(&net),
            net: Some(net),
            optimizer: SgdRecipe { decay_norms_and_biases: true, ..SgdRecipe::imagenet() }.init(),
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

/// Branches for every square kernel larger than 1×1, but for ResNet's 7×7.
fn grown(net: Net, branches: Preset) -> Net {
    let mut structure = Structure::of(&net);
    if branches == Preset::Plain {
        return net;
    }
    let small =
        structure.layers().iter().filter(|(_, layer)| layer.geometry.kernel_size() == [3, 3]);
    let paths: Vec<String> = small.map(|(path, _)| path.clone()).collect();
    for path in paths {
        structure.grow(&path, &Branches::from(branches)).unwrap_or_else(|e| panic!("{e}"));
    }
    structure.apply(net).unwrap_or_else(|e| panic!("{e}"))
}
