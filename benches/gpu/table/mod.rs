//! The tables of `docs/gpu.md` from the lines of a run. What is missing is said to be missing.

mod sections;
mod steps;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

/// The lines' file in a folder of results.
const FILE: &str = "results.jsonl";

#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    /// The folder that the run wrote, or its results.jsonl
    results: PathBuf,
}

/// The results, in the order in which they came.
struct Lines(Vec<Value>);

impl TableArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let folder = self.results.is_dir();
        let file = if folder { self.results.join(FILE) } else { self.results.clone() };
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        // A line that a killed program left half written is none.
        let lines =
            Lines(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect());
        let sections = [
            sections::machine(&lines),
            sections::laws(&lines),
            sections::digits(&lines),
            steps::table(&lines, "train", "Training steps"),
            steps::table(&lines, "infer", "Inference of the deployed network"),
            sections::kernels(&lines),
            sections::autotune(&lines),
            sections::pictures(&lines),
            sections::failures(&lines),
        ];
        println!("{}", sections.join("\n"));
        Ok(())
    }
}

impl Lines {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> + Clone {
        self.0.iter().filter(move |line| line["kind"] == kind)
    }
}

/// A heading with a table under it, or with the word that there is nothing.
fn section(title: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return format!("## {title}\n\nNot run.\n");
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = columns.iter().map(ToString::to_string).collect();
    let rule = format!("|{}\n", "---|".repeat(columns.len()));
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("## {title}\n\n{}{rule}{body}", line(&head))
}

/// A value as a cell; nothing is a dash.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace('|', "/").replace('\n', " ⏎ "),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn number(value: &Value, show: impl Fn(f64) -> String) -> String {
    value.as_f64().map_or("-".to_owned(), show)
}

fn milliseconds(value: &Value) -> String {
    number(value, |seconds| format!("{:.2} ms", 1e3 * seconds))
}

fn seconds(value: &Value) -> String {
    number(value, |seconds| format!("{seconds:.1} s"))
}

fn mebibytes(value: &Value) -> String {
    number(value, |bytes| format!("{:.0} MiB", bytes / 1048576.0))
}

fn percent(value: &Value) -> String {
    number(value, |fraction| format!("{:.2} %", 100.0 * fraction))
}
