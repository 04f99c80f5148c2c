//! Recipes as the program shows them.

use crate::{dyrep, text};

#[test]
fn a_recipe_is_printed_to_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.toml");
    let printed = dyrep(&["train", "imagenet_resnet18", "--print"]).good().output;
    assert!(printed.starts_with('#'), "with its comments");
    std::fs::write(&mine, printed).unwrap();
    let changed = ["train", text(&mine), "--image-size", "32", "--epochs", "7", "--print"];
    let printed = dyrep(&changed).good().output;
    for told in ["epochs = 7", "image_size = 32", "stem = \"small\"", "size = 32", "color_jitter"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
}
