//! What a report shows: plain data that a run gathers and that JSON keeps.
//!
//! Floats may be NaN or infinite, as a loss that diverges is; `dyrep_burn::number` says how they survive in JSON.

use serde::{Deserialize, Serialize};

use dyrep_burn::number;

/// All that a report shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// What the run is called.
    pub title: String,
    /// Model, data and device, in a line.
    pub description: String,
    /// Whether the run goes on, and how it ended.
    pub state: State,
    /// The recipe, as TOML.
    pub recipe: String,
    /// How many epochs the run is meant to have; 0 if that is not known.
    pub epochs_planned: usize,
    /// The epochs so far, in order.
    pub epochs: Vec<EpochRow>,
    /// Every growth and cut so far, in order.
    pub changes: Vec<ChangeRow>,
    /// The scores of each adjustment, in order.
    pub scores: Vec<ScoreTable>,
    /// The network's layers, in the order in which a picture passes them.
    pub layers: Vec<LayerRow>,
    /// The structure at the start and after each adjustment that changed it, in order.
    pub snapshots: Vec<Snapshot>,
    /// What a search has found so far, if branches are searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchTable>,
    /// Pictures that were left out because their files cannot be used.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What else should be known.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How well the deployed network tells each class, once that is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassRow>,
    /// The deployed network beside the trained one, once that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentTable>,
    /// When the run started, for people to read.
    pub started: String,
    /// When this was written, for people to read.
    pub updated: String,
}

impl Default for Page {
    /// A run that has not begun: running, without a single epoch.
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            state: State::Running,
            recipe: String::new(),
            epochs_planned: 0,
            epochs: vec![],
            changes: vec![],
            scores: vec![],
            layers: vec![],
            snapshots: vec![],
            search: None,
            left_out: vec![],
            notes: vec![],
            classes: vec![],
            deployment: None,
            started: String::new(),
            updated: String::new(),
        }
    }
}

/// Whether a run goes on, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on.
    Running,
    /// It has trained, and is being measured.
    Measuring,
    /// It ended before its last epoch, since no more were worth it.
    FinishedEarly,
    /// It did all its epochs.
    Finished,
    /// It was asked to end before.
    Stopped {
        /// By whom or what.
        reason: String,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One class, by its pictures in the validation set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Its name.
    pub class: String,
    /// Its pictures.
    pub pictures: usize,
    /// Those that were taken for it.
    pub correct: usize,
    /// By place in the list of classes what others were taken for, the most frequent first, and how many.
    pub taken_for: Vec<(usize, usize)>,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss of its training steps.
    #[serde(with = "number")]
    pub train_loss: f64,
    /// Mean loss on the validation set after it.
    #[serde(with = "number")]
    pub valid_loss: f64,
    /// Accuracy of its training steps, 0 to 1.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// Accuracy on the validation set after it, 0 to 1.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub valid_accuracy: Option<f64>,
    /// Where an average of the weights is evaluated: the accuracy of the weights themselves, 0 to 1.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub weights_accuracy: Option<f64>,
    /// The learning rate at its end.
    #[serde(with = "number")]
    pub learning_rate: f64,
    /// Seconds for its training steps.
    #[serde(with = "number")]
    pub train_seconds: f64,
    /// Seconds for changing the structure after it.
    #[serde(with = "number")]
    pub adjust_seconds: f64,
    /// Seconds for the validation set.
    #[serde(with = "number")]
    pub valid_seconds: f64,
    /// Parameters of the training form.
    pub params: u64,
    /// Multiply-adds for one picture in training form.
    pub macs: u64,
    /// Branches in all blocks, plain convolutions counted as one.
    pub branches: usize,
}

/// One change of structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// The epoch after which it was made.
    pub epoch: usize,
    /// What it was.
    pub kind: ChangeKind,
    /// The path of the convolution that changed.
    pub path: String,
    /// What was done and why, in a sentence.
    pub text: String,
    /// Parameters of the training form before it.
    pub params_before: u64,
    /// Parameters of the training form after it.
    pub params_after: u64,
    /// Multiply-adds for one picture before it.
    pub macs_before: u64,
    /// Multiply-adds for one picture after it.
    pub macs_after: u64,
}

/// The two ways in which a structure changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A convolution became a block.
    Grew,
    /// A block lost branches.
    Cut,
}

/// What the candidates of one adjustment scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreTable {
    /// The epoch after which they were compared.
    pub epoch: usize,
    /// The name of the score, such as `snip`.
    pub score: String,
    /// The path of each candidate, and its score.
    #[serde(with = "number::named")]
    pub rows: Vec<(String, f64)>,
    /// The paths of those that grew.
    pub chosen: Vec<String>,
}

/// What a search has found so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchTable {
    /// What it does, in a sentence.
    pub phase: String,
    /// The layers that are searched.
    pub layers: Vec<SearchedRow>,
}

/// A layer that is searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchedRow {
    /// Its path in the network.
    pub path: String,
    /// The branches that are chosen from.
    pub branches: Vec<GateRow>,
}

/// A branch that may be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    /// Its name.
    pub name: String,
    /// Its score α.
    #[serde(with = "number")]
    pub score: f64,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRow {
    /// Its path in the network.
    pub path: String,
    /// What convolution it is, such as `64→128, 3×3, stride 2`.
    pub geometry: String,
    /// Multiply-adds of its one convolution for one picture.
    pub macs: u64,
}

/// What a layer, or a convolution inside a block, consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One convolution.
    Plain {
        /// Whether it has a bias.
        bias: bool,
    },
    /// A block of branches.
    Block {
        /// The branches, `kxk` included.
        branches: Vec<BranchRow>,
        /// Whether a batch norm follows their sum.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        norm_after: bool,
    },
    /// 3×3 layers in sequence.
    Stack {
        /// The layers, the first of which reads the input.
        layers: Vec<Form>,
        /// Whether a batch norm follows the last.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        norm_after: bool,
    },
}

/// One branch of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchRow {
    /// Its name, and its end where that is no norm: `kxk`, `kxk.2`, `1x1_3x3d2`, `1x1:scale`, ….
    pub kind: String,
    /// The mean |γ| of its last norm, divided by that of `kxk`.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// The form of its k×k convolution, where it has one that may be a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Box<Form>>,
}

/// The structure after an epoch's adjustment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The epoch; 0 is the start.
    pub epoch: usize,
    /// The form of each layer, in the order of [`Page::layers`].
    pub forms: Vec<Form>,
}

/// The deployed network beside the trained one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentTable {
    /// What was measured.
    pub rows: Vec<DeploymentRow>,
    /// What else there is to say, such as the largest difference of outputs; may be empty.
    pub note: String,
}

/// One figure of both networks, with its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRow {
    /// What it is, such as `parameters`.
    pub name: String,
    /// Its value for the trained network.
    pub trained: String,
    /// Its value for the deployed one.
    pub deployed: String,
}
