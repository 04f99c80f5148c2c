//! Rectangles that are painted over: erasing and cutout.

use dyrep_data::{Cutout, Erase, Fill, Image, RandomErasing, SampleRng, Transform};
use rstest::rstest;

use crate::sample::{Draw, apply, check, check_refused, named};

/// Left, top, width and height of the rectangle that is black, if any.
fn black_box(image: &Image) -> Option<[u32; 4]> {
    let black = |at: &u32| image.pixels()[*at as usize] == 0;
    let places: Vec<u32> = (0..image.width() * image.height()).filter(black).collect();
    // Row by row, the first and the last place are two opposite corners.
    let [first, last] =
        [places.first()?, places.last()?].map(|at| (at % image.width(), at / image.width()));
    let (width, height) = (last.0 - first.0 + 1, last.1 - first.1 + 1);
    assert_eq!(places.len() as u32, width * height, "no rectangle");
    Some([first.0, first.1, width, height])
}

fn white(width: u32, height: u32) -> Image {
    Image::new(width, height, 1, vec![255; (width * height) as usize]).unwrap()
}

fn erasing(
    (width, height): (u32, u32),
    probability: f64,
    options: impl Fn(RandomErasing) -> RandomErasing,
) -> impl Fn(&mut SampleRng) -> Draw {
    let erasing = RandomErasing::new(probability, Erase::Constant(Fill::grey(0))).unwrap();
    let (erasing, image) = (options(erasing), white(width, height));
    move |rng| {
        let Some(region) = black_box(&apply(&erasing, &image, rng)) else {
            return named([("erased", 0.0)]);
        };
        let [left, top, w, h] = region.map(f64::from);
        named([
            ("erased", 1.0),
            ("area", w * h / f64::from(width * height)),
            ("log ratio", (h / w).ln()),
            ("left", left),
            ("top", top),
        ])
    }
}

/// Of the narrow picture many boxes do not fit, so it is drawn again, and sometimes in vain.
#[test]
fn erased_boxes_are_torchvisions() {
    check("erasing of 40x40", erasing((40, 40), 0.5, |erasing| erasing));
    check("erasing of 16x50", erasing((16, 50), 0.25, |erasing| erasing));
}

#[rstest]
#[case::rarer(0.46, (0.02, 0.33), (0.3, 3.3))]
#[case::smaller(0.5, (0.02, 0.30), (0.3, 3.3))]
#[case::wider(0.5, (0.02, 0.33), (0.25, 3.3))]
fn other_erasing_is_refused(
    #[case] probability: f64,
    #[case] scale: (f64, f64),
    #[case] ratio: (f64, f64),
) {
    let options = |erasing: RandomErasing| {
        erasing.with_scale(scale.0..=scale.1).unwrap().with_ratio(ratio.0..=ratio.1).unwrap()
    };
    check_refused("erasing of 40x40", erasing((40, 40), probability, options));
}

fn cutout((width, height): (u32, u32), size: u32) -> impl Fn(&mut SampleRng) -> Draw {
    let (cutout, image) = (Cutout::new(size).unwrap(), white(width, height));
    move |rng| {
        let covered = cutout.apply(image.clone(), rng).unwrap();
        let [left, top, w, h] = black_box(&covered).unwrap().map(f64::from);
        named([("left", left), ("top", top), ("width", w), ("height", h)])
    }
}

#[test]
fn cutouts_are_the_published_ones() {
    check("cutout of 32x32", cutout((32, 32), 16));
    check("cutout of 20x12", cutout((20, 12), 8));
}

/// The first would be a square of 15, the second one that is never left of the middle.
#[test]
fn other_cutouts_are_refused() {
    check_refused("cutout of 32x32", cutout((32, 32), 15));
    check_refused("cutout of 20x12", cutout((19, 12), 8));
}
