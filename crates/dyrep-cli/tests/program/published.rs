//! Checkpoints of PyTorch go through the program and give PyTorch's logits: as they are, converted, and deployed.
//!
//! The files are written by `crates/dyrep-weights/tests/golden/make.py`.

use std::path::{Path, PathBuf};

use rstest::rstest;

use crate::{difference, dyrep, json, tensor, text};

/// Of the largest logit; the largest difference seen is 2e-6.
const LOGITS: f32 = 2e-5;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dyrep-weights/tests/golden").join(file)
}

/// The logits that the program gives for the reference batch.
fn logits(weights: &Path, folder: &Path, more: &[&str]) -> Vec<f32> {
    crate::logits(weights, &golden("expected.safetensors"), folder, more)
}

/// What the tensors of a file do not tell.
fn asked(file: &str) -> &'static [&'static str] {
    match file {
        "mobilenet_f64.safetensors" => &["--stem", "imagenet", "--activation", "relu"],
        _ => &[],
    }
}

#[rstest]
#[case::torchvision("resnet_wrapped.pth", "resnet18", 0)]
#[case::bottleneck("bottleneck_f16.safetensors", "resnet50", 0)]
#[case::legacy("vgg_bn_bf16_legacy.pt", "vgg11_bn", 0)]
#[case::double("mobilenet_f64.safetensors", "mobilenet_v1", 0)]
#[case::dyrep("dyrep.pth", "resnet18", 4)]
#[case::dbb("dbb_f16.safetensors", "resnet18", 16)]
#[case::depthwise_dbb("dbb_mobilenet_f16.pth", "mobilenet_v1", 4)]
#[case::dbb_resnet("dbb_resnet_f16.safetensors", "resnet18", 16)]
#[case::dbb_mobilenet("dbb_mobile_f16.safetensors", "mobilenet_v1", 14)]
#[case::repvgg("repvgg_f16.pth", "repvgg_b1g2", 28)]
#[case::timm("timm_repvgg_f16.safetensors", "repvgg_a0", 22)]
#[case::timm_deployed("timm_repvgg_deployed_f16.safetensors", "repvgg_a0", 0)]
fn pytorchs_checkpoints_give_pytorchs_logits(
    #[case] file: &str,
    #[case] model: &str,
    #[case] blocks: usize,
) {
    let folder = tempfile::tempdir().unwrap();
    let (original, want) = (golden(file), tensor(&golden("expected.safetensors"), file).0);
    let asked = asked(file);
    let found = json(&[&["inspect", text(&original), "--image-size", "32"], asked].concat());
    assert_eq!((&found["model"], &found["blocks"]), (&model.into(), &blocks.into()));

    let mut files = vec![original.clone()];
    for (command, name) in [
        ("convert", "converted.bpk"),
        ("convert", "converted.safetensors"),
        ("deploy", "deployed.bpk"),
        ("deploy", "deployed.safetensors"),
        ("deploy", "folded.bpk"),
        ("deploy", "folded.safetensors"),
        ("convert", "deployed.onnx"),
    ] {
        let out = folder.path().join(name);
        let fold: &[&str] = if name.starts_with("folded") { &["--fold-bn"] } else { &[] };
        let written = json(&[&[command, text(&original), text(&out)], fold, asked].concat());
        assert_eq!(written["bytes"], std::fs::metadata(&out).unwrap().len());
        if !name.ends_with("onnx") {
            files.push(out);
        }
    }
    for file in files {
        // What was asked for once is in what was written.
        let more = if file == original { asked } else { &[] };
        let far = difference(&logits(&file, folder.path(), more), &want);
        assert!(far < LOGITS, "{}: {far:.1e}", file.display());
    }
    // A file that is not the same network's is not.
    let other = if model == "resnet18" { "resnet_wrapped.pth" } else { "dyrep.pth" };
    let other = if file == other { "dbb_f16.safetensors" } else { other };
    assert!(difference(&logits(&golden(other), folder.path(), &[]), &want) > 0.1);
}

/// A deployed RepVGG in timm's names is the same network, to us too.
#[rstest]
#[case::published("repvgg_f16.pth")]
#[case::timm("timm_repvgg_f16.safetensors")]
fn repvgg_in_timms_names(#[case] file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("timm.safetensors");
    json(&["deploy", text(&golden(file)), text(&out), "--names", "timm"]);
    let (bias, shape) = tensor(&out, "stages.0.0.reparam_conv.bias");
    assert_eq!((bias.len(), shape.len()), (shape[0], 1));
    let want = tensor(&golden("expected.safetensors"), file).0;
    assert!(difference(&logits(&out, folder.path(), &[]), &want) < LOGITS);
    // What is deployed already need only be renamed; what is not stays as it is.
    let again = folder.path().join("again.safetensors");
    json(&["convert", text(&out), text(&again), "--names", "timm"]);
    assert!(std::fs::read(&out).unwrap() == std::fs::read(&again).unwrap());
    for (file, told) in [(file, "dyrep deploy"), ("resnet_wrapped.pth", "is for RepVGG")] {
        let ran =
            dyrep(&["convert", text(&golden(file)), text(&again), "--names", "timm", "--force"]);
        assert!(ran.complaint(1).contains(told));
    }
}

/// ONNX as asked for, and in words what cannot be.
#[test]
fn onnx_by_option() {
    let folder = tempfile::tempdir().unwrap();
    let vgg = golden("vgg_bn_bf16_legacy.pt");
    let out = folder.path().join("out.onnx");
    let deploy =
        |more: &[&str]| dyrep(&[&["deploy", text(&vgg), text(&out), "--force"], more].concat());
    let sizes = [&["--image-size", "64x96", "--opset", "21"][..], &["--image-size", "48"], &[]];
    let lengths = sizes.map(|options| {
        deploy(options).good();
        std::fs::metadata(&out).unwrap().len()
    });
    // Each size of VGG has its own averages.
    assert!(lengths[0] != lengths[1] && lengths[1] != lengths[2], "{lengths:?}");
    assert!(deploy(&["--opset", "12"]).complaint(2).contains("13 to 21"));
    assert!(deploy(&["--image-size", "64x0"]).complaint(2).contains("above 0"));
    assert!(deploy(&["--image-size", "64x16"]).complaint(1).contains("from 32 pixels on, not 16"));
    assert!(deploy(&["--names", "timm"]).complaint(1).contains(".safetensors"));
    let other = folder.path().join("out.safetensors");
    let ran = dyrep(&["deploy", text(&vgg), text(&other), "--opset", "13"]);
    assert!(ran.complaint(1).contains("--opset is for files that end in .onnx"));
}

#[test]
fn the_average_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let got = logits(&golden("dyrep.pth"), folder.path(), &["--part", "average"]);
    let (want, _) = tensor(&golden("expected.safetensors"), "dyrep.pth/average");
    assert!(difference(&got, &want) < LOGITS);
    assert!(difference(&logits(&golden("dyrep.pth"), folder.path(), &[]), &want) > 0.1);
}

/// The same weights through every form are the same network to `verify`; another network's are not.
#[test]
fn verify_tells_networks_apart() {
    let folder = tempfile::tempdir().unwrap();
    let grown = golden("dyrep.pth");
    let deployed = folder.path().join("deployed.safetensors");
    json(&["deploy", text(&grown), text(&deployed)]);
    let batch = golden("expected.safetensors");
    let on = ["--batch", text(&batch), "--tensor", "input"];
    let same = json(&[&["verify", text(&grown), text(&deployed)], &on[..]].concat());
    assert_eq!((&same["holds"], &same["pictures"]), (&true.into(), &2.into()));
    let alone = json(&["verify", text(&grown)]);
    assert_eq!(alone["blocks"].as_array().unwrap().len(), 4);

    let (other, missing) = (golden("resnet_wrapped.pth"), golden("bottleneck_f16.safetensors"));
    let ran = dyrep(&["verify", text(&grown), text(&other)]);
    assert_eq!(ran.code, 3, "{}", ran.output);
    assert!(ran.output.contains("NOT the same"), "{}", ran.output);
    // A tolerance below rounding.
    assert_eq!(dyrep(&["verify", text(&grown), "--tolerance", "1e-12"]).code, 3);
    // Two of another kind can be compared as long as they read and tell the same.
    assert_eq!(dyrep(&["verify", text(&grown), text(&missing)]).code, 3);
}
