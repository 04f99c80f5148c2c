//! PyTorch's files, old and new: a pickle that describes tensors, and storages of numbers that they are views of.
//!
//! | | the pickle | the storages |
//! |---|---|---|
//! | `zip.rs`: since 1.6 | `data.pkl` in a zip archive | entries `data/KEY` |
//! | `legacy.rs`: since 0.1.10 | after three small ones | behind it, one after the other |
//! | `tar.rs`: before | entry `pickle` of a tar archive | entry `storages`, with views in `tensors` |
//!
//! `tree.rs` walks the pickle's objects and names what it finds, `beside.rs` reads lists that say something of weights; nothing that a pickle calls is ever run. A file from a
//! stranger is bounded in what it can ask for: a pickle by its length and objects, a view by its storage, a storage by
//! the file.

mod beside;
mod legacy;
mod tar;
mod tree;
mod view;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::{Container, Source};
use crate::error::WeightsError;
use crate::pickle::{Node, Pickle, PickleError};
use crate::tensor::Stored;
use beside::Leaf;
use tree::Found;
use view::View;

/// Modules of Python, each with its dot, whose functions reach out of a file.
const REACHING: [&str; 16] = [
    "asyncio.",
    "code.",
    "ctypes.",
    "importlib.",
    "multiprocessing.",
    "nt.",
    "os.",
    "pip.",
    "posix.",
    "pty.",
    "runpy.",
    "shutil.",
    "socket.",
    "subprocess.",
    "sys.",
    "webbrowser.",
];
/// Functions of Python itself that do.
const BUILTINS: [&str; 6] = ["__import__", "compile", "eval", "exec", "execfile", "open"];

/// Where bytes lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: u64,
    length: u64,
}

/// A file taken apart.
struct Archive {
    pickle: Pickle,
    /// By their keys.
    storages: HashMap<String, Place>,
    /// Views that a pickle only names, by their keys: the oldest form.
    views: HashMap<String, View>,
    /// Whether numbers begin with their largest byte.
    big_endian: bool,
}

/// Tensors, and what says something of them.
type Tensors = BTreeMap<String, Stored>;

/// All tensors, and what stands under the keys that a dialect reads beside them.
pub(super) fn read(source: &Source<'_>) -> Result<[Tensors; 2], WeightsError> {
    let archive = match source.container {
        Container::Pytorch => zip::open(source)?,
        Container::PytorchTar => tar::open(source)?,
        _ => legacy::open(source)?,
    };
    if let Some(call) = reaching(&archive.pickle) {
        return Err(WeightsError::Hostile { file: source.file.to_owned(), call });
    }
    let Found { views, beside } = tree::found(&archive).map_err(|e| source.malformed(e))?;
    let file: Arc<Path> = source.file.into();
    let stored = |(name, view): (String, View)| {
        let place = archive.storages.get(&view.storage).copied();
        let place = place.ok_or_else(|| format!("tensor `{name}` has no storage"))?;
        let extent =
            view.check(place.length).map_err(|error| format!("tensor `{name}`: {error}"))?;
        let place = Place { offset: place.offset + extent.start, length: extent.length };
        let (file, big, number) = (file.clone(), archive.big_endian, view.number);
        let (shape, bytes) = (view.shape.clone(), extent.bytes);
        let read = move || {
            let bytes = bytes_at(&file, place).map_err(|error| error.to_string())?;
            Ok(view.gather(bytes, big))
        };
        Ok((name.clone(), Stored::new(name, number, shape, bytes, read)))
    };
    let read = |(name, leaf): (String, Leaf)| match leaf {
        Leaf::View(view) => stored((name, view)),
        Leaf::Stored(stored) => Ok((name, stored)),
    };
    let views = views.into_iter().map(&stored).collect::<Result<_, String>>();
    let beside = beside.into_iter().map(read).collect::<Result<_, String>>();
    views.and_then(|views| Ok([views, beside?])).map_err(|e| source.malformed(e))
}

fn bytes_at(file: &Path, place: Place) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(place.offset))?;
    let mut bytes = vec![];
    file.take(place.length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < place.length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

impl Source<'_> {
    fn pickle(&self, error: PickleError) -> WeightsError {
        match error {
            PickleError::Io(error) => self.io(error),
            PickleError::Malformed(reason) => self.malformed(reason),
        }
    }
}

/// The first call in a pickle that would run something.
fn reaching(pickle: &Pickle) -> Option<String> {
    let called = |node: &Node| match node {
        Node::Object(object) => pickle.global(object.class).map(str::to_owned),
        _ => None,
    };
    pickle.nodes().iter().filter_map(called).find(|name| {
        let builtin = name.strip_prefix("builtins.").or_else(|| name.strip_prefix("__builtin__."));
        builtin.is_some_and(|name| BUILTINS.contains(&name))
            || REACHING.iter().any(|module| name.starts_with(module))
    })
}
