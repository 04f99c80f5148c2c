//! Boxes that are cut out, and flips.

use dyrep_data::{
    Image, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, SampleRng, Transform,
};
use rstest::rstest;

use crate::region::{coordinates, region};
use crate::sample::{Draw, apply, check, check_refused, complaints, named};

/// What `RandomResizedCrop` cuts from a picture of so many pixels, read off their coordinates.
fn resized_crop(
    (width, height): (u32, u32),
    options: impl Fn(RandomResizedCrop) -> RandomResizedCrop,
) -> impl Fn(&mut SampleRng) -> Draw {
    let crop = options(RandomResizedCrop::new(2 * width.max(height)).unwrap());
    let image = coordinates(width, height);
    move |rng| {
        let [left, top, w, h] = region(&apply(&crop, &image, rng)).map(f64::from);
        let (width, height) = (f64::from(width), f64::from(height));
        named([
            ("area", w * h / (width * height)),
            ("log ratio", (w / h).ln()),
            ("left", left),
            ("top", top),
            ("place", if w < width { left / (width - w) } else { 0.0 }),
        ])
    }
}

fn scaled(scale: (f64, f64), ratio: (f64, f64)) -> impl Fn(RandomResizedCrop) -> RandomResizedCrop {
    move |crop| crop.with_scale(scale.0..=scale.1).unwrap().with_ratio(ratio.0..=ratio.1).unwrap()
}

/// of the strips, 6 pixels wide or high, no box of the right area fits: all are the fallback.
#[rstest]
fn resized_crops_are_torchvisions(
    #[values((48, 36), (40, 40), (24, 48), (60, 6), (6, 60))] size: (u32, u32),
) {
    check(&format!("resized crop of {}x{}", size.0, size.1), resized_crop(size, |crop| crop));
}

#[test]
fn resized_crops_with_options_are_torchvisions() {
    let options = scaled((0.2, 0.6), (0.5, 2.0));
    check("resized crop with options", resized_crop((40, 40), options));
}

#[rstest]
#[case::scale((0.15, 1.0), (3.0 / 4.0, 4.0 / 3.0))]
#[case::ratio((0.08, 1.0), (0.70, 4.0 / 3.0))]
#[case::square((0.08, 1.0), (1.0, 1.0))]
fn other_scales_and_ratios_are_refused(#[case] scale: (f64, f64), #[case] ratio: (f64, f64)) {
    check_refused("resized crop of 48x36", resized_crop((48, 36), scaled(scale, ratio)));
}

/// Boxes whose position leans to the left are told by their position alone.
#[test]
fn a_crooked_position_is_refused() {
    let draw = resized_crop((48, 36), |crop| crop);
    let leaning = |rng: &mut SampleRng| {
        let lean = |(name, value): (String, f64)| {
            let value = if name == "place" { value.powf(1.2) } else { value };
            (name, value)
        };
        draw(rng).into_iter().map(lean).collect()
    };
    let complaints = complaints("resized crop of 48x36", leaning);
    assert!(complaints.len() == 1 && complaints[0].contains("place"), "{complaints:?}");
}

/// Whether two pixels have changed places.
fn flip(probability: f64) -> impl Fn(&mut SampleRng) -> Draw {
    let image = Image::new(2, 1, 1, vec![1, 2]).unwrap();
    let flip = RandomHorizontalFlip::new(probability).unwrap();
    move |rng| {
        let flipped = apply(&flip, &image, rng).pixels() == [2, 1];
        named([("flipped", f64::from(u8::from(flipped)))])
    }
}

#[rstest]
fn flips_are_as_frequent_as_torchvisions(#[values(0.5, 0.2)] probability: f64) {
    check(&format!("flip of {probability}"), flip(probability));
    check_refused(&format!("flip of {probability}"), flip(probability + 0.04));
}

/// Where a crop begins, in the padded picture: read off its middle, which is never padding.
fn crop((width, height): (u32, u32), size: u32, padding: u32) -> impl Fn(&mut SampleRng) -> Draw {
    let image = coordinates(width, height);
    let crop = RandomCrop::new(size, padding).unwrap();
    move |rng| {
        let cropped = crop.apply(image.clone(), rng).unwrap();
        let middle = size / 2;
        let pixel = &cropped.pixels()[((middle * size + middle) * 4) as usize..];
        let start = |place: u8| f64::from(u32::from(place) + padding) - f64::from(middle);
        named([("left", start(pixel[0])), ("top", start(pixel[1]))])
    }
}

#[test]
fn crops_begin_where_torchvisions_do() {
    check("padded crop", crop((32, 32), 32, 4));
    check("crop", crop((40, 36), 32, 0));
}

/// The last position, or the first, is never drawn.
#[test]
fn crops_that_lack_a_position_are_refused() {
    check_refused("padded crop", crop((31, 32), 32, 4));
    check_refused("crop", crop((40, 35), 32, 0));
}
