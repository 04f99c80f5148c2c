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

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::loader::Batch;
use crate::rng::SampleRng;
use crate::transform::checks::{invalid, within};

const NAME: &str = "MixConfig";

/// How batches are mixed. An alpha of 0 switches its kind off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixConfig {
    /// MixUp's Beta parameter: 0 for none, else 0.001 to 1000.
    pub mixup_alpha: f64,
    /// CutMix's Beta parameter: 0 for none, else 0.001 to 1000.
    pub cutmix_alpha: f64,
    /// The probability that a batch is mixed at all.
    pub probability: f64,
    /// The probability that a mixed batch gets CutMix, where both kinds are on.
    pub switch_probability: f64,
    /// Which image is whose partner.
    pub pairing: Pairing,
}

/// No kind is on yet; otherwise every batch is mixed, half of them by CutMix, as timm does.
impl Default for MixConfig {
    fn default() -> Self {
        Self {
            mixup_alpha: 0.0,
            cutmix_alpha: 0.0,
            probability: 1.0,
            switch_probability: 0.5,
            pairing: Pairing::Permuted,
        }
    }
}

/// Which image of a batch is mixed into which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// A random permutation, as in both papers' code; on average one image meets itself.
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
    /// If an alpha is neither 0 nor within 0.001 to 1000, both are 0, or a probability is not
    /// within 0 to 1.
    pub fn new(config: MixConfig) -> Result<Self, DataError> {
        for (option, alpha) in
            [("mixup_alpha", config.mixup_alpha), ("cutmix_alpha", config.cutmix_alpha)]
        {
            if alpha != 0.0 {
                within(NAME, option, alpha, 0.001..=1000.0, "0 for none, or 0.001 to 1000")?;
            }
        }
        if config.mixup_alpha == 0.0 && config.cutmix_alpha == 0.0 {
            let expected = "at least one of them above 0";
            return Err(invalid(NAME, "mixup_alpha and cutmix_alpha", "0".to_owned(), expected));
        }
        for (option, probability) in
            [("probability", config.probability), ("switch_probability", config.switch_probability)]
        {
            within(NAME, option, probability, 0.0..=1.0, "a number from 0 to 1")?;
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
        if !rng.chance(config.probability) {
            return None;
        }
        let both = config.mixup_alpha > 0.0 && config.cutmix_alpha > 0.0;
        let cut =
            if both { rng.chance(config.switch_probability) } else { config.cutmix_alpha > 0.0 };
        let lambda = rng.beta(if cut { config.cutmix_alpha } else { config.mixup_alpha });
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
