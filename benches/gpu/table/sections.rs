//! All but the steps: the machine, laws, digits, kernels, what autotune chose, pictures, what failed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Lines, cell, milliseconds, number, percent, seconds, section};

/// Rows of each list of kernels.
const KERNELS: usize = 12;

pub(super) fn machine(lines: &Lines) -> String {
    let quiet = ["kind", "side"];
    let mut rows = vec![];
    for line in lines.of("machine").chain(lines.of("device")) {
        let fields = line.as_object().into_iter().flatten();
        let told = fields.filter(|(name, _)| !quiet.contains(&name.as_str()));
        rows.push(told.map(|(name, value)| format!("{name}: {}", cell(value))).collect::<Vec<_>>());
    }
    section(
        "Machine",
        &["told"],
        &rows.into_iter().map(|row| vec![row.join("; ")]).collect::<Vec<_>>(),
    )
}

pub(super) fn laws(lines: &Lines) -> String {
    // Also of a run that was cut short: from its cases.
    let mut worst: BTreeMap<(String, String), (f64, String, usize)> = BTreeMap::new();
    for line in lines.of("law") {
        for (quantity, difference) in line["differences"].as_object().into_iter().flatten() {
            // What is not finite has no number in JSON.
            let difference = difference.as_f64().unwrap_or(f64::INFINITY);
            let key = (cell(&line["device"]), quantity.clone());
            let seen = worst.entry(key).or_insert((0.0, String::new(), 0));
            seen.2 += 1;
            if difference >= seen.0 {
                (seen.0, seen.1) = (difference, cell(&line["case"]));
            }
        }
    }
    let rows: Vec<Vec<String>> = worst
        .into_iter()
        .map(|((device, quantity), (most, case, cases))| {
            vec![device, quantity, cases.to_string(), format!("{most:.1e}"), case]
        })
        .collect();
    let columns = ["device", "quantity", "layers", "largest difference", "at"];
    let failed: Vec<_> = lines.of("law").filter(|line| !line["reason"].is_null()).collect();
    let mut text = section("Laws: f32 on the device beside f64 on the CPU", &columns, &rows);
    for line in failed.iter().take(KERNELS) {
        text += &format!(
            "\nfailed on {}: {}: {}\n",
            cell(&line["device"]),
            cell(&line["case"]),
            cell(&line["reason"])
        );
    }
    text
}

pub(super) fn digits(lines: &Lines) -> String {
    let row = |line: &Value| {
        vec![
            cell(&line["device"]),
            cell(&line["epochs"]),
            percent(&line["accuracy"]),
            percent(&line["accuracy_deployed"]),
            number(&line["relative_difference"], |value| format!("{value:.1e}")),
            cell(&line["branches"]),
            seconds(&line["seconds"]),
            seconds(
                line["train_seconds"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null),
            ),
        ]
    };
    let columns = [
        "device",
        "epochs",
        "accuracy",
        "deployed",
        "difference",
        "branches",
        "in all",
        "last epoch's steps",
    ];
    section("The digits", &columns, &lines.of("digits").map(row).collect::<Vec<_>>())
}

pub(super) fn kernels(lines: &Lines) -> String {
    let mut groups: Vec<(Vec<String>, Vec<&Value>)> = vec![];
    for line in lines.of("kernel") {
        let about = ["side", "model", "branches", "batch", "dtype", "mode"];
        let about: Vec<String> = about.iter().map(|key| cell(&line[*key])).collect();
        match groups.iter_mut().find(|(known, _)| *known == about) {
            Some((_, found)) => found.push(line),
            None => groups.push((about, vec![line])),
        }
    }
    let mut rows = vec![];
    for (about, found) in groups {
        for line in found.into_iter().take(KERNELS) {
            rows.push(vec![
                about.join(" "),
                cell(&line["name"]),
                number(&line["launches"], |count| format!("{count:.0}")),
                milliseconds(&line["seconds"]),
                number(&line["share"], |share| format!("{:.0} %", 100.0 * share)),
            ]);
        }
    }
    section("Where a step's time goes", &["step", "kernel", "launches", "time", "share"], &rows)
}

pub(super) fn autotune(lines: &Lines) -> String {
    let mut counts: BTreeMap<(String, String), (usize, u64, u64)> = BTreeMap::new();
    for line in lines.of("autotune") {
        let key = (cell(&line["operation"]), cell(&line["chosen"]));
        let seen = counts.entry(key).or_default();
        seen.0 += 1;
        seen.1 += line["tried"].as_u64().unwrap_or(0);
        seen.2 += line["failed"].as_u64().unwrap_or(0);
    }
    let rows: Vec<Vec<String>> = counts
        .into_iter()
        .map(|((operation, chosen), (times, tried, failed))| {
            vec![operation, chosen, times.to_string(), tried.to_string(), failed.to_string()]
        })
        .collect();
    let columns = ["operation", "chosen", "times", "candidates that ran", "that failed"];
    section("What autotune chose", &columns, &rows)
}

pub(super) fn pictures(lines: &Lines) -> String {
    let rate = |value: &Value| number(value, |rate| format!("{rate:.0}"));
    let row = |line: &Value| {
        vec![
            format!(
                "{} {} {}",
                cell(&line["model"]),
                cell(&line["branches"]),
                cell(&line["dtype"])
            ),
            cell(&line["device"]),
            cell(&line["threads"]),
            rate(&line["loader_per_second"]),
            rate(&line["steps_per_second"]),
            rate(&line["together_per_second"]),
        ]
    };
    let columns = ["network", "device", "threads", "loader alone", "steps alone", "together"];
    let rows: Vec<_> = lines.of("pictures").map(row).collect();
    section("Pictures a second, from JPEG to step", &columns, &rows)
}

pub(super) fn failures(lines: &Lines) -> String {
    let row = |line: &Value| {
        let about = ["model", "branches", "batch", "dtype", "mode"];
        let about = about.iter().filter(|key| !line[**key].is_null()).map(|key| cell(&line[*key]));
        let step = std::iter::once(cell(&line["step"])).chain(about).collect::<Vec<_>>().join(" ");
        vec![
            cell(&line["kind"]),
            step,
            cell(&line["code"]),
            seconds(&line["seconds"]),
            cell(&line["reason"]),
        ]
    };
    let rows: Vec<_> =
        ["failed", "skipped", "changed"].iter().flat_map(|kind| lines.of(kind)).map(row).collect();
    if rows.is_empty() {
        return "Nothing failed, nothing was left out.\n".to_owned();
    }
    section("What failed or was left out", &["", "step", "exit code", "after", "last words"], &rows)
}
