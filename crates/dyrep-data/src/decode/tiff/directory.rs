//! The entries of a TIFF's first directory: a tag, the type of its values, their number, and the values or their place.
//! As the decoder reads them: it passes over types that it does not know, and of a tag that is there twice the last
//! counts.

/// The first directory. Files of more than 4 GiB (`BigTIFF`) are of no kind that is read.
#[derive(Clone, Copy)]
pub(super) struct Directory<'a> {
    /// All of the file.
    pub(super) bytes: &'a [u8],
    little: bool,
    /// Where the first entry is.
    first: usize,
    entries: usize,
}

/// An entry of a known type.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) tag: u16,
    kind: u16,
    /// The number of its values.
    pub(super) count: u64,
    /// Where the values are or, if they have more than four bytes, where their place is written.
    at: usize,
}

impl Entry {
    /// All of its values take so many bytes.
    pub(super) fn bytes(self) -> u64 {
        self.count.saturating_mul(bytes_each(self.kind).unwrap_or_default() as u64)
    }

    /// Whether its values are whole numbers without a sign, of 8 to 64 bits.
    pub(super) fn is_of_whole_numbers(self) -> bool {
        matches!(self.kind, 1 | 3 | 4 | 7 | 13 | 16 | 18)
    }
}

/// Bytes of a value of each type.
fn bytes_each(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 | 17 | 18 => Some(8),
        _ => None,
    }
}

impl<'a> Directory<'a> {
    /// Nothing if the file ends in front of it.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let little = bytes.starts_with(b"II");
        let at = usize::try_from(number(bytes, little, 4, 4)?).ok()?;
        let entries = usize::try_from(number(bytes, little, at, 2)?).ok()?;
        Some(Self { bytes, little, first: at.checked_add(2)?, entries })
    }

    /// Those that are there; each has 12 bytes.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry> + 'a {
        let number = move |at, length| number(self.bytes, self.little, at, length);
        let entry = move |index: usize| {
            let at = self.first.checked_add(12 * index)?;
            let tag = u16::try_from(number(at, 2)?).ok()?;
            let kind = u16::try_from(number(at + 2, 2)?).ok()?;
            let count = number(at + 4, 4)?;
            number(at + 8, 4)?;
            Some(Entry { tag, kind, count, at: at + 8 })
        };
        (0..self.entries).map_while(entry).filter(|entry| bytes_each(entry.kind).is_some())
    }

    pub(super) fn find(self, tag: u16) -> Option<Entry> {
        self.entries().filter(|entry| entry.tag == tag).last()
    }

    /// The values of a tag, if they are whole numbers: as many as there are bytes for, whatever the file says.
    pub(super) fn values(self, tag: u16) -> impl Iterator<Item = u64> + 'a {
        let entry = self.find(tag).filter(|entry| entry.is_of_whole_numbers());
        let number = move |at, length| number(self.bytes, self.little, at, length);
        entry.into_iter().flat_map(move |entry| {
            let each = bytes_each(entry.kind).unwrap_or_default();
            let at = if entry.bytes() <= 4 { Some(entry.at as u64) } else { number(entry.at, 4) };
            (0..entry.count).map_while(move |value| {
                let at = at?.checked_add(value.checked_mul(each as u64)?)?;
                number(usize::try_from(at).ok()?, each)
            })
        })
    }
}

/// The number of so many bytes.
fn number(bytes: &[u8], little: bool, at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let append = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    Some(match little {
        true => bytes.iter().rev().fold(0, append),
        false => bytes.iter().fold(0, append),
    })
}

/// A file of one directory, at offset 8, of entries as `(tag, type, number of values, value or place)`, and so many
/// zeros behind it. A value of two bytes stands first of the four.
#[cfg(test)]
pub(super) fn file(little: bool, entries: &[(u16, u16, u32, u32)], zeros: usize) -> Vec<u8> {
    let two = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
    let four = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
    let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    bytes.extend([&four(8)[..], &two(entries.len() as u16)].concat());
    for &(tag, kind, count, value) in entries {
        bytes.extend([&two(tag)[..], &two(kind), &four(count)].concat());
        match (kind, count) {
            (3, 1) => bytes.extend([two(value as u16), [0; 2]].concat()),
            _ => bytes.extend(four(value)),
        }
    }
    bytes.extend(four(0));
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    fn values_are_in_the_entry_or_where_it_says(#[values(true, false)] little: bool) {
        let bytes = file(little, &[(256, 3, 1, 7), (257, 4, 1, 70_000), (258, 3, 3, 12)], 0);
        let directory = Directory::of(&bytes).unwrap();
        let values = |tag| directory.values(tag).collect::<Vec<_>>();
        assert_eq!([values(256), values(257), values(259)], [vec![7], vec![70_000], vec![]]);
        // At 12 are the type and the number of the first entry.
        assert_eq!(values(258), if little { [3, 1, 0] } else { [3, 0, 1] });
    }

    /// What the decoder does: a type that it does not know makes an entry none, the last of a tag counts.
    #[test]
    fn the_last_entry_of_a_known_type_counts() {
        let bytes = file(true, &[(256, 3, 1, 7), (256, 3, 1, 8), (256, 99, 1, 9)], 0);
        assert_eq!(Directory::of(&bytes).unwrap().values(256).collect::<Vec<_>>(), [8]);
        let bytes = file(true, &[(256, 11, 1, 7)], 0);
        let directory = Directory::of(&bytes).unwrap();
        assert!(!directory.find(256).unwrap().is_of_whole_numbers());
        assert_eq!(directory.values(256).count(), 0);
    }
}
