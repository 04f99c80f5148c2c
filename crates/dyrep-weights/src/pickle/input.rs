//! The bytes of a pickle: no more of them than a pickle may have, and none allocated before it is there.

use std::io::{self, BufRead, Read as _};

use super::PickleError;

/// The longest pickle, in bytes: long logs and the state of an optimiser fit.
const LONGEST: u64 = 32 << 20;

/// The bytes of a pickle, counted.
pub(super) struct Input<'a, R> {
    source: &'a mut R,
    left: u64,
}

impl<'a, R: BufRead> Input<'a, R> {
    pub(super) fn new(source: &'a mut R) -> Self {
        Self { source, left: LONGEST }
    }

    fn take(&mut self, count: u64) -> Result<(), PickleError> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            PickleError::of(format!("its pickle is longer than {} MiB", LONGEST >> 20))
        })?;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// So many bytes; what is declared is not allocated before it is there.
    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, PickleError> {
        self.take(count)?;
        let mut bytes = vec![];
        io::Read::take(&mut *self.source, count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    /// The bytes up to the end of a line, without it.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, PickleError> {
        let mut bytes = vec![];
        io::Read::take(&mut *self.source, self.left).read_until(b'\n', &mut bytes)?;
        self.take(bytes.len() as u64)?;
        match bytes.pop() {
            Some(b'\n') => Ok(bytes),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), PickleError> {
        self.take(count)?;
        let passed = io::copy(&mut io::Read::take(&mut *self.source, count), &mut io::sink())?;
        if passed < count {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}
