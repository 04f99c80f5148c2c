//! Files of PyTorch 0.1.10 to 1.5: pickles one after the other, then the storages.
//!
//! A number that says what it is, the protocol, the machine, the object itself, the keys of the storages; then each
//! storage: how many numbers it has, in eight bytes, and they.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};

use super::view::{key_text, storage};
use super::{Archive, Place, Source};
use crate::error::WeightsError;
use crate::pickle::{self, Item, Node, Pickle};

/// The version of this form.
const PROTOCOL: i64 = 1001;

pub(super) fn open(source: &Source<'_>) -> Result<Archive, WeightsError> {
    let file = File::open(source.file).map_err(|e| source.io(e))?;
    let mut input = BufReader::new(file);
    let mut next = || pickle::read(&mut input).map_err(|e| source.pickle(e));
    let first = next()?;
    if first.root != Item::Opaque {
        // A pickle by itself, with no storages behind it.
        return Ok(Archive {
            pickle: first,
            storages: HashMap::new(),
            views: HashMap::new(),
            big_endian: false,
        });
    }
    let protocol = next()?.root;
    if protocol != Item::Int(PROTOCOL) {
        return Err(source.malformed("it is of another protocol than old PyTorch files"));
    }
    let machine = next()?;
    let pickle = next()?;
    let keys = next()?;
    let storages = storages(source, &pickle, &keys, &mut input)?;
    let big_endian = is_big_endian(&machine);
    Ok(Archive { pickle, storages, views: HashMap::new(), big_endian })
}

/// Where the storages lie that follow the pickles.
fn storages(
    source: &Source<'_>,
    pickle: &Pickle,
    keys: &Pickle,
    input: &mut BufReader<File>,
) -> Result<HashMap<String, Place>, WeightsError> {
    let ids = (0..pickle.nodes().len() as u32).filter_map(|at| storage(pickle, Item::Node(at)));
    let widths: HashMap<String, u64> = ids.map(|id| (id.key, id.width)).collect();
    let keys = keys
        .sequence(keys.root)
        .and_then(|found| found.iter().map(|key| key_text(keys, *key)).collect::<Option<Vec<_>>>())
        .ok_or_else(|| source.malformed("it has no list of storages"))?;
    let mut storages = HashMap::new();
    for key in keys {
        let width = widths.get(&key).copied();
        let width = width.ok_or_else(|| source.malformed("it has a storage of no known type"))?;
        let place = counted(source, width, input)?;
        storages.insert(key, place);
    }
    Ok(storages)
}

/// The place of a storage that begins with its count, which is passed over.
pub(super) fn counted(
    source: &Source<'_>,
    width: u64,
    input: &mut BufReader<File>,
) -> Result<Place, WeightsError> {
    let mut count = [0; 8];
    std::io::Read::read_exact(input, &mut count).map_err(|e| source.ended(e))?;
    let offset = input.stream_position().map_err(|e| source.io(e))?;
    let length = u64::from_le_bytes(count).checked_mul(width);
    let end = length.and_then(|length| offset.checked_add(length));
    match (length, end) {
        (Some(length), Some(end)) if end <= source.length => {
            input.seek(SeekFrom::Start(end)).map_err(|e| source.io(e))?;
            Ok(Place { offset, length })
        }
        _ => Err(source.malformed("a storage in it is longer than the file")),
    }
}

/// What a file says of the machine that wrote it: `{"little_endian": True, …}`.
fn is_big_endian(machine: &Pickle) -> bool {
    let Some(Node::Dict(pairs)) = machine.node(machine.root) else { return false };
    let order = pairs.iter().find(|(key, _)| machine.text(*key) == Some("little_endian"));
    matches!(order, Some((_, Item::Bool(false))))
}

impl Source<'_> {
    /// A file that ends in the middle of something is not whole; anything else is the machine's fault.
    pub(super) fn ended(&self, error: std::io::Error) -> WeightsError {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.malformed("it ends in its middle"),
            _ => self.io(error),
        }
    }
}
