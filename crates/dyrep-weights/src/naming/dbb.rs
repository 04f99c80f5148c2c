//! Blocks of the published DBB code (arXiv 2103.13425), in any network.

use super::{Dialect, Naming, dyrep};

pub(super) const BLOCKS: Dialect = Dialect {
    naming: Naming::Dbb,
    recognise: |parts| parts.any(&["dbb_origin", "dbb_avg", "idconv1"]),
    ..dyrep::BLOCKS
};
