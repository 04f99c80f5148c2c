//! Resizing, cropping and flipping the same pixels as torchvision does on Pillow's images.
//!
//! The source is what Pillow decoded, so that our decoder has no part in it. Resized bytes may
//! differ where the weights of the two filters are rounded to other fractions; what only moves bytes
//! must be equal.

use std::collections::BTreeSet;

use dyrep_data::{
    CenterCrop, Image, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, Resize, SampleRng,
    Transform,
};
use rstest::rstest;

use crate::golden::{Bound, Difference, crc32, part, png, table};
use crate::region::{coordinates, region};

/// The size of a region, and how a region is found in `regions.png`.
const WIDTH: usize = 192;
const HEIGHT: usize = 128;
const REGIONS: [&str; 2] = ["china", "flower"];

/// Measured: 1 level, of all sizes, boxes and sources.
const RESIZE: Bound = Bound { levels: 2, share: 0.001 };

/// A line of `shapes.csv`.
pub(crate) struct Shape {
    pub(crate) source: String,
    pub(crate) arguments: Vec<f64>,
    width: usize,
    height: usize,
    top: Option<usize>,
    pub(crate) crc: u32,
}

impl Shape {
    fn read(fields: &[String]) -> Self {
        let number = |field: &str| field.parse().unwrap();
        Self {
            source: fields[0].clone(),
            arguments: fields[2].split_whitespace().map(|value| value.parse().unwrap()).collect(),
            width: number(&fields[3]),
            height: number(&fields[4]),
            top: fields[5].parse().ok(),
            crc: fields[6].parse().unwrap(),
        }
    }

    pub(crate) fn argument(&self, index: usize) -> u32 {
        self.arguments[index] as u32
    }

    /// The region that the script started from.
    pub(crate) fn image(&self) -> Image {
        let place = REGIONS.iter().position(|name| self.source.starts_with(name)).unwrap();
        let region = part(&png("golden/regions.png"), 0, place * HEIGHT, WIDTH, HEIGHT);
        if self.source.ends_with("green") { green(&region) } else { region }
    }

    /// What Pillow made of it.
    pub(crate) fn want(&self) -> Image {
        let pictures = png("golden/shapes.png");
        let want = part(&pictures, 0, self.top.unwrap(), self.width, self.height);
        let want = if self.source.ends_with("green") { green(&want) } else { want };
        assert_eq!(crc32(want.pixels()), self.crc, "shapes.png is not of shapes.csv");
        want
    }
}

pub(crate) fn shapes(operation: &str) -> Vec<Shape> {
    let table = table("golden/shapes.csv");
    let shapes: Vec<_> =
        table.iter().filter(|row| row[1] == operation).map(|row| Shape::read(row)).collect();
    assert!(!shapes.is_empty(), "{operation} is not in shapes.csv");
    shapes
}

fn green(image: &Image) -> Image {
    let pixels = image.pixels().iter().skip(1).step_by(3).copied().collect();
    Image::new(image.width(), image.height(), 1, pixels).unwrap()
}

fn rng(index: u64) -> SampleRng {
    SampleRng::new(7, 0, index)
}

fn apply(transform: &impl Transform, image: Image) -> Image {
    transform.apply(image, &mut rng(0)).unwrap()
}

/// Compares the results of an operation with Pillow's.
fn check(operation: &str, bound: Bound, result: impl Fn(&Shape) -> Image) {
    let differences = shapes(operation).into_iter().map(|shape| {
        let found = result(&shape);
        assert_eq!((found.width() as usize, found.height() as usize), (shape.width, shape.height));
        Difference::of(&found, &shape.want())
    });
    bound.check(operation, differences.fold(Difference::default(), Difference::and));
}

/// Compares bytes with Pillow's by their checksum.
fn check_exact(operation: &str, result: impl Fn(&Shape) -> Image) {
    for shape in shapes(operation) {
        let found = result(&shape);
        assert_eq!((found.width() as usize, found.height() as usize), (shape.width, shape.height));
        assert_eq!(crc32(found.pixels()), shape.crc, "{operation} {:?}", shape.arguments);
    }
}

#[test]
fn resized_as_pillow_resizes() {
    check("resize", RESIZE, |shape| apply(&Resize::new(shape.argument(0)).unwrap(), shape.image()));
}

#[test]
fn enlarged_as_pillow_enlarges() {
    check("enlarge", RESIZE, |shape| {
        let [width, height] = [0, 1].map(|i| shape.argument(i) as usize);
        let image = part(&shape.image(), 0, 0, width, height);
        apply(&Resize::new(shape.argument(2)).unwrap(), image)
    });
}

/// The script knows the boxes because they were read off this generator once.
#[test]
fn random_boxes_are_cut_and_resized_as_pillow_does() {
    check("crop and resize", RESIZE, |shape| {
        let crop = |size| {
            let (low, high) = (shape.arguments[1], shape.arguments[2]);
            RandomResizedCrop::new(size).unwrap().with_scale(low..=high).unwrap()
        };
        let index = shape.argument(0).into();
        let drawn = crop(2 * WIDTH as u32)
            .apply(coordinates(WIDTH as u32, HEIGHT as u32), &mut rng(index))
            .unwrap();
        assert_eq!(region(&drawn), [3, 4, 5, 6].map(|i| shape.argument(i)), "sample {index}");
        crop(shape.width as u32).apply(shape.image(), &mut rng(index)).unwrap()
    });
}

/// The bound would notice a box that is one pixel further right, and one that is one wider.
#[test]
fn a_box_one_pixel_off_is_noticed() {
    for shape in shapes("crop and resize") {
        let [left, top, width, height] = [3, 4, 5, 6].map(|i| shape.argument(i) as usize);
        for (left, width) in [(left + 1, width), (left, width + 1)] {
            // All of it: a box of its own aspect and area.
            let (side, aspect) = (shape.width as u32, width as f64 / height as f64);
            let whole = RandomResizedCrop::new(side).unwrap().with_scale(1.0..=1.0).unwrap();
            let whole = whole.with_ratio(aspect..=aspect).unwrap();
            let found = apply(&whole, part(&shape.image(), left, top, width, height));
            assert!(Difference::of(&found, &shape.want()).levels > RESIZE.levels);
        }
    }
}

#[test]
fn flips_are_exact() {
    check_exact("flip", |shape| {
        let image = match shape.arguments[..] {
            [width] => part(&shape.image(), 0, 0, width as usize, 20),
            _ => shape.image(),
        };
        apply(&RandomHorizontalFlip::new(1.0).unwrap(), image)
    });
}

#[test]
fn center_crops_are_exact() {
    check_exact("center crop", |shape| {
        apply(&CenterCrop::new(shape.argument(0)).unwrap(), shape.image())
    });
}

/// Which of the 25 crops a sample gets is read off a crop of coordinates, counted from 1 there so
/// that the border, 0, is none.
#[rstest]
fn padded_crops_are_exact(#[values("china green", "flower")] source: &str) {
    let of_source = shapes("padded crop").into_iter().filter(|shape| shape.source == source);
    let shapes: Vec<Shape> = of_source.collect();
    let image = part(&shapes[0].image(), 0, 0, 32, 32);
    let places = (0..32 * 32).flat_map(|at| [at % 32 + 1, at / 32 + 1].map(|place| place as u8));
    let places = Image::new(32, 32, 2, places.collect()).unwrap();
    let crop = RandomCrop::new(32, 2).unwrap();
    let mut seen = BTreeSet::new();
    for index in 0..300 {
        let drawn = crop.apply(places.clone(), &mut rng(index)).unwrap();
        let middle = &drawn.pixels()[(16 * 32 + 16) * 2..][..2];
        let [left, top] = [0, 1].map(|i| f64::from(middle[i]) - 15.0);
        let shape = shapes.iter().find(|shape| shape.arguments == [top, left]).unwrap();
        let found = crop.apply(image.clone(), &mut rng(index)).unwrap();
        assert_eq!(crc32(found.pixels()), shape.crc, "from {left}, {top}");
        seen.insert((left as u32, top as u32));
    }
    assert_eq!(seen.len(), 25);
}
