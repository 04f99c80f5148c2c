//! Files that cannot be read, and texts that are not TOML.

use std::path::PathBuf;

use super::{Recipe, SHORT, parse};

/// A file that is gone when the test is over.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("dyrep-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn refused(&self) -> String {
        let message = Recipe::load(&self.0, &[]).unwrap_err().to_string();
        message.replace(&self.0.display().to_string(), "FILE")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_is_read_and_named_by_its_path() {
    let good = TempFile::new("good.toml", SHORT.as_bytes());
    assert_eq!(Recipe::load(&good.0, &[]).unwrap(), parse(SHORT, &[]).unwrap());
    let windows = TempFile::new("windows.toml", SHORT.replace('\n', "\r\n").as_bytes());
    assert_eq!(Recipe::load(&windows.0, &[]).unwrap(), parse(SHORT, &[]).unwrap());
    let marked = TempFile::new("marked.toml", format!("\u{feff}{SHORT}").as_bytes());
    assert_eq!(Recipe::load(&marked.0, &[]).unwrap(), parse(SHORT, &[]).unwrap());
    let bad = TempFile::new("bad.toml", SHORT.replace("= 10", "= 0").as_bytes());
    let want = "FILE:12: `epochs` in [schedule]: expected a whole number from 1 to 1000000000, \
                found 0";
    assert_eq!(bad.refused(), want);
}

#[test]
fn files_that_are_no_recipes() {
    let error = Recipe::load("nowhere/x.toml", &[]).unwrap_err().to_string();
    assert!(error.starts_with("nowhere/x.toml: cannot be read: "), "{error}");
    let folder = std::env::temp_dir();
    let error = Recipe::load(&folder, &[]).unwrap_err().to_string();
    assert_eq!(error, format!("{}: is a folder; a recipe is a TOML file", folder.display()));
    let latin = TempFile::new("latin.toml", b"# a\n# caf\xe9\n");
    assert_eq!(latin.refused(), "FILE:2: not TOML: the text is not UTF-8");
    let empty = TempFile::new("empty.toml", b"");
    let want = "FILE: the section [model] is missing, for example `[model]` with \
                `name = \"resnet18\"`";
    assert_eq!(empty.refused(), want);
    let large = TempFile::new("large.toml", &vec![b'#'; (1 << 20) + 1]);
    assert_eq!(large.refused(), "FILE: is larger than 1 MiB, and so no recipe");
}

#[test]
fn texts_that_are_not_toml() {
    let cases = [
        ("[model]\nname = 'a'\nname = 'b'\n", "recipes/x.toml:3: not TOML: duplicate key"),
        ("[model]\n[data]\n[model]\n", "recipes/x.toml:3: not TOML: duplicate key"),
        (
            "[model]\nname = resnet18\n",
            "recipes/x.toml:2: not TOML: string values must be quoted, expected literal string",
        ),
        ("[model\n", "recipes/x.toml:1: not TOML: unclosed table, expected `]`"),
        ("[model]\nname\n", "recipes/x.toml:2: not TOML: key with no value, expected `=`"),
    ];
    for (text, want) in cases {
        assert_eq!(parse(text, &[]).unwrap_err().to_string(), want, "of\n{text}");
    }
}

#[test]
fn no_text_panics() {
    let text = Recipe::builtin_text("imagenet_repvgg_b2g4").unwrap();
    for (end, _) in text.char_indices() {
        let _ = parse(&text[..end], &[]);
        let _ = parse(&format!("{}{}", &text[..end], &text[end + 1..]), &[]);
    }
    let deep = format!("x = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(parse(&deep, &[]).is_err());
}
