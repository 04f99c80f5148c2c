//! Training with dyrep: a loop that grows and cuts, devices by name, and what deployment changed.
//!
//! ```text
//! Loader ─▶ Batch (u8) ─▶ InputSpec::images (device, normalised) ─▶ forward ─▶ loss ─▶ optimiser
//!                                                         └─▶ Controller: observe, adjust ─▶ events
//! Trainer::fit ─▶ Fitted { model, history, events } ─▶ Deployment::measure ─▶ report
//! ```
//!
//! Nothing here prints: a [`Progress`] is told what happens.

mod deployment;
mod device;
mod error;
mod evaluate;
mod input;
mod optimizer;
mod progress;
mod trainer;

pub use deployment::{Cost, Deployment, ModelFns, save_structure, save_weights};
pub use device::{available, default_name, device};
pub use error::{DeviceError, TrainError};
pub use evaluate::{Accuracy, evaluate};
pub use input::InputSpec;
pub use optimizer::SgdRecipe;
pub use progress::{EpochReport, Progress, Silent, StepReport};
pub use trainer::{Fitted, Trainer, TrainerConfig};
