//! timm's RepViT (arXiv 2307.09283): its mixers of places in their own names, its two classifiers, and the same once it is
//! fused.
//!
//! | timm | ours |
//! |---|---|
//! | `token_mixer.conv.c`, `token_mixer.conv.bn` | `token_mixer.kxk.conv`, `token_mixer.kxk.bn` |
//! | `token_mixer.conv1` | `token_mixer.1x1.conv` |
//! | `head.head`, `head.head_dist` | `head.head`, which computes the average of both |
//! | fused: `stem.conv1`, `head` | `stem.conv1.c`, `head.head.l`, behind and before which norms pass values through |

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::{Dialect, EPSILON, Naming, Translated, silent_norm};
use crate::tensor::{Number, Stored};

/// Convolutions that have a norm behind them.
const UNITS: [&str; 4] = ["conv1", "conv2", "spatial_downsample", "channel_downsample"];
const HEAD: &str = "head.head";
const TEACHERS: &str = "head.head_dist";

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmRepVit,
    recognise: |parts| {
        parts.all(&["token_mixer", "channel_mixer", "spatial_downsample"])
            && !parts.any(&["kxk", "token_norm"])
            // Trained, or fused: ours have the one and not the other.
            && (parts.any(&["conv"]) || !parts.any(&["c"]))
    },
    translate: |parts| {
        let ours: Vec<&str> = match parts {
            [front @ .., "token_mixer", "conv", "c", leaf] => {
                [front, &["token_mixer", "kxk", "conv", leaf]].concat()
            }
            [front @ .., "token_mixer", "conv", "bn", leaf] => {
                [front, &["token_mixer", "kxk", "bn", leaf]].concat()
            }
            [front @ .., "token_mixer", "conv1", leaf] => {
                [front, &["token_mixer", "1x1", "conv", leaf]].concat()
            }
            [front @ .., unit, leaf @ ("weight" | "bias")] if UNITS.contains(unit) => {
                [front, &[*unit, "c", *leaf]].concat()
            }
            ["head", leaf @ ("weight" | "bias")] => vec!["head", "head", "l", *leaf],
            parts => parts.to_vec(),
        };
        Translated::new(&ours)
    },
    complete: |tensors| {
        one_head(tensors);
        let fused = |name: &String| {
            let unit = name.strip_suffix(".c.weight")?;
            Some((format!("{unit}.bn"), tensors[name].shape.first().copied()?))
        };
        let mut norms: Vec<(String, usize)> = tensors.keys().filter_map(fused).collect();
        if let Some(weight) = tensors.get("head.head.l.weight") {
            norms
                .extend(weight.shape.get(1).map(|channels| ("head.head.bn".to_owned(), *channels)));
        }
        for (norm, channels) in norms {
            if !tensors.contains_key(&format!("{norm}.weight")) {
                tensors.extend(silent_norm(&norm, channels));
            }
        }
    },
    ..Dialect::BASE
};

/// Puts one classifier in the place of two whose logits are averaged.
///
/// Both normalise the same values x, so that with the first one's statistics
/// `½ (W₁ (γ₁ x̂ + β₁) + b₁ + W₂ (γ₂ x̂₂ + β₂) + b₂)` is linear in x̂: x̂₂ is x̂ where both have gathered the same statistics, as
/// they do in training, and otherwise `(x̂ σ₁ + μ₁ − μ₂) / σ₂`.
fn one_head(tensors: &mut BTreeMap<String, Stored>) {
    let Some((one, other)) = Classifier::of(tensors, HEAD).zip(Classifier::of(tensors, TEACHERS))
    else {
        return;
    };
    if one.weight.shape != other.weight.shape {
        return;
    }
    tensors.retain(|name, _| !name.starts_with(TEACHERS));
    let ([classes, channels], heads) = (one.size(), [one, other]);
    // Whichever is read first computes both.
    let both = Arc::new(OnceLock::new());
    for (name, value) in [("bn.weight", 1.0), ("bn.bias", 0.0)] {
        let name = format!("{HEAD}.{name}");
        tensors.insert(name.clone(), Stored::constant(name, value, channels));
    }
    for (name, shape, weight) in
        [("l.weight", vec![classes, channels], true), ("l.bias", vec![classes], false)]
    {
        let (heads, both) = (heads.clone(), Arc::clone(&both));
        let merged = move || {
            let both = both.get_or_init(|| merged(&heads)).as_ref().map_err(Clone::clone)?;
            let values = if weight { &both.0 } else { &both.1 };
            Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        let name = format!("{HEAD}.{name}");
        // What is read for it: both.
        let bytes =
            4 * shape.iter().fold(1u64, |product, size| product.saturating_mul(*size as u64));
        tensors.insert(name.clone(), Stored::new(name, Number::F32, shape, bytes, merged));
    }
}

/// A norm and a linear layer, in the file.
#[derive(Clone)]
struct Classifier {
    /// γ, β, mean and variance, `[channels]`.
    norm: [Stored; 4],
    /// `[classes, channels]`.
    weight: Stored,
    /// `[classes]`.
    bias: Stored,
}

impl Classifier {
    fn of(tensors: &BTreeMap<String, Stored>, path: &str) -> Option<Self> {
        let get = |name: &str| tensors.get(&format!("{path}.{name}")).cloned();
        let norm =
            [get("bn.weight")?, get("bn.bias")?, get("bn.running_mean")?, get("bn.running_var")?];
        let found = Self { norm, weight: get("l.weight")?, bias: get("l.bias")? };
        let &[classes, channels] = &found.weight.shape[..] else { return None };
        let right =
            found.bias.shape == [classes] && found.norm.iter().all(|one| one.shape == [channels]);
        right.then_some(found)
    }

    fn size(&self) -> [usize; 2] {
        [self.weight.shape[0], self.weight.shape[1]]
    }
}

/// Weight and bias of the linear layer behind the first one's normalisation.
fn merged(heads: &[Classifier; 2]) -> Result<(Vec<f32>, Vec<f32>), String> {
    let [classes, channels] = heads[0].size();
    let first = Statistics::of(&heads[0])?;
    let mut weights = vec![0.0; classes * channels];
    let mut biases = vec![0.0; classes];
    for head in heads {
        let [gamma, beta, ..] = &head.norm;
        let (gamma, beta) = (gamma.values()?, beta.values()?);
        let (own, weight, bias) =
            (Statistics::of(head)?, head.weight.values()?, head.bias.values()?);
        let maps: Vec<_> = (0..channels).map(|channel| first.to(&own, channel)).collect();
        for class in 0..classes {
            let mut sum = f64::from(bias[class]);
            for channel in 0..channels {
                let at = class * channels + channel;
                let (scale, shift) = maps[channel];
                let by = f64::from(weight[at]);
                weights[at] += 0.5 * by * f64::from(gamma[channel]) * scale;
                sum += by * (f64::from(gamma[channel]) * shift + f64::from(beta[channel]));
            }
            biases[class] += 0.5 * sum;
        }
    }
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Ok((narrow(weights), narrow(biases)))
}

/// What a norm normalises by.
struct Statistics {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Statistics {
    fn of(head: &Classifier) -> Result<Self, String> {
        let [_, _, mean, variance] = &head.norm;
        Ok(Self { mean: mean.values()?, variance: variance.values()? })
    }

    /// Scale and shift that make `other`'s normalised values of this one's.
    fn to(&self, other: &Self, channel: usize) -> (f64, f64) {
        let of = |values: &[f32]| f64::from(values[channel]);
        let deviation = |one: &Self| (of(&one.variance) + f64::from(EPSILON)).sqrt();
        let scale = deviation(self) / deviation(other);
        (scale, (of(&self.mean) - of(&other.mean)) / deviation(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNELS: usize = 3;
    const CLASSES: usize = 2;

    fn stored(name: &str, shape: &[usize], salt: usize) -> Stored {
        let value = |i: usize| 0.5 + 0.4 * ((salt + 7 * i) as f32).sin();
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let length = bytes.len() as u64;
        Stored::new(name.into(), Number::F32, shape.to_vec(), length, move || Ok(bytes.clone()))
    }

    /// A classifier whose statistics are those of `statistics`.
    fn classifier(path: &str, salt: usize, statistics: usize) -> BTreeMap<String, Stored> {
        let parts: [(&str, &[usize], usize); 6] = [
            ("bn.weight", &[CHANNELS], salt),
            ("bn.bias", &[CHANNELS], salt + 1),
            ("bn.running_mean", &[CHANNELS], statistics),
            ("bn.running_var", &[CHANNELS], statistics + 1),
            ("l.weight", &[CLASSES, CHANNELS], salt + 2),
            ("l.bias", &[CLASSES], salt + 3),
        ];
        let named = |(name, shape, salt): (&str, &[usize], usize)| {
            let name = format!("{path}.{name}");
            (name.clone(), stored(&name, shape, salt))
        };
        parts.into_iter().map(named).collect()
    }

    fn logits(tensors: &BTreeMap<String, Stored>, path: &str, x: [f32; CHANNELS]) -> Vec<f64> {
        let get = |name: &str| -> Vec<f64> {
            let values = tensors[&format!("{path}.{name}")].values().unwrap();
            values.into_iter().map(f64::from).collect()
        };
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| get(&format!("bn.{name}")));
        let normed = |c: usize| {
            gamma[c] * (f64::from(x[c]) - mean[c]) / (variance[c] + f64::from(EPSILON)).sqrt()
                + beta[c]
        };
        let (weight, bias) = (get("l.weight"), get("l.bias"));
        let row = |class: usize| {
            let products = (0..CHANNELS).map(|c| weight[class * CHANNELS + c] * normed(c));
            bias[class] + products.sum::<f64>()
        };
        (0..CLASSES).map(row).collect()
    }

    #[test]
    fn one_classifier_computes_the_average_of_two() {
        for statistics in [20, 40] {
            let two =
                classifier(HEAD, 1, 20).into_iter().chain(classifier(TEACHERS, 9, statistics));
            let two: BTreeMap<_, _> = two.collect();
            let mut one = two.clone();
            (NETWORK.complete)(&mut one);
            assert!(!one.keys().any(|name| name.starts_with(TEACHERS)));
            for x in [[0.3, -1.0, 2.0], [5.0, 0.1, -0.7]] {
                let [first, second] = [HEAD, TEACHERS].map(|path| logits(&two, path, x));
                let wanted = first.iter().zip(&second).map(|(one, two)| 0.5 * (one + two));
                for (got, wanted) in logits(&one, HEAD, x).into_iter().zip(wanted) {
                    assert!((got - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{got} {wanted}");
                }
            }
        }
    }

    #[test]
    fn classifiers_of_other_shapes_stay() {
        let mut tensors = classifier(HEAD, 1, 20);
        tensors.extend(classifier(TEACHERS, 9, 20));
        let weight = format!("{TEACHERS}.l.weight");
        tensors.insert(weight.clone(), stored(&weight, &[CLASSES + 1, CHANNELS], 3));
        (NETWORK.complete)(&mut tensors);
        assert!(tensors.contains_key(&weight));
    }

    #[test]
    fn norms_that_were_folded_pass_values_through() {
        let weight = "stem.conv1.c.weight".to_owned();
        let mut tensors = BTreeMap::from([(weight.clone(), stored(&weight, &[4, 3, 3, 3], 0))]);
        (NETWORK.complete)(&mut tensors);
        assert_eq!(tensors.len(), 5);
        assert_eq!(tensors["stem.conv1.bn.running_var"].values().unwrap(), [1.0 - EPSILON; 4]);
    }
}
