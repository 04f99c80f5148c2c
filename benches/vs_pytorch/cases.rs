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
    /// Ours over the peer's, at most.
    pub(crate) goal: f64,
}

/// A network and what passes through it: what both sides build.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) model: Model,
    /// Of every 3×3 or 13×13 kernel.
    pub(crate) branches: Preset,
    pub(crate) batch: usize,
    pub(crate) size: usize,
}

const fn network(model: Model, branches: Preset, batch: usize, size: usize) -> Network {
    Network { model, branches, batch, size }
}

const fn case(name: &'static str, what: What, network: Network, goal: f64) -> Case {
    Case { name, what, network, goal }
}

pub(crate) fn all() -> Vec<Case> {
    use Model::{Depthwise13, MobilenetV1, Resnet18};
    use Preset::{Csla, Dbb, DyRep, MobileOne, Plain, UniRepLkNet};
    use What::{Infer, Peak, Step};
    let resnet = |branches, batch, size| network(Resnet18, branches, batch, size);
    vec![
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
    ]
}
