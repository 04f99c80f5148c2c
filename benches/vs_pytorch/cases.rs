//! What is measured, and what it should come to.

use dyrep_burn::Preset;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    Resnet18,
    #[serde(rename = "mobilenet_v1")]
    MobilenetV1,
    /// One depthwise 13×13 convolution of 128 channels, as large-kernel networks have them, and a classifier.
    #[serde(rename = "depthwise_13x13")]
    Depthwise13,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Seconds of a training step.
    Step,
    /// Seconds of a forward pass of the deployed network.
    Infer,
    /// Peak resident bytes over some training steps, in a process of its own.
    Peak,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: What,
    pub(crate) network: Network,
    pub(crate) goal: Goal,
}

/// What ours should come to, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many times PyTorch's.
    PyTorch(f64),
    /// So many times our own plain network's.
    Plain(f64),
    /// So many times what our own plain network takes and what the branches add by their count: to time the products that
    /// compose kernels, at the speed of large ones; to memory 12 bytes for each parameter of a branch (value, gradient,
    /// momentum) and 8 for each of a merged kernel (value, gradient).
    PlainAndCounted(f64),
}

/// The branches of every 3×3 or 13×13 kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Blocks {
    Preset(Preset),
    /// Without norms.
    Online {
        online: Preset,
        /// With those, too, that compose two convolutions.
        sequences: bool,
    },
}

/// A network and what passes through it: what both sides build.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) model: Model,
    pub(crate) branches: Blocks,
    pub(crate) batch: usize,
    pub(crate) size: usize,
}

impl Network {
    pub(crate) fn plain(self) -> Self {
        Self { branches: Blocks::Preset(Preset::Plain), ..self }
    }
}

const fn network(model: Model, branches: Preset, batch: usize, size: usize) -> Network {
    Network { model, branches: Blocks::Preset(branches), batch, size }
}

const fn case(name: &'static str, what: What, network: Network, goal: f64) -> Case {
    Case { name, what, network, goal: Goal::PyTorch(goal) }
}

const fn online(
    name: &'static str,
    what: What,
    (online, sequences): (Preset, bool),
    [batch, size]: [usize; 2],
    goal: Goal,
) -> Case {
    let branches = Blocks::Online { online, sequences };
    let network = Network { model: Model::Resnet18, branches, batch, size };
    Case { name, what, network, goal }
}

/// Blocks that are one convolution while they train, beside our own plain network.
fn onlines() -> Vec<Case> {
    use Goal::{Plain, PlainAndCounted};
    use Preset::{AcNet, DyRep, Orepa};
    use What::{Peak, Step};
    let (some, all, orepa) = ((DyRep, false), (DyRep, true), (Orepa, true));
    let (small, large) = ([16, 128], [32, 224]);
    vec![
        online("resnet18 ACNet online, step, 16 × 128²", Step, (AcNet, true), small, Plain(1.15)),
        online("resnet18 no sequences online, step, 16 × 128²", Step, some, small, Plain(1.15)),
        online("resnet18 all online, step, 16 × 128²", Step, all, small, PlainAndCounted(1.1)),
        online("resnet18 OREPA, step, 16 × 128²", Step, orepa, small, PlainAndCounted(1.1)),
        online("resnet18 all online, step, 32 × 224²", Step, all, large, Plain(1.15)),
        online("resnet18 OREPA, step, 32 × 224²", Step, orepa, large, Plain(1.15)),
        online("resnet18 all online, memory, 16 × 128²", Peak, all, small, PlainAndCounted(1.05)),
        online("resnet18 OREPA, memory, 16 × 128²", Peak, orepa, small, PlainAndCounted(1.05)),
    ]
}

pub(crate) fn all() -> Vec<Case> {
    use Model::{Depthwise13, MobilenetV1, Resnet18};
    use Preset::{Csla, Dbb, DyRep, MobileOne, Plain, UniRepLkNet};
    use What::{Infer, Peak, Step};
    let resnet = |branches, batch, size| network(Resnet18, branches, batch, size);
    let mut cases = vec![
        case("resnet18 plain, step, 16 × 64²", Step, resnet(Plain, 16, 64), 0.8),
        case("resnet18 plain, step, 8 × 224²", Step, resnet(Plain, 8, 224), 0.8),
        case("resnet18 DBB, step, 16 × 64²", Step, resnet(Dbb, 16, 64), 0.5),
        case("resnet18 DBB, step, 8 × 224²", Step, resnet(Dbb, 8, 224), 0.5),
        case("resnet18 7 branches, step, 16 × 64²", Step, resnet(DyRep, 16, 64), 0.5),
        case("resnet18 7 branches, step, 8 × 224²", Step, resnet(DyRep, 8, 224), 0.5),
        case(
            "mobilenet_v1 all branches, step, 16 × 128²",
            Step,
            network(MobilenetV1, DyRep, 16, 128),
            0.6,
        ),
        case("resnet18 MobileOne's, step, 16 × 64²", Step, resnet(MobileOne, 16, 64), 0.5),
        case("resnet18 CSLA's, no norms, step, 16 × 64²", Step, resnet(Csla, 16, 64), 0.8),
        case(
            "13×13 depthwise, UniRepLKNet's, step, 16 × 32²",
            Step,
            network(Depthwise13, UniRepLkNet, 16, 32),
            0.5,
        ),
        case("resnet18 7 branches, peak memory, 16 × 128²", Peak, resnet(DyRep, 16, 128), 0.5),
        case("resnet18 deployed, inference, 1 × 224²", Infer, resnet(Plain, 1, 224), 0.8),
        case("resnet18 deployed, inference, 16 × 224²", Infer, resnet(Plain, 16, 224), 0.8),
    ];
    cases.extend(onlines());
    cases
}
