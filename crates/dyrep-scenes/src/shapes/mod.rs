//! Scenes that are made up: textured shapes that hide one another before a picture like a photograph.
//!
//! Shapes are drawn from the back to the front. One that would leave less than a quarter of another, or of
//! itself, to be seen is not drawn: every shape in a picture is annotated. A box is that of the part that
//! is seen. In the mask 0 is the background, and class `c` has the label `c + 1`.

mod draw;
mod write;

use std::ops::RangeInclusive;

use dyrep_data::{
    Channels, DataError, Dataset, Encoding, Image, SampleRng, Synthetic, SyntheticConfig,
};

use self::draw::{Figure, Kind};
pub use self::write::PictureFormat;
use crate::error::SceneError;
use crate::scene::{Mask, Object, Scene};

/// Shapes in a picture at most, so that ids of objects have room.
const MOST: u32 = 1000;
/// The share of a shape that has to be seen.
const SEEN: f64 = 0.25;
/// The least area of a shape in pixels.
const LEAST: usize = 12;
/// An epoch that no training reaches: what makes pictures is apart from what transforms them.
const NO_EPOCH: u64 = u64::MAX;

/// What [`Shapes`] draws.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapesConfig {
    /// Width in pixels, at least 16.
    pub width: u32,
    /// Height in pixels, at least 16.
    pub height: u32,
    /// How many shapes are tried in a picture; those that would hide another are not drawn.
    pub objects: RangeInclusive<u32>,
    /// Radius of a shape as a share of the picture's shorter side.
    pub radii: RangeInclusive<f64>,
    /// Determines the pictures.
    pub seed: u64,
}

/// 320×240 pixels, 2 to 8 shapes of 12 to 72 pixels' radius.
impl Default for ShapesConfig {
    fn default() -> Self {
        Self { width: 320, height: 240, objects: 2..=8, radii: 0.05..=0.3, seed: 0 }
    }
}

/// Made-up scenes with boxes and masks, a function of (seed, index), the same on every machine.
///
/// ```
/// use dyrep_scenes::{Shapes, ShapesConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shapes = Shapes::new(ShapesConfig { width: 64, height: 48, ..ShapesConfig::default() })?;
/// let scene = shapes.scene(3)?;
/// assert_eq!(scene, shapes.scene(3)?);
/// assert!(scene.objects().iter().all(|object| object.class < Shapes::classes().len()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Shapes {
    config: ShapesConfig,
}

/// A scene, and which object each pixel shows: 0 is the background, `n` the `n`-th object.
struct Drawn {
    scene: Scene,
    shown: Vec<u16>,
}

impl Shapes {
    /// Scenes of the given kind.
    ///
    /// # Errors
    ///
    /// If a side is below 16 or there are more than [`Image::MAX_PIXELS`]; if the numbers of shapes are
    /// not in order or above 1000; if the radii are not above 0, at most 1 and in order.
    pub fn new(config: ShapesConfig) -> Result<Self, SceneError> {
        let ShapesConfig { width, height, ref objects, ref radii, .. } = config;
        let refused = |option, found: String, expected: &str| {
            Err(SceneError::Transform {
                transform: "shapes",
                option,
                found,
                expected: expected.to_owned(),
            })
        };
        if width < 16 || height < 16 {
            return refused("size", format!("{width}x{height}"), "sides of at least 16");
        }
        if u64::from(width) * u64::from(height) > Image::MAX_PIXELS {
            let (width, height, limit) = (width.into(), height.into(), Image::MAX_PIXELS);
            return Err(DataError::OutputTooLarge { width, height, limit }.into());
        }
        if objects.is_empty() || *objects.end() > MOST {
            return refused("objects", format!("{objects:?}"), "0 to 1000, the smaller first");
        }
        let (least, most) = (*radii.start(), *radii.end());
        if !(least > 0.0 && least <= most && most <= 1.0) {
            return refused("radii", format!("{radii:?}"), "above 0, at most 1, the smaller first");
        }
        Ok(Self { config })
    }

    /// Names of the classes of objects. Those of the mask are one more: label 0 is the background.
    #[must_use]
    pub fn classes() -> [&'static str; 6] {
        Kind::ALL.map(|(_, name)| name)
    }

    /// The scene of an index. Objects are ordered from the back to the front, and their area is that of
    /// the pixels that are seen.
    ///
    /// # Errors
    ///
    /// If a picture of this size cannot be made up ([`DataError`] says why).
    pub fn scene(&self, index: u32) -> Result<Scene, SceneError> {
        self.drawn(index).map(|drawn| drawn.scene)
    }

    fn drawn(&self, index: u32) -> Result<Drawn, SceneError> {
        let ShapesConfig { width, height, ref objects, ref radii, seed } = self.config;
        let mut rng = SampleRng::new(seed, NO_EPOCH, index.into());
        let mut pixels = background(width, height, &mut rng)?;
        let short = f64::from(width.min(height));
        let radii = [*radii.start(), *radii.end()].map(|share| share * short);
        let tried = objects.start() + rng.below(objects.end() - objects.start() + 1);
        let size = [width, height];
        let mut shown = vec![0_u16; pixels.len() / 3];
        let mut layers: Vec<Layer> = vec![];
        for _ in 0..tried {
            let figure = Figure::new(size, radii, &mut rng);
            let covered = figure.pixels(size);
            if !may_cover(&covered, &shown, &layers, width) {
                continue;
            }
            let number = layers.len() as u16 + 1;
            for &pixel in &covered {
                let at = place(pixel, width);
                if let Some(hidden) = usize::from(shown[at]).checked_sub(1) {
                    layers[hidden].seen -= 1;
                }
                shown[at] = number;
                pixels[3 * at..3 * at + 3].copy_from_slice(&figure.colour(pixel, &mut rng));
            }
            layers.push(Layer { class: figure.class, all: covered.len(), seen: covered.len() });
        }
        let boxes = extents(&shown, layers.len(), width);
        let objects = layers.iter().zip(boxes).enumerate().map(|(at, (layer, bbox))| Object {
            bbox,
            class: layer.class,
            is_crowd: false,
            area: layer.seen as f64,
            id: u64::from(index) * u64::from(MOST) + at as u64 + 1,
        });
        let label = |number: &u16| match usize::from(*number).checked_sub(1) {
            None => 0,
            Some(at) => layers[at].class as u8 + 1,
        };
        let mask = Mask::new(width, height, shown.iter().map(label).collect())?;
        let image = Image::new(width, height, 3, pixels)?;
        Ok(Drawn { scene: Scene::new(image, objects.collect(), Some(mask))?, shown })
    }
}

/// A shape that was drawn, and how many of its pixels are still seen.
struct Layer {
    class: usize,
    all: usize,
    seen: usize,
}

/// Whether a shape is large enough, and leaves enough of all others to be seen.
fn may_cover(covered: &[[u32; 2]], shown: &[u16], layers: &[Layer], width: u32) -> bool {
    let mut seen: Vec<usize> = layers.iter().map(|layer| layer.seen).collect();
    for pixel in covered {
        if let Some(hidden) = usize::from(shown[place(*pixel, width)]).checked_sub(1) {
            seen[hidden] -= 1;
        }
    }
    let enough =
        |(layer, seen): (&Layer, usize)| seen >= LEAST && seen as f64 >= SEEN * layer.all as f64;
    covered.len() >= LEAST && layers.iter().zip(seen).all(enough)
}

fn place([x, y]: [u32; 2], width: u32) -> usize {
    y as usize * width as usize + x as usize
}

/// The box around the pixels of each of so many objects; each has some.
fn extents(shown: &[u16], objects: usize, width: u32) -> Vec<[f64; 4]> {
    let mut boxes = vec![[f64::INFINITY, f64::INFINITY, 0.0, 0.0]; objects];
    for (at, number) in shown.iter().enumerate().filter(|(_, number)| **number > 0) {
        let (x, y) = ((at % width as usize) as f64, (at / width as usize) as f64);
        let [x1, y1, x2, y2] = &mut boxes[usize::from(*number) - 1];
        (*x1, *y1, *x2, *y2) = (x1.min(x), y1.min(y), x2.max(x + 1.0), y2.max(y + 1.0));
    }
    boxes
}

/// A picture like a photograph, RGB.
fn background(width: u32, height: u32, rng: &mut SampleRng) -> Result<Vec<u8>, SceneError> {
    let seed = u64::from(rng.below(u32::MAX));
    let channels = Channels::Rgb;
    let encoding = Encoding::Pixels;
    let config =
        SyntheticConfig { samples: 1, classes: 1, width, height, channels, seed, encoding };
    Ok(Synthetic::new(config)?.image(0)?.into_pixels())
}
