//! Writing files so that a reader never finds half of one.

use std::fs::{File, remove_file, rename};
use std::io::{Result, Write as _};
use std::path::Path;

/// Writes to `PATH.tmp`, syncs, then renames: whatever happens, `path` holds the old bytes or the new.
///
/// # Errors
/// What the system says; `path` is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = File::create(temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(temporary, path)
    });
    if written.is_err() {
        // A full disk has better use for the room; that it cannot be removed is no news.
        let _ = remove_file(temporary);
    }
    written
}
