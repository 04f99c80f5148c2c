//! A convolution as 3×3 layers in sequence: OREPA's deep stem (arXiv 2204.00826, section 3.3, and its published code).

use crate::geometry::Geometry;
use crate::text::named;

/// How the kernels of a stack's layers become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Composition {
    /// The layers in sequence, on an input that is padded once.
    #[default]
    Sequence,
    /// As the published code composes them, for weights that were trained by it: the layers in sequence, every one but the
    /// first turned by 180°.
    Published,
}

named!(Composition, "composition of a stack", {
    Sequence => "sequence",
    Published => "published",
});

/// How many 3×3 layers in sequence a convolution of `geometry` can be: (k − 1) / 2, where its kernel is square, odd and
/// larger than 3×3.
#[must_use]
pub fn stacked_layers(geometry: &impl Geometry) -> Option<usize> {
    let [height, width] = geometry.kernel_size();
    (height == width && height > 3 && height % 2 == 1).then_some((height - 1) / 2)
}
