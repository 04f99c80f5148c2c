//! The program as a user runs it: on a small folder, on the digits, and with every kind of mistake.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::module::Module;
use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_models::{ResNetConfig, Stem};
use image::{ImageBuffer, Rgb};
use serde_json::Value;

/// The program, which cargo builds beside the tests.
fn program(arguments: &[&str]) -> Output {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join("resnet18_imagenet");
    assert!(program.exists(), "build it first: cargo build --example resnet18_imagenet");
    Command::new(program).args(arguments).output().unwrap()
}

/// Runs it expecting failure; returns its one line of complaint.
fn complaint(arguments: &[&str]) -> String {
    let output = program(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "should fail: {arguments:?}");
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

/// The device under test.
fn device() -> String {
    std::env::var("DYREP_TEST_DEVICE").unwrap_or_else(|_| "flex".to_owned())
}

/// Runs it on the device under test, expecting success; returns the summary on its last line.
fn summary(arguments: &[&str]) -> Value {
    let output = program(&[arguments, &["--device", &device()]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Two classes that colour tells apart, in ImageNet's layout.
fn small_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, count) in [("train", 8), ("val", 3)] {
        for (class, tint) in [("n01", [200, 40, 30]), ("n02", [20, 60, 210])] {
            let class = folder.path().join(split).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for number in 0..count {
                let picture = ImageBuffer::from_fn(40 + number, 36, |x, y| {
                    Rgb(tint.map(|value: u32| (value + 3 * x + 2 * y + 5 * number).min(255) as u8))
                });
                picture.save(class.join(format!("{number}.jpg"))).unwrap();
            }
        }
    }
    folder
}

/// A small network for small pictures.
fn small_run(epochs: &str) -> Vec<&str> {
    let sizes = ["--image-size", "32", "--width", "4", "--interval", "1", "--batch-size", "8"];
    [&sizes[..], &["--epochs", epochs, "--json"]].concat()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_explains_every_option() {
    let output = program(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for option in ["--data", "--device", "--epochs", "--seed", "--out", "--json", "Examples:"] {
        assert!(help.contains(option), "{option} is missing in: {help}");
    }
}

#[test]
fn a_folder_is_trained_deployed_written_and_read_back() {
    let (folder, out) = (small_folder(), tempfile::tempdir().unwrap());
    let paths = ["--data", text(folder.path()), "--out", text(out.path())];
    // Each growth changes shapes, for which other devices compile kernels: two epochs have one.
    let epochs = if device() == "flex" { "4" } else { "2" };
    let found = summary(&[&small_run(epochs)[..], &paths[..]].concat());

    assert_eq!(found["epochs"].as_array().unwrap().len().to_string(), epochs);
    let events = found["events"].as_array().unwrap();
    assert_eq!(events[0]["change"]["grew"]["plan"]["candidates"], 17);
    assert_eq!(found["accuracy_before_deployment"], found["accuracy_after_deployment"]);
    assert!(found["largest_relative_difference"].as_f64().unwrap() < 1e-5);
    let params = |form: &str| found[form]["params"].as_u64().unwrap();
    assert!(params("deployed") < params("trained"));

    let device = Device::flex();
    let structure = Structure::load(out.path().join("structure.json")).unwrap();
    let fresh = ResNetConfig::resnet18(2).with_width(4).with_stem(Stem::Small);
    let fresh = fresh.init(&device).unwrap();
    let trained = structure.apply(fresh.clone()).unwrap();
    let trained = trained.load_file(out.path().join("trained.bpk"));
    assert_eq!(trained.params() as u64, params("trained"));
    let deployed = structure.deployed().apply(fresh).unwrap();
    let deployed = deployed.load_file(out.path().join("deployed.bpk"));
    assert_eq!(deployed.params() as u64, params("deployed"));
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_the_threads() {
    let (folder, out) = (small_folder(), tempfile::tempdir().unwrap());
    let run = |threads: &str, seed: &str| {
        let out = out.path().join(format!("{threads}-{seed}"));
        let paths = ["--data", text(folder.path()), "--out", text(&out)];
        let rest = ["--threads", threads, "--seed", seed];
        let found = summary(&[&small_run("4")[..], &paths[..], &rest[..]].concat());
        let epochs = found["epochs"].as_array().unwrap().iter();
        let losses: Vec<Value> = epochs.map(|epoch| epoch["loss"].clone()).collect();
        (losses, found["events"].clone())
    };
    let first = run("0", "5");
    assert_eq!(run("3", "5"), first);
    assert_ne!(run("0", "6"), first);
}

#[test]
fn every_strategy_runs_on_the_digits() {
    let out = tempfile::tempdir().unwrap();
    for strategy in ["plain", "acnet", "repvgg", "dbb"] {
        let out = out.path().join(strategy);
        let arguments = ["--strategy", strategy, "--out", text(&out), "--width", "2"];
        let found = summary(&[&arguments[..], &["--epochs", "1", "--json"]].concat());
        assert_eq!(found["strategy"], strategy);
        assert_eq!(found["events"], Value::Array(vec![]));
        assert!(found["largest_relative_difference"].as_f64().unwrap() < 1e-5);
    }
}

#[test]
fn devices_that_cannot_be_used() {
    let error = complaint(&["--device", "quantum"]);
    assert!(error.contains("unknown device `quantum`") && error.contains("flex"), "{error}");
    #[cfg(not(feature = "cuda"))]
    assert!(complaint(&["--device", "cuda"]).contains("build with `--features cuda`"));
}

#[test]
fn folders_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    assert!(complaint(&["--data", text(&missing)]).contains(text(&missing)));
    // No `train` inside.
    assert!(complaint(&["--data", text(folder.path())]).contains("train"));

    let small = small_folder();
    let run = |folder: &Path| {
        let out = tempfile::tempdir().unwrap();
        let paths = ["--data", text(folder), "--out", text(out.path())];
        complaint(&[&small_run("4")[..], &paths[..]].concat())
    };
    let empty = small.path().join("train").join("n03");
    std::fs::create_dir(&empty).unwrap();
    assert!(run(small.path()).contains("n03"));
    std::fs::remove_dir(&empty).unwrap();
    for folder in ["train", "val"] {
        std::fs::create_dir_all(small.path().join(folder)).unwrap();
    }
    let extra = small.path().join("val").join("n09");
    std::fs::create_dir(&extra).unwrap();
    std::fs::copy(first_picture(small.path()), extra.join("a.jpg")).unwrap();
    assert!(run(small.path()).contains("n09"), "classes of train and val differ");
}

fn first_picture(folder: &Path) -> PathBuf {
    folder.join("train").join("n01").join("0.jpg")
}

/// Such pictures are left out and told of; where none may be, the first one stops the run.
#[test]
fn pictures_that_cannot_be_used() {
    let run = |folder: &Path| {
        let out = tempfile::tempdir().unwrap();
        let paths = ["--data", text(folder), "--out", text(out.path())];
        let arguments = [&small_run("4")[..], &paths[..]].concat();
        let output = program(&arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        let out = tempfile::tempdir().unwrap();
        let strict = ["--set", "run.max_skipped=0", "--out", text(out.path())];
        let error = complaint(&[&small_run("4")[..], &paths[..2], &strict[..]].concat());
        (told, error)
    };
    let folder = small_folder();
    let picture = first_picture(folder.path());
    let whole = std::fs::read(&picture).unwrap();
    std::fs::write(&picture, &whole[..whole.len() / 2]).unwrap();
    let (told, error) = run(folder.path());
    assert!(told.contains("left out: ") && told.contains(text(&picture)), "{told}");
    assert!(error.contains(text(&picture)), "{error}");

    std::fs::remove_file(&picture).unwrap();
    let text_file = picture.with_extension("png");
    std::fs::write(&text_file, "no picture").unwrap();
    let (told, error) = run(folder.path());
    assert!(told.contains(text(&text_file)), "{told}");
    assert!(error.contains(text(&text_file)), "{error}");
}

#[test]
fn options_that_make_no_sense() {
    let out = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let out = ["--out", text(out.path())];
        complaint(&[more, &out[..]].concat())
    };
    assert!(run(&["--epochs", "0"]).contains("schedule.epochs"));
    assert!(run(&["--learning-rate", "-1"]).contains("optimizer.learning_rate"));
    assert!(run(&["--batch-size", "0"]).contains("optimizer.batch_size"));
    assert!(run(&["--width", "0"]).contains("model.width"));
    assert!(run(&["--strategy", "resrep"]).contains("resrep"));
}
