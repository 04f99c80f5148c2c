//! Transforms against their definitions.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use dyrep_data::{
    CenterCrop, DataError, Dataset, Digits, Image, Pipeline, RandomCrop, RandomHorizontalFlip,
    RandomResizedCrop, Resize, SampleRng, Transform,
};
use rstest::rstest;

fn rng(index: u64) -> SampleRng {
    SampleRng::new(0, 0, index)
}

/// Noise, in which any misplaced pixel shows.
fn noise(width: u32, height: u32, channels: usize) -> Image {
    let mut rng = rng(u64::MAX);
    let bytes = width as usize * height as usize * channels;
    let pixels = (0..bytes).map(|_| rng.below(256) as u8).collect();
    Image::new(width, height, channels, pixels).unwrap()
}

fn pixel(image: &Image, x: u32, y: u32) -> &[u8] {
    let start = (y * image.width() + x) as usize * image.channels();
    &image.pixels()[start..start + image.channels()]
}

#[rstest]
fn a_flip_mirrors_pixels_and_keeps_channels(#[values(1, 3)] channels: usize) {
    let image = noise(5, 3, channels);
    let flipped =
        RandomHorizontalFlip::new(1.0).unwrap().apply(image.clone(), &mut rng(0)).unwrap();
    for y in 0..3 {
        for x in 0..5 {
            assert_eq!(pixel(&flipped, x, y), pixel(&image, 4 - x, y));
        }
    }
    let never = RandomHorizontalFlip::new(0.0).unwrap();
    assert_eq!(never.apply(image.clone(), &mut rng(0)).unwrap(), image);
}

#[test]
fn half_of_the_images_are_flipped() {
    let image = noise(4, 4, 1);
    let flip = RandomHorizontalFlip::new(0.5).unwrap();
    let kept =
        (0..1000).filter(|&i| flip.apply(image.clone(), &mut rng(i)).unwrap() == image).count();
    assert!((420..580).contains(&kept), "{kept}"); // five standard deviations of 15.8
}

#[rstest]
#[case(8, 8, 4, 2, 2)]
#[case(9, 8, 4, 2, 2)] // 2.5 to the even neighbour
#[case(11, 8, 4, 4, 2)] // 3.5 too
#[case(4, 4, 4, 0, 0)]
fn a_center_crop_is_the_centre(
    #[case] width: u32,
    #[case] height: u32,
    #[case] size: u32,
    #[case] left: u32,
    #[case] top: u32,
) {
    let image = noise(width, height, 3);
    let crop = CenterCrop::new(size).unwrap().apply(image.clone(), &mut rng(0)).unwrap();
    assert_eq!((crop.width(), crop.height()), (size, size));
    for y in 0..size {
        for x in 0..size {
            assert_eq!(pixel(&crop, x, y), pixel(&image, x + left, y + top));
        }
    }
}

/// A shift by at most the padding; all of the nine shifts of a digit occur about equally often.
#[test]
fn a_digit_is_shifted_by_up_to_one_pixel() {
    let image = noise(8, 8, 1);
    let pipeline = Pipeline::digits_train();
    let mut counts = [0_u32; 9];
    for i in 0..9000 {
        let shifted = pipeline.apply(image.clone(), &mut rng(i)).unwrap();
        let shift = (0..9).find(|shift| {
            let (dx, dy) = (shift % 3 - 1, shift / 3 - 1);
            (0..64).all(|at| {
                let (x, y) = (at % 8 + dx, at / 8 + dy);
                let inside = (0..8).contains(&x) && (0..8).contains(&y);
                let want = if inside { image.pixels()[(y * 8 + x) as usize] } else { 0 };
                shifted.pixels()[at as usize] == want
            })
        });
        counts[shift.expect("a shift by -1 to 1") as usize] += 1;
    }
    assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
}

#[rstest]
#[case::center(Pipeline::identity().then(CenterCrop::new(9).unwrap()))]
#[case::random(Pipeline::identity().then(RandomCrop::new(11, 1).unwrap()))]
fn a_crop_larger_than_the_image_is_refused(#[case] pipeline: Pipeline) {
    let error = pipeline.apply(noise(20, 8, 1), &mut rng(0)).unwrap_err();
    assert!(matches!(error, DataError::ImageTooSmall { .. }), "{error}");
}

#[test]
fn senseless_options_are_refused() {
    let errors = [
        Resize::new(0).unwrap_err(),
        CenterCrop::new(0).unwrap_err(),
        RandomCrop::new(0, 1).unwrap_err(),
        RandomResizedCrop::new(0).unwrap_err(),
        RandomResizedCrop::new(10_000).unwrap_err(),
        RandomResizedCrop::new(8).unwrap().with_ratio(0.0..=1.0).unwrap_err(),
        RandomHorizontalFlip::new(1.5).unwrap_err(),
        RandomHorizontalFlip::new(f64::NAN).unwrap_err(),
        Pipeline::imagenet_eval(224, 256).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, DataError::InvalidTransform { .. }), "{error}");
    }
    let padding = RandomCrop::new(8, u32::MAX).unwrap().apply(noise(8, 8, 1), &mut rng(0));
    assert!(matches!(padding, Err(DataError::OutputTooLarge { .. })));
}

#[rstest]
#[case::train(Pipeline::imagenet_train(32).unwrap())]
#[case::eval(Pipeline::imagenet_eval(40, 32).unwrap())]
fn the_imagenet_pipelines_give_squares(
    #[case] pipeline: Pipeline,
    #[values(1, 3)] channels: usize,
) {
    for (width, height) in [(100, 60), (60, 100), (33, 33), (10, 500)] {
        let image = pipeline.apply(noise(width, height, channels), &mut rng(0)).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (32, 32, channels));
    }
}

#[test]
fn a_transform_depends_on_its_generator_alone() {
    let pipeline = Pipeline::imagenet_train(16).unwrap();
    let once = |index| pipeline.apply(noise(50, 40, 3), &mut rng(index)).unwrap();
    assert_eq!(once(3), once(3));
    assert_ne!(once(3), once(4));
}

#[test]
fn the_identity_changes_nothing() {
    let image = Digits::all().image(5).unwrap();
    assert_eq!(Pipeline::identity().apply(image.clone(), &mut rng(0)).unwrap(), image);
}

/// Pillow's bilinear resize in floating point: a triangle as wide as the scale, normalised, along
/// one axis of `[outer, length, inner]` values.
fn pillow_bilinear(
    values: &[f64],
    outer: usize,
    length: usize,
    inner: usize,
    to: usize,
) -> Vec<f64> {
    let scale = length as f64 / to as f64;
    let support = scale.max(1.0);
    let mut result = Vec::with_capacity(outer * to * inner);
    for o in 0..outer {
        for position in 0..to {
            let center = (position as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(length);
            let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - center) / support).abs()).max(0.0);
            let total: f64 = (start..end).map(weight).sum();
            for i in 0..inner {
                let value = |x: usize| values[(o * length + x) * inner + i] * weight(x);
                result.push((start..end).map(value).sum::<f64>() / total);
            }
        }
    }
    result
}

/// Measured: 0.98 levels at most, from rounding to whole levels once along each axis. Without
/// antialiasing, noise would differ by a hundred.
const RESIZE_TOLERANCE: f64 = 1.5;

#[rstest]
#[case::down(60, 45, 16)]
#[case::far_down(200, 130, 7)]
#[case::up(12, 9, 20)]
#[case::odd(37, 53, 36)]
fn resize_is_pillows_antialiased_bilinear(
    #[case] width: u32,
    #[case] height: u32,
    #[case] size: u32,
    #[values(1, 3)] channels: usize,
) {
    let image = noise(width, height, channels);
    let resized = Resize::new(size).unwrap().apply(image.clone(), &mut rng(0)).unwrap();
    let (w, h) = (resized.width() as usize, resized.height() as usize);
    assert_eq!(w.min(h), size as usize);

    let values: Vec<f64> = image.pixels().iter().map(|&p| f64::from(p)).collect();
    let rows = pillow_bilinear(&values, height as usize, width as usize, channels, w);
    let want = pillow_bilinear(&rows, 1, height as usize, w * channels, h);
    let worst = resized.pixels().iter().zip(&want).map(|(&p, want)| (f64::from(p) - want).abs());
    let worst = worst.fold(0.0, f64::max);
    assert!(worst <= RESIZE_TOLERANCE, "{worst}");
}
