//! Files that live in memory where the system has a place for that; the targets of `data/` use them too.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder can be made")
});

/// The folder of this process.
pub fn folder() -> &'static Path {
    FOLDER.path()
}

/// A file of this process with the given bytes; the one before is overwritten.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written to");
    path
}
