//! The report in a real browser: what the scripts draw is what the data hold.
//!
//! A headless Chromium loads each page from disk and prints the document as the scripts left it. The browser
//! is the one that `DYREP_BROWSER` names, else the first found of `chromium`, `chromium-browser` and
//! `google-chrome`. Without one the tests say so and pass; with `DYREP_BROWSER_REQUIRED=1` they fail.

// A failing test panics, with the reason; a skipped one says why.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod report_pages;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use burn::nn::PaddingConfig2d;
use dyrep_burn::{BranchKind, ConvGeometry};
use dyrep_train::report::{BranchRow, EpochRow, Form, Page, Snapshot, State, render};
use report_pages::{branches, large, resnet18};

/// How long a browser may take for one page.
const PATIENCE: Duration = Duration::from_secs(90);

/// One browser at a time: several would only slow each other down.
static TURN: Mutex<()> = Mutex::new(());

fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("DYREP_BROWSER") {
        return Some(named.into());
    }
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// The document that the scripts leave, without the scripts; none if there is no browser.
fn dom(name: &str, html: &str, address: &str) -> Option<String> {
    let Some(browser) = browser() else {
        let required = env::var_os("DYREP_BROWSER_REQUIRED").is_some_and(|value| value == "1");
        assert!(!required, "no browser in PATH, and DYREP_BROWSER_REQUIRED=1");
        eprintln!("{name} is skipped: no Chromium in PATH, and DYREP_BROWSER names none");
        return None;
    };
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(name);
    fs::create_dir_all(&folder).unwrap();
    let (page, out) = (folder.join("report.html"), folder.join("dom.html"));
    fs::write(&page, html).unwrap();
    let mut child = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--window-size=1300,900", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}{address}", page.display()))
        .stdout(File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{name}: the browser was not done after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{name}: the browser ended with {status}");
    Some(without_scripts(&fs::read_to_string(out).unwrap()))
}

/// The sources of the scripts hold the names that the tests look for.
fn without_scripts(dom: &str) -> String {
    let mut rest = dom;
    let mut kept = String::new();
    while let Some((before, script)) = rest.split_once("<script") {
        kept.push_str(before);
        rest = script.split_once("</script>").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// The values of an attribute, in the document's order.
fn values<'a>(dom: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    dom.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn assert_drawn(name: &str, dom: &str) {
    let root = dom.split("<html").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert!(!root.contains("data-error"), "{name}: the scripts failed: {root}");
    assert!(root.contains("data-ready=\"true\""), "{name}: the scripts did not come to an end");
}

/// The kinds of a form's branches, sorted: the page draws those with blocks inside last.
fn kinds(form: &Form, found: &mut Vec<String>) {
    if let Form::Block { branches, .. } = form {
        for branch in branches {
            found.push(branch.kind.clone());
            if let Some(inside) = &branch.inside {
                kinds(inside, found);
            }
        }
    }
    found.sort();
}

/// The drawing shows the layers in order, and in each the branches of the snapshot of epoch `snapshot`.
fn assert_structure(dom: &str, page: &Page, snapshot: usize) {
    assert_eq!(values(dom, "data-snapshot"), [snapshot.to_string()]);
    let shown: Vec<_> = dom.split("<li class=\"layer\"").skip(1).collect();
    let of_epoch = page.snapshots.iter().find(|at| at.epoch == snapshot).unwrap();
    assert_eq!(shown.len(), page.layers.len());
    for ((layer, form), html) in page.layers.iter().zip(&of_epoch.forms).zip(shown) {
        // The last layer's piece runs on to the end of the document.
        let html = html.split("</ol>").next().unwrap();
        assert_eq!(values(html, "data-path"), [layer.path.as_str()]);
        let mut expected = vec![];
        kinds(form, &mut expected);
        let mut found = values(html, "data-kind");
        found.sort_unstable();
        assert_eq!(found, expected, "{} after epoch {snapshot}", layer.path);
    }
    let all: usize = of_epoch.forms.iter().map(branches).sum();
    assert_eq!(dom.matches("<li class=\"branch box").count(), all);
}

/// The piece of the document that is one chart.
fn chart<'a>(dom: &'a str, name: &str) -> &'a str {
    let opening = format!("<figure class=\"chart\" data-chart=\"{name}\"");
    let rest = dom.split(&opening).nth(1).unwrap_or_else(|| panic!("no chart {name}"));
    rest.split("</figure>").next().unwrap()
}

#[test]
fn a_run_is_drawn_as_it_was() {
    let page = resnet18();
    let Some(dom) = dom("whole", &render(&page), "") else { return };
    assert_drawn("whole", &dom);
    assert_structure(&dom, &page, 32);
    for name in ["loss", "accuracy", "learning-rate", "params", "macs", "branches", "time"] {
        let chart = chart(&dom, name);
        let marked: usize =
            values(chart, "data-count").iter().map(|count| count.parse::<usize>().unwrap()).sum();
        assert_eq!(marked, page.changes.len(), "marks on {name}");
        let curves = match name {
            "loss" | "accuracy" => 2,
            "time" => 3,
            _ => 1,
        };
        assert_eq!(values(chart, "data-series").len(), curves, "curves of {name}");
        // A curve goes through every epoch: one move, then lines.
        let path = chart.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (1, 39), "{name}");
    }
    for change in &page.changes {
        assert!(chart(&dom, "loss").contains(&change.text), "no mark tells: {}", change.text);
    }
    let scored = dom.matches("<g class=\"score").count();
    assert_eq!(scored, page.scores.last().unwrap().rows.len());
    assert_eq!(dom.matches("<li data-kind=").count(), page.changes.len());
}

/// Names are taken apart by the script: whatever kind there is has a picture of its own and is explained.
#[test]
fn every_kind_of_branch_has_a_picture_and_a_meaning() {
    let geometry = ConvGeometry::new([8, 8], [5, 5])
        .and_then(|geometry| geometry.with_groups(8))
        .and_then(|geometry| geometry.with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2)))
        .unwrap();
    let existing: Vec<String> =
        BranchKind::existing(&geometry).iter().map(BranchKind::to_string).collect();
    assert!(existing.len() > BranchKind::NAMED.len());
    let row = |kind: String| BranchRow { kind, strength: None, inside: None };
    let repeats = ["kxk.2", "1x1:scale"].map(str::to_owned);
    let branches = existing.iter().cloned().chain(repeats).map(row).collect();
    let mut page = resnet18();
    let forms = vec![Form::Block { branches, norm_after: true }];
    (page.layers, page.snapshots) = (page.layers[..1].to_vec(), vec![Snapshot { epoch: 0, forms }]);
    let Some(dom) = dom("kinds", &render(&page), "") else { return };
    assert_drawn("kinds", &dom);
    assert_eq!(values(&dom, "data-legend"), existing);
    assert!(dom.contains("then a batch norm"));
    let legend = dom.split("class=\"legend\"").nth(1).unwrap().split("</p>").next().unwrap();
    let pictures: Vec<&str> = legend.split("<svg").skip(1).collect();
    assert_eq!(pictures.len(), existing.len());
    for (kind, picture) in existing.iter().zip(&pictures) {
        let drawn = picture.contains("class=\"tap\"")
            || picture.contains("class=\"tap half\"")
            || picture.contains("class=\"arrow\"");
        assert!(drawn && !picture.contains("NaN"), "{kind}: {picture}");
    }
    // What nobody knows is an outline, and not explained.
    page.snapshots[0].forms =
        vec![Form::Block { branches: vec![row("somebody_elses".into())], norm_after: false }];
    let Some(dom) = self::dom("unknown", &render(&page), "") else { return };
    assert_drawn("unknown", &dom);
    assert!(values(&dom, "data-legend").is_empty());
}

/// Layers in sequence are drawn one below the other, each with its branches.
#[test]
fn layers_in_sequence_are_drawn() {
    let row = |kind: &str| BranchRow { kind: kind.into(), strength: None, inside: None };
    let branches = vec![row("kxk:scale"), row("1x1:scale")];
    let block = Form::Block { branches, norm_after: false };
    let layers = vec![block.clone(), Form::Plain { bias: true }, block];
    let mut page = resnet18();
    let forms = vec![Form::Stack { layers, norm_after: true }];
    (page.layers, page.snapshots) = (page.layers[..1].to_vec(), vec![Snapshot { epoch: 0, forms }]);
    let Some(dom) = dom("stack", &render(&page), "") else { return };
    assert_drawn("stack", &dom);
    assert_eq!(values(&dom, "data-layer"), ["0", "1", "2"]);
    assert_eq!(dom.matches("class=\"branch box").count(), 4);
    assert_eq!(values(&dom, "data-legend"), ["kxk", "1x1"]);
    assert!(dom.contains("then layer 3") && dom.contains("then a batch norm"));
}

#[test]
fn the_address_chooses_the_epoch() {
    let page = resnet18();
    let html = render(&page);
    // The start; an epoch of an adjustment; one between two; by a query; beyond the last.
    let chosen =
        [("#epoch=0", 0, 0), ("#epoch=20", 20, 20), ("?epoch=14", 14, 12), ("#epoch=999", 40, 32)];
    for (address, epoch, snapshot) in chosen {
        let Some(dom) = dom("address", &html, address) else { return };
        assert_drawn(address, &dom);
        assert_structure(&dom, &page, snapshot);
        assert!(dom.contains(&format!(">{epoch}</output>")), "{address} did not choose {epoch}");
        // The changes of that snapshot, and only those, are marked.
        let changed = page.changes.iter().filter(|change| change.epoch == snapshot);
        assert_eq!(values(&dom, "data-changed").len(), changed.count(), "{address}");
        let scores = page.scores.iter().rfind(|table| table.epoch <= epoch);
        let bars = dom.matches("<g class=\"score").count();
        assert_eq!(bars, scores.map_or(0, |table| table.rows.len()), "{address}");
        let marked = dom.matches("<g class=\"score chosen").count();
        assert_eq!(marked, scores.map_or(0, |table| table.chosen.len()), "{address}");
    }
}

#[test]
fn slider_buttons_and_keys_move_what_is_shown() {
    let page = resnet18();
    let moves = "<script>
        const press = (name, key) => document.querySelector(`[data-chart=${name}] .plot`)
            .dispatchEvent(new KeyboardEvent('keydown', { key, cancelable: true }));
        const slider = document.getElementById('epoch');
        slider.value = 21;
        slider.dispatchEvent(new Event('input'));
        document.getElementById('step-back').click(); // 20
        document.getElementById('step-back').click(); // 16
        document.getElementById('step-on').click(); // 20
        document.getElementById('step-on').click(); // 24
        press('loss', 'Home');
        press('loss', 'ArrowRight');
        press('accuracy', 'Home');
        press('accuracy', 'Escape');
        setTimeout(() => { document.body.dataset.address = location.hash; }, 1000);
        </script></body>";
    let html = render(&page).replace("</body>", moves);
    let Some(dom) = dom("moves", &html, "") else { return };
    assert_drawn("moves", &dom);
    // A page that loads itself again would show the same.
    assert_eq!(values(&dom, "data-address"), ["#epoch=24"]);
    assert_structure(&dom, &page, 24);
    let tip = |name| chart(&dom, name).split("<div class=\"tip\"").nth(1).unwrap().to_owned();
    assert!(tip("loss").contains("Epoch 2<") && !tip("loss").starts_with(" hidden"));
    assert!(tip("accuracy").contains("hidden=\"\""));
    assert!(chart(&dom, "loss").contains("aria-valuenow=\"2\""));
}

#[test]
fn values_that_are_not_finite_leave_a_gap_and_a_note() {
    let mut page = resnet18();
    page.epochs[9].train_loss = f64::NAN;
    page.epochs[19].valid_loss = f64::INFINITY;
    page.scores[0].rows[0].1 = f64::NAN;
    page.scores[0].rows[1].1 = f64::NEG_INFINITY;
    page.scores[0].rows[2].1 = -0.5;
    let Some(dom) = dom("gaps", &render(&page), "#epoch=4") else { return };
    assert_drawn("gaps", &dom);
    let loss = chart(&dom, "loss");
    assert_eq!(values(loss, "data-gaps"), ["2"]);
    assert!(loss.contains("training is NaN at epoch 10; validation is ∞ at epoch 20"));
    assert_eq!(loss.matches("class=\"gap\"").count(), 2);
    assert_eq!(dom.matches("<g class=\"score minus").count(), 2);
    for place in ["d", "x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width"] {
        let lost = values(&dom, place).into_iter().find(|value| value.contains(['N', 'I']));
        assert_eq!(lost, None, "{place} of something is nowhere");
    }
}

#[test]
fn pages_with_little_in_them_are_drawn() {
    let whole = resnet18();
    let one = Page {
        epochs: vec![EpochRow {
            train_accuracy: None,
            valid_accuracy: None,
            ..whole.epochs[0].clone()
        }],
        layers: whole.layers[..1].to_vec(),
        snapshots: vec![report_pages::plain(1)],
        ..Page::default()
    };
    let lost = Page {
        epochs: vec![EpochRow {
            train_loss: f64::NAN,
            valid_loss: f64::NAN,
            ..whole.epochs[0].clone()
        }],
        ..one.clone()
    };
    let pages = [("empty", Page::default()), ("one", one), ("lost", lost)];
    for (name, page) in pages {
        let Some(dom) = dom(name, &render(&page), "") else { return };
        assert_drawn(name, &dom);
        assert_eq!(dom.matches("<li class=\"layer\"").count(), page.layers.len(), "{name}");
        let accuracy = dom.contains("data-chart=\"accuracy\"");
        assert_eq!(accuracy, name == "lost", "{name}");
        assert_eq!(dom.contains("No value is finite."), name == "lost", "{name}");
    }
}

#[test]
fn hostile_strings_are_only_shown() {
    let text = "</script><script>document.documentElement.dataset.taken = 1</script><!--<script>\
                <img src=x onerror=\"document.documentElement.dataset.taken = 2\">\u{2028}\"'";
    let mut page = resnet18();
    for string in [&mut page.title, &mut page.description, &mut page.recipe, &mut page.started] {
        text.clone_into(string);
    }
    for layer in &mut page.layers {
        layer.path += text;
        layer.geometry += text;
    }
    for change in &mut page.changes {
        change.path += text;
        change.text += text;
    }
    for table in &mut page.scores {
        table.score += text;
        for row in &mut table.rows {
            row.0 += text;
        }
        for path in &mut table.chosen {
            *path += text;
        }
    }
    page.state = State::Stopped { reason: text.into() };
    let Some(dom) = dom("hostile", &render(&page), "") else { return };
    assert_drawn("hostile", &dom);
    assert!(!dom.contains("data-taken"), "a string ran as a script");
    assert!(!dom.contains("<img"), "a string became an element");
    assert_eq!(dom.matches("<li class=\"layer\"").count(), page.layers.len());
}

#[test]
fn a_long_run_of_many_layers_is_drawn() {
    let page = large(60, 600, 5);
    let html = render(&page);
    assert!(html.len() < 6_500_000, "{} bytes", html.len());
    let Some(dom) = dom("large", &html, "#epoch=300") else { return };
    assert_drawn("large", &dom);
    assert_structure(&dom, &page, 300);
}

/// The control: what is wrong with the data or a script is seen, by people and by `assert_drawn`.
#[test]
fn broken_data_are_told() {
    let html = render(&resnet18());
    let opening = "<script type=\"application/json\" id=\"data\">";
    let faults = [
        ("cut", html.replace(opening, &format!("{opening}{{\"title\":"))),
        ("null", html.replace("\"snapshots\":[{\"epoch\":0", "\"snapshots\":[null,{\"epoch\":0")),
        ("form", html.replace("\"forms\":[{\"plain\":{\"bias\":false}}", "\"forms\":[7")),
        ("script", html.replace("function drawScores(", "function drawScores((")),
    ];
    for (name, broken) in faults {
        assert_ne!(broken, html, "{name} did not break anything");
        let Some(dom) = dom("broken", &broken, "#epoch=0") else { return };
        let told = dom.contains("data-error=\"") && dom.contains("could not be drawn");
        assert!(told, "{name}: nobody would notice");
    }
}
