//! One IDX file: a magic number, sizes, bytes.
//!
//! ```text
//! 0 0 8 d │ d sizes of four bytes, the highest first │ their product of bytes
//! ```
//!
//! 8 says that values are bytes, d how many sizes there are: 1 for labels, 3 for grey pictures. All
//! numbers are checked, against one another and, where it is known beforehand, against the length of
//! the file, before memory is taken for what they declare.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::IdxError;
use crate::error::DataError;
use crate::scan::{check_regular, unreadable};

/// The most values in a file. MNIST has 47 million; a bomb would otherwise unpack for hours.
const MOST_VALUES: u64 = 1 << 32;
/// What a packed file begins with.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A file's sizes and values, which are as many as the sizes' product.
pub(super) struct Values<const SIZES: usize> {
    pub(super) path: PathBuf,
    pub(super) sizes: [u32; SIZES],
    pub(super) bytes: Vec<u8>,
}

impl<const SIZES: usize> Values<SIZES> {
    /// Reads a file, packed or not as its first bytes say, whose sizes `accept` finds nothing wrong
    /// with: it answers with the field, its value, and what would have been accepted.
    pub(super) fn read(
        path: PathBuf,
        accept: impl FnOnce(&[u32; SIZES]) -> Result<(), (&'static str, u64, String)>,
    ) -> Result<Self, DataError> {
        let length = check_regular(&path)?;
        let failed = |source| unreadable(&path, source);
        let mut file = File::open(&path).map_err(failed)?;
        let mut start = [0; 2];
        let read = read_up_to(&mut file, &mut start).map_err(failed)?;
        let whole = io::Cursor::new(start).take(read as u64).chain(file);
        if start == GZIP {
            Self::take(path, MultiGzDecoder::new(whole), None, accept)
        } else {
            Self::take(path, whole, Some(length), accept)
        }
    }

    /// Reads the values of an unpacked file, whose length may be known.
    fn take(
        path: PathBuf,
        mut reader: impl Read,
        length: Option<u64>,
        accept: impl FnOnce(&[u32; SIZES]) -> Result<(), (&'static str, u64, String)>,
    ) -> Result<Self, DataError> {
        let sizes = Self::header(&path, &mut reader)?;
        let field = |(field, found, expected)| {
            DataError::from(IdxError::Field { path: path.clone(), field, found, expected })
        };
        accept(&sizes).map_err(field)?;
        let product =
            sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size.into()));
        let Some(values) = product.filter(|product| *product <= MOST_VALUES) else {
            let expected = format!("a number that makes at most {MOST_VALUES} bytes");
            return Err(field(("count", sizes[0].into(), expected)));
        };
        let head = 4 + 4 * SIZES as u64;
        let wrong = |found: u64| IdxError::WrongLength {
            path: path.clone(),
            found,
            expected: head + values,
        };
        if let Some(found) = length.filter(|length| *length != head + values) {
            return Err(wrong(found).into());
        }
        // A packed file may lie about its length: memory grows with what is there.
        let mut bytes = Vec::with_capacity(if length.is_some() { values as usize + 1 } else { 0 });
        let found = reader.take(values + 1).read_to_end(&mut bytes);
        let found = found.map_err(|source| unreadable(&path, source))? as u64;
        match found == values {
            true => Ok(Self { path, sizes, bytes }),
            false => Err(wrong(head + found).into()),
        }
    }

    fn header(path: &Path, reader: &mut impl Read) -> Result<[u32; SIZES], DataError> {
        let mut number = || {
            let mut bytes = [0; 4];
            reader.read_exact(&mut bytes).map(|()| u32::from_be_bytes(bytes))
        };
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                let text = format!("ends inside the header of {} bytes", 4 + 4 * SIZES);
                unreadable(path, io::Error::new(io::ErrorKind::InvalidData, text))
            }
            _ => unreadable(path, source),
        };
        let (found, expected) = (number().map_err(failed)?, 0x0800 + SIZES as u32);
        if found != expected {
            let (path, field) = (path.to_owned(), "magic number");
            let expected = format!("{expected}, of bytes with {SIZES} sizes");
            return Err(IdxError::Field { path, field, found: found.into(), expected }.into());
        }
        let mut sizes = [0; SIZES];
        for size in &mut sizes {
            *size = number().map_err(failed)?;
        }
        Ok(sizes)
    }
}

/// Reads as much of `buffer` as there is.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
