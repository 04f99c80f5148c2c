//! The tables of a report, as HTML that needs no script.

use super::html::{count, difference, duration, escape, isolated, number, percent};
use super::types::{ChangeKind, ChangeRow, EpochRow, Page};

/// The trained and the deployed network side by side.
pub(super) fn deployment(page: &Page) -> String {
    let Some(table) = &page.deployment else {
        return "<p class=\"none\">The network has not been deployed yet.</p>".to_owned();
    };
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
                isolated(&row.name),
                isolated(&row.trained),
                isolated(&row.deployed)
            )
        })
        .collect();
    let note = match table.note.as_str() {
        "" => String::new(),
        note => format!("<p class=\"note\" dir=\"auto\">{}</p>", escape(note)),
    };
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Deployment\">\
         <table class=\"numbers\"><thead><tr><th scope=\"col\"></th>\
         <th scope=\"col\">training form</th><th scope=\"col\">deployed</th></tr></thead>\n\
         <tbody>{rows}</tbody></table></div>{note}"
    )
}

/// Every growth and cut. Its links select the epoch in the figures above.
pub(super) fn changes(page: &Page) -> String {
    if page.changes.is_empty() {
        return "<p class=\"none\">Nothing has grown or been cut.</p>".to_owned();
    }
    let rows: String = page.changes.iter().map(change).collect();
    format!("<ol class=\"changes\">\n{rows}</ol>")
}

fn change(row: &ChangeRow) -> String {
    let (kind, word) = match row.kind {
        ChangeKind::Grew => ("grew", "▲ grew"),
        ChangeKind::Cut => ("cut", "▼ cut"),
    };
    format!(
        "<li data-kind=\"{kind}\"><a href=\"#epoch={epoch}\">epoch {epoch}</a>\
         <span class=\"badge {kind}\">{word}</span>\
         <div><code dir=\"auto\">{path}</code><p dir=\"auto\">{text}</p>\
         <p class=\"cost\">{params} parameters, now {params_after}; \
         {macs} multiply-adds, now {macs_after}</p></div></li>\n",
        epoch = row.epoch,
        path = escape(&row.path),
        text = escape(&row.text),
        params = difference(row.params_before, row.params_after),
        params_after = count(row.params_after as f64),
        macs = difference(row.macs_before, row.macs_after),
        macs_after = count(row.macs_after as f64),
    )
}

/// The recipe as it was written.
pub(super) fn recipe(page: &Page) -> String {
    if page.recipe.trim().is_empty() {
        return "<p class=\"none\">No recipe was recorded.</p>".to_owned();
    }
    // A parser drops one line end after `<pre>`; this one is given up for it.
    format!("<pre dir=\"ltr\" tabindex=\"0\">\n{}</pre>", escape(&page.recipe))
}

/// In front of what is known where an average of the weights is evaluated, and behind it.
const EPOCH_COLUMNS: [&[&str]; 2] = [
    &["epoch", "training loss", "validation loss", "training accuracy", "validation accuracy"],
    &[
        "learning rate",
        "training",
        "adjusting",
        "validating",
        "parameters",
        "multiply-adds",
        "branches",
    ],
];

/// Every epoch in numbers.
pub(super) fn epochs(page: &Page) -> String {
    if page.epochs.is_empty() {
        return "<p class=\"none\">No epoch has ended yet.</p>".to_owned();
    }
    let averaged = page.epochs.iter().any(|row| row.weights_accuracy.is_some());
    let beside: &[&str] =
        if averaged { &["accuracy of the weights beside their average"] } else { &[] };
    let [before, behind] = EPOCH_COLUMNS;
    let columns: String = [before, beside, behind]
        .concat()
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let rows: String = page.epochs.iter().map(|row| epoch(row, averaged)).collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Epochs in numbers\">\
         <table class=\"numbers\"><thead><tr>{columns}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )
}

fn epoch(row: &EpochRow, averaged: bool) -> String {
    let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), percent);
    let mut cells = vec![
        number(row.train_loss),
        number(row.valid_loss),
        share(row.train_accuracy),
        share(row.valid_accuracy),
    ];
    cells.extend(averaged.then(|| share(row.weights_accuracy)));
    cells.extend([
        number(row.learning_rate),
        duration(row.train_seconds),
        duration(row.adjust_seconds),
        duration(row.valid_seconds),
        count(row.params as f64),
        count(row.macs as f64),
        row.branches.to_string(),
    ]);
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", row.epoch)
}
