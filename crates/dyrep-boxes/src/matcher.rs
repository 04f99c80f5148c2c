//! Which object an anchor is to find, by how much the two overlap.
//!
//! torchvision's `Matcher` (`models/detection/_utils.py`) on `box_iou`, with RetinaNet's thresholds.

use crate::bbox::{check_all, overlap};
use crate::{BBox, BoxError};

/// What an anchor is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    /// Nothing (torchvision's −1).
    Background,
    /// It is not asked: too near to an object for background and too far for a match (its −2).
    Ignored,
    /// The object at this place of the list.
    Object(usize),
}

/// Matches anchors to objects by intersection over union (RetinaNet § 4, "Anchors").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matcher {
    /// From this overlap on, an anchor finds the object that it overlaps most.
    pub high: f32,
    /// Below this one it finds nothing; between the two it is ignored.
    pub low: f32,
    /// Whether anchors that overlap an object most of all anchors, ties included, find something however
    /// little that is, so that each object is found by one at least.
    pub allow_low_quality: bool,
}

impl Matcher {
    /// From 0.5, below 0.4, with low quality allowed: torchvision's RetinaNet. The paper has no matches
    /// of low quality.
    #[must_use]
    pub const fn retinanet() -> Self {
        Self { high: 0.5, low: 0.4, allow_low_quality: true }
    }

    /// What each anchor is to find. Equal overlaps go to the object that comes first.
    ///
    /// An anchor that overlaps object A most of all anchors but object B more finds B, as torchvision has
    /// it (`set_low_quality_matches_`), and then nothing may find A. An object that overlaps no anchor at
    /// all, such as one outside of the picture, makes *every* anchor that it shares nothing with find
    /// what that overlaps most, because all are tied at 0: drop such objects first.
    ///
    /// Without objects all is background, as `RetinaNet.compute_loss` has it, and without anchors there
    /// are no matches (torchvision's `Matcher` refuses both).
    ///
    /// # Errors
    ///
    /// An object or anchor that is not finite or has a side not above 0; thresholds that are not numbers
    /// or the wrong way round.
    pub fn matches(&self, objects: &[BBox], anchors: &[BBox]) -> Result<Vec<Match>, BoxError> {
        self.check()?;
        check_all(objects, "object", BBox::check_solid)?;
        check_all(anchors, "anchor", BBox::check_solid)?;
        if objects.is_empty() {
            return Ok(vec![Match::Background; anchors.len()]);
        }
        let anchors: Vec<_> = anchors.iter().map(|anchor| (*anchor, anchor.area())).collect();
        // For each anchor the largest overlap, its object, and whether an object has no larger one.
        let mut best = vec![(f32::NEG_INFINITY, 0, false); anchors.len()];
        let mut tied = vec![];
        for (index, object) in objects.iter().enumerate() {
            let object = (*object, object.area());
            let mut largest = f32::NEG_INFINITY;
            tied.clear();
            for (place, (anchor, best)) in anchors.iter().zip(&mut best).enumerate() {
                let quality = overlap(object, *anchor);
                if quality > best.0 {
                    (best.0, best.1) = (quality, index);
                }
                if quality > largest {
                    largest = quality;
                    tied.clear();
                }
                if quality == largest {
                    tied.push(place);
                }
            }
            for &place in &tied {
                best[place].2 = true;
            }
        }
        let decide = |(quality, object, is_largest)| match quality {
            _ if is_largest && self.allow_low_quality => Match::Object(object),
            quality if quality >= self.high => Match::Object(object),
            quality if quality >= self.low => Match::Ignored,
            _ => Match::Background,
        };
        Ok(best.into_iter().map(decide).collect())
    }

    fn check(&self) -> Result<(), BoxError> {
        if self.low <= self.high {
            return Ok(());
        }
        let expected = "a number not above `high`";
        Err(BoxError::Setting { name: "low", found: f64::from(self.low), expected })
    }
}
