//! The ranges of kernels: whether 255 values can hold them.
//!
//! Fusing adds kernels that were scaled by `γ / √(σ² + ε)` each. The identity and the 1×1 add to the middle tap alone, so
//! one value of a kernel, or one channel of a layer, can become many times larger than the others (arXiv 2212.01593,
//! section 3). A step of the grid is a 127th of the largest value; what is smaller than half a step is lost.

use dyrep_models::{ConvNorms, fold_norms};
use serde::{Deserialize, Serialize};

use crate::error::QuantError;
use crate::options::Granularity;
use crate::parameters::{LayerWeight, finite_weights};
use crate::warning::{CREST, SPREAD, Warning};

/// The weights of one output channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelRange {
    /// The largest magnitude.
    pub largest: f32,
    /// The root of the mean square of all others; 0 where there are none.
    pub rest: f32,
}

impl ChannelRange {
    fn of(row: &[f32]) -> Self {
        let squares = row.iter().map(|value| f64::from(*value).powi(2));
        let largest = row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let rest = (squares.sum::<f64>() - f64::from(largest).powi(2)).max(0.0);
        let count = row.len().saturating_sub(1).max(1);
        Self { largest, rest: (rest / count as f64).sqrt() as f32 }
    }

    /// How many times the largest is as large as the others; 1 where there are none, or they are zero.
    #[must_use]
    pub fn crest(self) -> f64 {
        if self.rest > 0.0 { f64::from(self.largest) / f64::from(self.rest) } else { 1.0 }
    }
}

/// The weights of one layer, norms folded in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightRanges {
    /// The layer's path.
    pub layer: String,
    /// Each output channel.
    pub channels: Vec<ChannelRange>,
}

impl WeightRanges {
    pub(crate) fn of(layer: &str, weight: &LayerWeight<f32>) -> Self {
        Self { layer: layer.to_owned(), channels: weight.rows().map(ChannelRange::of).collect() }
    }

    /// The median of the channels' largest magnitudes, those that are all zero left out.
    #[must_use]
    pub fn median(&self) -> f32 {
        let mut ranges: Vec<f32> = self.channels.iter().map(|channel| channel.largest).collect();
        ranges.retain(|range| *range > 0.0);
        ranges.sort_by(f32::total_cmp);
        ranges.get(ranges.len() / 2).copied().unwrap_or_default()
    }

    /// The channel of the largest range, and how many times it is as large as the median channel's. With one scale for
    /// all channels the median one has `127 / spread` steps.
    #[must_use]
    pub fn spread(&self) -> (usize, f64) {
        let median = f64::from(self.median());
        let ratio = |range: f32| if median > 0.0 { f64::from(range) / median } else { 1.0 };
        self.most(|channel| ratio(channel.largest))
    }

    /// The channel of the largest [crest](ChannelRange::crest), and it. With a scale for each channel the typical weight
    /// of this one has `127 / crest` steps.
    #[must_use]
    pub fn crest(&self) -> (usize, f64) {
        self.most(ChannelRange::crest)
    }

    fn most(&self, value: impl Fn(ChannelRange) -> f64) -> (usize, f64) {
        let values = self.channels.iter().map(|channel| value(*channel)).enumerate();
        values.max_by(|left, right| left.1.total_cmp(&right.1)).unwrap_or((0, 1.0))
    }

    /// What INT8 with such scales would lose.
    #[must_use]
    pub fn warnings(&self, granularity: Granularity) -> Vec<Warning> {
        let mut warnings = vec![];
        let layer = || self.layer.clone();
        let (channel, ratio) = self.spread();
        if granularity == Granularity::PerTensor && ratio > SPREAD {
            let (largest, median) = (self.channels[channel].largest, self.median());
            warnings.push(Warning::Spread { layer: layer(), channel, ratio, largest, median });
        }
        let (channel, ratio) = self.crest();
        if ratio > CREST {
            let ChannelRange { largest, rest } = self.channels[channel];
            warnings.push(Warning::Crest { layer: layer(), channel, ratio, largest, rest });
        }
        warnings
    }
}

/// The ranges of each convolution and linear layer of the deployed network, norms folded in, by path. No batch is needed.
///
/// # Errors
/// A weight that is no finite number.
pub fn ranges<M: ConvNorms>(network: &M) -> Result<Vec<WeightRanges>, QuantError> {
    let weights = finite_weights(&fold_norms(network))?;
    Ok(weights.iter().map(|(layer, weight)| WeightRanges::of(layer, weight)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::LayerKind;

    fn layer(rows: &[[f32; 4]]) -> WeightRanges {
        let shape = vec![rows.len(), 4];
        let weight = LayerWeight { kind: LayerKind::Linear, shape, values: rows.concat() };
        WeightRanges::of("fc", &weight)
    }

    #[test]
    fn figures_are_those_of_their_definitions() {
        let ranges = layer(&[[1., -1., 1., 1.], [0., -30., 0., 0.], [0.5, 8., -0.5, 0.5], [0.; 4]]);
        assert_eq!(ranges.median(), 8.0);
        assert_eq!(ranges.spread(), (1, 3.75));
        // A channel of one value loses nothing.
        assert_eq!(ranges.crest(), (2, 16.0));
        assert_eq!(layer(&[]).spread(), (0, 1.0));
    }

    #[test]
    fn spread_is_no_matter_with_a_scale_for_each_channel() {
        let ranges = layer(&[[1.0; 4], [1.0; 4], [1e4; 4]]);
        let warnings = ranges.warnings(Granularity::PerTensor);
        assert!(matches!(&warnings[..], [Warning::Spread { channel: 2, .. }]), "{warnings:?}");
        assert!(ranges.warnings(Granularity::PerChannel).is_empty());
        let crest = layer(&[[1.0; 4], [1e4, 1.0, 1.0, 1.0]]).warnings(Granularity::PerChannel);
        assert!(matches!(&crest[..], [Warning::Crest { channel: 1, .. }]), "{crest:?}");
    }
}
