//! The small files of `tests/golden/kinds.py`: one of every kind of file and of pixels.

use std::fmt;
use std::fs;
use std::path::Path;

/// The size of every picture.
pub(crate) const WIDTH: u32 = 7;
pub(crate) const HEIGHT: u32 = 5;
/// The script's background that is not white.
pub(crate) const OTHER: [u8; 3] = [10, 200, 30];

pub(crate) struct File {
    pub(crate) kind: String,
    pub(crate) variant: String,
    pub(crate) bytes: Vec<u8>,
    /// In RGB.
    pub(crate) over_white: Vec<u8>,
    pub(crate) over_other: Vec<u8>,
    /// Over white.
    pub(crate) grey: Vec<u8>,
}

impl File {
    pub(crate) fn all() -> Vec<Self> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let data = fs::read(golden.join("kinds.bin")).unwrap();
        let table = fs::read_to_string(golden.join("kinds.csv")).unwrap();
        table.lines().map(|line| Self::of(line, &data)).collect()
    }

    fn of(line: &str, data: &[u8]) -> Self {
        let fields: Vec<&str> = line.split(';').collect();
        let [kind, variant, width, height, offset, length] = fields[..] else { panic!("{line}") };
        assert_eq!([width, height], [WIDTH, HEIGHT].map(|side| side.to_string()));
        let area = (WIDTH * HEIGHT) as usize;
        let mut rest = &data[offset.parse().unwrap()..];
        let mut take = |length: usize| {
            let (taken, behind) = rest.split_at(length);
            rest = behind;
            taken.to_vec()
        };
        Self {
            kind: kind.to_owned(),
            variant: variant.to_owned(),
            bytes: take(length.parse().unwrap()),
            over_white: take(3 * area),
            over_other: take(3 * area),
            grey: take(area),
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.kind, self.variant)
    }
}
