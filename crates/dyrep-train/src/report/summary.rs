//! The head of a report: how the run stands, and the figures that matter most.

use super::html::{count, duration, escape, isolated, number, percent};
use super::types::{ChangeKind, Page, State};

/// What the run is called; a run without a name is still a training run.
pub(super) fn title(page: &Page) -> String {
    match page.title.trim() {
        "" => "Training run".to_owned(),
        title => escape(title),
    }
}

/// The state in a word, with its reason.
pub(super) fn state(page: &Page) -> String {
    let (name, word, reason) = match &page.state {
        State::Running => ("running", "Running", None),
        State::Measuring => ("measuring", "Trained, being measured", None),
        State::Finished => ("finished", "Finished", None),
        State::FinishedEarly => ("finished", "Finished early", None),
        State::Stopped { reason } => ("stopped", "Stopped", Some(reason)),
        State::Failed { reason } => ("failed", "Failed", Some(reason)),
    };
    let mut text = format!("<span class=\"pill\" data-state=\"{name}\">{word}</span>");
    if let Some(reason) = reason {
        text += &format!(" <span class=\"reason\" dir=\"auto\">{}</span>", escape(reason));
    }
    text
}

/// How many epochs are done, of how many.
pub(super) fn progress(page: &Page) -> String {
    let done = page.epochs.len();
    if page.epochs_planned == 0 {
        return format!("<span>{done} {}</span>", if done == 1 { "epoch" } else { "epochs" });
    }
    let planned = page.epochs_planned;
    format!(
        "<progress id=\"progress\" max=\"{}\" value=\"{done}\"></progress> \
         <label for=\"progress\">{done} of {planned} epochs</label>",
        planned.max(done)
    )
}

/// When the run started and when the page was written.
pub(super) fn times(page: &Page) -> String {
    let named = [("Started", &page.started), ("written", &page.updated)];
    let told: Vec<_> = named
        .iter()
        .filter(|(_, when)| !when.is_empty())
        .map(|(name, when)| format!("{name} {}", isolated(when)))
        .collect();
    told.join(", ")
}

/// The pictures that were left out, to be unfolded; nothing if there are none.
pub(super) fn left_out(page: &Page) -> String {
    let count = page.left_out.len();
    let noun = if count == 1 { "picture" } else { "pictures" };
    unfolded(&format!("{count} {noun} left out: the files cannot be used"), &page.left_out)
}

/// What else should be known, to be unfolded; nothing if there is nothing.
pub(super) fn notes(page: &Page) -> String {
    let count = page.notes.len();
    unfolded(&format!("{count} {}", if count == 1 { "note" } else { "notes" }), &page.notes)
}

fn unfolded(summary: &str, texts: &[String]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let items: String =
        texts.iter().map(|text| format!("<li dir=\"auto\">{}</li>", escape(text))).collect();
    format!("<details class=\"left-out\"><summary>{summary}</summary><ul>{items}</ul></details>")
}

/// The figures that matter most, each with a line of small print.
pub(super) fn figures(page: &Page) -> String {
    let figures = [best(page), parameters(page), changes(page), time(page)];
    let shown = figures.iter().map(|Figure { name, value, print }| {
        format!("<div><dt>{name}</dt><dd>{value}<small>{print}</small></dd></div>\n")
    });
    shown.collect()
}

/// One figure; all three are HTML.
struct Figure {
    name: &'static str,
    value: String,
    print: String,
}

/// The best accuracy; the best loss of a run that measures none.
fn best(page: &Page) -> Figure {
    let accuracies = |of: fn(&super::EpochRow) -> Option<f64>| {
        let known = page.epochs.iter().filter_map(move |row| Some((row.epoch, of(row)?)));
        // The first of equals: what came later was not better.
        known
            .filter(|(_, value)| value.is_finite())
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
    };
    if let Some((epoch, value)) = accuracies(|row| row.valid_accuracy) {
        let print = format!("validation, epoch {epoch}");
        return Figure { name: "Best accuracy", value: percent(value), print };
    }
    if let Some((epoch, value)) = accuracies(|row| row.train_accuracy) {
        let print = format!("training, epoch {epoch}");
        return Figure { name: "Best accuracy", value: percent(value), print };
    }
    match accuracies(|row| Some(-row.valid_loss))
        .or_else(|| accuracies(|row| Some(-row.train_loss)))
    {
        Some((epoch, value)) => Figure {
            name: "Lowest loss",
            value: number(-value),
            print: format!("epoch {epoch}; no accuracy was measured"),
        },
        None => Figure {
            name: "Best accuracy",
            value: "–".to_owned(),
            print: "not measured".to_owned(),
        },
    }
}

/// The parameters in training form, and those that are left after deployment.
fn parameters(page: &Page) -> Figure {
    let trained = page.epochs.last().map_or("–".to_owned(), |row| count(row.params as f64));
    let mut measured = page.deployment.iter().flat_map(|table| &table.rows);
    let deployed = measured.find(|row| row.name.to_lowercase().starts_with("param"));
    match deployed {
        Some(row) => Figure {
            name: "Parameters",
            value: format!(
                "{} <span class=\"arrow\">→</span> {}",
                isolated(&row.trained),
                isolated(&row.deployed)
            ),
            print: "training form → deployed".to_owned(),
        },
        None => Figure {
            name: "Parameters",
            value: trained,
            print: "training form; not deployed yet".to_owned(),
        },
    }
}

fn changes(page: &Page) -> Figure {
    let grown = page.changes.iter().filter(|row| row.kind == ChangeKind::Grew).count();
    let cut = page.changes.len() - grown;
    let branches = page.epochs.last().map(|row| format!("{} branches now", row.branches));
    let searched = page.search.iter().flat_map(|it| &it.layers).flat_map(|it| &it.branches);
    let value = match (&page.search, searched.filter(|it| it.chosen).count()) {
        (Some(_), chosen) => format!("{chosen} chosen"),
        (None, _) => format!("{grown} grown, {cut} cut"),
    };
    Figure {
        name: "Structure",
        value,
        print: branches.unwrap_or_else(|| "no epoch yet".to_owned()),
    }
}

fn time(page: &Page) -> Figure {
    let seconds = page.epochs.iter().map(|row| {
        let parts = [row.train_seconds, row.adjust_seconds, row.valid_seconds];
        parts.iter().filter(|part| part.is_finite()).sum::<f64>()
    });
    let total: f64 = seconds.sum();
    let (value, print) = match page.epochs.len() {
        0 => ("–".to_owned(), "no epoch yet".to_owned()),
        epochs => (duration(total), format!("{} an epoch", duration(total / epochs as f64))),
    };
    Figure { name: "Time", value, print }
}
