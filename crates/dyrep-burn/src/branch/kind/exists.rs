//! Where a core's taps lie in a block's kernel, and why they cannot.

use dyrep_kernels::block::Window;

use super::Taps;
use crate::error::BranchUnavailable;
use crate::geometry::ConvGeometry;

impl Taps {
    /// The window of taps in a block of `geometry`.
    pub(super) fn window(self, geometry: &ConvGeometry) -> Result<Window, BranchUnavailable> {
        let mut window = Window { start: [0, 0], size: geometry.kernel_size(), step: [1, 1] };
        for (axis, name) in AXES.into_iter().enumerate() {
            let Some(size) = self.size[axis] else { continue };
            let (size, step) = (usize::from(size), usize::from(self.step));
            let middle = middle_tap(geometry, axis)?;
            let [before, behind] = [size / 2, size - 1 - size / 2].map(|taps| taps * step);
            let kernel = geometry.kernel_size()[axis];
            if before > middle || middle + behind >= kernel {
                return Err(BranchUnavailable::TooWide { axis: name, size, step, kernel });
            }
            window.start[axis] = middle - before;
            window.size[axis] = size;
            // One tap has no distance.
            window.step[axis] = if size == 1 { 1 } else { step };
        }
        Ok(window)
    }
}

const AXES: [&str; 2] = ["height", "width"];

/// The block's tap that reads the output's own pixel.
fn middle_tap(geometry: &ConvGeometry, axis: usize) -> Result<usize, BranchUnavailable> {
    let Some((before, _)) = geometry.fixed_pad(axis) else {
        let stride = geometry.stride()[axis];
        return Err(BranchUnavailable::PaddingFollowsInput { axis: AXES[axis], stride });
    };
    let kernel = geometry.kernel_size()[axis];
    let dilation = geometry.dilation()[axis];
    let tap = before / dilation;
    if before % dilation == 0 && (tap == kernel / 2 || tap == (kernel - 1) / 2) {
        return Ok(tap);
    }
    Err(BranchUnavailable::OffCentre { axis: AXES[axis], kernel, dilation, padding: before })
}

/// What keeps each channel by itself needs as many on both sides.
pub(super) fn check_channels(geometry: &ConvGeometry) -> Result<(), BranchUnavailable> {
    let [inputs, outputs] = [geometry.in_channels(), geometry.out_channels()];
    match inputs == outputs {
        true => Ok(()),
        false => Err(BranchUnavailable::ChannelsDiffer { inputs, outputs }),
    }
}

pub(super) fn check_input(geometry: &ConvGeometry) -> Result<(), BranchUnavailable> {
    check_channels(geometry)?;
    if geometry.stride() != [1, 1] {
        return Err(BranchUnavailable::Strided { stride: geometry.stride() });
    }
    Taps { size: [Some(1), Some(1)], step: 1 }.window(geometry)?;
    let span = geometry.span();
    for (axis, name) in AXES.into_iter().enumerate() {
        let (before, behind) = geometry.fixed_pad(axis).unwrap_or((0, 0));
        let (padding, needed) = (before + behind, span[axis] - 1);
        if padding != needed {
            return Err(BranchUnavailable::SizeChanges { axis: name, padding, needed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;

    use super::*;
    use crate::branch::BranchKind;

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
