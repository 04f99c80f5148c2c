//! Files of PyTorch before 0.1.10: a tar archive of three parts.
//!
//! | entry | holds |
//! |---|---|
//! | `storages` | how many; of each a pickle (key, location, class), its count in eight bytes, its numbers; then views of storages: (key, key of the whole, offset, count) |
//! | `tensors` | how many; of each a pickle (key, key of the storage, class), then dimensions (eight bytes), shape, strides, offset |
//! | `pickle` | the object, in which tensors are keys |

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use super::legacy::counted;
use super::view::{View, key_text, number_of_class};
use super::{Archive, Place, Source};
use crate::error::WeightsError;
use crate::pickle::{self, Item, Pickle};

pub(super) fn open(source: &Source<'_>) -> Result<Archive, WeightsError> {
    let entries = entries(source)?;
    let at = |name: &str| {
        let place = entries.get(name).copied();
        let place = place.ok_or_else(|| source.malformed(format!("it has no entry `{name}`")))?;
        let mut file = File::open(source.file).map_err(|e| source.io(e))?;
        file.seek(SeekFrom::Start(place.offset)).map_err(|e| source.io(e))?;
        Ok(BufReader::new(file))
    };
    let (storages, wholes) = storages(source, &mut at("storages")?)?;
    let views = views(source, &mut at("tensors")?, &wholes)?;
    let pickle = pickle::read(&mut at("pickle")?).map_err(|e| source.pickle(e))?;
    Ok(Archive { pickle, storages, views, big_endian: false })
}

/// Where the entries lie.
fn entries(source: &Source<'_>) -> Result<HashMap<String, Place>, WeightsError> {
    let file = File::open(source.file).map_err(|e| source.io(e))?;
    let mut archive = ::tar::Archive::new(BufReader::new(file));
    let mut entries = HashMap::new();
    for entry in archive.entries().map_err(|e| source.malformed(e))? {
        let entry = entry.map_err(|e| source.malformed(e))?;
        if entry.size() > source.length {
            return Err(source.oversized("its archive", entry.size(), source.length));
        }
        if entry.header().entry_type().is_gnu_sparse() {
            return Err(source.malformed("it has a sparse entry"));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        let place = Place { offset: entry.raw_file_position(), length: entry.size() };
        entries.insert(name, place);
    }
    Ok(entries)
}

/// Views of storages: the whole storage's key, and how many numbers into it they begin.
type Wholes = HashMap<String, (String, u64)>;

fn storages(
    source: &Source<'_>,
    input: &mut BufReader<File>,
) -> Result<(HashMap<String, Place>, Wholes), WeightsError> {
    let strange = || source.malformed("its storages are not as old PyTorch writes them");
    let mut storages = HashMap::new();
    for _ in 0..count(source, input)? {
        let described = next(source, input)?;
        let (key, _, class) = triple(&described).ok_or_else(strange)?;
        let (_, width) = class.and_then(number_of_class).ok_or_else(strange)?;
        let place = counted(source, width, input)?;
        storages.insert(key, place);
    }
    let described = next(source, input)?;
    let mut wholes = Wholes::new();
    for view in described.sequence(described.root).unwrap_or_default() {
        let Some([key, whole, Item::Int(offset), ..]) = described.sequence(*view) else {
            return Err(strange());
        };
        let keys = key_text(&described, *key).zip(key_text(&described, *whole));
        let (keys, offset) = keys.zip(u64::try_from(*offset).ok()).ok_or_else(strange)?;
        wholes.insert(keys.0, (keys.1, offset));
    }
    Ok((storages, wholes))
}

fn views(
    source: &Source<'_>,
    input: &mut BufReader<File>,
    wholes: &Wholes,
) -> Result<HashMap<String, View>, WeightsError> {
    let strange = || source.malformed("its tensors are not as old PyTorch writes them");
    let mut views = HashMap::new();
    for _ in 0..count(source, input)? {
        let described = next(source, input)?;
        let (key, storage, class) = triple(&described).ok_or_else(strange)?;
        let (number, width) = class.and_then(number_of_class).ok_or_else(strange)?;
        let mut read = || {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes).map_err(|e| source.ended(e))?;
            Ok(u64::from_le_bytes(bytes))
        };
        // The upper half of the eight bytes is whatever was in memory.
        let dimensions = read()? & u64::from(u32::MAX);
        if dimensions > 64 {
            return Err(strange());
        }
        let shape = (0..dimensions).map(|_| read()).collect::<Result<Vec<u64>, _>>()?;
        let strides = (0..dimensions).map(|_| read()).collect::<Result<Vec<u64>, _>>()?;
        let offset = read()?;
        let (storage, begin) = wholes.get(&storage).cloned().unwrap_or((storage, 0));
        let offset = offset.checked_add(begin).ok_or_else(strange)?;
        let shape: Option<Vec<usize>> = shape.iter().map(|s| usize::try_from(*s).ok()).collect();
        let shape = shape.ok_or_else(strange)?;
        views.insert(key, View { storage, number, width, offset, shape, strides });
    }
    Ok(views)
}

fn next(source: &Source<'_>, input: &mut BufReader<File>) -> Result<Pickle, WeightsError> {
    pickle::read(input).map_err(|e| source.pickle(e))
}

fn count(source: &Source<'_>, input: &mut BufReader<File>) -> Result<u64, WeightsError> {
    match next(source, input)?.root {
        Item::Int(count) => u64::try_from(count).ok(),
        _ => None,
    }
    .ok_or_else(|| source.malformed("it does not say how many storages and tensors it has"))
}

/// `(key, text or key, class)`.
fn triple(pickle: &Pickle) -> Option<(String, String, Option<&str>)> {
    let [key, other, class] = pickle.sequence(pickle.root)? else { return None };
    let other = key_text(pickle, *other)?;
    Some((key_text(pickle, *key)?, other, pickle.global(*class)))
}
