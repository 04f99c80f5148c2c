//! The rules of the house that a compiler does not check. Each message says why the rule is there.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dyrep_burn::BranchKind;

/// The crates, each of which may use those before it. Models and data do not know each other.
const ORDER: [&str; 17] = [
    "dyrep-schema",
    "dyrep-boxes",
    "dyrep-metrics",
    "dyrep-config",
    "dyrep-kernels",
    "dyrep-burn",
    "dyrep-models",
    "dyrep-dense",
    "dyrep-quant",
    "dyrep-weights",
    "dyrep-resample",
    "dyrep-turbojpeg",
    "dyrep-data",
    "dyrep-scenes",
    "dyrep-recipe",
    "dyrep-train",
    "dyrep-cli",
];

/// The crates whose dependencies, and theirs, have no tensors.
const TENSORLESS: [&str; 8] = [
    "dyrep-schema",
    "dyrep-boxes",
    "dyrep-metrics",
    "dyrep-config",
    "dyrep-kernels",
    "dyrep-data",
    "dyrep-scenes",
    "dyrep-recipe",
];

/// The crates that may be unsafe: arithmetic, and a library in C.
const UNSAFE: [&str; 2] = ["dyrep-kernels", "dyrep-turbojpeg"];

/// Crates that one crate alone may use.
const RESERVED: [(&str, &[&str]); 4] = [
    ("burn-train", &["dyrep-train"]),
    ("clap", &["dyrep-cli"]),
    ("hotcoco", &["dyrep-metrics"]),
    ("indicatif", &["dyrep-cli"]),
];

/// A file longer than this wants to be two.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    for folder in ["benches", "crates", "examples", "tests", "fuzz/src", "fuzz/fuzz_targets"] {
        files_below(&root().join(folder), "rs", &mut found);
    }
    assert!(found.len() > 30, "the sources were not found");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The names in `[dependencies]` of each crate.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap);
    let read = crates.map(|folder| {
        let name = folder.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let mut section = "";
        let mut names = vec![];
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if section == "[dependencies]" {
                names.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
            }
        }
        names.retain(|name| !name.is_empty() && !name.starts_with('#'));
        (name, names)
    });
    read.collect()
}

#[test]
fn crates_depend_downwards_only() {
    let dependencies = dependencies();
    for (name, uses) in &dependencies {
        let place = ORDER.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| panic!("add the new crate {name} to ORDER"));
        for used in uses.iter().filter(|used| used.starts_with("dyrep-")) {
            let below = ORDER[..place].contains(&used.as_str());
            assert!(below, "{name} uses {used}: a lower layer must be usable without a higher one");
        }
        for (reserved, owners) in RESERVED {
            let may = owners.contains(&name.as_str()) || !uses.iter().any(|used| used == reserved);
            assert!(may, "{name} uses {reserved}, which only {owners:?} may: libraries stay light");
        }
    }
    let knows = |user: &str, used: &str| dependencies[user].iter().any(|name| name == used);
    assert!(!knows("dyrep-data", "dyrep-models") && !knows("dyrep-models", "dyrep-data"));
}

/// What each package of `Cargo.lock` depends on, whatever for.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.split("name = \"").nth(1).and_then(|rest| rest.split('"').next());
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let list = list.split(']').next().unwrap_or_default();
        // A name may be followed by a version, where there are several.
        let names = list.split('"').skip(1).step_by(2).filter_map(|used| used.split(' ').next());
        found.entry(name.unwrap().to_owned()).or_default().extend(names.map(str::to_owned));
    }
    found
}

/// Recipes and data can be read, checked and written without a tensor library.
#[test]
fn what_has_no_tensors_compiles_without_burn() {
    let locked = locked();
    let all_below = |name: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
        while let Some(name) = open.pop() {
            if seen.insert(name.clone()) {
                open.extend(locked[&name].iter().cloned());
            }
        }
        seen
    };
    let is_burn = |name: &String| name.starts_with("burn") || name.starts_with("cubecl");
    for name in TENSORLESS {
        let found = all_below(name).into_iter().find(is_burn);
        assert_eq!(found, None, "{name} is plain data: it must compile without a tensor library");
    }
    assert!(all_below("dyrep-burn").iter().any(is_burn), "the lock file was not read");
}

#[test]
fn every_source_file_says_what_it_is() {
    for (path, text) in sources() {
        let opens = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        assert!(opens, "{} must open with //!: a reader starts there", path.display());
    }
}

#[test]
fn files_stay_short() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST,
            "{} has {lines} lines, more than {LONGEST}: one idea a file",
            path.display()
        );
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let mut manifests = vec![];
    for folder in ["benches", "crates", "examples", "tests"] {
        files_below(&root().join(folder), "toml", &mut manifests);
    }
    for path in manifests.into_iter().filter(|path| path.ends_with("Cargo.toml")) {
        let text = fs::read_to_string(&path).unwrap();
        let takes = text.contains("[lints]\nworkspace = true");
        assert!(takes, "{}: lints, `unsafe` denied among them, hold everywhere", path.display());
    }
    let allows = format!("allow({}", "unsafe_code");
    for (path, text) in sources() {
        let may = path.components().any(|part| UNSAFE.iter().any(|name| part.as_os_str() == *name));
        assert!(may || !text.contains(&allows), "{}: `unsafe` is for {UNSAFE:?}", path.display());
    }
}

/// The names that a module shows: those of `pub use`, `pub mod`, and what it defines itself.
fn shown(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for piece in text.split("\npub ").skip(1) {
        let Some((keyword, rest)) = piece.split_once(' ') else { continue };
        if keyword != "use" {
            found.extend(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            continue;
        }
        let list = rest.split(';').next().unwrap_or(rest);
        assert!(!list.contains('*'), "`{list}`: a list of names is reviewed, a glob is not");
        let inner = list.split_once('{').map_or(list, |(_, inner)| inner.trim_end_matches('}'));
        let names = inner.split(',').map(|name| name.rsplit("::").next().unwrap_or(name).trim());
        found.extend(names.filter(|name| !name.is_empty()));
    }
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn what_the_layer_s_crate_shows_is_reviewed() {
    let folder = root().join("crates/dyrep-burn");
    let list = fs::read_to_string(folder.join("PUBLIC.md")).unwrap();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let names =
        rows.flat_map(|row| row.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let reviewed: BTreeSet<String> = names.filter(|name| !name.trim().is_empty()).collect();
    let modules = ["lib.rs", "ops/mod.rs", "fuse/mod.rs"];
    let read = |module| fs::read_to_string(folder.join("src").join(module)).unwrap();
    let all: BTreeSet<String> =
        modules.into_iter().flat_map(|module| shown(&read(module))).collect();
    assert!(all.len() > 50, "{all:?}");
    let new: Vec<_> = all.difference(&reviewed).collect();
    assert!(new.is_empty(), "{new:?}: who needs them? Say so in PUBLIC.md, or keep them inside");
    let gone: Vec<_> = reviewed.difference(&all).collect();
    assert!(gone.is_empty(), "{gone:?} are in PUBLIC.md and shown no more");
}

/// Where all kinds of branches may be listed: at home, and where others' names are read as ours.
const KINDS_AT_HOME: [&str; 2] = ["dyrep-config/src/branch", "dyrep-weights/src/naming"];
/// Kinds that lines so near each other may name: some presets have six.
const TOGETHER: usize = 6;
const NEAR: usize = 8;

/// Whoever needs all kinds takes them from `BranchKind`: a second list would lack the next one.
#[test]
fn no_list_of_kinds_exists_twice() {
    let mut scripts = vec![];
    files_below(&root().join("crates"), "js", &mut scripts);
    let scripts = scripts.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap()));
    let named = BranchKind::NAMED.map(|kind| kind.to_string());
    for (path, text) in sources().into_iter().chain(scripts) {
        let home = KINDS_AT_HOME.iter().any(|home| path.to_string_lossy().contains(home));
        // This file must name them to find them.
        if home || path.ends_with("tidy.rs") {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        for (number, near) in lines.windows(NEAR.min(lines.len()).max(1)).enumerate() {
            let near = near.join("\n");
            let quoted = named.iter().filter(|name| {
                near.contains(&format!("\"{name}\"")) || near.contains(&format!("\n  {name}:"))
            });
            let words = near.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            // Constants in capitals are kinds, but for the list of them all.
            let is_kind = |name: &&str| {
                *name != "NAMED" && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            };
            let constants = words.filter_map(|word| word.strip_prefix("BranchKind::"));
            let constants: BTreeSet<&str> = constants.filter(is_kind).collect();
            let count = quoted.count().max(constants.len());
            assert!(
                count <= TOGETHER,
                "{}:{} lists {count} kinds: take them from `BranchKind::NAMED` or `existing`",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release --example resnet18_imagenet", "cargo test"] {
        assert!(readme.lines().any(|line| line == command), "README.md lost `{command}`");
    }
}
