//! Annotated pictures: boxes and masks, from the files that the field exchanges.
//!
//! ```text
//! Coco, Masks ── scene(i) ──▶ Scene { image, objects, mask } ── transforms, rng(seed, epoch, i) ──▶ Scene
//! detections ── write_detections ──▶ COCO's results
//! ```
//!
//! * A [`Scene`] is a picture with [`Object`]s, each a box and a class, and perhaps a [`Mask`], a
//!   class for each pixel. It is valid by construction: boxes lie in the picture, the mask is of its size.
//! * [`Coco`] reads COCO's annotations; [`Detection`]s leave in COCO's format for results.
//! * [`Masks`] reads folders of pictures and masks, and Cityscapes.
//! * A [`SceneTransform`] moves boxes and masks exactly with the pixels; what is random comes from the
//!   sample's own generator.
//! * [`Shapes`] makes scenes up, textured shapes that hide one another, and writes them as files that the
//!   readers above read back.
//!
//! Coordinates are continuous and in pixels: pixel `(column, row)` covers `column..column + 1` and
//! `row..row + 1`, so a box around it is `[column, row, column + 1, row + 1]`.
//!
//! What a file declares and cannot be used is either a [`SceneError`], which names the file, the
//! annotation and what was expected, or counted in [`Counts`], which a user is told in one line. The crate
//! knows no tensor.

mod coco;
mod counts;
mod error;
mod file;
mod mask_file;
mod masks;
mod scene;
mod shapes;
mod transform;

pub use crate::coco::{
    Categories, Coco, Detection, Segmentation, read_detections, write_detections,
};
pub use crate::counts::{Counts, Reason};
pub use crate::error::SceneError;
pub use crate::mask_file::{read_mask, write_mask};
pub use crate::masks::{CITYSCAPES, Masks};
pub use crate::scene::{Mask, Object, Scene};
pub use crate::shapes::{PictureFormat, Shapes, ShapesConfig};
pub use crate::transform::{
    Keep, Mosaic, PadToMultiple, RandomFlip, RandomScaleCrop, ResizeSides, SceneTransform,
};
pub use dyrep_resample::Region;
