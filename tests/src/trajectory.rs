//! Whole runs of the published dynamic training: their record, and the network that they trained.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{BranchKind, RepConv2d, RepConv2dConfig, Structure};
use dyrep_data::{Dataset, Digits};
use serde::Deserialize;

use crate::golden::{Tensors, folder, index, published_name};
use crate::params;
use crate::under_test;

/// One run: how it was trained, and what happened in each segment.
#[derive(Debug, Deserialize)]
pub struct Trajectory {
    /// The score that chose what grew.
    pub metric: String,
    /// Learning rate.
    pub lr: f64,
    /// Momentum, without dampening.
    pub momentum: f64,
    /// L2 on every parameter.
    pub weight_decay: f64,
    /// Rows of the digits in each recalibration batch.
    pub recalibration_batches: Vec<Vec<usize>>,
    /// Steps and the adjustment after them.
    pub segments: Vec<Segment>,
}

/// Names of branches, and whether they are there.
pub type Kept = BTreeMap<String, bool>;

/// Some steps, then an adjustment.
#[derive(Debug, Deserialize)]
pub struct Segment {
    /// File with the state before it.
    pub start: String,
    /// Its blocks.
    pub structure_before: BTreeMap<String, Kept>,
    /// Rows of the digits in each step's batch.
    pub batches: Vec<Vec<usize>>,
    /// The loss before each step.
    pub losses: Vec<f64>,
    /// Each candidate's mean scores by name.
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
    /// File with the state after the steps.
    pub end: String,
    /// The convolution that grew.
    pub grown: String,
    /// The blocks that lost branches.
    pub cut: Vec<CutEntry>,
    /// Every branch's ratio after the growth; −1 where there is none.
    pub branch_ratios: BTreeMap<String, BTreeMap<String, f64>>,
    /// The blocks after the adjustment.
    pub structure_after: BTreeMap<String, Kept>,
    /// File with the state after the adjustment.
    pub after: String,
}

/// A block that lost branches.
#[derive(Debug, Deserialize)]
pub struct CutEntry {
    /// Its path, in the published names.
    pub block: String,
    /// Its branches, and whether they stay.
    pub keep: Kept,
}

/// Every run that the index lists.
pub fn trajectories() -> Vec<Trajectory> {
    let read = |file: &String| {
        let path = folder().join(file);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    index().trajectories.values().map(read).collect()
}

/// Our path for a convolution's published one.
pub fn our_path(published: &str) -> String {
    published.replace("dbb_", "")
}

/// The kinds that a record says are there, or not.
pub fn kinds(kept: &Kept, there: bool) -> Vec<BranchKind> {
    let chosen = kept.iter().filter(|(_, kept)| **kept == there);
    let mut kinds: Vec<BranchKind> = chosen.map(|(name, _)| name.parse().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

/// A basic residual block (arXiv 1512.03385).
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: RepConv2d,
    bn1: BatchNorm,
    conv2: RepConv2d,
    bn2: BatchNorm,
    down: Option<(Conv2d, BatchNorm)>,
}

/// The network of the runs.
#[derive(Module, Debug)]
pub struct SmallResNet {
    stem: (RepConv2d, BatchNorm),
    block1: BasicBlock,
    block2: BasicBlock,
    fc: Linear,
}

fn conv(channels: [usize; 2], stride: usize, device: &Device) -> RepConv2d {
    RepConv2dConfig::new(channels, [3, 3])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}

impl BasicBlock {
    fn new([inputs, outputs]: [usize; 2], strided: bool, device: &Device) -> Self {
        let stride = if strided { 2 } else { 1 };
        let norm = || BatchNormConfig::new(outputs).init(device);
        let down = || {
            let conv = Conv2dConfig::new([inputs, outputs], [1, 1]).with_stride([stride; 2]);
            (conv.with_bias(false).init(device), norm())
        };
        Self {
            conv1: conv([inputs, outputs], stride, device),
            bn1: norm(),
            conv2: conv([outputs, outputs], 1, device),
            bn2: norm(),
            down: strided.then(down),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = relu(self.bn1.forward(self.conv1.forward(input.clone())));
        let output = self.bn2.forward(self.conv2.forward(hidden));
        let shortcut = match &self.down {
            Some((conv, norm)) => norm.forward(conv.forward(input)),
            None => input,
        };
        relu(output + shortcut)
    }
}

impl SmallResNet {
    /// The network with the state of a reference file, whose blocks are `structure`.
    ///
    /// # Panics
    /// If a parameter is missing or left over.
    pub fn read(state: &Tensors, structure: &BTreeMap<String, Kept>, device: &Device) -> Self {
        let width = |name: &str| state.data(&format!("param.{name}")).shape()[0];
        let widths = ["stem.1.weight", "block1.bn1.weight", "block2.bn1.weight", "fc.weight"];
        let [stem, first, second, classes] = widths.map(width);
        let net = Self {
            stem: (conv([1, stem], 1, device), BatchNormConfig::new(stem).init(device)),
            block1: BasicBlock::new([stem, first], false, device),
            block2: BasicBlock::new([first, second], true, device),
            fc: LinearConfig::new(second, classes).init(device),
        };
        let net = structure_of(&net, structure).apply(net).unwrap();
        let mut used = 0;
        let net = params::fill(net, |path, _| {
            used += 1;
            state.parameter("param", path)
        });
        assert_eq!(used, state.names("param.").len(), "parameters left over");
        net
    }

    /// Logits `[batch, 10]` of pictures `[batch, 1, 8, 8]`.
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.1.forward(self.stem.0.forward(pictures)));
        let x = self.block2.forward(self.block1.forward(x));
        self.fc.forward(mean_of_maps(x).flatten(1, 3))
    }
}

/// The structure of `net` with the recorded blocks.
pub fn structure_of<M: Module>(net: &M, blocks: &BTreeMap<String, Kept>) -> Structure {
    let mut structure = Structure::of(net);
    // A block's path is shorter than those of the blocks inside it, and so comes first.
    for (path, kept) in blocks {
        structure.grow(&our_path(path), &kinds(kept, true).into()).unwrap();
    }
    structure
}

impl Tensors {
    /// What the published file has for one of our parameters. A linear layer's weight is transposed.
    pub fn parameter(&self, prefix: &str, path: &str) -> TensorData {
        let data = self.data(&format!("{prefix}.{}", published_name(path)));
        if path != "fc.weight" {
            return data;
        }
        Tensor::<2>::from_data(data, &under_test()).transpose().into_data()
    }
}

/// The digits as the runs saw them: rows of the file, values 0 to 1.
pub struct Rows(Digits);

impl Rows {
    /// All rows.
    pub fn read() -> Self {
        Self(Digits::all())
    }

    /// The pictures `[rows, 1, 8, 8]`.
    pub fn pictures(&self, rows: &[usize], device: &Device) -> Tensor<4> {
        let pixels = rows.iter().flat_map(|&row| self.0.image(row).unwrap().pixels().to_vec());
        let values: Vec<f32> = pixels.map(|pixel| f32::from(pixel) / Digits::MAX_VALUE).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), 1, 8, 8]), device)
    }

    /// Their classes.
    pub fn classes(&self, rows: &[usize], device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i64> = rows.iter().map(|&row| self.0.label(row) as i64).collect();
        Tensor::from_data(TensorData::new(labels, [rows.len()]), device)
    }

    /// The mean cross entropy over some rows, with its graph.
    pub fn loss(&self, net: &SmallResNet, rows: &[usize], device: &Device) -> Tensor<1> {
        let logits = net.forward(self.pictures(rows, device));
        CrossEntropyLossConfig::new().init(device).forward(logits, self.classes(rows, device))
    }
}

impl Trajectory {
    /// The optimiser of the run, with the momentum of a reference file for the parameters of `net`.
    pub fn optimizer(&self, net: &SmallResNet, state: &Tensors) -> ModuleOptimizer {
        let momentum = MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0);
        let plain = SgdConfig::new().with_momentum(Some(momentum));
        // The first velocity is the gradient: one step of size zero with the momentum in its place.
        let mut seeded = ModuleOptimizer::from(plain.clone().build());
        let mut velocities = GradientsParams::new();
        let device = under_test();
        let known = state.names("momentum.");
        for (path, id) in params::ids(net) {
            if known.contains(&published_name(&path)) {
                let data = state.parameter("momentum", &path);
                register(&mut velocities, id, data, &device);
            }
        }
        let _unchanged = seeded.step(0.0, net.clone(), velocities);
        let decay = WeightDecayConfig::new(self.weight_decay as f32);
        let optimizer = ModuleOptimizer::from(plain.with_weight_decay(Some(decay)).build());
        optimizer.from_bytes(seeded.into_bytes().unwrap()).unwrap()
    }
}

fn register(gradients: &mut GradientsParams, id: u64, data: TensorData, device: &Device) {
    match data.shape().len() {
        1 => gradients.register(id.into(), Tensor::<1>::from_data(data, device)),
        2 => gradients.register(id.into(), Tensor::<2>::from_data(data, device)),
        _ => gradients.register(id.into(), Tensor::<4>::from_data(data, device)),
    }
}
