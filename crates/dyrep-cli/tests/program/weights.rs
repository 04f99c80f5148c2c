//! Files of weights as they are found: what no tensor tells, what lies beside the weights, what is none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{difference, dyrep, json, tensor, text};

/// Of the largest logit.
const LOGITS: f32 = 2e-5;

fn found(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dyrep-weights/tests/golden/found").join(file)
}

/// The logits of a file for the batch that lies beside it.
fn logits(weights: &Path, folder: &Path, more: &[&str]) -> Vec<f32> {
    crate::logits(weights, &found("expected.safetensors"), folder, more)
}

/// timm's MobileNetV1 with norms as from TensorFlow: refused, then read as told, and what is written says it all.
#[test]
fn what_no_tensor_tells_is_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = found("flavours.safetensors");
    let complaint = dyrep(&["inspect", text(&file)]).complaint(1);
    for part in ["`relu6`", "`small`", "--stem", "--activation"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    let told = ["--stem", "imagenet", "--activation", "relu6", "--norm-epsilon", "1e-3"];
    let want = tensor(&found("expected.safetensors"), "relu6_eps").0;
    assert!(difference(&logits(&file, folder.path(), &told), &want) < LOGITS);
    for out in ["converted.safetensors", "deployed.bpk"] {
        let out = folder.path().join(out);
        let command =
            if out.extension().is_some_and(|e| e == "bpk") { "deploy" } else { "convert" };
        dyrep(&[&[command, text(&file), text(&out)], &told[..]].concat()).good();
        assert!(difference(&logits(&out, folder.path(), &[]), &want) < LOGITS, "{}", out.display());
    }
}

/// What is passed over is told, beside the results.
#[test]
fn what_lies_beside_weights_is_told() {
    let ran = dyrep(&["inspect", text(&found("whole.pth"))]).good();
    assert!(ran.errors.contains("note: ") && ran.errors.contains("`optimizer`"), "{}", ran.errors);
    assert!(ran.output.contains("resnet18"), "{}", ran.output);
    let renames = ["--rename", "linear=fc", "--rename", "shortcut=downsample"];
    let renamed = json(&[&["inspect", text(&found("cifar.pth"))], &renames[..]].concat());
    assert!(renamed["format"].as_str().unwrap().contains("without blocks"), "{renamed}");
    assert_eq!(renamed["model"], "resnet18");
}

/// A training takes a part of a checkpoint, and lists what it took, missed and left.
#[test]
fn a_training_starts_from_a_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let weights = found("cifar.pth");
    let start = ["train", "digits_quick", "--width", "2", "--epochs", "1", "--out", text(&run)];
    let from = ["--weights", text(&weights), "--part", "net", "--partial"];
    let said = dyrep(&[&start[..], &from].concat()).good().output;
    for part in
        ["took 101 of 102", "conv1.weight", "expected [2, 1, 3, 3]", "[2, 3, 3, 3]", "missed"]
    {
        assert!(said.contains(part), "{said}");
    }
    let from = ["--weights", text(&weights), "--part", "nothing"];
    let other = folder.path().join("other");
    let start = ["train", "digits_quick", "--width", "2", "--epochs", "1", "--out", text(&other)];
    let complaint = dyrep(&[&start[..], &from].concat()).complaint(1);
    assert!(complaint.contains("`nothing`") && complaint.contains("net"), "{complaint}");
}

/// A trained network gets branches and computes the same; a training goes on with them, and they are fused away again.
#[test]
fn a_trained_network_is_expanded() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, wide, twice, out] =
        ["r.safetensors", "wide.safetensors", "twice.bpk", "out.safetensors"]
            .map(|file| folder.path().join(file));
    let run = folder.path().join("run");
    let start = ["train", "digits_quick", "--width", "2", "--epochs", "1"];
    dyrep(&[&start[..], &["--out", text(&run)]].concat()).good();
    dyrep(&["deploy", text(&run), text(&weights)]).good();
    let branches = ["--branches", "dbb", "--only", "^layer[34]", "--except", "conv2$"];
    let told = json(&[&["expand", text(&weights), text(&wide)], &branches[..]].concat());
    assert_eq!(told["blocks"].as_array().unwrap().len(), 4, "{told}");
    assert!(told["difference"]["relative"].as_f64().unwrap() < 1e-6, "{told}");
    dyrep(&["verify", text(&weights), text(&wide)]).good();
    // By kinds, the rest of them; what is a block stays it.
    let more = ["--branches", "1x1,2*kxk", "--pointwise"];
    let told = json(&[&["expand", text(&wide), text(&twice)], &more[..]].concat());
    assert_eq!(told["blocks"].as_array().unwrap().len(), 16, "{told}");
    dyrep(&["verify", text(&weights), text(&twice)]).good();

    let other = folder.path().join("other");
    let from = ["--weights", text(&wide), "--out", text(&other)];
    dyrep(&[&start[..], &from].concat()).good();
    let found = json(&["inspect", text(&other)]);
    assert!(found.to_string().contains("1x1_avg"), "{found}");
    dyrep(&["deploy", text(&other), text(&out)]).good();
    dyrep(&["verify", text(&other), text(&out)]).good();

    let bad = |more: &[&str], code: i32| {
        let out = folder.path().join("bad.safetensors");
        let complaint =
            dyrep(&[&["expand", text(&weights), text(&out)], more].concat()).complaint(code);
        assert!(!out.exists());
        complaint
    };
    assert!(bad(&["--branches", "plain"], 2).contains("no branches"));
    assert!(bad(&["--branches", "dbbb"], 2).contains("dbb"));
    assert!(bad(&["--branches", "dbb", "--only", "nothing"], 1).contains("no convolution"));
    let onnx = folder.path().join("bad.onnx");
    let complaint =
        dyrep(&["expand", text(&weights), text(&onnx), "--branches", "dbb"]).complaint(1);
    assert!(complaint.contains("no blocks"), "{complaint}");
}

/// A file that is none of weights is called what it is, in a line, with what to try.
#[test]
fn files_of_other_kinds_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resnet18.pth");
    for (bytes, what, advice) in [
        (&b"<!DOCTYPE html><html>Not found</html>"[..], "a web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS", "git lfs pull"),
        (b"", "empty", "again"),
        (b"\x89HDF\r\n\x1a\n", "Keras", "safetensors"),
    ] {
        fs::write(&file, bytes).unwrap();
        let complaint = dyrep(&["inspect", text(&file)]).complaint(1);
        assert!(complaint.contains(what) && complaint.contains(advice), "{complaint}");
        assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    }
}
