//! Bad input: each gets a typed error that names the thing and says what was expected.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;
use dyrep_burn::{
    AdjustError, AdjustOptions, BranchKind, BranchName, Calibration, Preset, RepConv2d,
    RepConv2dConfig, Structure, StructureError, cut, grow,
};
use dyrep_tests::under_test;

fn config() -> RepConv2dConfig {
    RepConv2dConfig::new([4, 6], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
}

fn refused(config: &RepConv2dConfig) -> String {
    config.try_init(&under_test()).map(|layer| layer.form()).unwrap_err().to_string()
}

#[test]
fn impossible_convolutions() {
    assert_eq!(refused(&config().with_stride([0, 1])), "stride must be at least 1, got [0, 1]");
    assert_eq!(
        refused(&RepConv2dConfig::new([4, 6], [0, 3])),
        "kernel_size must be at least 1, got [0, 3]"
    );
    assert_eq!(
        refused(&config().with_groups(4)),
        "4 groups must divide both the 4 input and the 6 output channels"
    );
    let middle = config().with_groups(2).with_mid_channels(Some(3)).with_branches(Preset::Dbb);
    assert_eq!(
        refused(&middle),
        "the 3 middle channels of `1x1_kxk` must be a positive multiple of the 2 groups"
    );
}

/// What cannot be read back is not written: files bound paddings, and so does what is written to them.
#[test]
fn paddings_without_bounds() {
    let padded = |most: usize| config().with_padding(PaddingConfig2d::Explicit(most, 0, 0, 0));
    let error = refused(&padded(1 << 21));
    assert!(error.contains("padding must be at most 1048576"), "{error}");
    let layer = padded(1 << 20).init(&under_test());
    let structure = Structure::of(&layer);
    assert_eq!(Structure::from_json(&structure.to_json()).unwrap(), structure);
}

#[test]
fn branches_that_do_not_exist() {
    let unpadded = config().with_padding(PaddingConfig2d::Valid);
    let error = refused(&unpadded.clone().with_branches([BranchKind::POINTWISE]));
    assert!(error.contains("no `1x1` branch") && error.contains("padded by 1"), "{error}");
    let error = refused(&config().with_branches([BranchKind::IDENTITY]));
    assert!(error.contains("as many output as input channels, got 4 → 6"), "{error}");
    let twice = [BranchKind::POINTWISE, BranchKind::POINTWISE];
    assert_eq!(
        refused(&config().with_branches(twice)),
        "the branch `1x1` is named twice; `2*1x1` asks for two"
    );
    let same = config().with_padding(PaddingConfig2d::Same).with_stride([2, 2]);
    let error = refused(&same.with_branches([BranchKind::ONE_BY_K]));
    assert!(error.contains("depends on the input's size"), "{error}");
    // A preset leaves them out instead.
    let layer = unpadded.with_branches(Preset::RepVgg).try_init(&under_test()).unwrap();
    assert!(layer.block().unwrap().others().is_empty());
}

#[test]
#[should_panic(expected = "RepConv2d: 5 groups must divide both the 4 input")]
fn init_panics_with_the_same_words() {
    let _layer = config().with_groups(5).init(&under_test());
}

#[test]
fn unknown_names() {
    let error = "3x".parse::<BranchKind>().unwrap_err().to_string();
    assert!(error.starts_with("unknown branch `3x`; known: 1x1, 1x1_kxk"), "{error}");
    let error = "resrep".parse::<Preset>().unwrap_err().to_string();
    let known = Preset::NAMES.join(", ");
    assert_eq!(error, format!("unknown preset `resrep`; known: {known}"));
}

/// Growing at `path` with this many calibration batches, none of which does anything.
fn refused_growth(layer: &RepConv2d, path: &str, batches: usize) -> AdjustError {
    let mut run = |_: &RepConv2d, _: usize| {};
    let mut calibration = Calibration::new(batches, &mut run);
    grow(layer, path, &Preset::DyRep.into(), &AdjustOptions::default(), &mut calibration)
        .unwrap_err()
}

#[test]
fn growing_without_batches_or_in_the_wrong_place() {
    let layer = config().init(&under_test());
    let error = refused_growth(&layer, "", 0);
    assert!(matches!(error, AdjustError::NoCalibration { .. }));
    assert!(error.to_string().contains("at least one calibration batch"), "{error}");

    let error = refused_growth(&layer, "", 3);
    assert!(matches!(error, AdjustError::NotReached { .. }), "{error}");

    let error = refused_growth(&layer, "conv9", 1);
    assert!(error.to_string().contains("no re-parameterisable convolution at `conv9`"), "{error}");

    let block = config().with_branches(Preset::AcNet).init(&under_test());
    let error = refused_growth(&block, "", 1);
    assert!(matches!(error, AdjustError::AlreadyGrown { .. }), "{error}");

    let options = AdjustOptions::default();
    let mut run = |_: &RepConv2d, _: usize| {};
    let mut calibration = Calibration::new(1, &mut run);
    let kinds = [BranchKind::POINTWISE.into()];
    let error = cut(&block, "", &kinds, &options, &mut calibration).unwrap_err();
    assert!(matches!(error, AdjustError::NoSuchBranch { branch, .. } if branch == kinds[0]));
    let error = cut(&block, "", &[BranchName::MAIN], &options, &mut calibration).unwrap_err();
    assert!(matches!(error, AdjustError::NoSuchBranch { branch: BranchName::MAIN, .. }), "{error}");
    let error = cut(&block, "", &[], &options, &mut calibration).unwrap_err();
    assert!(matches!(error, AdjustError::NoBranchNamed { .. }), "{error}");
    let error = cut(&layer, "", &kinds, &options, &mut calibration).unwrap_err();
    assert!(matches!(error, AdjustError::NoSuchBranch { .. }), "{error}");
}

#[test]
fn structure_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("structure.json");
    let shown = path.display().to_string();

    let error = Structure::load(&path).unwrap_err();
    assert!(matches!(error, StructureError::Io { .. }));
    assert!(error.to_string().contains(&shown), "{error}");

    let layer = config().with_branches(Preset::DyRep).init(&under_test());
    let whole = Structure::of(&layer).to_json();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Structure::load(&path).unwrap_err();
        assert!(matches!(error, StructureError::Malformed { .. }), "{length}: {error}");
        assert!(error.to_string().contains(&shown), "{error}");
    }

    // A file of a newer version says which program it needs.
    let newer = whole.replace("\"version\": 2", "\"version\": 3").replace("dyrep 0.2", "dyrep 0.7");
    std::fs::write(&path, newer).unwrap();
    let error = Structure::load(&path).unwrap_err().to_string();
    let needs = "this program reads versions up to 2; it needs dyrep 0.7";
    assert_eq!(error, format!("{shown}: version 3; {needs}"));

    // Parsed into validity: a branch that cannot exist is refused on reading.
    std::fs::write(&path, whole.replace("\"1xk\"", "\"identity\"")).unwrap();
    let error = Structure::load(&path).unwrap_err();
    assert!(matches!(error, StructureError::Layer { .. }), "{error}");
    std::fs::write(&path, whole.replace("\"groups\": 1", "\"groups\": 5")).unwrap();
    assert!(Structure::load(&path).unwrap_err().to_string().contains("5 groups must divide"));
}

/// A structure of one layer, with `form` as its JSON.
fn structure_of(geometry: &str, form: &str) -> String {
    format!(r#"{{"version":1,"layers":{{"c":{{"geometry":{geometry},"form":{form}}}}}}}"#)
}

#[test]
fn sizes_that_no_convolution_has() {
    let geometry = |key: &str, value: &str| {
        let all = [
            ("channels", "[4,4]"),
            ("kernel_size", "[3,3]"),
            ("stride", "[1,1]"),
            ("dilation", "[1,1]"),
            ("groups", "1"),
            ("padding", r#"{"explicit":[1,1,1,1]}"#),
        ];
        let pairs = all.map(|(name, usual)| {
            format!(r#""{name}":{}"#, if name == key { value } else { usual })
        });
        format!("{{{}}}", pairs.join(","))
    };
    // What branches exist is a matter of sums and products of them.
    let block = r#"{"block":{"kxk":{"plain":{"bias":true}},"branches":["1xk","identity"]}}"#;
    assert!(Structure::from_json(&structure_of(&geometry("", ""), block)).is_ok());
    let huge = usize::MAX;
    for (key, value) in [
        ("channels", format!("[4,{huge}]")),
        ("channels", "[1000000,1000000]".to_owned()),
        ("kernel_size", format!("[{huge},3]")),
        ("stride", format!("[1,{huge}]")),
        ("dilation", format!("[{huge},{huge}]")),
        ("padding", format!(r#"{{"explicit":[1,1,{huge},1]}}"#)),
        ("groups", huge.to_string()),
    ] {
        let error = Structure::from_json(&structure_of(&geometry(key, &value), block)).unwrap_err();
        let text = error.to_string();
        let expected = if key == "groups" { "must be" } else { "must be at most" };
        assert!(text.contains(expected), "{key}: {text}");
    }
    let middle = format!(
        r#"["1x1",{{"1x1_kxk":{{"mid_channels":{huge},"conv":{{"plain":{{"bias":false}}}}}}}}]"#
    );
    let block = format!(r#"{{"block":{{"kxk":{{"plain":{{"bias":true}}}},"branches":{middle}}}}}"#);
    let error = Structure::from_json(&structure_of(&geometry("", ""), &block)).unwrap_err();
    assert!(error.to_string().contains("channels must be at most"), "{error}");
}

#[test]
fn blocks_nest_only_so_deep() {
    let layer = config().init(&under_test());
    let mut structure = Structure::of(&layer);
    let mut path = String::new();
    let branches = [BranchKind::POINTWISE_KXK].as_slice().into();
    for depth in 0..16 {
        structure.grow(&path, &branches).unwrap();
        assert_eq!(Structure::from_json(&structure.to_json()).unwrap(), structure, "{depth}");
        path += if depth == 0 { "1x1_kxk.conv2" } else { ".1x1_kxk.conv2" };
    }
    let error = structure.grow(&path, &branches).unwrap_err();
    assert!(error.to_string().contains("at most 16 deep"), "{error}");
    // Nor can a model be grown deeper than its structure.
    let deepest = structure.apply(layer).unwrap();
    let error = refused_growth(&deepest, &path, 1);
    assert!(matches!(error, AdjustError::TooDeep { limit: 16, .. }), "{error}");
    let deeper = r#"{"block":{"branches":[],"kxk":"#.repeat(17)
        + r#"{"plain":{"bias":true}}"#
        + &"}}".repeat(17);
    let geometry = serde_json::to_string(&deepest.geometry()).unwrap();
    let error = Structure::from_json(&structure_of(&geometry, &deeper)).unwrap_err();
    assert!(matches!(error, StructureError::Layer { .. }), "{error}");
}

#[test]
fn a_structure_is_known_before_there_are_parameters() {
    // Hundreds of GiB, if they were made.
    let layer = RepConv2dConfig::new([1 << 17, 1 << 17], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_branches(Preset::DyRep)
        .init(&under_test());
    let structure = Structure::of(&layer);
    assert_eq!(structure.apply(layer).map(|layer| layer.form()).unwrap().branch_count(), 7);
}

#[test]
fn a_structure_of_another_network() {
    let device = under_test();
    let structure = Structure::of(&config().with_branches(Preset::AcNet).init(&device));
    let wider = RepConv2dConfig::new([4, 8], [3, 3]).init(&device);
    let error = structure.apply(wider.clone()).unwrap_err();
    assert!(matches!(error, StructureError::OtherNetwork { .. }));
    assert!(error.to_string().contains("4→8") && error.to_string().contains("4→6"), "{error}");
    let error = structure.apply(vec![wider]).unwrap_err().to_string();
    assert!(error.contains("the model has no layer ``"), "{error}");
}

#[test]
#[should_panic(expected = "channels")]
fn an_input_of_other_channels() {
    let layer = config().with_branches(Preset::DyRep).init(&under_test());
    let _output = layer.forward(Tensor::zeros([1, 3, 5, 5], &under_test()));
}
