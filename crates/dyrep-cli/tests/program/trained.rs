//! A run that the tests share, and what networks say of its pictures.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{FLOWERS, Ran, VALIDATION, command, flowers, json, tensor, text};

pub(crate) const SMALL: [&str; 6] = ["--image-size", "16", "--width", "4", "--batch-size", "12"];
const GROWING: [&str; 6] =
    ["--epochs", "5", "--interval", "1", "--set", "strategy.calibration_batches=2"];
pub(crate) const CLASSES: usize = FLOWERS.len();
pub(crate) const PICTURES: usize = CLASSES * VALIDATION as usize;

/// A run that was stopped and resumed, and what was deployed of it.
pub(crate) struct Trained {
    pub(crate) data: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) shipped: PathBuf,
    pub(crate) stopped: Ran,
    /// What `inspect` and `eval` said before it was resumed.
    pub(crate) midway: [Value; 2],
    pub(crate) summary: Value,
    _folder: TempDir,
}

/// The one run that the tests share, for as long as one of them uses it.
pub(crate) fn trained() -> Arc<Trained> {
    static SHARED: Mutex<Weak<Trained>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let trained = Arc::new(Trained::new());
        *shared = Arc::downgrade(&trained);
        trained
    })
}

impl Trained {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = flowers(folder.path(), CLASSES);
        let [run, shipped] = ["run", "shipped.safetensors"].map(|name| folder.path().join(name));
        let arguments = ["train", "imagenet_resnet18", "--data", text(&data), "--out", text(&run)];
        let stopped = interrupted(&[&arguments[..], &SMALL, &GROWING].concat(), &run);
        let midway = [json(&["inspect", text(&run)]), json(&["eval", text(&run)])];
        let summary = json(&["train", "--resume", text(&run)]);
        json(&["deploy", text(&run), text(&shipped)]);
        Self { data, run, shipped, stopped, midway, summary, _folder: folder }
    }
}

/// Interrupts a run, as Ctrl-C does, once its first checkpoint is there.
pub(crate) fn interrupted(arguments: &[&str], run: &Path) -> Ran {
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

/// What a network says of the validation pictures, class by class.
pub(crate) struct Said {
    pub(crate) logits: Vec<f32>,
    pub(crate) predictions: Vec<Value>,
}

impl Said {
    pub(crate) fn by(weights: &Path, data: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("logits.safetensors");
        let classes = classes().map(|class| data.join("val").join(class));
        let mut arguments = vec!["predict", text(weights), "--logits", text(&out), "--top", "3"];
        arguments.extend(classes.iter().map(|class| text(class)));
        let predicted = json(&arguments);
        let (logits, shape) = tensor(&out, "logits");
        assert_eq!(shape, [PICTURES, CLASSES]);
        Self { logits, predictions: predicted["predictions"].as_array().unwrap().clone() }
    }

    /// How many of the pictures have their own class among the `first`.
    pub(crate) fn right(&self, first: usize) -> usize {
        let rows = self.logits.chunks_exact(CLASSES).enumerate();
        let place = |(picture, row): (usize, &[f32])| {
            let own = picture / VALIDATION as usize;
            // Of equal logits the first is the larger one.
            let before = |(class, logit): (usize, &f32)| {
                *logit > row[own] || (*logit == row[own] && class < own)
            };
            row.iter().enumerate().filter(|it| before(*it)).count()
        };
        rows.map(place).filter(|place| *place < first).count()
    }

    /// Pictures by class and by the class that they are taken for.
    pub(crate) fn confusion(&self) -> [[usize; CLASSES]; CLASSES] {
        let mut counts = [[0; CLASSES]; CLASSES];
        for (picture, row) in self.logits.chunks_exact(CLASSES).enumerate() {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let taken_for = row.iter().position(|logit| *logit == largest).unwrap();
            counts[picture / VALIDATION as usize][taken_for] += 1;
        }
        counts
    }
}

/// Classes by their numbers, which follow the order of their names.
pub(crate) fn classes() -> [&'static str; CLASSES] {
    let mut names = FLOWERS.map(|(name, _)| name);
    names.sort_unstable();
    names
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Fails if `dyrep eval` counted other pictures, or other `right` ones by their first class and their first five.
pub(crate) fn assert_counts(evaluated: &Value, pictures: usize, right: [usize; 2]) {
    assert_eq!(evaluated["pictures"], pictures, "{evaluated}");
    for (name, right) in ["accuracy", "top5_accuracy"].into_iter().zip(right) {
        let counted = number(&evaluated[name]) * pictures as f64;
        assert!((counted - right as f64).abs() < 1e-9, "{name} of {right}: {evaluated}");
    }
}

/// The three likeliest classes are those of the largest logits, by name, with their shares of the whole.
pub(crate) fn check_prediction(prediction: &Value, logits: &[f32]) {
    let mut order: Vec<usize> = (0..CLASSES).collect();
    order.sort_by(|left, right| logits[*right].total_cmp(&logits[*left]));
    let whole: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    let likeliest = prediction["classes"].as_array().unwrap();
    assert_eq!(likeliest.len(), 3);
    for (told, class) in likeliest.iter().zip(order) {
        assert_eq!((&told["class"], &told["name"]), (&class.into(), &classes()[class].into()));
        let share = f64::from(logits[class]).exp() / whole;
        assert!((number(&told["probability"]) - share).abs() < 1e-6, "{prediction}");
    }
}
