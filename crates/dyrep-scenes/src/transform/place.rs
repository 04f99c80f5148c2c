//! What transforms do to a scene once everything random is decided.

use dyrep_data::{Image, RandomHorizontalFlip, SampleRng, Transform};
use dyrep_resample::{Region, Resampler, View};

use super::{Keep, checked_size, invalid, visible};
use crate::error::SceneError;
use crate::scene::{Mask, Object, Scene};

impl Scene {
    /// The scene scaled to `width × height` pixels; areas scale with it. A box that is too thin for
    /// its corners to differ is removed.
    ///
    /// # Errors
    ///
    /// If a side is 0, or there are too many pixels.
    pub fn resized(self, width: u32, height: u32) -> Result<Self, SceneError> {
        if width == 0 || height == 0 {
            return Err(invalid(
                "resize",
                "size",
                &format!("{width}x{height}"),
                "sides of at least 1",
            ));
        }
        checked_size(width.into(), height.into())?;
        let (image, objects, mask) = self.into_parts();
        let from @ (from_width, from_height) = (image.width(), image.height());
        if from == (width, height) {
            return Self::new(image, objects, mask);
        }
        let view = View {
            width: from_width,
            height: from_height,
            channels: image.channels(),
            pixels: image.pixels(),
        };
        let whole = Region::whole(from_width, from_height);
        let pixels = Resampler::default().resample(view, whole, width, height);
        // Multiplied first: a corner on the picture's edge comes to lie on it exactly.
        let along = |x: f64| x * f64::from(width) / f64::from(from_width);
        let down = |y: f64| y * f64::from(height) / f64::from(from_height);
        let objects = objects.into_iter().map(|object| {
            let [x1, y1, x2, y2] = object.bbox;
            let bbox = [along(x1), down(y1), along(x2), down(y2)];
            Object { bbox, area: down(along(object.area)), ..object }
        });
        let any = Keep { side: 0.0, share: 0.0 };
        let objects = objects.filter(|object| any.holds(object.bbox, object.bbox)).collect();
        let mask = mask.map(|mask| nearest(&mask, width, height)).transpose()?;
        Self::new(Image::new(width, height, image.channels(), pixels)?, objects, mask)
    }

    /// The part of the scene in `region`. Boxes are cut at its edges, and removed if `keep` does not
    /// hold; the area of what is cut shrinks as its box's does.
    ///
    /// # Errors
    ///
    /// If the region has a side of 0 or is not inside of the picture.
    pub fn cropped(self, region: Region, keep: Keep) -> Result<Self, SceneError> {
        let (image, objects, mask) = self.into_parts();
        let Region { left, top, width, height } = region;
        let inside = |from: u32, length: u32, all: u32| {
            length > 0 && u64::from(from) + u64::from(length) <= u64::from(all)
        };
        if !inside(left, width, image.width()) || !inside(top, height, image.height()) {
            let expected = format!("inside of {}x{}", image.width(), image.height());
            return Err(invalid("crop", "region", &format!("{region:?}"), &expected));
        }
        let mut canvas = Canvas::new(width, height, &vec![0; image.channels()], mask.is_some());
        canvas.draw(&image, mask.as_ref(), region, (0, 0));
        let (left, top) = (f64::from(left), f64::from(top));
        let (right, bottom) = (f64::from(width), f64::from(height));
        let objects = objects.into_iter().filter_map(|object| {
            let [x1, y1, x2, y2] = object.bbox;
            let whole @ [x1, y1, x2, y2] = [x1 - left, y1 - top, x2 - left, y2 - top];
            let bbox = [x1.max(0.0), y1.max(0.0), x2.min(right), y2.min(bottom)];
            let kept = keep.holds(whole, bbox);
            kept.then(|| Object { bbox, area: object.area * visible(whole, bbox), ..object })
        });
        canvas.finish(objects.collect())
    }

    /// The scene with left and right exchanged.
    ///
    /// # Errors
    ///
    /// None that is known: the result is held against the rules of a scene, as every one is.
    pub fn flipped(self) -> Result<Self, SceneError> {
        let (image, mut objects, mask) = self.into_parts();
        let (width, certain) = (f64::from(image.width()), RandomHorizontalFlip::new(1.0)?);
        let image = certain.apply(image, &mut SampleRng::new(0, 0, 0))?;
        for object in &mut objects {
            let [x1, y1, x2, y2] = object.bbox;
            object.bbox = [width - x2, y1, width - x1, y2];
        }
        objects.retain(|object| Keep { side: 0.0, share: 0.0 }.holds(object.bbox, object.bbox));
        let mirrored = |mask: Mask| {
            let rows = mask.labels().chunks_exact(mask.width() as usize);
            let labels = rows.flat_map(|row| row.iter().rev().copied()).collect();
            Mask::new(mask.width(), mask.height(), labels)
        };
        Self::new(image, objects, mask.map(mirrored).transpose()?)
    }

    /// The scene at the top left of `width × height` pixels. The others are of the colour `fill`, one
    /// value a channel, and count for nothing in the mask.
    ///
    /// # Errors
    ///
    /// If a side is smaller than the picture's, there are too many pixels, or `fill` has not a value
    /// for each channel.
    pub fn padded(self, width: u32, height: u32, fill: &[u8]) -> Result<Self, SceneError> {
        checked_size(width.into(), height.into())?;
        let (image, objects, mask) = self.into_parts();
        let whole = Region::whole(image.width(), image.height());
        if width < whole.width || height < whole.height {
            let expected = format!("at least {}x{}", whole.width, whole.height);
            return Err(invalid("pad", "size", &format!("{width}x{height}"), &expected));
        }
        if fill.len() != image.channels() {
            let expected = format!("{} values, one a channel", image.channels());
            return Err(invalid("pad", "fill", &format!("{fill:?}"), &expected));
        }
        let mut canvas = Canvas::new(width, height, fill, mask.is_some());
        canvas.draw(&image, mask.as_ref(), whole, (0, 0));
        canvas.finish(objects)
    }
}

/// A mask scaled: each new pixel takes the label of the old one that its centre lies in.
fn nearest(mask: &Mask, width: u32, height: u32) -> Result<Mask, SceneError> {
    // ⌊(at + ½) · from / to⌋ in integers.
    let source = |at: u32, from: u32, to: u32| {
        ((2 * u64::from(at) + 1) * u64::from(from) / (2 * u64::from(to))) as usize
    };
    let columns: Vec<usize> = (0..width).map(|x| source(x, mask.width(), width)).collect();
    let mut labels = Vec::with_capacity(width as usize * height as usize);
    for y in 0..height {
        let start = source(y, mask.height(), height) * mask.width() as usize;
        labels.extend(columns.iter().map(|column| mask.labels()[start + column]));
    }
    Mask::new(width, height, labels)
}

/// Pixels and labels that parts of scenes are drawn on.
pub(super) struct Canvas {
    width: u32,
    height: u32,
    channels: usize,
    pixels: Vec<u8>,
    labels: Option<Vec<u8>>,
}

impl Canvas {
    /// All of one colour, and of labels that count for nothing. The caller has checked the size.
    pub(super) fn new(width: u32, height: u32, fill: &[u8], masked: bool) -> Self {
        let area = width as usize * height as usize;
        let labels = masked.then(|| vec![Mask::IGNORE; area]);
        let channels = fill.len();
        Self { width, height, channels, pixels: fill.repeat(area), labels }
    }

    /// Draws a region, which lies inside of the picture, with its top left at `at`; it fits.
    pub(super) fn draw(
        &mut self,
        image: &Image,
        mask: Option<&Mask>,
        region: Region,
        at: (u32, u32),
    ) {
        let (from, to) = (image.width(), self.width);
        copy((image.pixels(), from), (&mut self.pixels, to), self.channels, region, at);
        if let (Some(labels), Some(mask)) = (&mut self.labels, mask) {
            copy((mask.labels(), from), (labels, to), 1, region, at);
        }
    }

    pub(super) fn finish(self, objects: Vec<Object>) -> Result<Scene, SceneError> {
        let Self { width, height, channels, pixels, labels } = self;
        let mask = labels.map(|labels| Mask::new(width, height, labels)).transpose()?;
        Scene::new(Image::new(width, height, channels, pixels)?, objects, mask)
    }
}

/// Copies a region between buffers of rows, each given with its width in pixels.
fn copy(
    (source, from): (&[u8], u32),
    (target, to): (&mut [u8], u32),
    channels: usize,
    region: Region,
    (x, y): (u32, u32),
) {
    let place = |row: u32, width: u32, column: u32| {
        (row as usize * width as usize + column as usize) * channels
    };
    let length = region.width as usize * channels;
    for row in 0..region.height {
        let start = place(region.top + row, from, region.left);
        let end = place(y + row, to, x);
        target[end..end + length].copy_from_slice(&source[start..start + length]);
    }
}
