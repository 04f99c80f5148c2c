//! A disk that fails as it is told.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn_train::Interrupter;
use dyrep_train::Disk;

/// Where fate strikes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    None,
    /// An end is asked for after so many pictures.
    Stop(usize),
    /// The process dies while it writes this file, so many thousandths of it done; beyond all of it the file is whole
    /// beside its place, or in it.
    Kill(usize, usize),
    /// This file finds no room.
    Full(usize),
}

/// A disk that fails as it is told. What a dead process would have written is not written.
pub(crate) struct Faulty {
    fate: Fate,
    written: AtomicUsize,
    dead: Mutex<bool>,
    interrupter: Interrupter,
}

impl Faulty {
    /// One that ends the run whose disk it is by its interrupter.
    pub(crate) fn new(fate: Fate, interrupter: Interrupter) -> Self {
        Self { fate, written: AtomicUsize::new(0), dead: Mutex::new(false), interrupter }
    }
}

impl Disk for Faulty {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut dead = self.dead.lock().unwrap();
        if *dead {
            return Err(io::Error::other("dead"));
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension("tmp");
        match self.fate {
            Fate::Kill(at, share) if at == number => {
                *dead = true;
                self.interrupter.stop(None);
                fs::write(&beside, &bytes[..bytes.len() * share.min(1000) / 1000]).unwrap();
                if share > 1100 {
                    fs::rename(&beside, path).unwrap();
                }
                Err(io::Error::other("dead"))
            }
            Fate::Full(at) if at == number => Err(io::ErrorKind::StorageFull.into()),
            _ => {
                fs::write(&beside, bytes)?;
                fs::rename(&beside, path)
            }
        }
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut dead = self.dead.lock().unwrap();
        if *dead {
            return Err(io::Error::other("dead"));
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        match self.fate {
            Fate::Kill(at, share) if at == number => {
                *dead = true;
                self.interrupter.stop(None);
                file.write_all(&bytes[..bytes.len() * share.min(1000) / 1000])?;
                Err(io::Error::other("dead"))
            }
            Fate::Full(at) if at == number => Err(io::ErrorKind::StorageFull.into()),
            _ => file.write_all(bytes),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if *self.dead.lock().unwrap() {
            return Err(io::Error::other("dead"));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
