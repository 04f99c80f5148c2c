//! Several runs on one page: a table, their curves over each other, accuracy against what it costs.

use super::STYLE;
use super::html::{count, duration, escape, isolated, percent};
use super::plot::{Curve, Plot, style};
use super::types::EpochRow;

/// A run among others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// What it is called here: its folder.
    pub name: String,
    /// What was trained.
    pub title: String,
    /// How it stands, in words.
    pub state: String,
    /// Its epochs, in order.
    pub epochs: Vec<EpochRow>,
    /// Of the deployed network: accuracy, parameters, multiply-adds for one picture; nothing before it was measured.
    pub deployed: Option<(f64, usize, u64)>,
}

impl Compared {
    /// Of the epochs that have it, in percent.
    fn accuracies(&self, of: fn(&EpochRow) -> Option<f64>) -> Vec<[f64; 2]> {
        let rows = self.epochs.iter();
        rows.filter_map(|row| Some([row.epoch as f64, 100.0 * of(row)?])).collect()
    }

    /// The epoch with the best validation accuracy, the first of several, and this, 0 to 1.
    #[must_use]
    pub fn best(&self) -> Option<(usize, f64)> {
        let rows = self.epochs.iter().filter_map(|row| Some((row.epoch, row.valid_accuracy?)));
        let figures = rows.filter(|(_, accuracy)| accuracy.is_finite());
        figures.reduce(|best, other| if other.1 > best.1 { other } else { best })
    }

    fn seconds(&self) -> f64 {
        let rows = self.epochs.iter();
        rows.map(|row| row.train_seconds + row.adjust_seconds + row.valid_seconds).sum()
    }
}

/// The page of several runs: one HTML document that needs nothing else, not even scripts.
#[must_use]
pub fn render_comparison(runs: &[Compared]) -> String {
    let each = |points: &dyn Fn(&Compared) -> Vec<[f64; 2]>| -> Vec<Curve> {
        let runs = runs.iter().enumerate();
        runs.map(|(run, of)| Curve { run, points: points(of) }).collect()
    };
    let rows = |field: fn(&EpochRow) -> f64| {
        each(&|run| run.epochs.iter().map(|row| [row.epoch as f64, field(row)]).collect())
    };
    let accuracy = "validation accuracy, %";
    let deployed = |x: fn(usize, u64) -> f64| {
        each(&|run| {
            let point = |(accuracy, params, macs)| [x(params, macs), 100.0 * accuracy];
            run.deployed.map(point).into_iter().collect()
        })
    };
    let curves = [
        ("Validation accuracy", accuracy, each(&|run| run.accuracies(|row| row.valid_accuracy))),
        // Of runs that evaluate an average; drawn if there are any.
        (
            "Validation accuracy of the weights beside their average",
            accuracy,
            each(&|run| run.accuracies(|row| row.weights_accuracy)),
        ),
        ("Validation loss", "loss", rows(|row| row.valid_loss)),
        ("Training loss", "loss", rows(|row| row.train_loss)),
        (
            "Multiply-adds while training",
            "millions for one picture",
            rows(|row| row.macs as f64 / 1e6),
        ),
    ];
    let points = [
        ("Accuracy and time", "minutes of training", {
            each(&|run| {
                run.best().map(|(_, it)| [run.seconds() / 60.0, 100.0 * it]).into_iter().collect()
            })
        }),
        ("Accuracy and multiply-adds of the deployed network", "millions for one picture", {
            deployed(|_, macs| macs as f64 / 1e6)
        }),
        ("Accuracy and parameters of the deployed network", "millions", {
            deployed(|params, _| params as f64 / 1e6)
        }),
    ];
    let mut figures = String::new();
    let mut add = |plot: Plot<'_>| {
        if let Some(svg) = plot.svg() {
            figures += &format!("<h3>{}</h3>\n{svg}\n", escape(plot.title));
        }
    };
    for (title, axis, curves) in curves {
        add(Plot { title, axes: ["epoch", axis], curves, joined: true });
    }
    for (title, axis, curves) in points {
        add(Plot { title, axes: [axis, accuracy], curves, joined: false });
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}\n{PLOTS}</style>\n\
         </head>\n<body>\n<header><h1>{title}</h1></header>\n<main>\n<section><h2>Runs</h2>\n{}</section>\n\
         <section><h2>Curves</h2>\n<ul class=\"keys\">{}</ul>\n{figures}</section>\n</main>\n</body>\n</html>\n",
        table(runs),
        runs.iter().enumerate().map(key).collect::<String>(),
        title = match runs.len() {
            1 => "1 run".to_owned(),
            many => format!("{many} runs"),
        },
    )
}

/// What plots need beside the report's own looks.
const PLOTS: &str = "
.plot { display: block; max-width: 60rem; width: 100%; }
.plot line { stroke: var(--grid); }
.plot text { fill: var(--muted); font-size: 13px; }
.plot polyline { fill: none; stroke-width: 2; }
.keys { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0; }
.keys svg { vertical-align: middle; }
.scroll { overflow-x: auto; }
td, th { padding: 0.2rem 0.75rem 0.2rem 0; text-align: left; white-space: nowrap; }
td.count { font-variant-numeric: tabular-nums; text-align: right; }
";

fn key((run, of): (usize, &Compared)) -> String {
    let [colour, dashes] = style(run);
    format!(
        "<li><svg width=\"36\" height=\"10\" aria-hidden=\"true\"><line x1=\"0\" x2=\"36\" y1=\"5\" y2=\"5\" \
         stroke=\"{colour}\" stroke-width=\"3\" stroke-dasharray=\"{dashes}\"/></svg> {}. {}</li>",
        run + 1,
        isolated(&of.name)
    )
}

fn table(runs: &[Compared]) -> String {
    let heads = [
        "",
        "Run",
        "Network",
        "State",
        "Epochs",
        "Best accuracy",
        "Last accuracy",
        "Deployed accuracy",
        "Deployed parameters",
        "Deployed multiply-adds",
        "Time",
    ];
    let head: String = heads.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let row = |(run, of): (usize, &Compared)| {
        let unknown = || "–".to_owned();
        let best = of.best().map_or_else(unknown, |(epoch, accuracy)| {
            format!("{} (epoch {epoch})", percent(accuracy))
        });
        let last =
            of.epochs.last().and_then(|row| row.valid_accuracy).map_or_else(unknown, percent);
        let [accuracy, params, macs] = match of.deployed {
            Some((accuracy, params, macs)) => {
                [percent(accuracy), count(params as f64), count(macs as f64)]
            }
            None => [unknown(), unknown(), unknown()],
        };
        let texts = [&of.name, &of.title, &of.state];
        let texts: String = texts.iter().map(|it| format!("<td>{}</td>", isolated(it))).collect();
        let counts = [
            of.epochs.len().to_string(),
            best,
            last,
            accuracy,
            params,
            macs,
            duration(of.seconds()),
        ];
        let counts: String =
            counts.iter().map(|it| format!("<td class=\"count\">{it}</td>")).collect();
        format!("<tr><td>{}</td>{texts}{counts}</tr>\n", run + 1)
    };
    let rows: String = runs.iter().enumerate().map(row).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, accuracies: &[f64]) -> Compared {
        let epoch = |(at, accuracy): (usize, &f64)| EpochRow {
            epoch: at + 1,
            valid_accuracy: Some(*accuracy),
            train_seconds: 60.0,
            ..super::super::tests::row(at + 1)
        };
        Compared {
            name: name.to_owned(),
            state: "finished".to_owned(),
            epochs: accuracies.iter().enumerate().map(epoch).collect(),
            deployed: Some((0.75, 1000, 2_000_000)),
            ..Compared::default()
        }
    }

    #[test]
    fn runs_are_told_apart_and_nothing_is_markup() {
        let runs =
            [run("runs/a<b>", &[0.5, 0.75, 0.625]), run("b", &[f64::NAN]), Compared::default()];
        let page = render_comparison(&runs);
        assert!(page.contains("75.00% (epoch 2)") && page.contains("62.50%"), "{page}");
        assert!(page.contains("runs/a&lt;b&gt;") && !page.contains("a<b>"));
        assert!(page.contains("2.00 M") && page.contains("1.00 k"));
        assert_eq!(page.matches("<tr><td>").count(), 3);
        // The best accuracy of one, deployed ones of two.
        assert_eq!(page.matches("<svg class=\"plot\"").count(), 7);
        let mut averaged = runs[0].clone();
        averaged.epochs[2].weights_accuracy = Some(0.5);
        let page = render_comparison(&[averaged]);
        assert!(page.contains("<h3>Validation accuracy of the weights beside their average</h3>"));
        for fetched in ["http:", "https:", "<script", "url("] {
            assert!(!page.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn many_runs_have_looks_of_their_own() {
        let looks: std::collections::BTreeSet<_> = (0..28).map(style).collect();
        assert_eq!(looks.len(), 28);
    }
}
