//! How training pictures are changed: the data's own transforms and mixing.

use dyrep_data::{MixConfig, MixSpec, TransformSpec};
use serde::{Deserialize, Serialize};

/// `[augmentation]`: what is done to training pictures, and to whole batches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentationRecipe {
    /// Steps, one after the other; none: pictures pass as they are.
    pub train: Vec<TransformSpec>,
    /// Blending two pictures and their classes (arXiv 1710.09412); absent: never. A batch gets `mixup`, `cutmix` or
    /// neither, never both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<MixSpec>,
    /// Pasting a part of one picture into another (arXiv 1905.04899); absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<MixSpec>,
}

impl AugmentationRecipe {
    /// How batches are mixed.
    #[must_use]
    pub fn mixing(&self) -> MixConfig {
        let Self { mixup, cutmix, .. } = *self;
        MixConfig { mixup, cutmix, ..MixConfig::default() }
    }
}
