//! One training run.

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_burn::{Change, Controller, ControllerConfig, Event, deploy, layers};
use dyrep_data::{Dataset, Digits};
use dyrep_train::{Groups, OptimizerConfig};
use serde::{Deserialize, Serialize};

use crate::nets::{Architecture, Net};
use crate::strategy::Strategy;

/// How every run is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) samples: usize,
    pub(crate) epochs: usize,
    pub(crate) batch: usize,
    pub(crate) interval: usize,
}

/// Which run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) net: Architecture,
    pub(crate) strategy: Strategy,
    pub(crate) seed: u64,
    pub(crate) recipe: Recipe,
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) job: Job,
    /// Of the deployed network, on all digits that were not trained on.
    pub(crate) accuracy: f64,
    pub(crate) train_accuracy: f64,
    /// The loss stopped being a number.
    pub(crate) diverged: bool,
    /// Training, adjustments included.
    pub(crate) seconds: f64,
    /// Of all layers together, one for a plain convolution.
    pub(crate) branches: usize,
    pub(crate) growths: usize,
    pub(crate) cuts: usize,
}

pub(crate) fn run(job: Job) -> Outcome {
    let inner = Device::flex();
    let device = inner.clone().autodiff();
    device.seed(job.seed);
    let mut net = job.net.init(job.strategy.branches(), &device);
    let split = Split::draw(job.seed, job.recipe.samples);
    let (pictures, classes) = split.digits.tensors(&split.train, &device);
    let (batch, epochs) = (job.recipe.batch, job.recipe.epochs);
    let steps = job.recipe.samples / batch;
    let mut optimizer = Groups::default().optimizer(&OptimizerConfig::imagenet());
    let mut controller = job.strategy.growing().map(|(score, norm_rule)| {
        let config = ControllerConfig {
            score,
            norm_rule,
            interval: job.recipe.interval,
            last_epoch: epochs * 5 / 6,
            seed: job.seed,
            ..ControllerConfig::default()
        };
        Controller::new(config).unwrap_or_else(|e| panic!("{e}"))
    });
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut diverged = false;
    let started = Instant::now();
    'training: for epoch in 1..=epochs {
        let order = shuffled(job.recipe.samples, job.seed, epoch as u64);
        let rows = |step: usize, device: &Device| {
            let rows: Vec<i64> =
                order[step * batch..][..batch].iter().map(|&row| row as i64).collect();
            Tensor::<1, Int>::from_data(TensorData::new(rows, [batch]), device)
        };
        for step in 0..steps {
            let rows = rows(step, &device);
            let logits = net.forward(pictures.clone().select(0, rows.clone()));
            let value = loss.forward(logits, classes.clone().select(0, rows));
            if step == 0 && !value.clone().into_data().iter::<f64>().all(f64::is_finite) {
                diverged = true;
                break 'training;
            }
            let gradients = GradientsParams::from_grads(value.backward(), &net);
            if let Some(controller) = &mut controller {
                controller.observe(&net, &gradients);
            }
            let done = ((epoch - 1) * steps + step) as f64 / (epochs * steps) as f64;
            let rate = job.net.learning_rate() * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
            net = optimizer.step(rate, net, gradients);
        }
        if let Some(controller) = controller.as_mut().filter(|it| it.is_due(epoch)) {
            let pictures = pictures.clone().inner();
            let calibrate = |net: &Net, i: usize| {
                drop(net.forward(pictures.clone().select(0, rows(i % steps, &inner))));
            };
            let adjusted = controller.adjust(&mut net, &mut optimizer, epoch, calibrate);
            adjusted.unwrap_or_else(|e| panic!("{e}"));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let deployed = deploy(&net);
    let grew = |change: &Change| matches!(change, Change::Grew { .. });
    let events: Vec<&Event> = controller.iter().flat_map(Controller::events).collect();
    let growths = events.iter().filter(|event| grew(&event.change)).count();
    Outcome {
        job,
        accuracy: split.accuracy(&deployed, &split.test),
        train_accuracy: split.accuracy(&deployed, &split.train),
        diverged,
        seconds,
        branches: layers(&net).iter().map(|(_, layer)| layer.form().branch_count()).sum(),
        growths,
        cuts: events.len() - growths,
    }
}

/// The digits, and which of them are trained on: as many of each class.
struct Split {
    digits: Rows,
    train: Vec<usize>,
    test: Vec<usize>,
}

impl Split {
    fn draw(seed: u64, samples: usize) -> Self {
        let digits = Rows(Digits::all());
        let order = shuffled(digits.0.len(), seed, 0);
        let mut left = [samples / 10; 10];
        let (mut train, mut test) = (vec![], vec![]);
        for row in order {
            let left = &mut left[digits.0.label(row)];
            if *left > 0 {
                *left -= 1;
                train.push(row);
            } else {
                test.push(row);
            }
        }
        Self { digits, train, test }
    }

    fn accuracy(&self, net: &Net, rows: &[usize]) -> f64 {
        let correct = rows.chunks(200).map(|rows| {
            let (pictures, classes) = self.digits.tensors(rows, &Device::flex());
            let found = net.valid().forward(pictures).argmax(1).flatten::<1>(0, 1);
            found.equal(classes).int().sum().into_data().iter::<f64>().sum::<f64>()
        });
        correct.sum::<f64>() / rows.len() as f64
    }
}

struct Rows(Digits);

impl Rows {
    fn tensors(&self, rows: &[usize], device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
        let image = |row: usize| self.0.image(row).unwrap_or_else(|e| panic!("{e}")).into_pixels();
        let pixels = rows.iter().flat_map(|&row| image(row));
        let values: Vec<f32> = pixels.map(|pixel| f32::from(pixel) / Digits::MAX_VALUE).collect();
        let labels: Vec<i64> = rows.iter().map(|&row| self.0.label(row) as i64).collect();
        (
            Tensor::from_data(TensorData::new(values, [rows.len(), 1, 8, 8]), device),
            Tensor::from_data(TensorData::new(labels, [rows.len()]), device),
        )
    }
}

/// The numbers below `count` in an order that (seed, epoch) decides: by a multiplicative hash.
fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    order.sort_by_key(|&row| mix(mix(mix(seed) ^ epoch) ^ row as u64));
    order
}
