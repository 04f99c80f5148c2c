//! Pictures as Pillow and torchvision have them: decoded, resized, cropped, flipped.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod decode;
mod golden;
mod photographs;
mod region;
mod shapes;
mod windows;
