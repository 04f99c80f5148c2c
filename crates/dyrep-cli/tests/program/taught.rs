//! A student learns from a teacher's logits, from the first command to the last.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{VALIDATION, dyrep, flowers, json, tensor, text};

const TEACHER: [&str; 9] =
    ["train", "digits_quick", "--strategy", "plain", "--width", "4", "--epochs", "2", "--out"];
const STUDENT: [&str; 11] = [
    "train",
    "digits_quick",
    "--width",
    "2",
    "--epochs",
    "4",
    "--interval",
    "1",
    "--set",
    "strategy.calibration_batches=2",
    "--set",
];

/// Interrupts a run once its first epoch is done.
fn interrupted(arguments: &[&str], run: &Path) {
    let ran = crate::trained::interrupted(arguments, run);
    assert_eq!(ran.code, 130, "{}{}", ran.output, ran.errors);
}

fn recipe_of(run: &Path) -> String {
    let record: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    record["recipe"].as_str().unwrap().to_owned()
}

#[test]
fn from_a_teacher_to_a_student() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let (teacher, file) = (at("teacher"), at("t.safetensors"));
    json(&[&TEACHER[..], &[text(&teacher)]].concat());
    let write = ["eval", text(&teacher), "--on", "train", "--logits", text(&file)];
    let evaluated = json(&write);
    assert_eq!((&evaluated["pictures"], &evaluated["logits"]), (&1437.into(), &text(&file).into()));
    let (logits, shape) = tensor(&file, "logits");
    assert_eq!(shape, [1437, 10]);
    let labels: Vec<usize> = {
        let set = dyrep_data::Digits::train();
        (0..1437).map(|index| dyrep_data::Dataset::label(&set, index)).collect()
    };
    let largest = |row: &[f32]| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    let rows = logits.chunks_exact(10).zip(labels);
    let right = rows.filter(|(row, label)| largest(row) == *label).count();
    let accuracy = evaluated["accuracy"].as_f64().unwrap();
    assert!((accuracy - right as f64 / 1437.0).abs() < 1e-9, "{right} of {accuracy}");
    // No file is written over by chance.
    assert!(dyrep(&write).complaint(1).contains("--force"));
    dyrep(&[&write[..], &["--force"]].concat()).good();

    let key = format!("distillation.file={}", text(&file));
    let student = [&STUDENT[..], &[&key]].concat();
    for trial in ["--dry-run", "--find-rate"] {
        json(&[&student[..], &[trial]].concat());
    }
    let [whole, parts, alone] = ["whole", "parts", "alone"].map(at);
    let begin = |run: &Path| -> Vec<String> {
        let arguments = [&student[..], &["--out", text(run)]].concat();
        arguments.into_iter().map(str::to_owned).collect()
    };
    let of = |arguments: &[String]| -> Value {
        json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    of(&begin(&whole));
    interrupted(&begin(&parts).iter().map(String::as_str).collect::<Vec<_>>(), &parts);
    let told = recipe_of(&parts);
    assert!(told.contains("[distillation]") && told.contains(text(&file)), "{told}");

    // The folder moves, and the teacher's file is gone.
    let moved = at("moved");
    fs::rename(&parts, &moved).unwrap();
    fs::rename(&file, at("elsewhere.safetensors")).unwrap();
    let other = ["train", "--resume", text(&moved), "--set", "distillation.temperature=1"];
    let complaint = dyrep(&other).complaint(1);
    assert!(complaint.contains("`distillation.temperature` is 1.0 and was 4.0"), "{complaint}");
    json(&["train", "--resume", text(&moved)]);
    assert_eq!(recipe_of(&moved), told);
    for name in ["trained.bpk", "deployed.bpk", "teacher.safetensors"] {
        assert!(fs::read(whole.join(name)).unwrap() == fs::read(moved.join(name)).unwrap());
    }
    // The control: alone it becomes another network.
    json(&[&STUDENT[..STUDENT.len() - 1], &["--out", text(&alone)]].concat());
    assert!(!alone.join("teacher.safetensors").exists());
    let [taught, alone] = [&whole, &alone].map(|run| fs::read(run.join("trained.bpk")).unwrap());
    assert!(taught != alone);

    // What is in a copy is held to the run.
    let copy = moved.join("teacher.safetensors");
    let mut bytes = fs::read(&copy).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&copy, bytes).unwrap();
    let complaint = dyrep(&["train", "--resume", text(&moved), "--epochs", "5"]).complaint(1);
    assert!(complaint.contains("other logits of its teacher"), "{complaint}");
}

/// Each is told before there is a folder.
#[test]
fn logits_that_will_not_do() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let (teacher, file, run) = (at("teacher"), at("t.safetensors"), at("run"));
    json(&[&TEACHER[..], &[text(&teacher)]].concat());
    json(&["eval", text(&teacher), "--logits", text(&file)]);
    fs::write(at("text.safetensors"), "no logits").unwrap();
    let data = flowers(place.path(), 3);
    let told = |recipe: &[&str], name: &str| {
        let key = format!("distillation.file={}", text(&at(name)));
        let complaint =
            dyrep(&[&["train"], recipe, &["--set", &key, "--out", text(&run)]].concat());
        assert!(!run.exists());
        complaint.complaint(1)
    };
    let (digits, of_flowers) =
        (&["digits_quick"][..], ["imagenet_resnet18", "--data", text(&data), "--image-size", "16"]);
    for (recipe, name, wanted) in [
        (digits, "nothing.safetensors", "nothing.safetensors: cannot be read"),
        (digits, "text.safetensors", "text.safetensors: not a whole safetensors file"),
        // Those of the validation pictures.
        (digits, "t.safetensors", "logits of 360 pictures, the data have 1437"),
        (&of_flowers, "t.safetensors", "logits of 360 pictures, the data have 36"),
    ] {
        let complaint = told(recipe, name);
        assert!(complaint.contains(wanted), "{complaint}");
    }
    let complaint = dyrep(&["train", "digits_quick", "--set", "distillation.weight=1"]);
    let complaint = complaint.complaint(1);
    assert!(complaint.contains("[distillation] lacks `file`"), "{complaint}");
    dyrep(&["eval", text(&teacher), "--force"]).complaint(2);
}

/// There is a row for every picture, or no file.
#[test]
fn pictures_that_cannot_be_used_have_no_logits() {
    let place = tempfile::tempdir().unwrap();
    let (data, run) = (flowers(place.path(), 3), place.path().join("run"));
    let small = ["--image-size", "16", "--width", "4", "--batch-size", "12", "--epochs", "1"];
    let begin = ["train", "imagenet_resnet18", "--data", text(&data), "--out", text(&run)];
    json(&[&begin[..], &small].concat());
    let file = place.path().join("t.safetensors");
    let write = ["eval", text(&run), "--logits", text(&file)];
    json(&write);
    assert_eq!(tensor(&file, "logits").1, [3 * VALIDATION as usize, 3]);
    fs::remove_file(&file).unwrap();
    fs::write(data.join("val/daisy/9.png"), "no picture").unwrap();
    let complaint = dyrep(&write).complaint(1);
    assert!(complaint.contains("1 picture cannot be used") && complaint.contains("9.png"));
    assert!(!file.exists());
}
