//! Transforms and mixing from a recipe: read, written, refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use dyrep_data::{
    DataError, ErasingMode, Fill, Image, MixConfig, MixSpec, Mixer, Paint, Pipeline, SampleRng,
    TransformSpec,
};
use rstest::rstest;

const EVERYTHING: &str = r#"[
    { "resize": { "size": 40 } },
    { "center_crop": { "size": 36 } },
    { "random_crop": { "size": 32, "padding": 2 } },
    { "random_resized_crop": { "size": 24, "scale": [0.35, 1], "ratio": [0.8, 1.25] } },
    { "horizontal_flip": { "probability": 0.3 } },
    { "color_jitter": { "brightness": 0.4, "hue": 0.1 } },
    { "rand_augment": { "operations": 3, "magnitude": 7, "magnitude_std": 0, "increasing": true,
      "fill": [124, 116, 104] } },
    { "cutout": { "size": 8, "fill": [0] } },
    { "cutout": { "size": 8 } },
    { "random_erasing": { "probability": 0.25, "scale": [0.1, 0.2], "ratio": [0.5, 2],
      "mode": "pixel" } },
    { "random_erasing": { "probability": 1, "mode": { "constant": { "fill": [124, 116, 104] } } } }
]"#;

fn specs(text: &str) -> Vec<TransformSpec> {
    serde_json::from_str(text).unwrap()
}

fn pipeline(specs: &[TransformSpec]) -> Result<Pipeline, DataError> {
    let paint = Paint::new(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], 255.0).unwrap();
    Pipeline::from_specs(specs, &paint)
}

#[test]
fn a_recipe_of_everything_runs_and_survives_writing() {
    let specs = specs(EVERYTHING);
    let written = serde_json::to_string(&specs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<TransformSpec>>(&written).unwrap(), specs);

    let pipeline = pipeline(&specs).unwrap();
    let image = Image::new(60, 50, 3, vec![90; 9000]).unwrap();
    let out = pipeline.apply(image, &mut SampleRng::new(0, 0, 0)).unwrap();
    assert_eq!((out.width(), out.height(), out.channels()), (24, 24, 3));
}

/// A recipe is the transforms written out in Rust, in their order.
#[test]
fn a_recipe_is_its_pipeline() {
    let text = r#"[{ "random_resized_crop": { "size": 24 } }, { "horizontal_flip": {} }]"#;
    let recipe = pipeline(&specs(text)).unwrap();
    assert_eq!(format!("{recipe:?}"), format!("{:?}", Pipeline::imagenet_train(24).unwrap()));
    assert_eq!(format!("{:?}", pipeline(&[]).unwrap()), format!("{:?}", Pipeline::identity()));
}

#[test]
fn what_is_not_given_is_the_published_default() {
    let text = r#"[
        { "rand_augment": { "magnitude": 9 } },
        { "cutout": { "size": 2 } },
        { "random_erasing": { "probability": 0.2 } }
    ]"#;
    let augment = TransformSpec::RandAugment {
        magnitude: 9.0,
        magnitude_std: 0.0,
        operations: 2,
        increasing: false,
        fill: None,
    };
    let erasing = TransformSpec::RandomErasing {
        probability: 0.2,
        mode: ErasingMode::Constant { fill: None },
        scale: [0.02, 1.0 / 3.0],
        ratio: [0.3, 1.0 / 0.3],
    };
    assert_eq!(specs(text), [augment, TransformSpec::Cutout { size: 2, fill: None }, erasing]);
}

/// What is painted over gets the data set's mean, unless the recipe names a colour.
#[test]
fn the_data_set_s_mean_is_painted_where_no_colour_is_named() {
    let black = Some(Fill::grey(0));
    for (fill, colour) in [(None, [124, 116, 104]), (black, [0; 3])] {
        let cutout = pipeline(&[TransformSpec::Cutout { size: 8, fill }]).unwrap();
        let image = Image::new(8, 8, 3, vec![90; 192]).unwrap();
        let out = cutout.apply(image, &mut SampleRng::new(0, 0, 0)).unwrap();
        let painted = |pixel: &[u8]| pixel == colour;
        assert!(out.pixels().chunks_exact(3).all(|pixel| painted(pixel) || pixel == [90; 3]));
        assert!(out.pixels().chunks_exact(3).any(painted));
    }
}

#[rstest]
#[case::unknown_name(r#"{ "rotate": {} }"#, "rotate")]
#[case::unknown_option(r#"{ "resize": { "size": 3, "width": 4 } }"#, "width")]
#[case::missing_option(r#"{ "resize": {} }"#, "size")]
#[case::other_form(r#"{ "name": "resize", "size": 3 }"#, "unknown variant `name`")]
#[case::negative_size(r#"{ "resize": { "size": -3 } }"#, "-3")]
#[case::no_size(r#"{ "resize": { "size": 0 } }"#, "pixels from 1 to 9459")]
#[case::no_byte(r#"{ "cutout": { "size": 3, "fill": [256] } }"#, "from 0 to 255")]
#[case::empty_fill(r#"{ "cutout": { "size": 3, "fill": [] } }"#, "a list of 1 to 4")]
#[case::unknown_mode(r#"{ "random_erasing": { "probability": 1, "mode": "noise" } }"#, "noise")]
#[case::three_ends(r#"{ "random_erasing": { "probability": 1, "scale": [0.1, 0.2, 0.3] } }"#, "2")]
#[case::hue(r#"{ "color_jitter": { "hue": 0.6 } }"#, "from 0 to 0.5")]
#[case::magnitude(r#"{ "rand_augment": { "magnitude": 30 } }"#, "from 0 to 10")]
#[case::ends(r#"{ "random_resized_crop": { "size": 8, "scale": [0.4, 0.3] } }"#, "smaller number")]
#[case::probability(r#"{ "horizontal_flip": { "probability": -1 } }"#, "from 0 to 1")]
fn what_cannot_be_read_is_named(#[case] text: &str, #[case] named: &str) {
    let error = serde_json::from_str::<TransformSpec>(text).unwrap_err().to_string();
    assert!(error.contains(named), "{error}");
}

/// A spec that is made in Rust has not been read.
#[rstest]
#[case(TransformSpec::Resize { size: 0 }, "Resize: size is 0; expected 1 to 9459 pixels")]
#[case(
    TransformSpec::ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.6 },
    "ColorJitter: hue is 0.6; expected a number from 0 to 0.5"
)]
#[case(
    TransformSpec::RandAugment {
        magnitude: 30.0, magnitude_std: 0.0, operations: 2, increasing: false, fill: None,
    },
    "RandAugment: magnitude is 30; expected a number from 0 to 10, timm's scale"
)]
#[case(
    TransformSpec::RandomErasing {
        probability: 1.0, mode: ErasingMode::Pixel, scale: [0.4, 0.3], ratio: [0.3, 3.0],
    },
    "RandomErasing: scale is 0.4..=0.3; expected positive finite numbers, the smaller one first"
)]
#[case(
    TransformSpec::RandomResizedCrop { size: 8, scale: [0.08, 1.0], ratio: [0.0, 1.0] },
    "RandomResizedCrop: ratio is 0.0..=1.0; expected positive finite numbers, the smaller one first"
)]
#[case(
    TransformSpec::RandomHorizontalFlip { probability: -1.0 },
    "RandomHorizontalFlip: probability is -1; expected a number from 0 to 1"
)]
fn senseless_values_are_refused_by_name(#[case] spec: TransformSpec, #[case] message: &str) {
    assert_eq!(pipeline(&[spec]).unwrap_err().to_string(), message);
}

#[test]
fn mixing_is_configured_the_same_way() {
    let spec: MixSpec = serde_json::from_str(r#"{ "alpha": 0.2 }"#).unwrap();
    assert_eq!(spec, MixSpec { alpha: 0.2, probability: 1.0 });
    let config = MixConfig { mixup: Some(spec), ..MixConfig::default() };
    assert_eq!(Mixer::new(config).unwrap().config(), &config);
    let written = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<MixSpec>(&written).unwrap(), spec);
    for (text, named) in [(r#"{ "alfa": 1 }"#, "alfa"), (r#"{ "alpha": -1 }"#, "above 0")] {
        let error = serde_json::from_str::<MixSpec>(text).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

const fn way(alpha: f64, probability: f64) -> Option<MixSpec> {
    Some(MixSpec { alpha, probability })
}

#[rstest]
#[case([way(-1.0, 1.0), None], "mixup.alpha")]
#[case([None, way(f64::NAN, 1.0)], "cutmix.alpha")]
#[case([None, way(1001.0, 1.0)], "cutmix.alpha")]
#[case([None, None], "mixup and cutmix")]
#[case([way(1.0, 1.5), None], "mixup.probability")]
#[case([None, way(1.0, -0.5)], "cutmix.probability")]
#[case([way(1.0, 0.7), way(1.0, 0.4)], "probabilities")]
fn senseless_mixing_is_refused(#[case] ways: [Option<MixSpec>; 2], #[case] name: &str) {
    let [mixup, cutmix] = ways;
    let error = Mixer::new(MixConfig { mixup, cutmix, ..MixConfig::default() }).unwrap_err();
    assert!(
        matches!(error, DataError::InvalidTransform { option, .. } if option == name),
        "{error}"
    );
}
