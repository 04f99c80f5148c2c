//! TIFFs made value by value, for what no encoder writes.

/// The entries of a TIFF of one directory, low byte first.
pub(crate) struct Tiff(Vec<Entry>);

struct Entry {
    tag: u16,
    kind: u16,
    count: usize,
    values: Vec<u8>,
}

impl Tiff {
    /// Width, height, and colours whose samples are together, of 8 bits and in one strip unless anything else is said.
    pub(crate) fn rgb(width: u16, height: u16) -> Self {
        Self(Vec::new()).with(256, &[width]).with(257, &[height]).with(262, &[2]).with(277, &[3])
    }

    /// Values of 16 bits in place of those that the tag had.
    pub(crate) fn with(self, tag: u16, values: &[u16]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.set(Entry { tag, kind: 3, count: values.len(), values: bytes })
    }

    /// Bytes.
    pub(crate) fn bytes(self, tag: u16, values: &[u8]) -> Self {
        self.set(Entry { tag, kind: 7, count: values.len(), values: values.to_vec() })
    }

    /// One value of 32 bits.
    pub(crate) fn long(self, tag: u16, value: u32) -> Self {
        self.set(Entry { tag, kind: 4, count: 1, values: value.to_le_bytes().to_vec() })
    }

    fn set(mut self, entry: Entry) -> Self {
        self.0.retain(|other| other.tag != entry.tag);
        self.0.push(entry);
        self
    }

    /// The file whose only strip is `data`.
    pub(crate) fn strip(self, data: &[u8]) -> Vec<u8> {
        self.file(273, 279, data)
    }

    /// The file whose only tile is `data`.
    pub(crate) fn tile(self, data: &[u8]) -> Vec<u8> {
        self.file(324, 325, data)
    }

    /// The data stand at offset 8, behind them the values and the directory.
    fn file(self, place: u16, length: u16, data: &[u8]) -> Vec<u8> {
        let Self(mut entries) = self.long(place, 8).long(length, data.len() as u32);
        entries.sort_by_key(|entry| entry.tag);
        let mut bytes = [&b"II*\0\0\0\0\0"[..], data].concat();
        let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
        for Entry { tag, kind, count, mut values } in entries {
            directory.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            directory.extend((count as u32).to_le_bytes());
            if values.len() > 4 {
                directory.extend((bytes.len() as u32).to_le_bytes());
                bytes.extend(values);
            } else {
                values.resize(4, 0);
                directory.extend(values);
            }
        }
        let at = (bytes.len() as u32).to_le_bytes();
        bytes[4..8].copy_from_slice(&at);
        bytes.extend([&directory[..], &[0; 4]].concat());
        bytes
    }
}
