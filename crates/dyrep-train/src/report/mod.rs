//! The report of a training run: one HTML file that opens from disk, without a network.
//!
//! ```text
//! Page (plain data) ─▶ render ─▶ page.html ◀─ *.css, *.js, the same data as JSON
//! ```
//!
//! A [`Page`] is what a run tells: epochs, changes, scores, structures. [`render`] puts it into `page.html`.
//! The header, the tables and the recipe are written here, so that they are read without JavaScript too; the
//! figures are drawn by the scripts, from the JSON.
//!
//! Strings of a page may hold anything. In the document they are escaped (`html.rs`); in the JSON nothing is
//! left that could end or open a tag (`embed.rs`); the scripts set text, never markup.

mod classes;
mod compare;
mod embed;
mod html;
mod plot;
mod search;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod types;

pub use compare::{Compared, render_comparison};
pub use types::{
    BranchRow, ChangeKind, ChangeRow, ClassRow, DeploymentRow, DeploymentTable, EpochRow, Form,
    GateRow, LayerRow, Page, ScoreTable, SearchTable, SearchedRow, Snapshot, State,
};

/// The document, with slots for what is filled in.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(include_str!("page.css"), include_str!("figures.css"));
/// Runs first and alone, so that it also sees what is wrong with the other scripts.
const ERRORS: &str = include_str!("errors.js");
/// The figures, in the order in which they need each other.
const SCRIPTS: [&str; 10] = [
    include_str!("dom.js"),
    include_str!("scale.js"),
    include_str!("chart.js"),
    include_str!("readout.js"),
    include_str!("charts.js"),
    include_str!("epoch.js"),
    include_str!("network.js"),
    include_str!("scores.js"),
    include_str!("score_map.js"),
    include_str!("main.js"),
];
/// Seconds after which the page of a running training loads itself again.
const REFRESH_SECONDS: u32 = 30;

/// The whole report, as one HTML document that needs nothing else.
///
/// ```
/// use dyrep_train::report::{Page, State, render};
///
/// let page = Page { title: "ResNet-18".into(), state: State::Running, ..Page::default() };
/// assert!(render(&page).contains("<h1 dir=\"auto\">ResNet-18</h1>"));
/// ```
#[must_use]
pub fn render(page: &Page) -> String {
    html::fill(PAGE, |slot| match slot {
        "title" => summary::title(page),
        "style" => STYLE.to_owned(),
        "errors" => ERRORS.to_owned(),
        "refresh" => refresh(page),
        "refresh_seconds" => REFRESH_SECONDS.to_string(),
        "state" => summary::state(page),
        "description" => html::escape(&page.description),
        "progress" => summary::progress(page),
        "times" => summary::times(page),
        "left_out" => summary::left_out(page),
        "notes" => summary::notes(page),
        "figures" => summary::figures(page),
        "deployment" => table::deployment(page),
        "classes" => classes::section(page),
        "search" => search::section(page),
        "changes" => table::changes(page),
        "epochs" => table::epochs(page),
        "recipe" => table::recipe(page),
        "data" => embed::json(page),
        "scripts" => format!("(() => {{\n\"use strict\";\n{}}})();", SCRIPTS.join("\n")),
        unknown => unreachable!("page.html has a slot that nothing fills: {unknown}"),
    })
}

/// How the page loads itself again where there is no script to do it with more care.
fn refresh(page: &Page) -> String {
    match page.state {
        State::Running | State::Measuring => format!(
            "<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\"></noscript>"
        ),
        _ => String::new(),
    }
}
