//! Where a core's taps lie in a block's kernel, and why they cannot.

use super::Taps;
use crate::error::BranchUnavailable;
use crate::geometry::Geometry;

/// Some of the taps of a block's kernel: tap `i` lies at `start + i · step`, along height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First tap.
    pub start: [usize; 2],
    /// Taps.
    pub size: [usize; 2],
    /// From one tap to the next: a smaller kernel's dilation, in units of the block's.
    pub step: [usize; 2],
}

impl Taps {
    /// The window of taps in a block of `geometry`.
    pub(super) fn window(self, geometry: &impl Geometry) -> Result<Window, BranchUnavailable> {
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
fn middle_tap(geometry: &impl Geometry, axis: usize) -> Result<usize, BranchUnavailable> {
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
pub(super) fn check_channels(geometry: &impl Geometry) -> Result<(), BranchUnavailable> {
    let [inputs, outputs] = geometry.channels();
    match inputs == outputs {
        true => Ok(()),
        false => Err(BranchUnavailable::ChannelsDiffer { inputs, outputs }),
    }
}

pub(super) fn check_input(geometry: &impl Geometry) -> Result<(), BranchUnavailable> {
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
