//! Structure files, logs of changes and recipes. What parses is written back and parses to the same; a structure that
//! parses has a cost and a deployed form.

#![no_main]

use dyrep_burn::{EventLog, Structure};
use dyrep_train::recipe::Recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(structure) = Structure::from_json(text) {
        look_at(&structure);
    }
    if let Ok(log) = EventLog::from_json(text) {
        assert_eq!(EventLog::from_json(&log.to_json()).expect("it was written"), log);
        look_at(log.start());
        look_at(&log.replay().expect("a log that parses replays"));
        for event in log.events() {
            let _ = event.to_string();
        }
    }
    if let Ok(recipe) = Recipe::parse(text, "fuzz", &[]) {
        let written = recipe.to_toml().expect("a recipe from a file can be written");
        let again = Recipe::parse(&written, "written", &[]).expect("it was written");
        assert_eq!(again, recipe);
    }
});

fn look_at(structure: &Structure) {
    assert_eq!(Structure::from_json(&structure.to_json()).expect("it was written"), *structure);
    let deployed = structure.deployed();
    assert_eq!(Structure::from_json(&deployed.to_json()).expect("it was written"), deployed);
    for layer in structure.layers().values().chain(deployed.layers().values()) {
        for input in [[1, 1], [224, 224], [65_536, 3]] {
            let _ = layer.form.macs(&layer.geometry, input);
            let _ = layer.geometry.output_size(input);
        }
        let _ = layer.form.params(&layer.geometry);
        let _ = layer.form.branch_count();
        let _ = format!("{} {}", layer.form, layer.geometry);
    }
}
