//! What must hold of a report without a browser; `tests/report_in_browser.rs` looks at it in one.

use super::html::{count, difference, duration, fill, number, percent};
use super::*;

/// Strings that end or open something, turn the direction of writing, or are not ASCII.
const HOSTILE: [&str; 9] = [
    "</script><script>window.broken = 1</script>",
    "<!-- <script>",
    "]]> --> <![CDATA[",
    "\" ' ` onload=\"window.broken = 1\" \\ \\u003c",
    "line\u{2028}and\u{2029}end\r\n\t\0\u{1}",
    "שלום \u{202e}turned round",
    "{{recipe}} {{data}} }} {{",
    "&lt;b&gt; &amp; &#60;",
    "重參數化 🧱 ½×½",
];

pub(super) fn row(epoch: usize) -> EpochRow {
    EpochRow {
        epoch,
        train_loss: 0.1 + 0.2,
        valid_loss: 1.0,
        train_accuracy: None,
        valid_accuracy: Some(0.9722),
        weights_accuracy: None,
        learning_rate: 1e-300,
        train_seconds: 2.5,
        adjust_seconds: 0.0,
        valid_seconds: 0.5,
        params: u64::MAX,
        macs: 0,
        branches: 20,
    }
}

/// A page with something everywhere, every string of it `text`.
fn page_of(text: &str) -> Page {
    let string = || text.to_owned();
    let plain = Some(Box::new(Form::Plain { bias: true }));
    let branch = BranchRow { kind: string(), strength: Some(0.5), inside: plain };
    let nested = Form::Block { branches: vec![branch], norm_after: true };
    let stacked = nested.clone();
    let outer = BranchRow { kind: "kxk".into(), strength: None, inside: Some(Box::new(nested)) };
    Page {
        title: string(),
        description: string(),
        state: State::Failed { reason: string() },
        recipe: string(),
        epochs_planned: 3,
        epochs: vec![row(1), row(2)],
        changes: vec![ChangeRow {
            epoch: 1,
            kind: ChangeKind::Cut,
            path: string(),
            text: string(),
            params_before: 3_000_000,
            params_after: 2_900_000,
            macs_before: 10,
            macs_after: 10,
        }],
        scores: vec![ScoreTable {
            epoch: 1,
            score: string(),
            rows: vec![(string(), -1.5)],
            chosen: vec![string()],
        }],
        layers: vec![LayerRow { path: string(), geometry: string(), macs: 7 }],
        search: Some(SearchTable {
            phase: string(),
            layers: vec![SearchedRow {
                path: string(),
                branches: vec![
                    GateRow { name: string(), score: 0.25, chosen: true },
                    GateRow { name: "1x1".into(), score: f64::INFINITY, chosen: false },
                ],
            }],
        }),
        snapshots: vec![Snapshot {
            epoch: 0,
            forms: vec![
                Form::Block { branches: vec![outer], norm_after: false },
                Form::Stack { layers: vec![Form::Plain { bias: true }, stacked], norm_after: true },
            ],
        }],
        left_out: vec![string()],
        notes: vec![string()],
        classes: vec![ClassRow {
            class: string(),
            pictures: 3,
            correct: 1,
            taken_for: vec![(0, 1), (1, 1)],
        }],
        deployment: Some(DeploymentTable {
            rows: vec![DeploymentRow { name: string(), trained: string(), deployed: string() }],
            note: string(),
        }),
        started: string(),
        updated: string(),
    }
}

#[test]
fn data_neither_end_their_element_nor_change() {
    for text in HOSTILE {
        let page = page_of(text);
        let json = embed::json(&page);
        let unsafe_in_script = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        assert!(!json.contains(unsafe_in_script), "{text:?} left something in {json}");
        assert_eq!(serde_json::from_str::<Page>(&json).unwrap(), page);
        assert!(render(&page).contains(&format!("id=\"data\">{json}</script>")));
    }
}

#[test]
fn no_string_adds_an_element() {
    let tags = |text: &str| render(&page_of(text)).matches('<').count();
    let harmless = tags("harmless");
    for text in HOSTILE {
        assert_eq!(tags(text), harmless, "{text:?} opened a tag");
    }
    // The control: unescaped it would.
    assert_ne!(render(&page_of("x")).replace('x', "<b>").matches('<').count(), harmless);
}

#[test]
fn a_page_with_nothing_in_it_is_whole() {
    let html = render(&Page::default());
    for told in [
        "<h1 dir=\"auto\">Training run</h1>",
        "No epoch has ended yet.",
        "Nothing has grown or been cut.",
        "The network has not been deployed yet.",
        "No recipe was recorded.",
        "0 epochs",
    ] {
        assert!(html.contains(told), "{told} is missing");
    }
    assert!(html.ends_with("</html>\n") && !html.contains("{{"));
}

#[test]
fn nothing_is_fetched() {
    let html = render(&page_of("x"));
    assert!(html.contains("default-src 'none'"));
    let own = html.replace("http://www.w3.org/2000/svg", "");
    for way in ["http:", "https:", "//cdn", "url(", "@import", "fetch(", "src=", "<link"] {
        assert!(!own.contains(way), "the page holds {way}");
    }
}

#[test]
fn scripts_and_styles_fit_into_their_elements() {
    for text in SCRIPTS.iter().chain([&ERRORS, &STYLE]) {
        for end in ["</script", "<!--", "</style"] {
            assert!(!text.contains(end), "{end} would end or hide what follows");
        }
    }
}

#[test]
fn only_a_running_page_loads_itself_again() {
    let mut page = page_of("x");
    let refreshes = |page: &Page| render(page).contains("http-equiv=\"refresh\"");
    assert!(!refreshes(&page));
    page.state = State::Stopped { reason: "asked to".into() };
    assert!(!refreshes(&page) && render(&page).contains("asked to"));
    page.state = State::Finished;
    assert!(!refreshes(&page));
    page.state = State::Running;
    assert!(refreshes(&page));
}

#[test]
fn floats_survive_that_json_has_no_number_for() {
    let all = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX, 0.1 + 0.2];
    for value in all {
        let mut page = page_of("x");
        page.epochs[0].train_loss = value;
        page.epochs[0].train_accuracy = Some(value);
        page.scores[0].rows[0].1 = value;
        let read: Page = serde_json::from_str(&embed::json(&page)).unwrap();
        let same =
            |found: f64| found.to_bits() == value.to_bits() || (found.is_nan() && value.is_nan());
        assert!(same(read.epochs[0].train_loss), "{value} became {}", read.epochs[0].train_loss);
        assert!(same(read.epochs[0].train_accuracy.unwrap()), "{value} as an accuracy");
        assert!(same(read.scores[0].rows[0].1), "{value} as a score");
        // Missing stays missing, and is not NaN.
        assert_eq!(read.epochs[1].train_accuracy, None);
    }
    let json = embed::json(&page_of("x"));
    for other in ["\"nan\"", "\"1.0\"", "true"] {
        let json = json.replacen("\"valid_loss\":1.0", &format!("\"valid_loss\":{other}"), 1);
        assert!(serde_json::from_str::<Page>(&json).is_err(), "{other} was read as a loss");
    }
}

#[test]
fn the_best_accuracy_is_the_first_of_the_highest_and_never_nan() {
    let mut page = Page { epochs: (1..=4).map(row).collect(), ..Page::default() };
    let accuracies = [Some(0.5), Some(0.75), Some(0.75), Some(f64::NAN)];
    for (row, accuracy) in page.epochs.iter_mut().zip(accuracies) {
        row.valid_accuracy = accuracy;
    }
    let figures = summary::figures(&page);
    assert!(figures.contains("75.00%<small>validation, epoch 2<"), "{figures}");
    for row in &mut page.epochs {
        row.valid_accuracy = None;
    }
    assert!(summary::figures(&page).contains("Lowest loss"));
}

#[test]
fn weights_are_told_beside_their_average() {
    let mut page = Page { epochs: (1..=2).map(row).collect(), ..Page::default() };
    let heading = "accuracy of the weights beside their average";
    assert!(!render(&page).contains(heading));
    page.epochs[1].weights_accuracy = Some(0.625);
    let html = render(&page);
    assert!(html.contains(heading) && html.contains("<td>62.50%</td>"));
    assert!(html.contains("\"weights_accuracy\":0.625"));
}

#[test]
fn numbers_are_written_for_reading() {
    let counts = [(0.0, "0"), (999.0, "999"), (297_300.0, "297.3 k"), (2_797_290.0, "2.80 M")];
    for (value, text) in counts {
        assert_eq!(count(value), text);
    }
    assert_eq!(difference(100_000, 397_300), "+297.3 k");
    assert_eq!(difference(7, 7), "±0");
    assert_eq!(difference(u64::MAX, 0), "−18446744.1 T");
    assert_eq!(percent(0.933_33), "93.33%");
    let numbers =
        [(0.0, "0"), (0.1, "0.1000"), (3.608_2, "3.608"), (1e-5, "1.00e-5"), (12_345.6, "12346")];
    for (value, text) in numbers {
        assert_eq!(number(value), text);
    }
    assert_eq!([number(f64::NAN), number(f64::NEG_INFINITY)], ["NaN", "−∞"]);
    let times =
        [(0.0, "0.0 s"), (59.96, "1 min 00 s"), (751.2, "12 min 31 s"), (11_100.0, "3 h 05 min")];
    for (seconds, text) in times {
        assert_eq!(duration(seconds), text);
    }
}

#[test]
fn what_fills_a_slot_is_not_filled_again() {
    let value = |slot: &str| if slot == "a" { "{{b}}".to_owned() } else { "no".to_owned() };
    assert_eq!(fill("1 {{a}} 2 {{a}} {{", value), "1 {{b}} 2 {{b}} {{");
}

#[test]
fn a_long_run_stays_small() {
    let branch =
        |kind: &str| BranchRow { kind: kind.into(), strength: Some(1.0 / 3.0), inside: None };
    let kinds = dyrep_burn::BranchKind::NAMED.map(|kind| branch(&kind.to_string()));
    let block = Form::Block { branches: kinds.into(), norm_after: false };
    let path = |i| format!("layer{i}.0.conv1");
    let page = Page {
        epochs: (1..=600).map(row).collect(),
        layers: (0..60)
            .map(|i| LayerRow { path: path(i), geometry: "256→256, 3×3".into(), macs: 1 })
            .collect(),
        snapshots: (0..60)
            .map(|i| Snapshot { epoch: 10 * i, forms: vec![block.clone(); 60] })
            .collect(),
        scores: (0..60)
            .map(|i| ScoreTable {
                epoch: 10 * i,
                score: "snip".into(),
                rows: (0..60).map(|i| (path(i), 1.0 / 3.0)).collect(),
                chosen: vec![],
            })
            .collect(),
        ..Page::default()
    };
    // 1.9 MB; most of it the branches of the snapshots.
    assert!(render(&page).len() < 3_000_000, "{} bytes", render(&page).len());
}
