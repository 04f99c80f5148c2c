//! Every key that there is, found by asking the reader itself: it tells what it knows where it meets what it does not.

use std::collections::BTreeSet;

use dyrep_config::SearchConfig;

use super::{ControllerConfig, RecipeError, SECTIONS, SHORT, parse};

/// What the reader knows at a place.
enum Known {
    /// A table with these keys.
    Keys(&'static [&'static str]),
    /// One of these names, with a table of options each.
    Names(&'static [&'static str]),
}

/// What is no key and no name.
const NOTHING: &str = "nothing";

/// What `place` may hold, if it has names for it: `{}` is where a value goes in it.
fn ask(place: &str) -> Option<Known> {
    let table = place.replace("{}", &format!("{{ {NOTHING} = 1 }}"));
    match parse(SHORT, &[&table]) {
        Err(RecipeError::UnknownKey { known, .. }) => Some(Known::Keys(known)),
        Err(RecipeError::UnknownName { name, known, .. }) if name == NOTHING => {
            Some(Known::Names(known))
        }
        Err(_) => None,
        Ok(recipe) => panic!("`{table}` was taken: {recipe:?}"),
    }
}

/// All keys and names below a place.
fn collect(place: &str, found: &mut BTreeSet<&'static str>) {
    let list = place.replace("{}", "[{}]");
    let (place, known) = match (ask(place), ask(&list)) {
        (Some(known), _) => (place, known),
        (None, Some(known)) => (&*list, known),
        (None, None) => return,
    };
    let (Known::Keys(names) | Known::Names(names)) = known;
    for name in names {
        found.insert(name);
        collect(&place.replace("{}", &format!("{{ {name} = {{}} }}")), found);
    }
}

/// The keys of a section.
fn keys(section: &str) -> &'static [&'static str] {
    // A strategy's keys follow its name.
    let value = if section == "strategy" { r#"{ name = "plain", nothing = 1 }"# } else { "{}" };
    match ask(&format!("{section}={value}")) {
        Some(Known::Keys(keys)) => keys,
        _ => panic!("[{section}] has keys"),
    }
}

#[test]
fn the_readme_names_every_key_in_its_section() {
    let readme = super::shipped::readme();
    for section in SECTIONS {
        let header = format!("**`[{section}]`**");
        let (_, rows) = readme.split_once(&header).unwrap_or_else(|| panic!("README: {header}"));
        let rows = rows.split("\n\n").next().and_then(|rows| rows.split("| **`[").next());
        let rows = rows.expect("rows");
        for key in keys(section) {
            assert!(
                rows.contains(&format!("| `{key}`")) || rows.contains(&format!(", `{key}`")),
                "recipes/README.md lacks `{key}` of [{section}]"
            );
        }
    }
}

/// Each key has its names in torchvision's and timm's scripts, or none; what is named is in the list of their options.
#[test]
fn every_key_has_its_names_in_other_scripts() {
    let readme = super::shipped::readme();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let options = std::fs::read_to_string(folder.join("../../docs/from-timm.md")).unwrap();
    let (_, table) = readme.split_once("| key | default | meaning | torchvision, timm |").unwrap();
    let rows = table.split("\n\n").next().unwrap().lines().filter(|row| row.starts_with("| `"));
    let mut named = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, _, names] = cells[..] else { panic!("{row}") };
        let given: Vec<_> = names.split('`').filter(|name| name.starts_with("--")).collect();
        assert!(!given.is_empty() || names.starts_with("none"), "{row}");
        for option in given.iter().filter_map(|option| option.split(' ').next()) {
            assert!(
                options.contains(&format!("{option}`")) || options.contains(&format!("{option} ")),
                "{option}"
            );
            named += 1;
        }
    }
    assert!(named > 40, "{named} names");
}

#[test]
fn the_readme_names_every_key_and_name_inside_a_value() {
    let readme = super::shipped::readme();
    let words: BTreeSet<&str> =
        readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut found = BTreeSet::new();
    for section in SECTIONS {
        for key in keys(section) {
            collect(&format!("{section}.{key}={{}}"), &mut found);
        }
    }
    for inner in [
        "alpha",
        "magnitude_std",
        "increasing",
        "keep",
        "flops",
        "kernels",
        "fill",
        "exactly",
        "milestones",
    ] {
        assert!(found.contains(inner), "{inner} was not found: {found:?}");
    }
    let lacking: Vec<_> = found.iter().filter(|name| !words.contains(*name)).collect();
    assert!(lacking.is_empty(), "recipes/README.md lacks {lacking:?}");
}

/// The list of a strategy's keys is that of the controller's configuration and of the search's, with what the section has
/// of its own.
#[test]
fn a_strategy_has_the_keys_of_what_changes_the_structure() {
    let fields = |error: toml::de::Error| -> Vec<String> {
        let error = error.to_string();
        let (_, known) = error.split_once("expected one of ").expect("a list of keys");
        let fields = known.split('`').skip(1).step_by(2).filter(|field| *field != "seed");
        fields.map(str::to_owned).collect()
    };
    let mut want = fields(toml::from_str::<ControllerConfig>("nothing = 1").unwrap_err());
    want.extend(fields(toml::from_str::<SearchConfig>("nothing = 1").unwrap_err()));
    let keys = keys("strategy").iter().copied();
    let own = ["name", "only", "start", "structure", "scales", "search"];
    assert_eq!(keys.filter(|key| !own.contains(key)).collect::<Vec<_>>(), want);
}
