//! Two samples: the recorded one and ours, and whether they differ by more than chance.
//!
//! For each quantity, with n and m draws and σ, κ the recorded deviation and kurtosis:
//!
//! ```text
//! mean:          |x̄ − ȳ|        ≤ 5 σ √(1/n + 1/m)
//! deviation:     |s / σ − 1|    ≤ 5 √((κ − 1) / 4) √(1/n + 1/m)
//! distribution:  |F(q) − G(q)|  ≤ 2.694 √(1/n + 1/m)             at the recorded deciles q
//! ```
//!
//! Five standard errors are exceeded by chance once in two million; 2.694 is Kolmogorov's and
//! Smirnov's critical value for one in a million, √(−ln(10⁻⁶ / 2) / 2), for the largest difference
//! anywhere, so more than enough for the largest at ten places. Our draws are seeded: what passes
//! once passes always.

use std::collections::BTreeMap;
use std::fs;

use dyrep_data::{Image, SampleRng, Transform};
use serde::Deserialize;

pub(crate) const DRAWS: u64 = 10_000;
const ERRORS: f64 = 5.0;
const CRITICAL: f64 = 2.694;

/// Values of quantities by name. A draw need not have all of them.
pub(crate) type Draw = Vec<(String, f64)>;
type Draws = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct Recorded {
    cases: BTreeMap<String, BTreeMap<String, Summary>>,
    rand_augment: BTreeMap<String, BTreeMap<u32, u32>>,
}

/// What is recorded of a quantity.
#[derive(Clone, Deserialize)]
struct Summary {
    count: usize,
    mean: f64,
    std: f64,
    kurtosis: f64,
    /// A value, and the share of draws at or below it.
    steps: Vec<(f64, f64)>,
}

impl Summary {
    /// What speaks against `values` coming from the same distribution.
    fn complaint(&self, values: &[f64]) -> Option<String> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let spread = (1.0 / self.count as f64 + 1.0 / count).sqrt();

        // Means of the same constants may differ in their last bits.
        let tolerance = ERRORS * self.std * spread + 1e-9;
        if (mean - self.mean).abs() > tolerance {
            return Some(format!("mean {mean} for {} ± {tolerance}", self.mean));
        }
        let tolerance = ERRORS * self.std * ((self.kurtosis - 1.0).max(0.0) / 4.0).sqrt() * spread;
        if (square.sqrt() - self.std).abs() > tolerance + 1e-6 {
            return Some(format!("deviation {} for {} ± {tolerance}", square.sqrt(), self.std));
        }
        self.steps.iter().find_map(|&(step, share)| {
            let found = values.iter().filter(|&&value| value <= step + 1e-9).count() as f64 / count;
            let far = (found - share).abs() > CRITICAL * spread;
            far.then(|| format!("{found} of the draws at or below {step}, for {share}"))
        })
    }
}

fn recorded() -> Recorded {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/draws.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// How often timm's RandAugment made each picture, by its CRC-32.
pub(crate) fn recorded_pictures(level: &str) -> BTreeMap<u32, u32> {
    recorded().rand_augment.remove(level).unwrap()
}

/// Everything that speaks against our draws being those of a recorded case.
pub(crate) fn complaints(case: &str, draw: impl Fn(&mut SampleRng) -> Draw) -> Vec<String> {
    let want = recorded().cases.remove(case).unwrap_or_else(|| panic!("{case} is not recorded"));
    let mut draws = Draws::new();
    for index in 0..DRAWS {
        for (name, value) in draw(&mut SampleRng::new(0, 0, index)) {
            draws.entry(name).or_default().push(value);
        }
    }
    assert!(draws.keys().eq(want.keys()), "{case}: other quantities than recorded");
    let complaint = |(name, summary): (&String, &Summary)| {
        summary.complaint(&draws[name]).map(|text| format!("{case}, {name}: {text}"))
    };
    want.iter().filter_map(complaint).collect()
}

/// Fails with everything that speaks against our draws.
pub(crate) fn check(case: &str, draw: impl Fn(&mut SampleRng) -> Draw) {
    let complaints = complaints(case, draw);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Fails if nothing speaks against draws that are known to be wrong.
pub(crate) fn check_refused(case: &str, draw: impl Fn(&mut SampleRng) -> Draw) {
    assert!(!complaints(case, draw).is_empty(), "{case}: a wrong distribution passed");
}

pub(crate) fn apply(transform: &dyn Transform, image: &Image, rng: &mut SampleRng) -> Image {
    transform.apply(image.clone(), rng).unwrap()
}

/// A draw of named values.
pub(crate) fn named<const N: usize>(values: [(&str, f64); N]) -> Draw {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Twelve bytes of a picture, evenly spread, by their numbers.
pub(crate) fn some_bytes(image: &Image) -> Draw {
    let pixels = image.pixels();
    let byte = |i: usize| (i.to_string(), f64::from(pixels[i * pixels.len() / 12]));
    (0..12).map(byte).collect()
}
