//! Boxes around objects, as plain numbers: what a detector is trained on and what becomes of its
//! outputs, as torchvision 0.29 computes both for RetinaNet (Lin et al., 2017, arXiv:1708.02002) and
//! FCOS (Tian et al., 2019, arXiv:1904.01355).
//!
//! ```text
//! picture ─▶ ResizeRule ─▶ padded ─▶ pyramid ─▶ AnchorGenerator ─▶ Anchors
//! objects, Anchors ─▶ Matcher | CentreSampling ─▶ Match ─▶ BoxCoder | BoxLinearCoder ─▶ codes
//! logits, codes, Anchors ─▶ PostProcess (decode, clip, batched_nms) ─▶ Detection
//! ```
//!
//! Lengths are pixels, and corners lie between pixels: a box from 0 to 10 is 10 wide, not 11. Targets
//! follow from annotations and shapes alone, so no tensor is needed for them, and whoever loads
//! pictures can compute them.
//!
//! ```
//! use dyrep_boxes::{AnchorGenerator, BBox, Match, Matcher, Size, pyramid};
//!
//! let picture = Size { height: 256, width: 320 };
//! let anchors = AnchorGenerator::retinanet().anchors(picture, &pyramid(picture)?)?;
//! let object = BBox::new(40.0, 30.0, 104.0, 94.0);
//! let matches = Matcher::retinanet().matches(&[object], anchors.boxes())?;
//! assert!(matches.contains(&Match::Object(0)));
//! # Ok::<(), dyrep_boxes::BoxError>(())
//! ```
//!
//! # What is not a number
//!
//! Nothing here panics, and nothing takes what is not a number for one. Where torchvision computes on
//! with NaN (a suppression whose offsets are NaN suppresses nothing), these functions refuse with a
//! [`BoxError`] that names the value. Every other deviation is marked `DIFFERENCE` where it stands.

mod anchors;
mod assign;
mod bbox;
mod coder;
mod error;
mod matcher;
mod nms;
mod picture;
mod post;

pub use anchors::{AnchorGenerator, Anchors, pyramid};
pub use assign::CentreSampling;
pub use bbox::{BBox, remove_small};
pub use coder::{BoxCoder, BoxLinearCoder, centreness};
pub use error::BoxError;
pub use matcher::{Match, Matcher};
pub use nms::{batched_nms, nms};
pub use picture::{ResizeRule, Size, padded};
pub use post::{Coding, Detection, LevelOutputs, PostProcess};
