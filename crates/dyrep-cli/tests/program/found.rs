//! Folders of pictures as they are found: grey networks, parts by other names, bad files, links.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;

use crate::{Ran, VALIDATION, dyrep, flowers, json, tensor, text};

const TINY: [&str; 12] = [
    "--image-size",
    "16",
    "--width",
    "2",
    "--epochs",
    "1",
    "--batch-size",
    "12",
    "--threads",
    "0",
    "--set",
    "strategy.calibration_batches=1",
];

/// Trains for an epoch on the data, with more arguments; what was said, and the weights.
fn train(folder: &Path, data: &Path, more: &[&str]) -> (Ran, PathBuf) {
    let run = folder.join("run");
    let arguments = ["train", "imagenet_resnet18", "--data", text(data), "--out", text(&run)];
    let ran = dyrep(&[&arguments[..], &TINY, more].concat());
    (ran, run.join("trained.bpk"))
}

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.output).unwrap()
}

/// One network from colour pictures in grey, on parts of Kaggle's names, with files that are none.
#[test]
fn a_grey_network_reads_colour_pictures_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = flowers(folder.path(), 3);
    fs::rename(data.join("val"), data.join("test")).unwrap();
    fs::write(data.join("train/rose/1.heic"), "").unwrap();
    let own = ["--set", "data.mean=[0.25]", "--set", "data.std=[0.5]"];
    let (ran, weights) = train(folder.path(), &data, &[&["--channels", "grey"][..], &own].concat());
    let said = ran.good().output;
    for line in ["validation pictures are those of", "flowers/test", "left out: 1 .heic"] {
        assert!(said.contains(line), "{said}");
    }
    // A file of weights alone says what it reads.
    let alone = folder.path().join("alone.bpk");
    fs::copy(&weights, &alone).unwrap();
    let inspected = json(&["inspect", text(&alone)]);
    let note = inspected.to_string();
    assert!(note.contains("1 channel") || inspected["in_channels"] == 1, "{note}");

    let evaluated = json(&["eval", text(&alone), "--data", text(&data)]);
    assert_eq!(evaluated["pictures"], 3 * VALIDATION);
    assert!(evaluated["data"].as_str().unwrap().ends_with("test"));
    assert!(evaluated["notices"][0].as_str().unwrap().contains("flowers/test"), "{evaluated}");
    let out = folder.path().join("int8.safetensors");
    json(&["quantize", text(&alone), text(&out), "--data", text(&data)]);
    let pictures = data.join("test/rose");
    json(&["predict", text(&alone), text(&pictures)]);

    // The same pixels and the same normalisation by hand: mean and deviation are in the file.
    let found = folder.path().join("found.safetensors");
    json(&["predict", text(&alone), text(&pictures), "--logits", text(&found)]);
    let again = ["predict", text(&alone), text(&pictures), "--logits", text(&found)];
    assert!(dyrep(&again).complaint(1).contains("--force replaces it"));
    json(&[&again[..], &["--force"]].concat());
    let (logits, shape) = tensor(&found, "logits");
    assert_eq!(shape, [VALIDATION as usize, 3]);
    assert!(logits.iter().all(|logit| logit.is_finite()));
    let bytes = fs::read(&alone).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"mean\":[0.25]"#) || text.contains(r#""mean":[0.25]"#));
}

/// C3, and a class that lost its pictures.
#[test]
fn parts_are_not_taken_for_classes_and_lost_classes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = flowers(folder.path(), 3);
    let (ran, weights) = train(folder.path(), &data, &[]);
    ran.good();
    fs::remove_dir_all(data.join("val")).unwrap();
    let complaint = dyrep(&["eval", text(&weights), "--data", text(&data)]).complaint(1);
    assert!(complaint.contains("no validation part"), "{complaint}");
    fs::create_dir(data.join("other")).unwrap();
    let complaint = dyrep(&["eval", text(&weights), "--data", text(&data)]).complaint(1);
    assert!(complaint.contains("may be a part"), "{complaint}");

    let data = flowers(&folder.path().join("second"), 3);
    for picture in fs::read_dir(data.join("train/tulip")).unwrap() {
        fs::write(picture.unwrap().path(), "no picture").unwrap();
    }
    let (ran, _) = train(&folder.path().join("second"), &data, &[]);
    assert!(ran.complaint(1).contains("no picture of the class `tulip`"));
}

/// One bad file among many: the others are done and written, it is told, and the exit code is 1.
#[test]
fn a_bad_file_stops_nothing_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = flowers(folder.path(), 3);
    let (ran, weights) = train(folder.path(), &data, &[]);
    ran.good();
    let (weights, rose) = (text(&weights), data.join("val/rose"));
    let good = json(&["predict", weights, text(&rose)]);
    let whole = fs::read(rose.join("1.png")).unwrap();
    fs::write(rose.join("1.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(rose.join("notes.txt"), "").unwrap();

    let logits = folder.path().join("logits.safetensors");
    let predict = [
        "predict",
        weights,
        text(&rose),
        "--batch-size",
        "2",
        "--force",
        "--logits",
        text(&logits),
    ];
    let ran = dyrep(&[&predict[..], &["--json"]].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.output, ran.errors);
    let found = parsed(&ran);
    let inputs = |found: &Value| -> Vec<String> {
        let all = found["predictions"].as_array().unwrap();
        all.iter().map(|it| it["input"].as_str().unwrap().to_owned()).collect()
    };
    let mut want = inputs(&good);
    want.retain(|input| !input.ends_with("1.png"));
    assert_eq!(inputs(&found), want);
    // What is said of the others is what was said of them before.
    let before = good["predictions"].as_array().unwrap();
    let same = before.iter().filter(|it| !it["input"].as_str().unwrap().ends_with("1.png"));
    for (now, before) in found["predictions"].as_array().unwrap().iter().zip(same) {
        assert_eq!(now["classes"][0]["class"], before["classes"][0]["class"]);
    }
    assert!(found["unusable"][0]["input"].as_str().unwrap().ends_with("1.png"));
    assert_eq!(found["left_out"][".txt"], 1);
    let (_, shape) = tensor(&logits, "logits");
    assert_eq!(shape, [want.len(), 3]);
    let bytes = fs::read(&logits).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let rows = &metadata.metadata().as_ref().unwrap()["inputs"];
    assert_eq!(serde_json::from_str::<Vec<String>>(rows).unwrap(), want);

    let told = dyrep(&predict);
    assert_eq!(told.code, 1);
    assert!(told.output.contains("unusable: ") && told.output.contains("left out: 1 .txt"));
    let strict = dyrep(&[&predict[..], &["--strict"]].concat()).complaint(1);
    assert!(strict.contains("1.png"), "{strict}");

    let evaluate = ["eval", weights, "--data", text(&data)];
    let ran = dyrep(&[&evaluate[..], &["--json"]].concat());
    assert_eq!((ran.code, &parsed(&ran)["pictures"]), (1, &Value::from(3 * VALIDATION - 1)));
    assert!(parsed(&ran)["unusable"][0].as_str().unwrap().contains("1.png"));
    assert!(dyrep(&evaluate).output.contains("unusable: "));
    assert!(dyrep(&[&evaluate[..], &["--strict"]].concat()).complaint(1).contains("1.png"));
}

#[cfg(unix)]
#[test]
fn links_and_limits_are_options() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let pool = flowers(folder.path(), 3);
    let data = folder.path().join("links");
    for part in ["train", "val"] {
        fs::create_dir_all(data.join(part)).unwrap();
        for class in fs::read_dir(pool.join(part)).unwrap() {
            let class = class.unwrap();
            symlink(class.path(), data.join(part).join(class.file_name())).unwrap();
        }
    }
    let (ran, _) = train(folder.path(), &data, &[]);
    assert!(ran.complaint(1).contains("follow_links"));
    let (ran, weights) = train(folder.path(), &data, &["--follow-links"]);
    ran.good();
    // The run's recipe says so; another folder needs it said.
    json(&["eval", text(&weights)]);
    let alone = folder.path().join("alone.bpk");
    fs::copy(&weights, &alone).unwrap();
    let evaluate = ["eval", text(&alone), "--data", text(&data)];
    assert!(dyrep(&evaluate).complaint(1).contains("follow_links"));
    json(&[&evaluate[..], &["--follow-links"]].concat());

    let picture = pool.join("val/rose/0.png");
    let predict = ["predict", text(&alone), text(&picture), "--max-pixels"];
    json(&[&predict[..], &["480"]].concat());
    assert!(dyrep(&[&predict[..], &["479"]].concat()).complaint(1).contains("max_pixels"));
}
