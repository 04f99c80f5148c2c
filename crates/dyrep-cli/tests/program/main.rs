//! The program `dyrep` as people and scripts use it.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod average;
mod found;
mod mistakes;
mod published;
mod recipes;
#[cfg(unix)]
mod rep_optimizer;
#[cfg(unix)]
mod taught;
#[cfg(unix)]
mod trained;
mod version_1;
#[cfg(unix)]
mod walk;
mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{ImageBuffer, Rgb};
use safetensors::SafeTensors;
use serde_json::Value;

/// What a command did.
struct Ran {
    code: i32,
    output: String,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        let (output, errors) = (text(output.stdout), text(output.stderr));
        assert!(!errors.contains("a fault of dyrep") && !errors.contains("panicked"), "{errors}");
        Self { code, output, errors }
    }

    /// Of a command that must succeed.
    fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.output, self.errors);
        self
    }

    /// The one line of complaint of a command that must fail with `code`.
    fn complaint(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.output, self.errors);
        let complaints = self.errors.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(complaints.count(), 1, "{}", self.errors);
        self.errors
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dyrep"))
}

fn dyrep(arguments: &[&str]) -> Ran {
    Ran::of(command().args(arguments).output().unwrap())
}

/// Runs a command that must succeed with `--json`; its object.
fn json(arguments: &[&str]) -> Value {
    let ran = dyrep(&[arguments, &["--json"]].concat()).good();
    assert_eq!(ran.output.lines().count(), 1, "{}", ran.output);
    serde_json::from_str(&ran.output).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Classes of pictures, which colour tells apart.
const FLOWERS: [(&str, [u32; 3]); 7] = [
    ("daisy", [220, 220, 40]),
    ("rose", [200, 30, 60]),
    ("tulip", [60, 40, 220]),
    ("iris", [110, 60, 130]),
    ("lily", [235, 215, 225]),
    ("poppy", [210, 90, 10]),
    ("viola", [20, 20, 60]),
];
/// Pictures of each class for validation.
const VALIDATION: u32 = 4;

/// Pictures of the first `classes` of [`FLOWERS`], in ImageNet's layout.
fn flowers(folder: &Path, classes: usize) -> PathBuf {
    let root = folder.join("flowers");
    for (split, count) in [("train", 12), ("val", VALIDATION)] {
        for (class, tint) in &FLOWERS[..classes] {
            let class = root.join(split).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for number in 0..count {
                let picture = ImageBuffer::from_fn(24 + number, 20, |x, y| {
                    Rgb(tint.map(|value| (value + 2 * x + y + 3 * number).min(255) as u8))
                });
                picture.save(class.join(format!("{number}.png"))).unwrap();
            }
        }
    }
    root
}

/// A tensor of a safetensors file, with its shape.
fn tensor(file: &Path, name: &str) -> (Vec<f32>, Vec<usize>) {
    let bytes = std::fs::read(file).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let view = all.tensor(name).unwrap();
    let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    (values.collect(), view.shape().to_vec())
}

/// The logits that the program gives for the tensor `input` of a file, a batch of two, and ten classes.
fn logits(weights: &Path, batch: &Path, folder: &Path, more: &[&str]) -> Vec<f32> {
    let out = folder.join("logits.safetensors");
    let batch = ["--batch", text(batch), "--tensor", "input", "--logits", text(&out), "--force"];
    dyrep(&[&["predict", text(weights)], &batch[..], more].concat()).good();
    let (values, shape) = tensor(&out, "logits");
    assert_eq!(shape, [2, 10]);
    values
}

/// The largest difference, of the largest value wanted.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    let far = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    far.fold(0.0, f32::max) / largest
}
