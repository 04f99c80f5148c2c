//! What counts as a checkpoint, and which of them stay.

use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn_train::checkpoint::Checkpointer;

use super::*;

type Record = LrSchedulerRecord;

fn save(checkpoints: &Checkpoints, epoch: usize, parts: usize) {
    for part in &checkpoints.checkpointers()[..parts] {
        let record = Record::new().with_scalar("epoch", epoch as u64);
        Checkpointer::save(part, epoch, record).unwrap();
    }
}

fn open(run: &Path, keep: usize) -> Checkpoints {
    Checkpoints::open(run, keep, SystemDisk::shared()).unwrap()
}

fn newest(run: &Path) -> (Option<usize>, Vec<usize>) {
    let (moment, broken) = open(run, 2).newest().unwrap();
    (moment.map(|moment| moment.epochs), broken.iter().map(|broken| broken.moment.epochs).collect())
}

fn moments(checkpoints: &Checkpoints) -> Vec<String> {
    checkpoints.moments().unwrap().into_iter().map(Moment::stem).collect()
}

#[test]
fn an_epoch_counts_once_all_its_parts_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = open(folder.path(), 2);
    assert_eq!(newest(folder.path()), (None, vec![]));
    save(&checkpoints, 1, 3);
    save(&checkpoints, 2, 2);
    assert_eq!(newest(folder.path()), (Some(1), vec![]));
    save(&checkpoints, 2, 3);
    assert_eq!(newest(folder.path()), (Some(2), vec![]));
    let [model, ..] = checkpoints.checkpointers();
    let restored: Record = model.restore(2).unwrap();
    assert_eq!(restored.scalar::<u64>("epoch"), Some(2));
    Checkpointer::<Record>::delete(&model, 2).unwrap();
    assert_eq!(newest(folder.path()), (Some(1), vec![]));
    (2..6).for_each(|epoch| save(&checkpoints, epoch, 3));
    assert_eq!(moments(&checkpoints), ["4", "5"]);
    assert_eq!(fs::read_dir(checkpoints.folder()).unwrap().count(), 8);
}

#[test]
fn damaged_files_are_told_and_passed_over() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("optim-2.bpk", |bytes| bytes.truncate(10)),
        ("model-2.bpk", |bytes| bytes[3] ^= 1),
        ("epoch-2.json", |bytes| bytes.truncate(10)),
        ("scheduler-2.bpk", Vec::clear),
    ];
    for (name, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = open(folder.path(), 2);
        save(&checkpoints, 1, 3);
        save(&checkpoints, 2, 3);
        let path = checkpoints.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let (moment, broken) = checkpoints.newest().unwrap();
        assert_eq!((moment, broken.len()), (Some(Moment::after(1)), 1), "{name}");
        assert!(broken[0].reason.contains(name), "{}", broken[0].reason);
    }
}

/// A resume goes on before a checkpoint that was not whole, which is not the newest for its number.
#[test]
fn stale_checkpoints_do_not_take_the_place_of_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = open(folder.path(), 1);
    save(&checkpoints, 9, 3);
    fs::write(checkpoints.model(Moment::after(9)), "cut").unwrap();
    let checkpoints = open(folder.path(), 1);
    for epoch in [3, 4] {
        save(&checkpoints, epoch, 3);
        assert_eq!(newest(folder.path()), (Some(epoch), vec![]));
        assert_eq!(moments(&checkpoints), [epoch.to_string()]);
    }
}

#[test]
fn where_there_is_no_folder_there_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Checkpoints::existing(folder.path()).any().unwrap());
    let checkpoints = open(folder.path(), 1);
    assert!(!checkpoints.any().unwrap());
    save(&checkpoints, 1, 3);
    assert!(checkpoints.any().unwrap());
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = file.path().join("inside");
    let error = Checkpoints::open(&run, 2, SystemDisk::shared()).unwrap_err().to_string();
    assert!(error.contains("inside"), "{error}");
}

/// The best stays, and of an epoch that was left only what no whole one has followed.
#[test]
fn what_is_worth_keeping_stays() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = open(folder.path(), 1);
    let left = |epochs, steps| {
        checkpoints.number(epochs + 1, Moment { epochs, steps });
        save(&checkpoints, epochs + 1, 3);
        checkpoints.number(epochs + 1, Moment::after(epochs + 1));
    };
    (1..=3).for_each(|epoch| save(&checkpoints, epoch, 3));
    checkpoints.keep_best(Some(3));
    save(&checkpoints, 4, 3);
    left(4, 10);
    assert_eq!(moments(&checkpoints), ["3", "4", "4+10"]);
    left(4, 12);
    assert_eq!(moments(&checkpoints), ["3", "4", "4+12"]);
    let (newest, broken) = open(folder.path(), 1).newest().unwrap();
    assert_eq!((newest, broken), (Some(Moment { epochs: 4, steps: 12 }), vec![]));
    save(&checkpoints, 5, 3);
    assert_eq!(moments(&checkpoints), ["3", "5"]);
    checkpoints.keep_best(Some(5));
    save(&checkpoints, 6, 3);
    assert_eq!(moments(&checkpoints), ["5", "6"]);
}

#[test]
fn another_runs_checkpoints_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = open(folder.path(), 2);
    save(&checkpoints, 1, 3);
    checkpoints.of_run("one");
    save(&checkpoints, 2, 3);
    let other = open(folder.path(), 2);
    other.of_run("other");
    let (newest, broken) = other.newest().unwrap();
    // The older one does not say whose it is.
    assert_eq!(newest, Some(Moment::after(1)));
    assert!(broken[0].reason.contains("of the run one, not other"), "{}", broken[0].reason);
}

#[test]
fn moments_are_told_in_names() {
    for (epochs, steps, stem) in [(7, 0, "7"), (7, 120, "7+120"), (0, 3, "0+3")] {
        let moment = Moment { epochs, steps };
        assert_eq!(moment.stem(), stem);
        assert_eq!(stem.parse(), Ok(moment));
    }
    for stem in ["", "+", "7+", "x", "7+1+2"] {
        assert!(stem.parse::<Moment>().is_err(), "{stem}");
    }
}
