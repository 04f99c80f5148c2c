//! What autotune chose: CubeCL writes a decision a line, with every candidate; here each becomes a short line.
//!
//! `cubecl.toml` in the working directory names the file: `[autotune.decisions] file = "decisions.jsonl"`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::line::say;

#[derive(Debug, Args)]
pub(crate) struct DecisionsArgs {
    /// The file
    file: PathBuf,
}

impl DecisionsArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let name = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|e| format!("{name}: {e}"))?;
        for line in text.lines() {
            // The last line may be cut short by the end of its program.
            let Ok(decision) = serde_json::from_str::<Value>(line) else { continue };
            let results = decision["results"].as_array().map_or(&[][..], Vec::as_slice);
            let fine = |result: &&Value| !result["outcome"]["Ok"].is_null();
            let chosen = results.iter().find(fine).map(|result| &result["outcome"]["Ok"]["name"]);
            let key = &decision["key"];
            let about = json!({ "operation": operation(key), "key": flat(key) });
            let found = json!({
                "chosen": chosen,
                "seconds": seconds(&decision["fastest_time"]),
                "tried": results.iter().filter(fine).count(),
                "failed": results.len() - results.iter().filter(fine).count(),
            });
            say("autotune", &about, &found)?;
        }
        Ok(())
    }
}

/// Which operation a key is of, as far as its fields tell.
fn operation(key: &Value) -> &'static str {
    let text = key.to_string();
    let known = [
        ("kernel_size", "convolution"),
        ("matmul", "matrix product"),
        ("elem_lhs", "matrix product"),
        ("reduce", "reduction"),
        ("\"Sum\"", "sum"),
    ];
    known.iter().find(|(field, _)| text.contains(field)).map_or("other", |(_, name)| name)
}

/// A key in one line without its punctuation.
fn flat(key: &Value) -> String {
    key.to_string().chars().filter(|c| !"{}\"".contains(*c)).collect()
}

/// Of a duration as serde writes it.
fn seconds(duration: &Value) -> Option<f64> {
    Some(duration["secs"].as_f64()? + 1e-9 * duration["nanos"].as_f64()?)
}
