//! What a convolution does to which sizes: validated once.

/// A convolution and the sizes it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Input height and width.
    pub input: [usize; 2],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Along height and width.
    pub stride: [usize; 2],
    /// Along height and width.
    pub dilation: [usize; 2],
    /// Zeros before and after, along height and width.
    pub padding: [(usize, usize); 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// A convolution that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A size of zero.
    #[error("{name} must be at least 1")]
    Zero {
        /// The size.
        name: &'static str,
    },
    /// Groups that do not divide the channels.
    #[error("{groups} groups must divide both the {} input and the {} output channels", channels[0], channels[1])]
    Groups {
        /// Input and output channels.
        channels: [usize; 2],
        /// The groups.
        groups: usize,
    },
    /// A kernel larger than the padded input.
    #[error("along the {axis} a kernel that spans {span} does not fit into {padded} padded pixels")]
    TooSmall {
        /// `height` or `width`.
        axis: &'static str,
        /// What the kernel spans, its dilation included.
        span: usize,
        /// The padded input's size.
        padded: usize,
    },
    /// Padding in which a whole pooling window could lie.
    #[error("along the {axis} {padding} padded pixels must be fewer than the window's {kernel}")]
    Padding {
        /// `height` or `width`.
        axis: &'static str,
        /// The padding.
        padding: usize,
        /// The window's size.
        kernel: usize,
    },
    /// A 1×1 convolution and its norm before what no taps read.
    #[error("branch {branch} starts with a 1×1 convolution, which cannot stand before {core}")]
    First {
        /// Which of the block's branches.
        branch: usize,
        /// What follows.
        core: &'static str,
    },
    /// What the kernels do not compute.
    #[error("the kernels do not compute {what}")]
    Refused {
        /// What that is.
        what: &'static str,
    },
    /// A slice of another length than the shape says.
    #[error("{name} must have {expected} values, got {found}")]
    Length {
        /// What the slice holds.
        name: &'static str,
        /// What the shape says.
        expected: usize,
        /// Its length.
        found: usize,
    },
}

impl ConvShape {
    /// Checks that the convolution can be.
    ///
    /// # Errors
    /// The first size that makes no sense.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [
            ("batch", self.batch),
            ("input channels", self.channels[0]),
            ("output channels", self.channels[1]),
            ("kernel height", self.kernel[0]),
            ("kernel width", self.kernel[1]),
            ("stride along the height", self.stride[0]),
            ("stride along the width", self.stride[1]),
            ("dilation along the height", self.dilation[0]),
            ("dilation along the width", self.dilation[1]),
            ("groups", self.groups),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ShapeError::Zero { name });
        }
        let (channels, groups) = (self.channels, self.groups);
        if channels.iter().any(|channels| channels % groups != 0) {
            return Err(ShapeError::Groups { channels, groups });
        }
        for (axis, name) in ["height", "width"].into_iter().enumerate() {
            let (span, padded) = (self.span(axis), self.padded(axis));
            if span > padded {
                return Err(ShapeError::TooSmall { axis: name, span, padded });
            }
        }
        Ok(())
    }

    fn span(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Pixels along an axis, the padding included.
    pub(crate) fn padded(&self, axis: usize) -> usize {
        self.input[axis] + self.padding[axis].0 + self.padding[axis].1
    }

    /// Output height and width.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.padded(axis) - self.span(axis)) / self.stride[axis] + 1)
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.channels[0] * self.input[0] * self.input[1]
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output();
        self.batch * self.channels[1] * height * width
    }

    /// Values of the weight `[out, in / groups, height, width]`.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.channels[1] * self.per_group()[0] * self.taps()
    }

    /// Multiply-adds.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let per_output = (self.per_group()[0] * self.taps()) as u64;
        self.output_len() as u64 * per_output
    }

    /// Input and output channels of a group.
    pub(crate) fn per_group(&self) -> [usize; 2] {
        self.channels.map(|channels| channels / self.groups)
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(crate) fn pixels_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(crate) fn pixels_out(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// [`reach`] of one tap along an axis.
    pub(crate) fn reach(&self, axis: usize, tap: usize) -> (std::ops::Range<usize>, usize) {
        let (before, input, output) = (self.padding[axis].0, self.input[axis], self.output()[axis]);
        reach(tap, self.dilation[axis], self.stride[axis], before, input, output)
    }

    /// One input channel a group.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.per_group()[0] == 1
    }

    /// A 1×1 kernel that reads every pixel where it is.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [(0, 0); 2]
    }

    pub(crate) fn check_len(
        name: &'static str,
        expected: usize,
        found: usize,
    ) -> Result<(), ShapeError> {
        if expected == found {
            return Ok(());
        }
        Err(ShapeError::Length { name, expected, found })
    }
}

/// For one tap along one axis: which outputs read a pixel of the input, and where the first of them reads.
///
/// Output `o` reads input `o · stride + offset`, `offset` being the tap's place less the padding.
pub(crate) fn reach(
    tap: usize,
    dilation: usize,
    stride: usize,
    before: usize,
    input: usize,
    output: usize,
) -> (std::ops::Range<usize>, usize) {
    let place = tap * dilation;
    // The first output that reads at or behind the first pixel.
    let first = before.saturating_sub(place).div_ceil(stride);
    // The first that reads behind the last pixel.
    let end = (input + before).saturating_sub(place).div_ceil(stride).min(output);
    let start = first.min(end);
    (start..end, (start * stride + place).saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_what_trying_every_output_finds() {
        for (tap, dilation, stride, before) in
            [(0, 1, 1, 1), (2, 1, 1, 1), (1, 2, 3, 2), (3, 2, 2, 0), (0, 1, 4, 9)]
        {
            for input in 1..12 {
                for output in 1..12 {
                    let reads = |o: usize| (o * stride + tap * dilation).checked_sub(before);
                    let there: Vec<usize> =
                        (0..output).filter(|&o| reads(o).is_some_and(|i| i < input)).collect();
                    let (range, first) = reach(tap, dilation, stride, before, input, output);
                    assert_eq!(range.clone().collect::<Vec<_>>(), there);
                    if let Some(&o) = there.first() {
                        assert_eq!(first, reads(o).unwrap_or_default());
                    }
                }
            }
        }
    }
}
