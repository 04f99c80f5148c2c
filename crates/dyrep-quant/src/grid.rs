//! Grids of 8-bit numbers: scales, rounding, and an input put on its grid.
//!
//! `x = s (q − z)`. Weights have z = 0 and q from −127 to 127; the value −128 is left out, so that the grid is symmetric.

use burn::tensor::quantization::{QParams, QuantScheme, QuantValue};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::error::QuantError;
use crate::parameters::LayerKind;

/// The largest 8-bit weight: what Burn's symmetric 8-bit values reach.
pub(crate) const LARGEST: f32 = 127.0;
/// Steps between zero and the largest value of an input that is never negative.
const UNSIGNED: f32 = 255.0;
/// Burn packs four 8-bit values into a word on devices that have no bytes.
const PACKED: usize = 4;

/// The scales of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerScales {
    /// Of its weight: one, or one for each output channel.
    pub weight: Vec<f32>,
    /// Of its input; linear layers have none.
    pub input: Option<InputScale>,
}

impl LayerScales {
    /// The scale of an output channel's weights.
    #[must_use]
    pub fn of_channel(&self, channel: usize) -> f32 {
        self.weight[if self.weight.len() == 1 { 0 } else { channel }]
    }

    /// Whether a layer of this kind with so many output channels can have these scales; errors name it `layer`.
    ///
    /// # Errors
    /// Another number of weight scales than 1 or `channels`; a scale that is no positive finite number; a zero point
    /// other than 0 and −128; a convolution without a scale for its input, or a linear layer with one.
    pub fn check(&self, layer: &str, kind: LayerKind, channels: usize) -> Result<(), QuantError> {
        let layer = || layer.to_owned();
        let found = self.weight.len();
        if found != 1 && found != channels {
            return Err(QuantError::ScaleCount { layer: layer(), found, channels });
        }
        let wanted = kind == LayerKind::Conv;
        if self.input.is_some() != wanted {
            return Err(QuantError::InputScale { layer: layer(), wanted });
        }
        let weights = self.weight.iter().map(|value| ("weight", *value)).enumerate();
        let inputs = self.input.iter().map(|input| ("input", input.scale)).enumerate();
        let broken = |value: f32| !(value.is_finite() && value > 0.0);
        if let Some((index, (of, value))) = weights.chain(inputs).find(|(_, (_, v))| broken(*v)) {
            return Err(QuantError::Scale { layer: layer(), of, index, value });
        }
        match self.input {
            Some(InputScale { zero_point, .. }) if !matches!(zero_point, 0 | i8::MIN) => {
                Err(QuantError::ZeroPoint { layer: layer(), found: zero_point })
            }
            _ => Ok(()),
        }
    }
}

/// The grid of a layer's input: `x = scale · (q − zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputScale {
    /// The distance of two neighbours.
    pub scale: f32,
    /// The q that stands for zero: 0, with q from −127 to 127, or −128, with q from −128 to 127, for inputs that are
    /// never negative.
    pub zero_point: i8,
}

impl InputScale {
    /// The grid that reaches `largest`.
    pub(crate) fn reaching(largest: f32, negative: bool) -> Self {
        let (steps, zero_point) = if negative { (LARGEST, 0) } else { (UNSIGNED, i8::MIN) };
        Self { scale: scale(largest, steps), zero_point }
    }

    /// The nearest values of the grid.
    #[must_use]
    pub fn apply<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        let [low, high] = match self.zero_point {
            0 => [-LARGEST, LARGEST],
            _ => [0.0, UNSIGNED],
        };
        input.div_scalar(self.scale).round().clamp(low, high).mul_scalar(self.scale)
    }
}

/// The scale of a grid that reaches `largest` in so many steps. A grid of nothing but zeros has the smallest scale that
/// can be divided by.
pub(crate) fn scale(largest: f32, steps: f32) -> f32 {
    (largest / steps).max(f32::MIN_POSITIVE)
}

/// The nearest 8-bit number of each value, rounded and clipped by Burn's quantisation (`QuantValue::Q8S`) with the scale
/// 1: channels have been divided by their own scales before, since Burn's blocks are of 255 values at most.
pub(crate) fn round(mut values: Vec<f32>, device: &Device) -> Vec<i8> {
    let count = values.len();
    values.resize(count.next_multiple_of(PACKED), 0.0);
    let padded = values.len();
    let values = Tensor::<1>::from_data(TensorData::new(values, [padded]), device);
    let scheme = QuantScheme::default().with_value(QuantValue::Q8S);
    let ones = QParams { scales: Tensor::from_data([1.0], device), global: None };
    let rounded = values.quantize(&scheme, ones).dequantize().into_data();
    rounded.iter::<f32>().take(count).map(|value| value as i8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_and_clipped() {
        let values = vec![0.4, -0.6, 126.6, 127.4, 300.0, -1e9, -0.0];
        assert_eq!(round(values, &Device::flex()), [0, -1, 127, 127, 127, -127, 0]);
        assert!(round(vec![], &Device::flex()).is_empty());
    }

    #[test]
    fn inputs_on_their_grid_are_half_a_step_away_at_most_and_stay_there() {
        let device = Device::flex();
        let values: Vec<f32> = (0..1000).map(|i| (0.37 * i as f32).sin() * 3.0).collect();
        for negative in [true, false] {
            let inside = |value: &f32| if negative { *value } else { value.abs() };
            let values: Vec<f32> = values.iter().map(inside).collect();
            let grid = InputScale::reaching(3.0, negative);
            let input = Tensor::<1>::from_data(TensorData::new(values.clone(), [1000]), &device);
            let once = grid.apply(input);
            let twice = grid.apply(once.clone());
            twice.into_data().assert_eq(&once.clone().into_data(), true);
            let once = once.into_data();
            let far = once.iter::<f32>().zip(&values).map(|(q, x)| (q - x).abs());
            let far = far.fold(0.0, f32::max) / grid.scale;
            assert!(far > 0.45 && far < 0.5001, "{far}");
        }
        // What lies beyond the grid is clipped, zero stays zero.
        let grid = InputScale { scale: 0.5, zero_point: i8::MIN };
        let input = Tensor::<1>::from_data([-3.0, 0.0, 1000.0], &device);
        assert_eq!(grid.apply(input).into_data(), TensorData::from([0.0f32, 0.0, 127.5]));
        assert_eq!(InputScale::reaching(0.0, true).scale, f32::MIN_POSITIVE);
    }
}
