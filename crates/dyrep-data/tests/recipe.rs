//! Transforms and mixing from a recipe file: read, written, refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use dyrep_data::{
    DataError, Erase, Fill, Image, MixConfig, Mixer, Pairing, Pipeline, SampleRng, TransformSpec,
};
use rstest::rstest;

const EVERYTHING: &str = r#"[
    { "name": "resize", "size": 40 },
    { "name": "center_crop", "size": 36 },
    { "name": "random_crop", "size": 32, "padding": 2 },
    { "name": "random_resized_crop", "size": 24, "scale": [0.35, 1], "ratio": [0.8, 1.25] },
    { "name": "random_horizontal_flip", "probability": 0.3 },
    { "name": "color_jitter", "brightness": 0.4, "hue": 0.1 },
    { "name": "rand_augment", "operations": 3, "magnitude": 7, "magnitude_std": 0,
      "increasing": true, "fill": [124, 116, 104] },
    { "name": "cutout", "size": 8, "fill": [0] },
    { "name": "random_erasing", "probability": 0.25, "scale": [0.1, 0.2], "ratio": [0.5, 2],
      "fill": { "pixel": { "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2] } } },
    { "name": "random_erasing", "fill": { "constant": [124, 116, 104] } }
]"#;

fn specs(text: &str) -> Vec<TransformSpec> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_recipe_of_everything_runs_and_survives_writing() {
    let specs = specs(EVERYTHING);
    let written = serde_json::to_string(&specs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<TransformSpec>>(&written).unwrap(), specs);

    let pipeline = Pipeline::from_specs(&specs).unwrap();
    let image = Image::new(60, 50, 3, vec![90; 9000]).unwrap();
    let out = pipeline.apply(image, &mut SampleRng::new(0, 0, 0)).unwrap();
    assert_eq!((out.width(), out.height(), out.channels()), (24, 24, 3));
}

/// A recipe is the transforms written out in Rust, in their order.
#[test]
fn a_recipe_is_its_pipeline() {
    let text =
        r#"[{ "name": "random_resized_crop", "size": 24 }, { "name": "random_horizontal_flip" }]"#;
    let recipe = Pipeline::from_specs(&specs(text)).unwrap();
    assert_eq!(format!("{recipe:?}"), format!("{:?}", Pipeline::imagenet_train(24).unwrap()));
    assert_eq!(
        format!("{:?}", Pipeline::from_specs(&[]).unwrap()),
        format!("{:?}", Pipeline::identity())
    );
}

#[test]
fn what_is_not_given_is_the_published_default() {
    let text = r#"[{ "name": "rand_augment" }, { "name": "random_erasing" }]"#;
    let augment = TransformSpec::RandAugment {
        operations: 2,
        magnitude: 9.0,
        magnitude_std: 0.5,
        increasing: false,
        fill: Fill::grey(128),
    };
    let erasing = TransformSpec::RandomErasing {
        probability: 0.5,
        scale: [0.02, 0.33],
        ratio: [0.3, 3.3],
        fill: Erase::Constant(Fill::grey(0)),
    };
    assert_eq!(specs(text), [augment, erasing]);
}

#[rstest]
#[case::unknown_name(r#"{ "name": "rotate" }"#, "rotate")]
#[case::unknown_option(r#"{ "name": "resize", "size": 3, "width": 4 }"#, "width")]
#[case::missing_option(r#"{ "name": "resize" }"#, "size")]
#[case::missing_name(r#"{ "size": 3 }"#, "name")]
#[case::negative_size(r#"{ "name": "resize", "size": -3 }"#, "-3")]
#[case::no_byte(r#"{ "name": "cutout", "size": 3, "fill": [256] }"#, "256")]
#[case::empty_fill(r#"{ "name": "cutout", "size": 3, "fill": [] }"#, "0 values")]
#[case::unknown_fill(r#"{ "name": "random_erasing", "fill": { "noise": [0] } }"#, "noise")]
#[case::three_ends(r#"{ "name": "random_erasing", "scale": [0.1, 0.2, 0.3] }"#, "2")]
fn what_cannot_be_read_is_named(#[case] text: &str, #[case] named: &str) {
    let error = serde_json::from_str::<TransformSpec>(text).unwrap_err().to_string();
    assert!(error.contains(named), "{error}");
}

#[rstest]
#[case(r#"{ "name": "resize", "size": 0 }"#, "Resize: size is 0; expected 1 to 9459 pixels")]
#[case(
    r#"{ "name": "color_jitter", "hue": 0.6 }"#,
    "ColorJitter: hue is 0.6; expected a number from 0 to 0.5"
)]
#[case(
    r#"{ "name": "rand_augment", "magnitude": 30 }"#,
    "RandAugment: magnitude is 30; expected a number from 0 to 10, timm's scale"
)]
#[case(
    r#"{ "name": "random_erasing", "scale": [0.4, 0.3] }"#,
    "RandomErasing: scale is 0.4..=0.3; expected positive finite numbers, the smaller one first"
)]
#[case(
    r#"{ "name": "random_resized_crop", "size": 8, "ratio": [0, 1] }"#,
    "RandomResizedCrop: ratio is 0.0..=1.0; expected positive finite numbers, the smaller one first"
)]
#[case(
    r#"{ "name": "random_horizontal_flip", "probability": -1 }"#,
    "RandomHorizontalFlip: probability is -1; expected a number from 0 to 1"
)]
fn senseless_values_are_refused_by_name(#[case] text: &str, #[case] message: &str) {
    let spec: TransformSpec = serde_json::from_str(text).unwrap();
    assert_eq!(Pipeline::from_specs(&[spec]).unwrap_err().to_string(), message);
}

#[test]
fn mixing_is_configured_the_same_way() {
    let config: MixConfig =
        serde_json::from_str(r#"{ "mixup_alpha": 0.2, "pairing": "reversed" }"#).unwrap();
    let want = MixConfig { mixup_alpha: 0.2, pairing: Pairing::Reversed, ..MixConfig::default() };
    assert_eq!(config, want);
    assert_eq!(Mixer::new(config).unwrap().config(), &want);
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<MixConfig>(&written).unwrap(), config);
    let error = serde_json::from_str::<MixConfig>(r#"{ "alpha": 1 }"#).unwrap_err();
    assert!(error.to_string().contains("alpha"), "{error}");
}

#[rstest]
#[case(MixConfig { mixup_alpha: -1.0, ..MixConfig::default() }, "mixup_alpha")]
#[case(MixConfig { cutmix_alpha: f64::NAN, ..MixConfig::default() }, "cutmix_alpha")]
#[case(MixConfig { cutmix_alpha: 1001.0, ..MixConfig::default() }, "cutmix_alpha")]
#[case(MixConfig::default(), "mixup_alpha and cutmix_alpha")]
#[case(MixConfig { mixup_alpha: 1.0, probability: 1.5, ..MixConfig::default() }, "probability")]
#[case(
    MixConfig { mixup_alpha: 1.0, switch_probability: -0.5, ..MixConfig::default() },
    "switch_probability"
)]
fn senseless_mixing_is_refused(#[case] config: MixConfig, #[case] name: &str) {
    let error = Mixer::new(config).unwrap_err();
    assert!(
        matches!(error, DataError::InvalidTransform { option, .. } if option == name),
        "{error}"
    );
}
