//! A result is a line: one JSON object on standard output, there as soon as it is known.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Lines of a failed step's complaints that are kept.
const KEPT: usize = 12;
/// Bytes of one of them.
const LONGEST: usize = 400;

/// Writes a result of a kind, with what it is about in front; a program that dies later has told of it.
pub(crate) fn say(
    kind: &str,
    about: &impl Serialize,
    found: &impl Serialize,
) -> Result<(), String> {
    let mut line =
        Map::from_iter([("kind".to_owned(), json!(kind)), ("side".to_owned(), json!("dyrep"))]);
    for part in [serde_json::to_value(about), serde_json::to_value(found)] {
        match part.map_err(|e| e.to_string())? {
            Value::Object(fields) => line.extend(fields),
            Value::Null => {}
            other => return Err(format!("a result is an object, not {other}")),
        }
    }
    let mut output = std::io::stdout().lock();
    let text = Value::Object(line).to_string();
    writeln!(output, "{text}").and_then(|()| output.flush()).map_err(|e| e.to_string())
}

/// What a script that runs the steps has to tell.
#[derive(Debug, Args)]
pub(crate) struct NoteArgs {
    /// `failed`, `skipped`, `changed`, `done`
    #[arg(long)]
    kind: String,
    /// The step
    #[arg(long)]
    step: String,
    /// Its exit code; 124 and 137 are those of `timeout`
    #[arg(long)]
    code: Option<i32>,
    /// How long it took
    #[arg(long)]
    seconds: Option<f64>,
    /// A file whose last lines say why
    #[arg(long)]
    stderr: Option<PathBuf>,
}

impl NoteArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let reason = self.stderr.as_ref().map(|file| match std::fs::read(file) {
            Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) => format!("{}: {error}", file.display()),
        });
        let about = json!({ "step": self.step });
        let mut found = json!({});
        if let Some(code) = self.code {
            found["code"] = json!(code);
        }
        if let Some(seconds) = self.seconds {
            found["seconds"] = json!(seconds);
        }
        if let Some(reason) = reason {
            found["reason"] = json!(reason);
        }
        say(&self.kind, &about, &found)
    }
}

/// The last lines of a text that say something, each not too long.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let kept = lines[lines.len().saturating_sub(KEPT)..].iter();
    let kept: Vec<String> = kept.map(|line| line.chars().take(LONGEST).collect()).collect();
    kept.join("\n")
}
