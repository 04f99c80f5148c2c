//! Four scenes as one, as YOLOv4 introduced it (A. Bochkovskiy et al., arXiv 2004.10934, section 3.3).
//!
//! A point in the middle half of the picture cuts it into four tiles. Each is filled by a scene, scaled
//! as little as covers the tile, of which a random part is cut out.
//!
//! DIFFERENCE: published code scales all scenes alike and leaves grey what they do not cover.

use dyrep_data::SampleRng;
use dyrep_resample::Region;

use super::place::Canvas;
use super::random::random_region;
use super::{Keep, checked_size, invalid};
use crate::error::SceneError;
use crate::scene::{Object, Scene};

/// Joins four scenes to one of a given size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mosaic {
    width: u32,
    height: u32,
    keep: Keep,
}

impl Mosaic {
    /// Mosaics of `width × height` pixels.
    ///
    /// # Errors
    ///
    /// If a side is below 4, or there are too many pixels.
    pub fn new(width: u32, height: u32) -> Result<Self, SceneError> {
        if width < 4 || height < 4 {
            let found = format!("{width}x{height}");
            return Err(invalid("mosaic", "size", &found, "sides of at least 4"));
        }
        checked_size(width.into(), height.into())?;
        Ok(Self { width, height, keep: Keep::default() })
    }

    /// Keeps other objects than [`Keep::default`] does.
    #[must_use]
    pub fn with_keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// The samples that make the mosaic of sample `index` among `samples`: itself and three others,
    /// each equally likely and perhaps the same.
    ///
    /// # Panics
    ///
    /// If there are no samples.
    #[must_use]
    pub fn members(&self, index: usize, samples: u32, rng: &mut SampleRng) -> [usize; 4] {
        let mut other = || rng.below(samples) as usize;
        [index, other(), other(), other()]
    }

    /// The mosaic: top left, top right, bottom left, bottom right. A scene without a mask counts for
    /// nothing in one that has some.
    ///
    /// # Errors
    ///
    /// If the scenes differ in channels, or one would have too many pixels once it covers its tile.
    pub fn join(&self, scenes: [Scene; 4], rng: &mut SampleRng) -> Result<Scene, SceneError> {
        let channels = scenes.each_ref().map(|scene| scene.image().channels());
        if channels.iter().any(|count| *count != channels[0]) {
            return Err(invalid("mosaic", "channels", &format!("{channels:?}"), "the same of all"));
        }
        let masked = scenes.iter().any(|scene| scene.mask().is_some());
        let mut canvas = Canvas::new(self.width, self.height, &vec![0; channels[0]], masked);
        let mut middle = |side: u32| side / 4 + rng.below(side / 2 + 1);
        let (x, y) = (middle(self.width), middle(self.height));
        let (right, bottom) = (self.width - x, self.height - y);
        let tiles = [
            Region { left: 0, top: 0, width: x, height: y },
            Region { left: x, top: 0, width: right, height: y },
            Region { left: 0, top: y, width: x, height: bottom },
            Region { left: x, top: y, width: right, height: bottom },
        ];
        let mut objects: Vec<Object> = vec![];
        for (scene, tile) in scenes.into_iter().zip(tiles) {
            let size = (tile.width, tile.height);
            let scene = covering(scene, size)?;
            let region = random_region(&scene, size, rng);
            let (image, found, mask) = scene.cropped(region, self.keep)?.into_parts();
            let whole = Region::whole(tile.width, tile.height);
            canvas.draw(&image, mask.as_ref(), whole, (tile.left, tile.top));
            let (left, top) = (f64::from(tile.left), f64::from(tile.top));
            objects.extend(found.into_iter().filter_map(|object| {
                let [x1, y1, x2, y2] = object.bbox;
                let bbox = [x1 + left, y1 + top, x2 + left, y2 + top];
                self.keep.holds(bbox, bbox).then_some(Object { bbox, ..object })
            }));
        }
        canvas.finish(objects)
    }
}

/// A scene scaled by the smallest factor that covers `width × height`; sides are rounded up.
fn covering(scene: Scene, (width, height): (u32, u32)) -> Result<Scene, SceneError> {
    let (from_width, from_height) = (scene.image().width(), scene.image().height());
    let wide = |of: [u32; 2]| u64::from(of[0]) * u64::from(of[1]);
    let (times, over) = if wide([width, from_height]) >= wide([height, from_width]) {
        (width, from_width)
    } else {
        (height, from_height)
    };
    let scaled = |side: u32| wide([side, times]).div_ceil(u64::from(over));
    let (width, height) = checked_size(scaled(from_width), scaled(from_height))?;
    scene.resized(width, height)
}
