//! What was skipped or mended when annotations were read, counted by reason.

use std::collections::BTreeMap;
use std::fmt;

/// Why something was skipped or mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// A picture is listed and its file is not there: skipped with its annotations.
    MissingFile,
    /// An annotation is of a picture that is not listed: skipped.
    UnknownImage,
    /// An annotation has no box, or `null` in it: skipped.
    NoBox,
    /// A box has a width or height of zero or less: skipped.
    EmptyBox,
    /// A box lies wholly outside of its picture: skipped.
    OutsideBox,
    /// A box left its picture and was cut at its edges.
    ClippedBox,
    /// A segmentation that cannot be one of its picture: kept as it was, and the box, too.
    FaultySegmentation,
    /// A class without a single annotation that was kept.
    EmptyClass,
    /// A picture has no mask: skipped.
    MissingMask,
    /// A mask has no picture: skipped.
    MissingPicture,
    /// A picture's name does not end as those of its data set do: skipped.
    OtherName,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::MissingFile => "pictures skipped: no such file",
            Self::UnknownImage => "annotations skipped: their picture is not listed",
            Self::NoBox => "annotations skipped: no box of numbers",
            Self::EmptyBox => "annotations skipped: a box without area",
            Self::OutsideBox => "annotations skipped: a box outside of the picture",
            Self::ClippedBox => "boxes cut at the picture's edge",
            Self::FaultySegmentation => "segmentations that fit no picture of theirs, boxes kept",
            Self::EmptyClass => "classes without annotations",
            Self::MissingMask => "pictures skipped: no mask",
            Self::MissingPicture => "masks skipped: no picture",
            Self::OtherName => "pictures skipped: their names end differently",
        }
    }
}

/// How often each [`Reason`] came up; shown as one line.
///
/// ```
/// use dyrep_scenes::{Counts, Reason};
///
/// let mut counts = Counts::default();
/// counts.add(Reason::ClippedBox, 2);
/// assert_eq!(counts.of(Reason::ClippedBox), 2);
/// assert_eq!(counts.to_string(), "2 boxes cut at the picture's edge");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Reason, usize>);

impl Counts {
    /// Counts something `times`.
    pub fn add(&mut self, reason: Reason, times: usize) {
        if times > 0 {
            *self.0.entry(reason).or_default() += times;
        }
    }

    /// How often a reason came up.
    #[must_use]
    pub fn of(&self, reason: Reason) -> usize {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each reason.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(reason, count)| format!("{count} {}", reason.text()))
    }
}

/// All of them in one line.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("; "))
    }
}
