//! What branches ask of a geometry.

use dyrep_config::{BranchKind, Geometry, Window};

use super::{AxisPadding, ConvGeometry};

impl Geometry for ConvGeometry {
    fn channels(&self) -> [usize; 2] {
        self.channels
    }

    fn kernel_size(&self) -> [usize; 2] {
        self.kernel_size
    }

    fn stride(&self) -> [usize; 2] {
        self.stride
    }

    fn dilation(&self) -> [usize; 2] {
        self.dilation
    }

    fn groups(&self) -> usize {
        self.groups
    }

    fn fixed_pad(&self, axis: usize) -> Option<AxisPadding> {
        Self::fixed_pad(self, axis)
    }
}

/// The window of a branch of a form that was checked.
pub(crate) fn checked_window(kind: BranchKind, geometry: &ConvGeometry) -> Window {
    kind.window(geometry).unwrap_or_else(|reason| unreachable!("the form was checked: {reason}"))
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;

    use super::*;

    #[test]
    fn a_smaller_kernel_lies_centred() {
        let geometry = ConvGeometry::new([4, 4], [13, 5]).unwrap();
        let geometry = geometry.with_padding(PaddingConfig2d::Explicit(6, 2, 6, 2)).unwrap();
        let window = "5x3d2".parse::<BranchKind>().unwrap().window(&geometry).unwrap();
        assert_eq!(window, Window { start: [2, 0], size: [5, 3], step: [2, 2] });
        let error = "5x3d3".parse::<BranchKind>().unwrap().window(&geometry).unwrap_err();
        assert_eq!(
            error.to_string(),
            "along the width 3 taps that lie 3 apart do not fit around the middle of a kernel of 5"
        );
        let kinds = BranchKind::existing(&geometry);
        assert!(kinds.is_sorted() && kinds.contains(&BranchKind::smaller([7, 5], 1).unwrap()));
        assert!(kinds.iter().all(|kind| kind.exists(&geometry)));
    }
}
