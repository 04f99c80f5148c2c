//! COCO's segmentations: polygons, or runs of pixels, kept as a file gives them.
//!
//! Runs go down the columns, from the left, beginning with those outside of the object. Compressed,
//! each is a text of 5 bits a character from `'0'` on with a sixth that says that there are more, least
//! significant first, the last one's top bit its sign; from the fourth run on it is the difference to
//! the run before last (`rleFrString` in pycocotools' `maskApi.c`).

use serde::{Deserialize, Serialize};

/// The shape of an object as a file gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Segmentation {
    /// Polygons, each `[x, y, x, y, …]` in pixels.
    Polygons(Vec<Vec<f64>>),
    /// Runs of pixels.
    Runs {
        /// The runs.
        counts: Vec<u64>,
        /// Height and width in pixels.
        size: [u64; 2],
    },
    /// Runs of pixels, compressed.
    Compressed {
        /// The runs as text.
        counts: String,
        /// Height and width in pixels.
        size: [u64; 2],
    },
    /// Whatever else stands there; never valid.
    Other(serde_json::Value),
}

/// A polygon has three corners, two coordinates each.
const CORNERS: usize = 6;

impl Segmentation {
    /// Holds the segmentation against the size of its picture in pixels.
    ///
    /// # Errors
    ///
    /// In words: a polygon of fewer than 3 corners or an odd number of coordinates; runs of another
    /// size, or that do not fill it; text that is no runs; anything that is neither.
    pub fn check(&self, width: u32, height: u32) -> Result<(), String> {
        match self {
            Self::Polygons(polygons) => polygons.iter().try_for_each(|polygon| {
                match polygon.len() >= CORNERS && polygon.len().is_multiple_of(2) {
                    true => Ok(()),
                    false => Err(format!(
                        "a polygon of {} coordinates; expected an even number from 6 on",
                        polygon.len()
                    )),
                }
            }),
            Self::Runs { counts, size } => fills(counts, *size, width, height),
            Self::Compressed { counts, size } => fills(&decompress(counts)?, *size, width, height),
            Self::Other(value) => {
                let text: String = value.to_string().chars().take(40).collect();
                Err(format!("{text}; expected polygons, or runs with `counts` and `size`"))
            }
        }
    }

    /// The runs of pixels, uncompressed, if it is given by runs that can be read.
    #[must_use]
    pub fn runs(&self) -> Option<Vec<u64>> {
        match self {
            Self::Runs { counts, .. } => Some(counts.clone()),
            Self::Compressed { counts, .. } => decompress(counts).ok(),
            Self::Polygons(_) | Self::Other(_) => None,
        }
    }
}

fn fills(counts: &[u64], size: [u64; 2], width: u32, height: u32) -> Result<(), String> {
    let expected = [u64::from(height), u64::from(width)];
    if size != expected {
        return Err(format!("runs of size {size:?}; expected {expected:?}, height and width"));
    }
    let total = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
    match total == Some(expected[0] * expected[1]) {
        true => Ok(()),
        false => Err(format!("runs of {total:?} pixels; expected {}", expected[0] * expected[1])),
    }
}

fn decompress(text: &str) -> Result<Vec<u64>, String> {
    let mut counts: Vec<u64> = Vec::new();
    let mut bytes = text.bytes();
    while bytes.len() > 0 {
        let (mut value, mut shift) = (0_i64, 0_u32);
        loop {
            let byte = bytes.next().ok_or("compressed runs end in the middle of one")?;
            let bits = byte.checked_sub(48).filter(|bits| *bits < 64);
            let bits = bits.ok_or_else(|| format!("byte {byte} in compressed runs"))?;
            // No run of a picture takes more than seven characters; 50 bits leave sums in bounds.
            if shift > 45 {
                return Err("a compressed run of more than 50 bits".to_owned());
            }
            value |= i64::from(bits & 31) << shift;
            shift += 5;
            if bits & 32 == 0 {
                if bits & 16 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
        }
        if counts.len() > 2 {
            value = value.saturating_add_unsigned(counts[counts.len() - 2]);
        }
        let count = u64::try_from(value).map_err(|_| format!("a run of {value} pixels"))?;
        counts.push(count);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The inverse, after `rleToString`.
    fn compress(counts: &[u64]) -> String {
        let mut text = String::new();
        for (at, &count) in counts.iter().enumerate() {
            let mut value = count.cast_signed();
            if at > 2 {
                value -= counts[at - 2].cast_signed();
            }
            loop {
                let mut bits = (value & 31) as u8;
                value >>= 5;
                let more = if bits & 16 != 0 { value != -1 } else { value != 0 };
                if more {
                    bits |= 32;
                }
                text.push((bits + 48) as char);
                if !more {
                    break;
                }
            }
        }
        text
    }

    #[test]
    fn compressed_runs_are_those_that_were_compressed() {
        let cases: [&[u64]; 5] =
            [&[], &[12], &[0, 12], &[5, 1, 3, 1, 2], &[1000, 31, 32, 16, 15, 640 * 480, 0, 1]];
        for counts in cases {
            assert_eq!(decompress(&compress(counts)).unwrap(), counts, "{}", compress(counts));
        }
        // By hand: 2×2 pixels of which the right column is the object's.
        assert_eq!(decompress("22").unwrap(), [2, 2]);
    }

    /// Texts that pycocotools wrote: the upper right quarter of 100×100 pixels, and shapes of which the size
    /// is known.
    #[test]
    fn pycocotools_texts_are_read() {
        let quarter = format!("Xl4b1b1{}", "0".repeat(98));
        let mut counts = vec![50; 101];
        counts[0] = 5000;
        assert_eq!(decompress(&quarter).unwrap(), counts);
        for (text, area) in [
            ("724;MG2MN16", 9 * 5),
            ("b04500N2", 9 * 5),
            ("e`V39V9m1H5N10000000001O2O01O2M4K`ce3", 360 * 640),
            ("nYW31n>2N2FNbA48Kf=?XBDe=m0OM3M4YOPB8_>L4JXao5", 480 * 640),
        ] {
            let counts = decompress(text).unwrap();
            assert_eq!(counts.iter().sum::<u64>(), area, "{text}: {counts:?}");
            assert_eq!(compress(&counts), text);
        }
    }

    #[rstest]
    #[case::ends("P")]
    #[case::not_a_character("1 ")]
    #[case::not_ascii("1é")]
    #[case::without_end("oooooooooooooooooooooooo")]
    #[case::negative("O")]
    fn texts_that_are_no_runs_are_refused(#[case] text: &str) {
        assert!(decompress(text).is_err());
    }

    #[rstest]
    #[case("[[0,0,1,0,1,1]]", true)]
    #[case("[]", true)]
    #[case("[[0,0,1,0]]", false)]
    #[case("[[0,0,1,0,1,1,5]]", false)]
    #[case(r#"{"size":[3,4],"counts":[5,3,4]}"#, true)]
    #[case(r#"{"size":[4,3],"counts":[5,3,4]}"#, false)]
    #[case(r#"{"size":[3,4],"counts":[5,3,5]}"#, false)]
    #[case(r#"{"size":[3,4],"counts":[18446744073709551615,13]}"#, false)]
    #[case(r#"{"size":[3,4],"counts":"534"}"#, true)]
    #[case(r#"{"size":[3,4],"counts":"535"}"#, false)]
    #[case(r#"{"size":[3,4]}"#, false)]
    #[case("7", false)]
    fn segmentations_are_held_against_their_picture(#[case] json: &str, #[case] fits: bool) {
        let read: Segmentation = serde_json::from_str(json).unwrap();
        assert_eq!(read.check(4, 3).is_ok(), fits, "{read:?}");
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let back = serde_json::to_value(&read).unwrap();
        assert!(back == value || matches!(read, Segmentation::Polygons(_)), "{back} for {value}");
    }
}
