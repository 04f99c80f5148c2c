//! Padding to sides that a network's strides divide.

use dyrep_data::{Fill, SampleRng};

use super::{SceneTransform, positive};
use crate::error::SceneError;
use crate::scene::Scene;

/// Adds pixels to the right and below until both sides are multiples of a number.
#[derive(Clone, Debug, PartialEq)]
pub struct PadToMultiple {
    multiple: u32,
    fill: Fill,
}

impl PadToMultiple {
    /// Pads to the next multiple with a colour, one value a channel.
    ///
    /// # Errors
    ///
    /// If `multiple` is 0.
    pub fn new(multiple: u32, fill: Fill) -> Result<Self, SceneError> {
        Ok(Self { multiple: positive("pad", "multiple", multiple)?, fill })
    }
}

impl SceneTransform for PadToMultiple {
    fn apply(&self, scene: Scene, _rng: &mut SampleRng) -> Result<Scene, SceneError> {
        let up = |side: u32| side.checked_next_multiple_of(self.multiple).unwrap_or(u32::MAX);
        let (width, height) = (up(scene.image().width()), up(scene.image().height()));
        let fill = filled(&self.fill, scene.image().channels());
        scene.padded(width, height, &fill)
    }
}

/// A colour's value for each of so many channels; a single one is for all.
pub(super) fn filled(fill: &Fill, channels: usize) -> Vec<u8> {
    match fill.values() {
        [one] => vec![*one; channels],
        values => values.to_vec(),
    }
}
