//! Names of entries. They are names only: nothing is ever opened or written by them.

use std::path::{Path, PathBuf};

/// The parts of an entry's name.
///
/// # Errors
///
/// The reason why it is refused: a tar of a folder has no such name.
pub(super) fn parts(name: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    if name.starts_with(b"/") {
        return Err("the name begins at the root of the file system");
    }
    let parts: Vec<_> =
        name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.'])).collect();
    if parts.contains(&&b".."[..]) {
        return Err("the name leads out of the archive");
    }
    Ok(parts)
}

/// Whether an entry is ignored, as hidden files are.
pub(super) fn is_hidden(parts: &[&[u8]]) -> bool {
    parts.iter().any(|part| part.starts_with(b"."))
}

/// An entry's name as a path.
pub(super) fn path(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    return Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)).into();
    #[cfg(not(unix))]
    return Path::new(&*String::from_utf8_lossy(name)).into();
}

/// A name as the set is ordered by: its first folder, the folders after it, the file.
pub(super) fn split(name: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = name.iter().position(|&byte| byte == b'/')?;
    let last = name.iter().rposition(|&byte| byte == b'/')?;
    Some((&name[..first], name.get(first + 1..last).unwrap_or_default(), &name[last + 1..]))
}
