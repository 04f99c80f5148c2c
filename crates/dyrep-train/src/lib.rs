#![doc = include_str!("../../../README.md")]
//!
//! # This crate
//! Training: the wrapper for Burn's loop, whole runs in a folder, recipes, reports, devices by name.
//!
//! ```text
//! Recipe ─▶ Plan ─▶ Run ─▶ SupervisedTraining ( DyRep ( Classifier ( network ) ) ) ─▶ Ended ─▶ Deployment
//!                    │        └─▶ Checkpoints, whole or not at all
//!                    └─▶ Recorder ─▶ RunRecord, report.html, Progress
//! ```
//!
//! Nothing here prints: a [`Progress`] is told what happens.

mod checkpoint;
mod classifier;
mod data;
mod deployment;
mod device;
mod disk;
mod distillation;
mod dyrep;
mod epoch_steps;
mod error;
mod evaluate;
mod failure;
mod input;
mod optimizer;
mod params;
mod pictures;
mod plan;
mod rate_search;
mod rep_optimizer;
pub mod report;
mod run;
mod schedule;
mod step_gradients;
mod trial;

pub use dyrep_recipe as recipe;

pub use burn_train::Interrupter;
pub use checkpoint::{Broken, Checkpoints, Moment, Part};
pub use classifier::{Classifier, Loss};
pub use data::{Part as DataPart, evaluation, input, notices, part, sets};
pub use deployment::{Cost, Deployment};
pub use device::{available, default_name, device};
pub use disk::{Disk, SystemDisk};
pub use distillation::{Distillation, SoftTargets, TeacherLogits};
pub use dyrep::{BoxedError, CalibrationData, DyRep};
pub use dyrep_models::Network;
pub use dyrep_recipe::{
    ClassWeights, LossConfig, Method, OptimizerConfig, ParameterGroup, Plateau, ScheduleConfig,
    ScheduleKind,
};
pub use error::{DeviceError, TrainError};
pub use evaluate::{Accuracy, ClassAccuracy, Confusion, evaluate, evaluate_rows, evaluate_with};
pub use failure::Failure;
pub use input::InputSpec;
pub use optimizer::Groups;
pub use pictures::{Batches, Pictures};
pub use plan::Plan;
pub use rate_search::{RatePoint, RateSearch};
pub use rep_optimizer::{
    Ends, GradientMultipliers, LayerScales, RepOptimizer, Scales, Values as ScaleValues,
};
pub use run::{
    Amendment, Ended, EpochReport, Progress, Run, RunRecord, RunState, Silent, StepReport, Sums,
    Training, Unfinished,
};
pub use schedule::Schedule;
pub use step_gradients::{LossScale, Place, StepGradients};
pub use trial::{Trial, Trials};
