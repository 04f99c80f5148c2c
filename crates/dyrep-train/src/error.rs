//! What can go wrong while training.

use dyrep_burn::{AdjustError, ControllerConfigError, SearchError, StructureError};
use dyrep_data::DataError;
use dyrep_weights::WeightsError;

use crate::checkpoint::Moment;

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is not a device's.
    #[error("unknown device `{name}`; this program can use: {available}")]
    Unknown {
        /// The name.
        name: String,
        /// What can be used.
        available: String,
    },
    /// The backend exists but is not in this program.
    #[error(
        "device `{name}` needs the backend `{backend}`, which is not compiled in: build with \
         `--features {backend}`; this program can use: {available}"
    )]
    NotCompiled {
        /// The name.
        name: String,
        /// The backend, and the feature that adds it.
        backend: String,
        /// What can be used.
        available: String,
    },
    /// The number behind the colon is none, or the backend has no numbers.
    #[error("device `{name}`: expected {expected}")]
    BadIndex {
        /// The name.
        name: String,
        /// What would be right.
        expected: String,
    },
    /// The backend finds no such device on this machine.
    #[error("device `{name}` is not there: {reason}")]
    Unavailable {
        /// The name.
        name: String,
        /// What the backend says.
        reason: String,
    },
}

/// A training that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An option that makes no sense.
    #[error("{option}: expected {expected}, got {found}")]
    Config {
        /// The option.
        option: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// Weights that the training should start from and cannot.
    #[error("{source}{hint}")]
    Weights {
        /// What is wrong.
        source: Box<WeightsError>,
        /// What may help.
        hint: &'static str,
    },
    /// The pictures do not fit the model.
    #[error("the model takes pictures of {expected} channels, the data set has {found}")]
    Channels {
        /// The model's channels.
        expected: usize,
        /// The data set's.
        found: usize,
    },
    /// Pictures that are halved more often than they can be.
    #[error(
        "pictures of {side}×{side} are too small for the model `{model}`: it takes {smallest}×{smallest} at least"
    )]
    TooSmall {
        /// The model.
        model: String,
        /// The pictures' side, in pixels.
        side: usize,
        /// What it must be at least.
        smallest: usize,
    },
    /// Numbers that a device does not compute in.
    #[error(
        "the device {device} does not compute in `{precision}`: `f32` is what every device has"
    )]
    Precision {
        /// The numbers.
        precision: dyrep_config::Precision,
        /// The device.
        device: String,
    },
    /// A controller's option that makes no sense.
    #[error(transparent)]
    Controller(#[from] ControllerConfigError),
    /// Branches that cannot be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A structure that was to be trained and cannot.
    #[error(transparent)]
    Structure(Box<StructureError>),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loss is not a number any more.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step}: training diverged; try a lower learning \
         rate than {learning_rate}"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step within it at which it was noticed, from 1.
        step: usize,
        /// The loss.
        loss: f64,
        /// The rate at the time.
        learning_rate: f64,
    },
    /// A change of structure that failed.
    #[error(transparent)]
    Adjust(#[from] AdjustError),
    /// Training batches for calibration that cannot be had.
    #[error("calibration after epoch {epoch}: {source}")]
    Calibration {
        /// The epoch, from 1.
        epoch: usize,
        /// What went wrong.
        source: crate::dyrep::BoxedError,
    },
    /// A folder that cannot be made, read or written to.
    #[error("folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A recipe that cannot be used.
    #[error(transparent)]
    Recipe(#[from] dyrep_recipe::RecipeError),
    /// A network that cannot be built.
    #[error(transparent)]
    Model(#[from] dyrep_models::ModelError),
    /// A pattern of a group of parameters that the network has none for.
    #[error(
        "[optimizer.groups]: no layer or parameter of the network matches `{pattern}`; its layers are {layers}"
    )]
    NoSuchParameters {
        /// The pattern.
        pattern: String,
        /// What there is.
        layers: String,
    },
    /// A network whose every parameter is frozen.
    #[error("[optimizer.groups]: every parameter is frozen, so there is nothing to train")]
    NothingTrains,
    /// Classes that cannot be made to count the same.
    #[error(
        "[loss]: class `{class}` has no training pictures, so no balance of weights gives it one"
    )]
    NoBalance {
        /// Its name.
        class: String,
    },
    /// Not a weight for each class.
    #[error("[loss]: `class_weights` has {found} numbers, the data have {expected} classes")]
    ClassWeights {
        /// Classes.
        expected: usize,
        /// Weights.
        found: usize,
    },
    /// A teacher's logits that cannot be learnt from, or are not of the training pictures.
    #[error("{file}: {reason}")]
    Teacher {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Scales of blocks that cannot be read, or are not the network's.
    #[error("{file}: {reason}")]
    Scales {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A data set on disk without its place.
    #[error("where is the data set `{set}`? set data.path")]
    NoPath {
        /// The set.
        set: &'static str,
    },
    /// A new run would write over another.
    #[error("{} holds a run already: resume it, or name another folder", path.display())]
    Exists {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// Another process is at the run.
    #[error("{}: another process trains in this folder", path.display())]
    InUse {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// A structure that a run cannot have begun with.
    #[error("the structure that the run began with: {source}")]
    Began {
        /// What is wrong.
        source: Box<dyrep_burn::StructureError>,
    },
    /// What is no number at a run's end.
    #[error(
        "{what} is not a finite number after the last step: training diverged; try a lower learning rate than \
         {learning_rate}"
    )]
    NotFinite {
        /// A parameter, or the loss on the validation pictures.
        what: String,
        /// The rate at its highest.
        learning_rate: f64,
    },
    /// A data set with nothing to tell apart.
    #[error("{}: one class, `{class}`: there is nothing to learn; expected two at least", path.display())]
    OneClass {
        /// Where the set is.
        path: std::path::PathBuf,
        /// Its name.
        class: String,
    },
    /// A run's record that cannot be read.
    #[error("{}: not the record of a run: {reason}", path.display())]
    Record {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint that cannot be gone on from.
    #[error("checkpoint of {moment} in {}: {reason}", path.display())]
    Resume {
        /// The folder.
        path: std::path::PathBuf,
        /// When the checkpoint was made.
        moment: Moment,
        /// What is wrong.
        reason: String,
    },
    /// What Burn's loop stopped at.
    #[error("{reason}; the last whole checkpoint is in {}", path.display())]
    Loop {
        /// What it says.
        reason: String,
        /// The folder of checkpoints.
        path: std::path::PathBuf,
    },
}
