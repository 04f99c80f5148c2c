//! Mean and spread, as a table.

use std::fmt::Write as _;

use dyrep_burn::Preset;

use crate::nets::Architecture;
use crate::run::{Outcome, Recipe};
use crate::strategy::Strategy;

/// Mean and sample standard deviation.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

pub(crate) fn markdown(nets: &[Architecture], recipe: Recipe, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{} training samples, {} epochs of batches of {}, adjustments every {} epochs until epoch {}\n",
        recipe.samples,
        recipe.epochs,
        recipe.batch,
        recipe.interval,
        recipe.epochs * 5 / 6
    );
    for &net in nets {
        let of_net: Vec<&Outcome> = outcomes.iter().filter(|it| it.job.net == net).collect();
        let _ = write!(text, "\n### {}\n\n", net.title());
        text.push_str(
            "| strategy | accuracy, % | against plain, same seeds | training time | branches at the \
             end | growths | cuts | diverged | seeds |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for strategy in Strategy::all() {
            row(&mut text, strategy, &of_net);
        }
    }
    text
}

fn row(text: &mut String, strategy: Strategy, outcomes: &[&Outcome]) {
    let runs: Vec<&&Outcome> = outcomes.iter().filter(|it| it.job.strategy == strategy).collect();
    if runs.is_empty() {
        return;
    }
    let plain = |seed: u64| {
        let plain = Strategy::Fixed(Preset::Plain);
        outcomes.iter().find(|it| it.job.strategy == plain && it.job.seed == seed)
    };
    let (mean, deviation) = spread(&runs.iter().map(|it| 100.0 * it.accuracy).collect::<Vec<_>>());
    let pairs = runs.iter().filter_map(|run| Some((run, plain(run.job.seed)?)));
    let gains: Vec<f64> =
        pairs.clone().map(|(run, plain)| 100.0 * (run.accuracy - plain.accuracy)).collect();
    let times: Vec<f64> = pairs.map(|(run, plain)| run.seconds / plain.seconds).collect();
    let (gain, gain_deviation) = spread(&gains);
    let (time, _) = spread(&times);
    let mean_of = |count: fn(&Outcome) -> usize| {
        spread(&runs.iter().map(|run| count(run) as f64).collect::<Vec<_>>()).0
    };
    let _ = writeln!(
        text,
        "| {strategy} | {mean:.2} ± {deviation:.2} | {gain:+.2} ± {gain_deviation:.2} | {time:.2}× | \
         {:.1} | {:.1} | {:.1} | {} | {} |",
        mean_of(|run| run.branches),
        mean_of(|run| run.growths),
        mean_of(|run| run.cuts),
        runs.iter().filter(|run| run.diverged).count(),
        runs.len()
    );
}
