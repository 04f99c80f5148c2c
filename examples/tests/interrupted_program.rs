//! The program killed, interrupted and out of room at any moment: resumed, it ends with the weights that it would have
//! had undisturbed, to the bit.
//!
//! `DYREP_KILLS` says in how many sequences it is killed.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Sequences of kills without the environment's say.
const KILLS: u64 = 20;
/// A growth after every epoch, and cuts of whatever is weakest.
const SMALL: [&str; 12] = [
    "--width",
    "2",
    "--epochs",
    "4",
    "--interval",
    "1",
    "--set",
    "strategy.cut_rule={threshold={min_deviation=0.0,max_ratio=1.0}}",
    "--set",
    "strategy.calibration_batches=2",
    "--set",
    "strategy.last_epoch=4",
];

fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    target.join("examples").join("resnet18_imagenet")
}

/// Starts a run in the folder, or goes on with the one that is there.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(program());
    match folder.join("run.json").exists() {
        true => command.arg("--resume").arg(folder),
        false => command.args(SMALL).arg("--out").arg(folder),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(folder: &Path) -> Output {
    let output = command(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output
}

/// Trained and deployed weights, byte for byte as they are written.
type Files = [Vec<u8>; 2];

const NAMES: [&str; 2] = ["trained.bpk", "deployed.bpk"];

fn files(folder: &Path) -> Files {
    NAMES.map(|name| std::fs::read(folder.join(name)).unwrap())
}

/// What an undisturbed run writes, and how long it takes.
fn undisturbed() -> &'static (Files, Duration) {
    static FILES: OnceLock<(Files, Duration)> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        finish(folder.path());
        let took = started.elapsed();
        let text = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let adjustments = record["adjustments"].as_array().unwrap();
        let changes = adjustments.iter().map(|it| it["events"].as_array().unwrap().len());
        assert!(changes.sum::<usize>() >= 6, "growths and cuts are on the way");
        (files(folder.path()), took)
    })
}

fn assert_as_undisturbed(folder: &Path) {
    let (want, _) = undisturbed();
    for ((name, got), want) in NAMES.iter().zip(files(folder)).zip(want) {
        assert!(got == *want, "{name} differs");
    }
}

fn epochs(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("run.json")).unwrap_or_default();
    let record: Value = serde_json::from_str(&text).unwrap_or_default();
    record["epochs"].as_array().map_or(0, Vec::len)
}

fn wait_for_an_epoch(folder: &Path, child: &mut Child) {
    while epochs(folder) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "ended before its first epoch");
        sleep(Duration::from_millis(5));
    }
}

/// Sequences of kills, each in a folder of its own; two at a time.
#[test]
fn killed_at_random_moments() {
    let (_, whole) = undisturbed();
    let sequences = std::env::var("DYREP_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let next = AtomicU64::new(1);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number > sequences {
                return;
            }
            killed(number, *whole);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}

fn killed(number: u64, whole: Duration) {
    let folder = tempfile::tempdir().unwrap();
    // Xorshift: moments spread over a whole run, the same in every run of the test.
    let mut state = number.wrapping_mul(0x2545_F491_4F6C_DD1D);
    for _ in 0..1 + number % 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let moment = whole.mul_f64((state >> 11) as f64 / (1u64 << 53) as f64);
        let mut child = command(folder.path()).spawn().unwrap();
        sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    finish(folder.path());
    assert_as_undisturbed(folder.path());
}

/// Another optimiser, a rate that looks at the record, an average, draws and a part that is frozen: whatever a run goes
/// on with beside its weights.
const MORE: [&str; 12] = [
    "--set",
    "optimizer.name=adamw",
    "--set",
    "optimizer.learning_rate=0.01",
    "--set",
    "optimizer.groups=[{matching=['^layer1'],frozen=true},{matching=['^fc'],learning_rate_scale=2}]",
    "--set",
    "optimizer.ema_decay=0.9",
    "--set",
    "schedule.kind={plateau={factor=0.5,patience=0,threshold=0.5}}",
    "--set",
    "data.sampler=balanced",
];

#[test]
fn killed_with_everything_that_has_a_state() {
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let begin = |folder: &Path| {
        let mut command = command(folder);
        command.args(MORE);
        command
    };
    let started = Instant::now();
    assert!(begin(whole.path()).output().unwrap().status.success());
    let took = started.elapsed();
    let mut child = begin(killed.path()).spawn().unwrap();
    wait_for_an_epoch(killed.path(), &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = command(killed.path()).spawn().unwrap();
    sleep(took / 3);
    child.kill().unwrap();
    child.wait().unwrap();
    finish(killed.path());
    assert!(files(killed.path()) == files(whole.path()), "the weights differ");
    let rates = |folder: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        record["epochs"].as_array().unwrap().iter().map(|it| it["learning_rate"].clone()).collect()
    };
    let rates = [rates(whole.path()), rates(killed.path())];
    assert_eq!(rates[0], rates[1]);
    assert_ne!(rates[0][0], rates[0][3], "the rate fell on the way");
}

/// By a user, and by a cluster that wants its machine back.
#[test]
fn interrupted_by_signals() {
    ["-INT", "-TERM"].into_iter().for_each(interrupted_by);
}

fn interrupted_by(signal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path()).spawn().unwrap();
    wait_for_an_epoch(folder.path(), &mut child);
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped by Ctrl-C or SIGTERM; go on with `--resume"), "{said}");
    // Not a step is lost: what is newest is not of an epoch's end, unless it just was.
    let text = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    assert!(record["state"]["stopped"].is_string(), "{}", record["state"]);
    let at = &record["unfinished"]["at"];
    let newest = format!("checkpoint/epoch-{}+{}.json", at["epochs"], at["steps"]);
    let of_an_epoch = format!("checkpoint/epoch-{}.json", epochs(folder.path()));
    let there = [newest, of_an_epoch].map(|name| folder.path().join(name).exists());
    assert!(there[0] || at.is_null() && there[1], "{at}");
    finish(folder.path());
    assert_as_undisturbed(folder.path());
}

/// A limit on the size of files stands for a full disk: writing fails in the middle of a file.
#[test]
fn no_room_for_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path()).spawn().unwrap();
    while !folder.path().join("checkpoint/epoch-1.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended before its first checkpoint");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --resume \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .args([program().as_path(), folder.path()])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("error: ") && errors.contains("too large"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    finish(folder.path());
    assert_as_undisturbed(folder.path());
}
