//! What the tests share: comparing tensors, reading reference files, filling modules by path.

// Helpers of tests: a failure is a panic with the reason.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod close;
pub mod device;
pub mod golden;
pub mod network;
pub mod params;
pub mod random;
pub mod steps;
pub mod trajectory;

pub use device::under_test;
