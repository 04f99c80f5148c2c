//! The geometry of a convolution: everything about it but its weights.
//!
//! A re-parameterised block and the single convolution it becomes share one geometry; it decides which
//! branches exist. Validated once, here, so that the rest of the crate never meets a stride of zero.

mod branches;
mod raw;
mod stack;
mod text;

use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use dyrep_config::Window;

pub(crate) use branches::checked_window;

use crate::error::GeometryError;

/// The largest size of anything about a convolution, and the most weights: what is computed from a few of them stays
/// far from overflowing.
const LARGEST: usize = 1 << 20;
const MOST_WEIGHTS: usize = 1 << 40;

/// Padding before and after one axis, in pixels.
pub type AxisPadding = (usize, usize);

/// Channels, kernel size, stride, dilation, groups and padding of a 2-D convolution.
///
/// Any convolution that Burn's [`Conv2d`] can express has a geometry: depthwise, dilated, even and
/// non-square kernels, asymmetric padding. Axes are ordered `[height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvGeometry {
    channels: [usize; 2],
    kernel_size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: PaddingConfig2d,
}

impl ConvGeometry {
    /// Checks and builds a geometry with stride 1, dilation 1, one group and no padding.
    ///
    /// `channels` is `[in, out]`, `kernel_size` is `[height, width]`.
    ///
    /// # Errors
    /// A size of zero, or above a million; more than 2⁴⁰ weights.
    pub fn new(channels: [usize; 2], kernel_size: [usize; 2]) -> Result<Self, GeometryError> {
        Self {
            channels,
            kernel_size,
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: PaddingConfig2d::Valid,
        }
        .validated()
    }

    /// Sets the stride `[vertical, horizontal]`.
    ///
    /// # Errors
    /// A stride of zero, or above a million.
    pub fn with_stride(mut self, stride: [usize; 2]) -> Result<Self, GeometryError> {
        self.stride = stride;
        self.validated()
    }

    /// Sets the dilation `[vertical, horizontal]`.
    ///
    /// # Errors
    /// A dilation of zero, or above a million.
    pub fn with_dilation(mut self, dilation: [usize; 2]) -> Result<Self, GeometryError> {
        self.dilation = dilation;
        self.validated()
    }

    /// Sets the number of groups.
    ///
    /// # Errors
    /// No groups, or a number of channels that the groups do not divide.
    pub fn with_groups(mut self, groups: usize) -> Result<Self, GeometryError> {
        self.groups = groups;
        self.validated()
    }

    /// Sets the padding.
    ///
    /// # Errors
    /// A padding above a million.
    pub fn with_padding(mut self, padding: PaddingConfig2d) -> Result<Self, GeometryError> {
        self.padding = padding;
        self.validated()
    }

    /// The same for an input that is padded already.
    pub(crate) fn unpadded(mut self) -> Self {
        self.padding = PaddingConfig2d::Valid;
        self
    }

    /// The geometry of a Burn convolution.
    #[must_use]
    pub fn of(conv: &Conv2d) -> Self {
        let [out, in_per_group, height, width] = conv.weight.lazy_shape().dims();
        Self {
            channels: [in_per_group * conv.groups, out],
            kernel_size: [height, width],
            stride: conv.stride,
            dilation: conv.dilation,
            groups: conv.groups,
            padding: conv.padding.clone(),
        }
    }

    pub(crate) fn validated(self) -> Result<Self, GeometryError> {
        let pairs = [
            ("channels", self.channels),
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
            ("dilation", self.dilation),
            ("groups", [self.groups, self.groups]),
        ];
        for (name, value) in pairs {
            if value.contains(&0) {
                return Err(GeometryError::Zero { name, value: value.to_vec() });
            }
            if value.iter().any(|size| *size > LARGEST) {
                let value = value.to_vec();
                return Err(GeometryError::TooLarge { name, value, limit: LARGEST });
            }
        }
        if let PaddingConfig2d::Explicit(top, left, bottom, right) = self.padding {
            let value = vec![top, left, bottom, right];
            if value.iter().any(|size| *size > LARGEST) {
                return Err(GeometryError::TooLarge { name: "padding", value, limit: LARGEST });
            }
        }
        if self.channels.iter().any(|channels| channels % self.groups != 0) {
            return Err(GeometryError::Groups { channels: self.channels, groups: self.groups });
        }
        let shape = self.weight_shape();
        let weights = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        if weights.is_none_or(|weights| weights > MOST_WEIGHTS) {
            let (name, value) = ("the weight's shape", shape.to_vec());
            return Err(GeometryError::TooLarge { name, value, limit: MOST_WEIGHTS });
        }
        Ok(self)
    }

    /// Input channels.
    #[must_use]
    pub fn in_channels(&self) -> usize {
        self.channels[0]
    }

    /// Output channels.
    #[must_use]
    pub fn out_channels(&self) -> usize {
        self.channels[1]
    }

    /// Kernel size `[height, width]`.
    #[must_use]
    pub fn kernel_size(&self) -> [usize; 2] {
        self.kernel_size
    }

    /// Stride `[vertical, horizontal]`.
    #[must_use]
    pub fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// Dilation `[vertical, horizontal]`.
    #[must_use]
    pub fn dilation(&self) -> [usize; 2] {
        self.dilation
    }

    /// Groups.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Padding as configured.
    #[must_use]
    pub fn padding(&self) -> &PaddingConfig2d {
        &self.padding
    }

    /// Whether every channel is convolved alone: as many groups as input and as output channels.
    #[must_use]
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.channels[0] && self.groups == self.channels[1]
    }

    /// Shape of the weight, `[out, in / groups, height, width]`.
    #[must_use]
    pub fn weight_shape(&self) -> [usize; 4] {
        let [height, width] = self.kernel_size;
        [self.channels[1], self.channels[0] / self.groups, height, width]
    }

    /// Inputs that feed one output value, `in / groups × height × width`.
    #[must_use]
    pub fn fan_in(&self) -> usize {
        self.channels[0] / self.groups * self.kernel_size[0] * self.kernel_size[1]
    }

    /// Output values that one input feeds, `out / groups × height × width`.
    #[must_use]
    pub fn fan_out(&self) -> usize {
        self.channels[1] / self.groups * self.kernel_size[0] * self.kernel_size[1]
    }

    /// Pixels that the kernel spans along each axis, dilation included.
    #[must_use]
    pub fn span(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.dilation[axis] * (self.kernel_size[axis] - 1) + 1)
    }

    /// Padding `[(top, bottom), (left, right)]` for an input of `[height, width]`, as Burn computes it.
    #[must_use]
    pub fn pads(&self, input: [usize; 2]) -> [AxisPadding; 2] {
        match self.padding {
            PaddingConfig2d::Valid => [(0, 0), (0, 0)],
            PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
            PaddingConfig2d::Same => [0, 1].map(|axis| {
                let needed = (input[axis].div_ceil(self.stride[axis]).saturating_sub(1))
                    * self.stride[axis]
                    + self.kernel_size[axis];
                let total = needed.saturating_sub(input[axis]);
                (total / 2, total - total / 2)
            }),
        }
    }

    /// Padding along one axis where it is the same for every input.
    ///
    /// Only [`PaddingConfig2d::Same`] with a stride above 1 has none.
    #[must_use]
    pub fn fixed_pad(&self, axis: usize) -> Option<AxisPadding> {
        // With a stride of 1 `Same` pads by the kernel size less one, whatever the input.
        let fixed = self.padding != PaddingConfig2d::Same || self.stride[axis] == 1;
        fixed.then(|| self.pads(self.kernel_size)[axis])
    }

    /// Output `[height, width]` for an input of `[height, width]`; zero where the kernel does not fit.
    #[must_use]
    pub fn output_size(&self, input: [usize; 2]) -> [usize; 2] {
        let pads = self.pads(input);
        let span = self.span();
        [0, 1].map(|axis| {
            let padded = input[axis] + pads[axis].0 + pads[axis].1;
            match padded.checked_sub(span[axis]) {
                Some(room) => room / self.stride[axis] + 1,
                None => 0,
            }
        })
    }

    /// The same geometry reading `in_channels` channels; the caller keeps them divisible by the groups.
    pub(crate) fn with_in_channels(mut self, in_channels: usize) -> Self {
        debug_assert_eq!(in_channels % self.groups, 0, "groups must divide the input channels");
        self.channels[0] = in_channels;
        self
    }

    /// The same to other outputs, in other groups.
    pub(crate) fn with_outputs(mut self, outputs: usize, groups: usize) -> Self {
        (self.channels[1], self.groups) = (outputs, groups);
        self
    }

    /// A kernel of another size at the same channels and groups, with stride 1 and no padding.
    pub(crate) fn resized(&self, channels: [usize; 2], kernel_size: [usize; 2]) -> Self {
        Self {
            channels,
            kernel_size,
            stride: [1, 1],
            dilation: [1, 1],
            groups: self.groups,
            padding: PaddingConfig2d::Valid,
        }
    }

    /// The same convolution with some of its taps, and no padding of its own unless it has all.
    pub(crate) fn windowed(&self, window: &Window) -> Self {
        if window.size == self.kernel_size {
            return self.clone();
        }
        let dilation = [0, 1].map(|axis| self.dilation[axis] * window.step[axis]);
        let padding = PaddingConfig2d::Valid;
        Self { kernel_size: window.size, dilation, padding, ..self.clone() }
    }

    /// How Burn's operations apply it to an input `[batch, in, height, width]`.
    pub(crate) fn options(&self, input: &Tensor<4>) -> ConvOptions<2> {
        let [_, _, height, width] = input.dims();
        let pads = self.pads([height, width]);
        ConvOptions::new_with_padding(self.stride, pads, self.dilation, self.groups)
    }

    /// Multiply-adds of this convolution on one image of `[height, width]`; the largest number there is for more.
    #[must_use]
    pub fn macs(&self, input: [usize; 2]) -> u64 {
        let [height, width] = self.output_size(input);
        [height, width, self.channels[1], self.fan_in()]
            .into_iter()
            .fold(1, |macs: u64, factor| macs.saturating_mul(factor as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_refused_with_their_values() {
        let zero = ConvGeometry::new([0, 4], [3, 3]).unwrap_err();
        assert_eq!(zero.to_string(), "channels must be at least 1, got [0, 4]");
        let geometry = ConvGeometry::new([6, 4], [3, 3]).unwrap();
        assert_eq!(
            geometry.with_groups(3).unwrap_err().to_string(),
            "3 groups must divide both the 6 input and the 4 output channels"
        );
    }

    #[test]
    fn same_padding_follows_burn_for_even_kernels_and_strides() {
        let geometry =
            ConvGeometry::new([1, 1], [4, 3]).unwrap().with_padding(PaddingConfig2d::Same).unwrap();
        assert_eq!(geometry.fixed_pad(0), Some((1, 2)));
        assert_eq!(geometry.fixed_pad(1), Some((1, 1)));
        assert_eq!(geometry.output_size([9, 7]), [9, 7]);
        let strided = geometry.with_stride([2, 2]).unwrap();
        assert_eq!(strided.fixed_pad(0), None);
        assert_eq!(strided.output_size([9, 7]), [5, 4]);
    }

    #[test]
    fn multiply_adds_of_the_first_resnet_convolution() {
        let stem = ConvGeometry::new([3, 64], [7, 7])
            .unwrap()
            .with_stride([2, 2])
            .unwrap()
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .unwrap();
        assert_eq!(stem.macs([224, 224]), 112 * 112 * 64 * 147);
    }
}
