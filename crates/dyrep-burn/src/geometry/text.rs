//! A geometry in words.

use std::fmt;

use burn::nn::PaddingConfig2d;

use super::ConvGeometry;

impl ConvGeometry {
    /// The geometry in few words: what is usual, and the padding, are left out.
    #[must_use]
    pub fn brief(&self) -> String {
        let [height, width] = self.kernel_size;
        let [inputs, outputs] = self.channels;
        let mut text = format!("{inputs}→{outputs}, {height}×{width}");
        for (name, [high, wide]) in [("stride", self.stride), ("dilation", self.dilation)] {
            match (high, wide) {
                (1, 1) => {}
                _ if high == wide => text += &format!(", {name} {high}"),
                _ => text += &format!(", {name} {high}×{wide}"),
            }
        }
        match self.groups {
            1 => {}
            groups if groups == inputs => text += ", depthwise",
            groups => text += &format!(", {groups} groups"),
        }
        text
    }
}

impl fmt::Display for ConvGeometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [inputs, outputs] = self.channels;
        let [height, width] = self.kernel_size;
        write!(f, "{inputs}→{outputs}, kernel {height}×{width}, stride {:?}", self.stride)?;
        write!(f, ", dilation {:?}, groups {}, padding ", self.dilation, self.groups)?;
        match &self.padding {
            PaddingConfig2d::Same => write!(f, "same"),
            PaddingConfig2d::Valid => write!(f, "none"),
            PaddingConfig2d::Explicit(top, left, bottom, right) => {
                write!(f, "top {top}, left {left}, bottom {bottom}, right {right}")
            }
        }
    }
}
