//! The way of a new user: train on a folder, stop, resume, inspect, deploy, verify, export, predict.

use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Ran, command, dyrep, flowers, json, text};

const SMALL: [&str; 12] = [
    "--image-size",
    "16",
    "--width",
    "4",
    "--epochs",
    "5",
    "--interval",
    "1",
    "--batch-size",
    "12",
    "--set",
    "strategy.calibration_batches=2",
];

fn start(data: &Path, run: &Path) -> Vec<String> {
    let arguments = ["train", "imagenet_resnet18", "--data", text(data), "--out", text(run)];
    [&arguments[..], &SMALL].concat().into_iter().map(str::to_owned).collect()
}

/// Interrupts a run, as Ctrl-C does, once its first checkpoint is there.
fn interrupted(arguments: &[String], run: &Path) -> Ran {
    let child =
        command().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (started, first) = (Instant::now(), run.join("checkpoint/epoch-1.json"));
    while !first.exists() {
        assert!(started.elapsed() < Duration::from_secs(300), "no checkpoint in five minutes");
        sleep(Duration::from_millis(1));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    Ran::of(child.wait_with_output().unwrap())
}

#[cfg(unix)]
#[test]
fn a_new_user_gets_from_pictures_to_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (flowers(folder.path()), folder.path().join("run"));
    let path = |name: &str| folder.path().join(name);

    // Train, stop, look, resume.
    let arguments = start(&data, &run);
    let stopped = interrupted(&arguments, &run);
    assert_eq!(stopped.code, 130, "{}{}", stopped.output, stopped.errors);
    let hint = format!("dyrep train --resume {}", run.display());
    assert!(stopped.output.contains(&hint), "{}", stopped.output);
    let midway = json(&["inspect", text(&run)]);
    assert_eq!((&midway["model"], &midway["classes"]), (&"resnet18".into(), &3.into()));
    json(&["eval", text(&run)]);
    let summary = json(&["train", "--resume", text(&run)]);
    assert_eq!(summary["epochs"].as_array().unwrap().len(), 5);
    assert!(summary["accuracy_after_deployment"].as_f64().unwrap() > 0.6, "{summary}");

    // Inspect: the layers' costs and what is around them are the network's.
    let inspected = json(&["inspect", text(&run)]);
    assert_eq!(inspected["class_names"], serde_json::json!(["daisy", "rose", "tulip"]));
    assert_eq!(inspected["trained"]["params"], summary["trained"]["params"]);
    assert_eq!(inspected["deployed"]["params"], summary["deployed"]["params"]);
    assert_eq!(inspected["trained"]["macs"], summary["trained"]["flops"]);
    assert_eq!(inspected["input"]["side"], 16);
    let grown: usize = inspected["blocks"].as_u64().unwrap() as usize;
    assert!(grown >= 1, "nothing has grown");
    for layer in inspected["layers"].as_array().unwrap() {
        let outermost = layer["branches"].as_array().unwrap().iter().filter(|it| it["depth"] == 1);
        let parts: u64 = outermost.map(|it| it["cost"]["params"].as_u64().unwrap()).sum();
        assert!(parts == 0 || parts == layer["trained"]["params"], "{layer}");
    }

    // Deploy, verify, predict: from one file, far from the run.
    let (shipped, burn) = (path("shipped.safetensors"), path("shipped.bpk"));
    json(&["deploy", text(&run), text(&shipped)]);
    json(&["convert", text(&shipped), text(&burn)]);
    for file in [&shipped, &burn] {
        assert_eq!(json(&["verify", text(&run), text(file)])["holds"], true);
        let evaluated = json(&["eval", text(file), "--data", text(&data)]);
        assert_eq!(evaluated["accuracy"], summary["accuracy_after_deployment"]);
        assert_eq!(evaluated["top5_accuracy"], 1.0);
        let roses = data.join("val/rose");
        let predicted = json(&["predict", text(file), text(&roses), "--top", "3"]);
        let predictions = predicted["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), 4);
        for prediction in predictions {
            let classes = prediction["classes"].as_array().unwrap();
            let sum: f64 = classes.iter().map(|it| it["probability"].as_f64().unwrap()).sum();
            assert!(classes.len() == 3 && (sum - 1.0).abs() < 1e-6, "{prediction}");
        }
    }

    // Another training starts from what is shipped: a step that moves nothing but the norms' statistics is about as good.
    let again = path("again");
    let tuned = json(&[
        "train",
        "imagenet_resnet18",
        "--data",
        text(&data),
        "--out",
        text(&again),
        "--image-size",
        "16",
        "--width",
        "4",
        "--batch-size",
        "12",
        "--epochs",
        "1",
        "--learning-rate",
        "1e-7",
        "--weights",
        text(&shipped),
    ]);
    let [before, after] =
        [&summary, &tuned].map(|it| it["accuracy_after_deployment"].as_f64().unwrap());
    assert!((before - after).abs() < 0.3, "{before}, {after}");
    let wide = ["train", "imagenet_resnet18", "--data", text(&data), "--image-size", "16"];
    let refused = dyrep(&[&wide[..], &["--weights", text(&shipped)]].concat()).complaint(1);
    assert!(refused.contains("partial"), "{refused}");

    // INT8: about as good, and told what it is.
    let int8 = path("int8.safetensors");
    let rounded = ["quantize", text(&run), text(&int8), "--check-pictures", "6"];
    let quantized = json(&[&rounded[..], &["--calibration-pictures", "12"]].concat());
    let layers = quantized["check"]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), inspected["layers"].as_array().unwrap().len() + 1);
    assert!(layers.iter().all(|layer| layer["accuracy_alone"].is_number()), "{quantized}");
    let kept = [&rounded[..], &["--force", "--keep", "^conv1$", "--max-drop", "-200"]].concat();
    let kept = dyrep(&kept);
    assert_eq!(kept.code, 3, "{}{}", kept.output, kept.errors);
    assert!(kept.output.lines().any(|line| line.starts_with("conv1 ") && line.contains("f32")));
    let evaluated = json(&["eval", text(&int8), "--data", text(&data)]);
    let drop = summary["accuracy_after_deployment"].as_f64().unwrap();
    assert!(evaluated["accuracy"].as_f64().unwrap() >= drop - 0.17, "{evaluated}");
    assert!(evaluated["model"].as_str().unwrap().contains("INT8"), "{evaluated}");
    json(&["predict", text(&int8), text(&data.join("val/rose"))]);
    json(&["inspect", text(&int8)]);
    let refused = dyrep(&["convert", text(&int8), text(&path("again.bpk"))]).complaint(1);
    assert!(refused.contains("INT8"), "{refused}");
    let [small, large] = [&int8, &shipped].map(|file| std::fs::metadata(file).unwrap().len());
    assert!(small < large / 2, "{small} of {large} bytes");

    let reported = json(&["report", text(&run), "--out", text(&path("report.html"))]);
    assert_eq!(reported["record"]["state"], "finished");
    assert!(std::fs::read_to_string(path("report.html")).unwrap().contains("</html>"));

    // People get text, no longer than 80 columns but for what a training's changes tell.
    for arguments in [
        &["inspect", text(&run)][..],
        &["verify", text(&run)],
        &["eval", text(&run)],
        &["report", text(&run)],
        &["predict", text(&run), text(&data.join("val/rose/1.png"))],
        &["bench", "resnet18", "--width", "2", "--image-size", "32", "--passes", "1"],
    ] {
        let ran = dyrep(arguments).good();
        assert!(ran.errors.is_empty(), "{}", ran.errors);
        let short = folder.path().display().to_string();
        for line in ran.output.lines().filter(|line| !line.contains(&short)) {
            let told = line.starts_with("grew") || line.starts_with("cut");
            assert!(told || line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
}

#[test]
fn a_recipe_is_printed_to_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.toml");
    let printed = dyrep(&["train", "imagenet_resnet18", "--print"]).good().output;
    assert!(printed.starts_with('#'), "with its comments");
    std::fs::write(&mine, printed).unwrap();
    let changed = ["train", text(&mine), "--image-size", "32", "--epochs", "7", "--print"];
    let printed = dyrep(&changed).good().output;
    for told in ["epochs = 7", "image_size = 32", "stem = \"small\"", "size = 32", "color_jitter"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
}
