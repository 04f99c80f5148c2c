//! What a TIFF says of its first picture, held against the file's length (TIFF 6.0, section 2; for files of more than
//! 4 GiB awaresystems.be/imaging/tiff/bigtiff.html).
//!
//! Its decoder takes memory for as many values as an entry declares, before it reads any.

/// Refuses an entry of the first directory that declares more values than the file has bytes for.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let Some(entries) = Layout::of(bytes).and_then(|layout| layout.entries(bytes)) else {
        return Ok(()); // Cut where the directory would be: the decoder says so.
    };
    for (tag, values, bytes_each) in entries {
        if values.saturating_mul(bytes_each) > bytes.len() as u64 {
            let length = bytes.len();
            return Err(format!("tag {tag} declares {values} values in a file of {length} bytes"));
        }
    }
    Ok(())
}

/// The order of bytes, and the width of lengths and places.
#[derive(Clone, Copy)]
struct Layout {
    little: bool,
    wide: bool,
}

impl Layout {
    fn of(bytes: &[u8]) -> Option<Self> {
        let little = match bytes.first_chunk()? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let version = Self { little, wide: false }.number(bytes, 2, 2)?;
        Some(Self { little, wide: version == 43 })
    }

    fn number(self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, append),
            false => bytes.iter().fold(0, append),
        })
    }

    /// Tag, number of values and bytes of each, of the entries that are there.
    fn entries(self, bytes: &[u8]) -> Option<impl Iterator<Item = (u64, u64, u64)> + '_> {
        let (place, count, length) = if self.wide { (8, 8, 20) } else { (4, 2, 12) };
        let directory = usize::try_from(self.number(bytes, place, place)?).ok()?;
        let entries = self.number(bytes, directory, count)?;
        let first = directory.checked_add(count)?;
        let entry = move |number: u64| {
            let at = usize::try_from(number).ok()?.checked_mul(length)?.checked_add(first)?;
            let kind = self.number(bytes, at + 2, 2)?;
            let values = self.number(bytes, at + 4, place)?;
            Some((self.number(bytes, at, 2)?, values, bytes_each(kind)))
        };
        Some((0..entries).map_while(entry))
    }
}

/// Bytes of a value of each type.
fn bytes_each(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose first directory has one entry, of tag 258, in the middle of other bytes.
    fn file(little: bool, wide: bool, kind: u16, values: u64, beside: usize) -> Vec<u8> {
        let number = |value: u64, length: usize| match little {
            true => value.to_le_bytes()[..length].to_vec(),
            false => value.to_be_bytes()[8 - length..].to_vec(),
        };
        let width = if wide { 8 } else { 4 };
        let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
        bytes.extend(number(if wide { 43 } else { 42 }, 2));
        if wide {
            bytes.extend([number(8, 2), number(0, 2)].concat());
        }
        let directory = bytes.len() + width + 6;
        bytes.extend(number(directory as u64, width));
        bytes.extend([0; 6]);
        bytes.extend(number(1, if wide { 8 } else { 2 }));
        bytes.extend([number(258, 2), number(u64::from(kind), 2)].concat());
        bytes.extend([number(values, width), number(0, width)].concat());
        bytes.resize(bytes.len() + beside, 0);
        bytes
    }

    #[test]
    fn values_lie_in_the_file() {
        for (little, wide) in [(true, false), (false, false), (true, true), (false, true)] {
            for (kind, each) in [(1, 1), (3, 2), (4, 4), (5, 8), (16, 8)] {
                let most = (file(little, wide, kind, 0, 400).len() / each) as u64;
                assert_eq!(check(&file(little, wide, kind, most, 400)), Ok(()));
                for values in [most + 1, 8_000_000, u64::from(u32::MAX)] {
                    let reason = check(&file(little, wide, kind, values, 400)).unwrap_err();
                    let told = format!("tag 258 declares {values} values");
                    assert!(reason.starts_with(&told), "{reason}");
                }
            }
            let whole = file(little, wide, 3, 9_000, 0);
            for length in 0..whole.len() {
                let _any = check(&whole[..length]);
            }
        }
        assert_eq!(check(b"II*\0\xff\xff\xff\xff"), Ok(()));
    }
}
