//! What a search has found: a row for each layer, a column for each branch, the score and whether it is chosen.

use super::html::{escape, number};
use super::types::{Page, SearchTable};

/// The section, nothing where nothing is searched.
pub(super) fn section(page: &Page) -> String {
    let Some(table) = &page.search else { return String::new() };
    let mut names: Vec<&str> = vec![];
    for branch in table.layers.iter().flat_map(|layer| &layer.branches) {
        if !names.contains(&branch.name.as_str()) {
            names.push(&branch.name);
        }
    }
    let columns: String =
        names.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let rows: String = table
        .layers
        .iter()
        .map(|layer| {
            let cell = |name: &&str| match layer.branches.iter().find(|it| it.name == *name) {
                Some(it) if it.chosen => format!(
                    "<td class=\"right\" style=\"--share: 60%\" title=\"chosen\"><strong>{}</strong></td>",
                    number(it.score)
                ),
                Some(it) => format!("<td>{}</td>", number(it.score)),
                None => "<td></td>".to_owned(),
            };
            let cells: String = names.iter().map(cell).collect();
            format!("<tr><th scope=\"row\" dir=\"auto\">{}</th>{cells}</tr>\n", escape(&layer.path))
        })
        .collect();
    format!(
        "<section id=\"search\" aria-labelledby=\"search-title\">\n<h2 id=\"search-title\">Search</h2>\n\
         <p class=\"note\">{}</p>\n\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Scores of branches\">\
         <table class=\"matrix\"><caption>The score α of each branch; the chosen ones are filled</caption>\
         <thead><tr><td></td>{columns}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n</section>",
        note(table)
    )
}

fn note(table: &SearchTable) -> String {
    let all = table.layers.iter().flat_map(|layer| &layer.branches);
    let (chosen, of) =
        all.fold((0, 0), |(chosen, of), it| (chosen + usize::from(it.chosen), of + 1));
    format!("{} {chosen} of {of} branches are chosen.", escape(&table.phase))
}
