//! From header to header through an archive (POSIX.1-2017, *pax*; and GNU's long names), without
//! reading what lies between them.
//!
//! An archive is a range of bytes of a file, so one inside another needs no copy. Nothing outside
//! of the range is read, and no length is trusted before it is held against the range.

use std::ops::Range;
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use super::error::TarError;
use super::shared_file::SharedFile;
use crate::error::DataError;
use crate::scan::unreadable;

const BLOCK: u64 = 512;

/// The longest extended header that is read. Names have some hundred bytes.
const MAX_EXTENDED: u64 = 1 << 20;

/// The longest name that is taken, in bytes, as long as a path may be where archives are made. Each
/// picture keeps its own.
const LONGEST_NAME: usize = 4096;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// Something that cannot be taken, and what it is.
    Other(&'static str),
}

/// An entry of an archive.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Where in the file the contents are.
    pub(super) range: Range<u64>,
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// The archive in a part of a file, which is called `path` in errors.
pub(super) struct Walk<'a> {
    file: &'a SharedFile,
    path: &'a Path,
    range: Range<u64>,
    at: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: &'a SharedFile, path: &'a Path, range: Range<u64>) -> Self {
        let at = range.start;
        Self { file, path, range, at }
    }

    /// The next entry, or nothing at the archive's end, which is its first empty block.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, DataError> {
        let mut extended = Extended::default();
        loop {
            let Some((at, header)) = self.header()? else {
                return Ok(None);
            };
            let size = header.entry_size();
            let size = size.map_err(|_| self.bad(at, "a length that is no number"))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let mut name = self.extended(size)?;
                    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                    extended.name.get_or_insert(name);
                }
                EntryType::XHeader => {
                    let records = self.extended(size)?;
                    extended.pax(&records).map_err(|reason| self.bad(at, reason))?;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.contents(size)?;
                }
                kind => {
                    let range = self.contents(extended.size.unwrap_or(size))?;
                    let name = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
                    if name.len() > LONGEST_NAME {
                        return Err(self.bad(at, "a name longer than any system's"));
                    }
                    let kind =
                        if extended.sparse { Kind::Other("a sparse file") } else { of(kind) };
                    // Before there was a mark for folders, a slash was it.
                    let folder = kind == Kind::File && name.ends_with(b"/");
                    let kind = if folder { Kind::Folder } else { kind };
                    return Ok(Some(Entry { name, kind, range }));
                }
            }
        }
    }

    /// The next header and its place.
    fn header(&mut self) -> Result<Option<(u64, Header)>, DataError> {
        let at = self.at;
        let mut header = Header::new_old();
        let block = self.contents(BLOCK)?;
        self.read(header.as_mut_bytes(), block.start)?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        // The sum of all bytes, those of the sum itself taken for spaces.
        let sum = |bytes: &[u8]| bytes.iter().copied().map(u32::from).sum::<u32>();
        let found = sum(&bytes[..148]) + sum(&bytes[156..]) + 8 * u32::from(b' ');
        if header.cksum().ok() != Some(found) {
            return Err(self.bad(at, "a wrong checksum"));
        }
        Ok(Some((at, header)))
    }

    /// Where the next `size` bytes are; goes to the block behind them.
    fn contents(&mut self, size: u64) -> Result<Range<u64>, DataError> {
        let (start, end) = (self.at, self.at.checked_add(size));
        match end.filter(|end| *end <= self.range.end) {
            Some(end) => {
                // A last block that is not filled up shows at the next header.
                self.at = end.next_multiple_of(BLOCK);
                Ok(start..end)
            }
            None => Err(self.truncated(end.unwrap_or(u64::MAX))),
        }
    }

    /// The contents of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, DataError> {
        let at = self.at;
        if size > MAX_EXTENDED {
            let reason = format!("an extended header of {size} bytes, more than {MAX_EXTENDED}");
            return Err(self.bad(at, &reason));
        }
        let range = self.contents(size)?;
        let mut bytes = vec![0; size as usize];
        self.read(&mut bytes, range.start)?;
        Ok(bytes)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), DataError> {
        self.file.read(buffer, offset).map_err(|source| unreadable(self.path, source))
    }

    fn truncated(&self, end: u64) -> DataError {
        let Range { start, end: limit } = self.range;
        let (found, expected) = (limit - start, end.saturating_sub(start));
        TarError::Truncated { path: self.path.to_owned(), found, expected }.into()
    }

    fn bad(&self, offset: u64, found: &str) -> DataError {
        let (path, found) = (self.path.to_owned(), found.to_owned());
        TarError::BadHeader { path, offset, found }.into()
    }
}

impl Extended {
    /// Takes over what pax records say. They win against GNU's long name, as in GNU's tar.
    fn pax(&mut self, records: &[u8]) -> Result<(), &'static str> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| "a malformed extended header")?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_owned()),
                b"size" => {
                    let size = record.value().ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or("a length that is no number")?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What an entry is by its header.
fn of(kind: EntryType) -> Kind {
    match kind {
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Folder,
        EntryType::Link => Kind::Other("a hard link"),
        EntryType::Symlink => Kind::Other("a symbolic link"),
        EntryType::Char | EntryType::Block => Kind::Other("a device"),
        EntryType::Fifo => Kind::Other("a pipe"),
        EntryType::GNUSparse => Kind::Other("a sparse file"),
        _ => Kind::Other("of an unknown kind"),
    }
}
