//! Each random transform against 10,000 draws of torchvision's and timm's.
//!
//! What is compared is what can be seen: boxes, and bytes of small pictures. The recorded draws and
//! ours are two samples; `sample.rs` says when they may be of one distribution. Every transform has
//! a wrong one beside it that the same check must refuse.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod boxes;
mod colours;
mod painted;
#[path = "../agreement/region.rs"]
mod region;
mod sample;
