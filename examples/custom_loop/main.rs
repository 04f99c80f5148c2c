//! DyRep in a training loop of one's own: three calls, and nothing else of the loop is different.
//!
//! ```text
//! cargo run --release --example custom_loop
//! ```
//!
//! The network derives Burn's `Module` and nothing more; the loop uses Burn's optimiser and loss. Trainers,
//! recipes and models of this workspace are not involved.

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{
    Controller, ControllerConfig, RepConv2d, RepConv2dConfig, deploy, layers, verify,
};
use dyrep_data::{Dataset, Digits};

const EPOCHS: usize = 8;
const BATCH: usize = 64;

/// `Conv2d` swapped for `RepConv2d`.
#[derive(Module, Debug)]
struct Net {
    conv1: RepConv2d,
    bn1: BatchNorm,
    conv2: RepConv2d,
    bn2: BatchNorm,
    fc: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let conv = |channels, stride| {
            RepConv2dConfig::new(channels, [3, 3])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: conv([1, 16], 1),
            bn1: BatchNormConfig::new(16).init(device),
            conv2: conv([16, 32], 2),
            bn2: BatchNormConfig::new(32).init(device),
            fc: LinearConfig::new(32, 10).init(device),
        }
    }

    /// Logits `[batch, 10]` of pictures `[batch, 1, 8, 8]`.
    fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(pictures)));
        let x = relu(self.bn2.forward(self.conv2.forward(x)));
        self.fc.forward(mean_of_maps(x).flatten(1, 3))
    }
}

/// All pictures `[samples, 1, 8, 8]` and their classes.
fn load(digits: &Digits) -> Result<(Tensor<4>, Tensor<1, Int>), dyrep_data::DataError> {
    let samples = digits.len();
    let (mut pixels, mut classes) = (vec![], vec![]);
    for index in 0..samples {
        let image = digits.image(index)?.into_pixels();
        pixels.extend(image.into_iter().map(|pixel| f32::from(pixel) / Digits::MAX_VALUE));
        classes.push(digits.label(index) as i64);
    }
    let device = Device::flex();
    let pictures = Tensor::from_data(TensorData::new(pixels, [samples, 1, 8, 8]), &device);
    Ok((pictures, Tensor::from_data(TensorData::new(classes, [samples]), &device)))
}

fn accuracy(net: &Net, pictures: &Tensor<4>, classes: &Tensor<1, Int>) -> f64 {
    let found = net.valid().forward(pictures.clone()).argmax(1).flatten::<1>(0, 1);
    let hits = found.equal(classes.clone()).int().sum().into_data().iter::<f64>().sum::<f64>();
    hits / classes.dims()[0] as f64
}

fn train() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let (pictures, classes) = load(&Digits::train())?;
    let (test_pictures, test_classes) = load(&Digits::test())?;
    let mut net = Net::new(&device);
    let momentum = MomentumConfig::new().with_dampening(0.0);
    let mut optimizer =
        ModuleOptimizer::from(SgdConfig::new().with_momentum(Some(momentum)).build());
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut controller = Controller::new(ControllerConfig {
        interval: 2,
        last_epoch: 6,
        calibration_batches: 10,
        ..ControllerConfig::default()
    })?;

    let steps = pictures.dims()[0] / BATCH;
    let batch = |i: usize| i * BATCH..(i + 1) * BATCH;
    for epoch in 1..=EPOCHS {
        for step in 0..steps {
            let input = pictures.clone().slice(batch(step)).autodiff();
            let target = Tensor::from_data(classes.clone().slice(batch(step)).into_data(), &device);
            let value = loss.forward(net.forward(input), target);
            let gradients = GradientsParams::from_grads(value.backward(), &net);
            controller.observe(&net, &gradients); // 1. after every backward pass
            net = optimizer.step(0.05, net, gradients);
        }
        println!("epoch {epoch}: {:.2}%", 100.0 * accuracy(&net, &test_pictures, &test_classes));
        if controller.is_due(epoch) {
            // 2. after every epoch
            let calibrate = |net: &Net, i: usize| {
                drop(net.forward(pictures.clone().slice(batch(i % steps))));
            };
            let adjusted = controller.adjust(&mut net, &mut optimizer, epoch, calibrate)?; // 3.
            for event in &adjusted.events {
                println!("  {event}");
            }
        }
    }

    let deployed = deploy(&net);
    let report = verify(&net, &deployed, [test_pictures.clone()], Net::forward);
    for (path, layer) in layers(&net) {
        println!("{path}: {}", layer.form());
    }
    println!(
        "deployed: {:.2}%, outputs within {:.1e} of the largest",
        100.0 * accuracy(&deployed, &test_pictures, &test_classes),
        report.model.relative
    );
    Ok(())
}

fn main() -> ExitCode {
    match train() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
