//! Files since PyTorch 1.6: a zip archive that compresses nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};

use zip::{CompressionMethod, ZipArchive};

use super::{Archive, Place, Source};
use crate::error::WeightsError;
use crate::pickle;

pub(super) fn open(source: &Source<'_>) -> Result<Archive, WeightsError> {
    let file = File::open(source.file).map_err(|e| source.io(e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| source.malformed(e))?;
    let mut declared = 0u64;
    let mut entries = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| source.malformed(e))?;
        declared = declared.saturating_add(entry.size());
        if declared > source.length {
            return Err(source.oversized("its archive", declared, source.length));
        }
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(source.malformed(format!("`{name}` in it is compressed or encrypted")));
        }
        let place = entry.data_start().map(|offset| Place { offset, length: entry.size() });
        let end = place.and_then(|place| place.offset.checked_add(place.length));
        match place {
            Some(place) if end.is_some_and(|end| end <= source.length) => {
                entries.insert(name, place);
            }
            _ => return Err(source.malformed(format!("`{name}` in it does not lie in it"))),
        }
    }
    // `archive/data.pkl`, `archive/data/0`, …, whatever the outermost folder is called.
    let name = entries.keys().filter(|name| is_called(name, "data.pkl")).min_by_key(|n| n.len());
    let name = name.ok_or_else(|| source.malformed("it has no `data.pkl`"))?.clone();
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let big_endian = match archive.by_name(&format!("{folder}byteorder")) {
        Ok(entry) => {
            let mut order = String::new();
            entry.take(16).read_to_string(&mut order).map_err(|e| source.io(e))?;
            order.trim() == "big"
        }
        Err(_) => false,
    };
    let entry = archive.by_name(&name).map_err(|e| source.malformed(e))?;
    let pickle = pickle::read(&mut BufReader::new(entry)).map_err(|e| source.pickle(e))?;
    let data = format!("{folder}data/");
    let storages = entries
        .into_iter()
        .filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_owned(), place)))
        .collect();
    Ok(Archive { pickle, storages, views: HashMap::new(), big_endian })
}

/// Whether a path in an archive ends in a name.
fn is_called(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
}
