//! How well each class is told, and what it is taken for.

use super::html::{escape, isolated, percent};
use super::types::{ClassRow, Page};

/// Classes up to which all pairs are drawn.
const DRAWN: usize = 32;
/// Classes that a row names as mistaken for its own.
const NAMED: usize = 5;

/// The section, nothing if nothing is known.
pub(super) fn section(page: &Page) -> String {
    let rows = &page.classes;
    let Some(lowest) = lowest(rows) else { return String::new() };
    let lines: String = rows.iter().map(|row| line(row, rows)).collect();
    let matrix = if rows.len() <= DRAWN { matrix(rows) } else { String::new() };
    format!(
        "<section id=\"classes\" aria-labelledby=\"classes-title\">\n<h2 id=\"classes-title\">Classes</h2>\n\
         <p class=\"note\">Of the deployed network on the validation pictures. {lowest}</p>{matrix}\n\
         <details><summary>Every class</summary>\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Every class\">\
         <table class=\"numbers\"><thead><tr><th scope=\"col\">class</th><th scope=\"col\">pictures</th>\
         <th scope=\"col\">accuracy</th><th scope=\"col\">taken for</th></tr></thead>\n\
         <tbody>{lines}</tbody></table></div></details>\n</section>"
    )
}

fn accuracy(row: &ClassRow) -> Option<f64> {
    (row.pictures > 0).then(|| row.correct as f64 / row.pictures as f64)
}

/// Which class is told worst, in words; nothing without a picture.
fn lowest(rows: &[ClassRow]) -> Option<String> {
    let known = rows.iter().filter_map(|row| Some((accuracy(row)?, row)));
    let (share, row) = known.reduce(|low, other| if other.0 < low.0 { other } else { low })?;
    let (class, share, pictures) = (isolated(&row.class), percent(share), row.pictures);
    Some(format!("Lowest: {class} with {share} of {pictures}."))
}

fn line(row: &ClassRow, rows: &[ClassRow]) -> String {
    let named = row.taken_for.iter().take(NAMED).map(|(class, count)| {
        let name = rows.get(*class).map_or_else(|| format!("class {class}"), |it| it.class.clone());
        format!("{} ({count})", isolated(&name))
    });
    let mut named = named.collect::<Vec<_>>().join(", ");
    if row.taken_for.len() > NAMED {
        named += ", …";
    }
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{named}</td></tr>\n",
        isolated(&row.class),
        row.pictures,
        accuracy(row).map_or_else(|| "–".to_owned(), percent)
    )
}

/// A row for each class, a column for each that its pictures were taken for; the darker, the more of the row.
fn matrix(rows: &[ClassRow]) -> String {
    let columns: String =
        rows.iter().map(|row| format!("<th scope=\"col\">{}</th>", isolated(&row.class))).collect();
    let cells = |at: usize, row: &ClassRow| -> String {
        let of = |class: usize| match class == at {
            true => row.correct,
            false => row.taken_for.iter().find(|(it, _)| *it == class).map_or(0, |(_, n)| *n),
        };
        (0..rows.len())
            .map(|class| {
                let count = of(class);
                // Of twelve shades, none for none.
                let twelfths = (12 * count).div_ceil(row.pictures.max(1)).min(12);
                let share = (200 * twelfths + 12) / 24;
                let kind = if class == at { "right" } else { "wrong" };
                let title = format!(
                    "{count} of {} of {} taken for {}",
                    row.pictures, row.class, rows[class].class
                );
                let shown = if count == 0 { String::new() } else { count.to_string() };
                format!(
                    "<td class=\"{kind}\" style=\"--share: {share}%\" title=\"{}\">{shown}</td>",
                    escape(&title)
                )
            })
            .collect()
    };
    let lines: String = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", isolated(&row.class), cells(at, row))
        })
        .collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\
         <table class=\"matrix\"><caption>Rows are classes, columns what their pictures were taken for</caption>\
         <thead><tr><td></td>{columns}</tr></thead>\n<tbody>{lines}</tbody></table></div>"
    )
}
