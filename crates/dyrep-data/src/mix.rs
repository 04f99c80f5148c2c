//! MixUp and CutMix: which images of a batch are mixed, how, and in what shares.
//!
//! ```text
//! MixUp   x = λ·x₁ + (1 − λ)·x₂                          λ ~ Beta(α, α)    arXiv 1710.09412
//! CutMix  x = x₂ inside a box, x₁ elsewhere              arXiv 1905.04899, section 3.1
//!         the box: sides √(1 − λ) of the image's, λ ~ Beta(α, α), its centre any pixel alike,
//!         cut off at the border; λ is then the share that x₁ really keeps
//! both    target = λ·label₁ + (1 − λ)·label₂
//! ```
//!
//! One decision a batch, as in both papers' code: a [`Mixer`] turns (seed, epoch, batch) into a
//! [`Mix`], plain data that whoever holds the tensors applies. [`Mix::apply`] does so for bytes.
//!
//! The box reaches `⌊side·√(1 − λ) / 2⌋` to both sides of its centre, as in the published code, so
//! that before it is cut off its sides are even; the label's share follows the true area anyway.

use dyrep_schema::{Positive, Probability, real};
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::loader::Batch;
use crate::rng::SampleRng;
use crate::transform::checks::{invalid, within};

const NAME: &str = "MixConfig";

/// How often and how strongly batches are mixed in one of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixSpec {
    /// The Beta parameter, 0.001 to 1000.
    #[serde(deserialize_with = "real::<Positive, _>")]
    pub alpha: f64,
    /// The share of all batches that are mixed so; 1 unless given.
    #[serde(default = "always", deserialize_with = "real::<Probability, _>")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

/// How batches are mixed: each by MixUp, by CutMix or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MixConfig {
    /// MixUp; none: never.
    pub mixup: Option<MixSpec>,
    /// CutMix; none: never.
    pub cutmix: Option<MixSpec>,
    /// Which image is whose partner.
    pub pairing: Pairing,
}

impl MixConfig {
    /// The share of batches that get MixUp, and of those that get CutMix.
    fn shares(&self) -> [f64; 2] {
        [self.mixup, self.cutmix].map(|way| way.map_or(0.0, |way| way.probability))
    }

    /// The share of batches that are mixed at all.
    #[must_use]
    pub fn probability(&self) -> f64 {
        let [mixed, cut] = self.shares();
        (mixed + cut).min(1.0)
    }
}

/// Which image of a batch is mixed into which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pairing {
    /// A random permutation, as in both papers' code; on average one image meets itself.
    #[default]
    Permuted,
    /// The batch from its end, as timm does; only right if the loader shuffles.
    Reversed,
}

/// Decides how batches are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixer(MixConfig);

impl Mixer {
    /// A mixer of the given configuration.
    ///
    /// # Errors
    ///
    /// If an alpha is not within 0.001 to 1000, a probability not within 0 to 1, or both together above 1; if there is
    /// neither way.
    pub fn new(config: MixConfig) -> Result<Self, DataError> {
        let ways = [
            (config.mixup, "mixup.alpha", "mixup.probability"),
            (config.cutmix, "cutmix.alpha", "cutmix.probability"),
        ];
        for (way, alpha, probability) in ways {
            let Some(way) = way else { continue };
            within(NAME, alpha, way.alpha, 0.001..=1000.0, "0.001 to 1000")?;
            within(NAME, probability, way.probability, 0.0..=1.0, "a number from 0 to 1")?;
        }
        if config.mixup.is_none() && config.cutmix.is_none() {
            return Err(invalid(
                NAME,
                "mixup and cutmix",
                "none".to_owned(),
                "one of them at least",
            ));
        }
        let [mixed, cut] = config.shares();
        // Shares such as 0.7 and 0.3 may add to a little more than 1.
        if mixed + cut > 1.0 + 1e-9 {
            let found = format!("{mixed} and {cut}");
            return Err(invalid(NAME, "probabilities", found, "at most 1 together"));
        }
        Ok(Self(config))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &MixConfig {
        &self.0
    }

    /// What becomes of one batch: a function of the arguments alone. `batch` counts from 0 within
    /// the epoch, `shape` is `[n, channels, height, width]`. `None` leaves the batch as it is.
    ///
    /// # Panics
    ///
    /// If the height or the width is 0, or above `u32::MAX`.
    #[must_use]
    pub fn plan(&self, seed: u64, epoch: u64, batch: u64, shape: [usize; 4]) -> Option<Mix> {
        let config = &self.0;
        let mut rng = SampleRng::of_batch(seed, epoch, batch);
        if !rng.chance(config.probability()) {
            return None;
        }
        let [mixed, cut] = config.shares();
        let (alpha, cut) = match (config.mixup, config.cutmix) {
            (Some(mixup), Some(cutmix)) => {
                let cut = rng.chance(cut / (mixed + cut));
                (if cut { cutmix.alpha } else { mixup.alpha }, cut)
            }
            (Some(mixup), None) => (mixup.alpha, false),
            (None, Some(cutmix)) => (cutmix.alpha, true),
            (None, None) => return None,
        };
        let lambda = rng.beta(alpha);
        let [n, _, height, width] = shape;
        let mut partner: Vec<usize> = (0..n).collect();
        match config.pairing {
            Pairing::Permuted => rng.shuffle(&mut partner),
            Pairing::Reversed => partner.reverse(),
        }
        if !cut {
            return Some(Mix { lambda, partner, region: None });
        }
        let region = cut_region(lambda, height, width, &mut rng);
        let [top, bottom, left, right] = region;
        let area = (bottom - top) * (right - left);
        let lambda = 1.0 - area as f64 / (height * width) as f64;
        Some(Mix { lambda, partner, region: Some(region) })
    }
}

/// CutMix's box, cut off at the border.
fn cut_region(lambda: f64, height: usize, width: usize, rng: &mut SampleRng) -> [usize; 4] {
    let mut span = |side: usize| {
        let bound = u32::try_from(side).unwrap_or_else(|_| panic!("an image side of {side}"));
        let center = rng.below(bound) as usize;
        let half = (side as f64 * (1.0 - lambda).sqrt() / 2.0) as usize;
        [center.saturating_sub(half), side.min(center + half)]
    };
    let ([top, bottom], [left, right]) = (span(height), span(width));
    [top, bottom, left, right]
}

/// How one batch is mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The share of each image's own pixels and label, 0 to 1; with a region, its exact share.
    pub lambda: f64,
    /// For each image, the index of the one mixed into it.
    pub partner: Vec<usize>,
    /// CutMix's box `[top, bottom, left, right]` in pixels, `bottom` and `right` just outside of
    /// it; it may be empty. `None` is MixUp.
    pub region: Option<[usize; 4]>,
}

impl Mix {
    /// Mixes a batch's pixels; [`Mix::labels`] are to be taken beside it.
    ///
    /// CutMix copies bytes. MixUp rounds to the nearest level, halves up, which mixing normalised
    /// values on the device does not need to: it is off by up to half a level.
    ///
    /// # Panics
    ///
    /// If the batch is not one that the mix was planned for: another number of images, or too
    /// small for the region.
    pub fn apply(&self, batch: &mut Batch) {
        let [n, channels, height, width] = batch.shape;
        assert_eq!(self.partner.len(), n, "a mix for another number of images");
        let [top, bottom, left, right] = self.region.unwrap_or([0, height, 0, width]);
        assert!(
            bottom <= height && right <= width,
            "a box up to row {bottom} and column {right} in images of {height}x{width}"
        );
        let source = batch.pixels.clone();
        let image = channels * height * width;
        for (index, &partner) in self.partner.iter().enumerate() {
            for row in (0..channels).flat_map(|c| (top..bottom).map(move |y| c * height + y)) {
                let place = |index: usize| index * image + row * width;
                let other = &source[place(partner) + left..place(partner) + right];
                let own = &mut batch.pixels[place(index) + left..place(index) + right];
                if self.region.is_some() {
                    own.copy_from_slice(other);
                } else {
                    own.iter_mut().zip(other).for_each(|(own, &other)| {
                        *own = blend(*own, other, self.lambda);
                    });
                }
            }
        }
    }

    /// The labels of a mixed batch, from those of its images.
    ///
    /// # Panics
    ///
    /// If there are not as many labels as partners.
    #[must_use]
    pub fn labels(&self, labels: &[i64]) -> MixedLabels {
        assert_eq!(self.partner.len(), labels.len(), "a mix for another number of images");
        let second = self.partner.iter().map(|&partner| labels[partner]).collect();
        MixedLabels { first: labels.to_vec(), second, lambda: self.lambda }
    }
}

/// Two labels an image: the target is `lambda` of the first and `1 − lambda` of the second.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedLabels {
    /// Each image's own class.
    pub first: Vec<i64>,
    /// Its partner's class.
    pub second: Vec<i64>,
    /// The first's share, 0 to 1.
    pub lambda: f64,
}

fn blend(own: u8, other: u8, lambda: f64) -> u8 {
    (lambda * f64::from(own) + (1.0 - lambda) * f64::from(other)).round() as u8
}
