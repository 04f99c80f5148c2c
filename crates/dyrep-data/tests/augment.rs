//! Colour, RandAugment, cutout and erasing against their definitions, through the public interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::sync::Arc;

use dyrep_data::{
    Batch, ColorJitter, Cutout, DataError, Digits, Erase, Fill, Image, Loader, LoaderConfig,
    Pipeline, RandAugment, RandomErasing, SampleRng, Transform,
};
use rstest::rstest;

fn rng(index: u64) -> SampleRng {
    SampleRng::new(0, 0, index)
}

/// Noise, in which any misplaced pixel shows; never 0, so that black was painted.
fn noise(width: u32, height: u32, channels: usize) -> Image {
    let mut rng = rng(u64::MAX);
    let bytes = width as usize * height as usize * channels;
    let pixels = (0..bytes).map(|_| rng.below(255) as u8 + 1).collect();
    Image::new(width, height, channels, pixels).unwrap()
}

fn jitter(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> ColorJitter {
    ColorJitter::new(brightness, contrast, saturation, hue).unwrap()
}

fn constant(values: &[u8]) -> Erase {
    Erase::Constant(Fill::new(values).unwrap())
}

fn pixel_noise() -> Erase {
    Erase::Pixel { mean: vec![0.45], std: vec![0.22] }
}

fn all() -> Pipeline {
    Pipeline::identity()
        .then(jitter(0.4, 0.4, 0.4, 0.1))
        .then(RandAugment::new(2, 9.0, 0.5).unwrap())
        .then(RandAugment::new(2, 9.0, 0.5).unwrap().with_increasing(true))
        .then(Cutout::new(3).unwrap().with_fill(Fill::grey(7)))
        .then(RandomErasing::new(0.5, constant(&[9])).unwrap())
        .then(RandomErasing::new(0.5, pixel_noise()).unwrap())
}

#[test]
fn every_seed_epoch_and_sample_has_a_result_of_its_own() {
    let image = noise(12, 9, 3);
    let apply = |seed, epoch, index| {
        all().apply(image.clone(), &mut SampleRng::new(seed, epoch, index)).unwrap()
    };
    let base = apply(1, 1, 1);
    assert_eq!(base, apply(1, 1, 1));
    for other in [apply(2, 1, 1), apply(1, 2, 1), apply(1, 1, 2)] {
        assert_ne!(base, other);
    }
}

#[test]
fn an_augmented_epoch_is_the_same_with_any_number_of_threads() {
    let epoch = |threads| -> Vec<Batch> {
        let config = LoaderConfig { shuffle: true, seed: 5, threads, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::new(Digits::train()), all(), config).unwrap();
        loader.epoch(3).take(4).collect::<Result<_, _>>().unwrap()
    };
    let reference = epoch(0);
    assert_eq!(epoch(1), reference);
    assert_eq!(epoch(3), reference);
}

#[rstest]
#[case::jitter(Pipeline::identity().then(jitter(0.0, 0.0, 0.0, 0.0)))]
#[case::augment(Pipeline::identity().then(RandAugment::new(0, 9.0, 0.5).unwrap()))]
#[case::erasing(Pipeline::identity().then(RandomErasing::new(0.0, constant(&[0])).unwrap()))]
fn identity_settings_leave_every_byte(
    #[case] pipeline: Pipeline,
    #[values(1, 3)] channels: usize,
    #[values((1, 1), (17, 13))] (width, height): (u32, u32),
) {
    let image = noise(width, height, channels);
    for index in 0..50 {
        assert_eq!(pipeline.apply(image.clone(), &mut rng(index)).unwrap(), image);
    }
}

#[rstest]
fn sizes_and_channels_stay(
    #[values(1, 3)] channels: usize,
    #[values((1, 1), (1, 40), (40, 1), (2, 2), (17, 13))] (width, height): (u32, u32),
) {
    for index in 0..300 {
        let image = all().apply(noise(width, height, channels), &mut rng(index)).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (width, height, channels));
    }
}

#[test]
fn grey_images_have_neither_saturation_nor_hue() {
    let image = noise(9, 9, 1);
    let coloured = jitter(0.0, 0.0, 0.9, 0.5);
    for index in 0..100 {
        assert_eq!(coloured.apply(image.clone(), &mut rng(index)).unwrap(), image);
    }
    let changed =
        |i: &u64| jitter(0.4, 0.0, 0.0, 0.0).apply(image.clone(), &mut rng(*i)).unwrap() != image;
    assert_eq!((0..100).filter(changed).count(), 100);
}

/// Replicated grey stays grey, and is treated as the one channel is.
#[test]
fn grey_in_three_channels_is_treated_as_grey() {
    let grey = noise(16, 12, 1);
    let pixels = grey.pixels().iter().flat_map(|&value| [value; 3]).collect();
    let rgb = Image::new(16, 12, 3, pixels).unwrap();
    let pipeline = Pipeline::identity()
        .then(jitter(0.4, 0.4, 0.4, 0.1))
        .then(RandAugment::new(3, 9.0, 0.5).unwrap());
    for index in 0..300 {
        let want = pipeline.apply(grey.clone(), &mut rng(index)).unwrap();
        let found = pipeline.apply(rgb.clone(), &mut rng(index)).unwrap();
        for (pixel, &value) in found.pixels().chunks_exact(3).zip(want.pixels()) {
            assert_eq!(pixel, [value; 3], "sample {index}");
        }
    }
}

/// What was painted is a rectangle of the fill, and the rest is untouched.
fn check_painted(image: &Image, painted: &Image, fill: &[u8]) -> Option<[u32; 2]> {
    let channels = image.channels();
    let both = image.pixels().chunks_exact(channels).zip(painted.pixels().chunks_exact(channels));
    let (mut columns, mut rows, mut count) = (vec![], vec![], 0);
    for (at, (before, after)) in (0_u32..).zip(both) {
        if before != after {
            assert_eq!(after, fill);
            columns.push(at % image.width());
            rows.push(at / image.width());
            count += 1;
        }
    }
    let span = |places: &[u32]| Some(places.iter().max()? - places.iter().min()? + 1);
    let size = [span(&columns)?, span(&rows)?];
    assert_eq!(size[0] * size[1], count, "no rectangle");
    Some(size)
}

#[rstest]
#[case(1, vec![0])]
#[case(3, vec![0, 0, 0])]
fn a_cutout_covers_a_square_that_may_stick_out(#[case] channels: usize, #[case] fill: Vec<u8>) {
    let image = noise(11, 8, channels);
    let cutout = Cutout::new(4).unwrap();
    let sizes: Vec<_> = (0..500)
        .map(|i| cutout.apply(image.clone(), &mut rng(i)).unwrap())
        .map(|covered| check_painted(&image, &covered, &fill).unwrap())
        .collect();
    assert!(sizes.iter().flatten().all(|side| (2..=4).contains(side)));
    assert!(sizes.contains(&[4, 4]) && sizes.contains(&[2, 2]));
}

#[test]
fn one_pixel_is_covered_always_and_erased_never() {
    let image = noise(1, 1, 3);
    for index in 0..100 {
        let covered = Cutout::new(1).unwrap().apply(image.clone(), &mut rng(index)).unwrap();
        assert_eq!(covered.pixels(), [0; 3]);
        let erasing = RandomErasing::new(1.0, pixel_noise()).unwrap();
        assert_eq!(erasing.apply(image.clone(), &mut rng(index)).unwrap(), image);
    }
}

/// By hand: with an area of a quarter and an aspect of 1, a 2 × 2 square of the 4 × 4 image.
#[test]
fn erasing_paints_the_rectangle_it_was_asked_for() {
    let image = noise(4, 4, 3);
    let erasing = RandomErasing::new(1.0, constant(&[0, 0, 0])).unwrap();
    let erasing = erasing.with_scale(0.25..=0.25).unwrap().with_ratio(1.0..=1.0).unwrap();
    for index in 0..100 {
        let erased = erasing.apply(image.clone(), &mut rng(index)).unwrap();
        assert_eq!(check_painted(&image, &erased, &[0; 3]), Some([2, 2]));
    }
    let tall = erasing.with_ratio(4.0..=4.0).unwrap();
    let erased = tall.apply(noise(8, 8, 3), &mut rng(0)).unwrap();
    assert_eq!(erased, noise(8, 8, 3)); // 8 × 2, which would span the height
}

#[test]
fn noise_without_deviation_is_the_mean_of_each_channel() {
    let image = noise(30, 20, 3);
    let fill = Erase::Pixel { mean: vec![0.485, 0.456, 0.0], std: vec![0.0; 3] };
    let erased = RandomErasing::new(1.0, fill).unwrap().apply(image.clone(), &mut rng(0)).unwrap();
    // 123.675 and 116.28, to nearest.
    assert!(check_painted(&image, &erased, &[124, 116, 0]).is_some());
}

#[rstest]
#[case::negative(ColorJitter::new(-0.1, 0.0, 0.0, 0.0), "brightness")]
#[case::contrast(ColorJitter::new(0.0, f64::INFINITY, 0.0, 0.0), "contrast")]
#[case::saturation(ColorJitter::new(0.0, 0.0, f64::NAN, 0.0), "saturation")]
#[case::hue(ColorJitter::new(0.0, 0.0, 0.0, 0.51), "hue")]
#[case::magnitude(RandAugment::new(2, 10.1, 0.5), "magnitude")]
#[case::magnitude_std(RandAugment::new(2, 9.0, f64::NAN), "magnitude_std")]
#[case::cutout(Cutout::new(0), "size")]
#[case::probability(RandomErasing::new(1.1, constant(&[0])), "probability")]
#[case::scale(RandomErasing::new(1.0, constant(&[0])).unwrap().with_scale(0.4..=0.3), "scale")]
#[case::area(RandomErasing::new(1.0, constant(&[0])).unwrap().with_scale(0.4..=1.3), "scale")]
#[case::ratio(RandomErasing::new(1.0, constant(&[0])).unwrap().with_ratio(0.0..=1.0), "ratio")]
#[case::mean(RandomErasing::new(1.0, Erase::Pixel { mean: vec![], std: vec![] }), "mean")]
#[case::std(RandomErasing::new(1.0, Erase::Pixel { mean: vec![0.5], std: vec![] }), "std")]
#[case::deviation(RandomErasing::new(1.0, Erase::Pixel { mean: vec![0.5], std: vec![-1.0] }), "std")]
#[case::fill(Fill::new(vec![]), "values")]
#[case::five(Fill::new(vec![0; 5]), "values")]
fn senseless_options_are_refused<T: std::fmt::Debug>(
    #[case] result: Result<T, DataError>,
    #[case] name: &str,
) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, DataError::InvalidTransform { option, .. } if option == name),
        "{error}"
    );
}

/// Two or four channels mean something that is not known; three values say nothing about grey.
#[rstest]
#[case::jitter(Pipeline::identity().then(jitter(0.1, 0.0, 0.0, 0.0)), 4)]
#[case::augment(Pipeline::identity().then(RandAugment::new(2, 9.0, 0.5).unwrap()), 2)]
#[case::fill(Pipeline::identity().then(Cutout::new(2).unwrap().with_fill(Fill::new([1, 2, 3]).unwrap())), 1)]
#[case::erase(Pipeline::identity().then(RandomErasing::new(0.0, constant(&[1, 2, 3])).unwrap()), 1)]
fn other_channels_are_refused(#[case] pipeline: Pipeline, #[case] channels: usize) {
    let error = pipeline.apply(noise(5, 5, channels), &mut rng(0)).unwrap_err();
    assert!(
        matches!(error, DataError::WrongChannels { found, .. } if found == channels),
        "{error}"
    );
}
