//! Colours: `ColorJitter`, and `RandAugment` as timm runs it.

use std::collections::{BTreeMap, BTreeSet};

use dyrep_data::{ColorJitter, Image, Pipeline, RandAugment, SampleRng};
use rstest::rstest;

use crate::sample::{DRAWS, Draw, check, check_refused, recorded_pictures, some_bytes};

/// The script's four pixels.
const COLOURS: [u8; 12] = [200, 100, 50, 30, 90, 220, 250, 240, 10, 120, 125, 130];

type Strengths = (f64, f64, f64, f64);

fn jitter((brightness, contrast, saturation, hue): Strengths) -> ColorJitter {
    ColorJitter::new(brightness, contrast, saturation, hue).unwrap()
}

/// The bytes of the four pixels.
fn jittered(pipeline: Pipeline) -> impl Fn(&mut SampleRng) -> Draw {
    let image = Image::new(4, 1, 3, COLOURS.to_vec()).unwrap();
    move |rng| some_bytes(&pipeline.apply(image.clone(), rng).unwrap())
}

/// The negative control of each is a jitter one tenth stronger.
#[rstest]
#[case("brightness", (0.4, 0.0, 0.0, 0.0), (0.44, 0.0, 0.0, 0.0))]
#[case("contrast", (0.0, 0.4, 0.0, 0.0), (0.0, 0.44, 0.0, 0.0))]
#[case("saturation", (0.0, 0.0, 0.4, 0.0), (0.0, 0.0, 0.44, 0.0))]
#[case("hue", (0.0, 0.0, 0.0, 0.1), (0.0, 0.0, 0.0, 0.11))]
#[case("all", (0.8, 0.8, 0.8, 0.3), (0.8, 0.8, 0.8, 0.33))]
fn jitters_are_torchvisions(
    #[case] name: &str,
    #[case] strengths: Strengths,
    #[case] stronger: Strengths,
) {
    let case = format!("jitter of {name}");
    check(&case, jittered(Pipeline::identity().then(jitter(strengths))));
    check_refused(&case, jittered(Pipeline::identity().then(jitter(stronger))));
}

/// Bytes overflow in other places when the parts come in a fixed order, so the order can be seen.
#[test]
fn a_jitter_in_a_fixed_order_is_refused() {
    let fixed = Pipeline::identity()
        .then(jitter((0.8, 0.0, 0.0, 0.0)))
        .then(jitter((0.0, 0.8, 0.0, 0.0)))
        .then(jitter((0.0, 0.0, 0.8, 0.0)))
        .then(jitter((0.0, 0.0, 0.0, 0.3)));
    check_refused("jitter of all", jittered(fixed));
}

/// The untouched picture of the operations' goldens.
fn picture() -> Image {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rgb.png");
    let pictures = image::open(path).unwrap().into_rgb8();
    Image::new(26, 22, 3, pictures.into_raw()[..26 * 22 * 3].to_vec()).unwrap()
}

fn augmented(augment: RandAugment) -> impl Fn(&mut SampleRng) -> Draw {
    let (image, pipeline) = (picture(), Pipeline::identity().then(augment));
    move |rng| some_bytes(&pipeline.apply(image.clone(), rng).unwrap())
}

fn augment(operations: u32, magnitude: f64, std: f64, increasing: bool) -> RandAugment {
    RandAugment::new(operations, magnitude, std).unwrap().with_increasing(increasing)
}

#[test]
fn augmented_pictures_are_distributed_as_timms() {
    check("augment", augmented(augment(2, 9.0, 0.5, false)));
    check("augment, increasing", augmented(augment(3, 5.0, 1.0, true)));
}

#[rstest]
#[case::operations(augment(3, 9.0, 0.5, false))]
#[case::magnitude(augment(2, 8.5, 0.5, false))]
#[case::spread(augment(2, 9.0, 0.0, false))]
#[case::increasing(augment(2, 9.0, 0.5, true))]
fn other_augmentation_is_refused(#[case] wrong: RandAugment) {
    check_refused("augment", augmented(wrong));
}

/// How often each picture comes out, by its CRC-32.
fn pictures(augment: RandAugment) -> BTreeMap<u32, u32> {
    let (image, pipeline) = (picture(), Pipeline::identity().then(augment));
    let mut counts = BTreeMap::new();
    for index in 0..DRAWS {
        let found = pipeline.apply(image.clone(), &mut SampleRng::new(0, 0, index)).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(found.pixels());
        *counts.entry(crc.sum()).or_default() += 1;
    }
    counts
}

/// One operation at a fixed level: the same pictures as timm's, to the byte, and each as often.
#[rstest]
#[case("level 9", false)]
#[case("level 9, increasing", true)]
fn operations_are_timms_and_as_frequent(#[case] level: &str, #[case] increasing: bool) {
    let (want, found) = (recorded_pictures(level), pictures(augment(1, 9.0, 0.0, increasing)));
    let keys = |counts: &BTreeMap<u32, u32>| counts.keys().copied().collect::<BTreeSet<_>>();
    assert_eq!(keys(&found), keys(&want));
    for (picture, &want) in &want {
        let gap = f64::from(found[picture]) - f64::from(want);
        // Five deviations of the difference of two binomial counts.
        let share = f64::from(want) / DRAWS as f64;
        let tolerance = 5.0 * (2.0 * DRAWS as f64 * share * (1.0 - share)).sqrt();
        assert!(gap.abs() <= tolerance, "{picture}: {} for {want}", found[picture]);
    }
    let other = pictures(augment(1, 8.0, 0.0, increasing));
    assert_ne!(keys(&other), keys(&want), "another level gives other pictures");
}
