//! How the loss is lowered: optimiser, schedule, loss. What trains takes these as they are.

mod groups;
mod loss;
mod method;
mod optimizer;
mod schedule;

pub use groups::ParameterGroup;
pub use loss::{ClassWeights, LossConfig};
pub use method::Method;
pub use optimizer::{OPTIMIZERS, OptimizerConfig};
pub use schedule::{Plateau, ScheduleConfig, ScheduleKind};
