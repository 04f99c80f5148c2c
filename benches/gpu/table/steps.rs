//! Training steps and inference: a row a network, ours beside PyTorch's.

use serde_json::Value;

use super::{Lines, cell, mebibytes, milliseconds, seconds, section};

/// What a row is about.
const KEYS: [&str; 5] = ["model", "branches", "batch", "size", "dtype"];
/// Said of branches whose operations are merged, which PyTorch's are not.
const MERGED: &str = ", merged";
const MODES: [&str; 3] = ["nchw", "channels_last", "channels_last compiled"];

pub(super) fn table(lines: &Lines, kind: &str, title: &str) -> String {
    let first = format!("{kind}_first");
    let mut about: Vec<Vec<String>> = vec![];
    for line in lines.of(kind).chain(lines.of(&first)) {
        let row = names(line);
        // PyTorch's autocast stands in the row of bf16.
        if !about.contains(&row) && row[4] != "autocast" {
            about.push(row);
        }
    }
    let columns = [
        "network",
        "branches",
        "batch",
        "numbers",
        "on",
        "first",
        "median",
        "memory",
        "PyTorch NCHW",
        "channels last",
        "compiled",
        "autocast",
        "its memory",
        "ours / its best",
    ];
    let rows: Vec<_> = about.iter().map(|about| row(lines, kind, about)).collect();
    section(title, &columns, &rows)
}

fn names(line: &Value) -> Vec<String> {
    let mut names: Vec<String> = KEYS.iter().map(|key| cell(&line[*key])).collect();
    if let Some(width) = line["width"].as_u64() {
        names[0] += &format!(" of width {width}");
    }
    if line["merged"] == true {
        names[1] += MERGED;
    }
    names
}

fn row(lines: &Lines, kind: &str, about: &[String]) -> Vec<String> {
    let mut peers = about.to_vec();
    peers[1] = peers[1].trim_end_matches(MERGED).to_owned();
    let of = |kind: &str, side: &str| {
        let about = if side == "pytorch" { &peers[..] } else { about };
        let found = lines.of(kind).filter(|line| line["side"] == side && names(line) == *about);
        found.cloned().collect::<Vec<_>>()
    };
    let ours = of(kind, "dyrep").pop();
    let begun = of(&format!("{kind}_first"), "dyrep").pop();
    let theirs = of(kind, "pytorch");
    let in_mode = |mode: &str| theirs.iter().rfind(|line| line["mode"] == mode);
    let autocast = lines.of(kind).filter(|line| {
        let mut names = names(line);
        let is = names[4] == "autocast" && about[4] == "bf16";
        names[4] = about[4].clone();
        is && names == peers
    });
    let fastest = |lines: Vec<&Value>| {
        lines.into_iter().min_by(|a, b| time(a).total_cmp(&time(b))).cloned().unwrap_or_default()
    };
    let autocast = fastest(autocast.collect());
    let best = fastest(theirs.iter().collect());
    let null = Value::Null;
    let mine = ours.as_ref().unwrap_or(&null);
    let [model, branches, batch, size, dtype] = [0, 1, 2, 3, 4].map(|at| about[at].clone());
    let mut cells = vec![model, branches, format!("{batch} × {size}²"), dtype];
    let started = ours.as_ref().or(begun.as_ref()).unwrap_or(&null);
    cells.push(cell(&started["device"]));
    cells.push(seconds(&started["first_seconds"]));
    cells.push(match (&ours, &begun) {
        (None, Some(_)) => "cut short".to_owned(),
        // What is not finite has no number in JSON.
        (Some(line), _) if line["value_last"].is_null() => {
            format!("{}, not finite", milliseconds(&line["median_seconds"]))
        }
        _ => milliseconds(&mine["median_seconds"]),
    });
    cells.push(mebibytes(&mine["bytes_reserved"]));
    cells.extend(
        MODES
            .iter()
            .map(|mode| milliseconds(in_mode(mode).map_or(&null, |line| &line["median_seconds"]))),
    );
    cells.push(milliseconds(&autocast["median_seconds"]));
    cells.push(mebibytes(&best["bytes_reserved"]));
    let (mine, best) = (time(mine), time(&best));
    let both = mine.is_finite() && best.is_finite();
    cells.push(if both { format!("{:.2}", mine / best) } else { "-".to_owned() });
    cells
}

/// Infinite where there is none.
fn time(line: &Value) -> f64 {
    line["median_seconds"].as_f64().unwrap_or(f64::INFINITY)
}
