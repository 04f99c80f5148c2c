//! Random boxes, the same in each run.

use dyrep_boxes::BBox;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A few hundred generators.
pub(crate) fn cases() -> impl Iterator<Item = ChaCha8Rng> {
    (0..300).map(ChaCha8Rng::seed_from_u64)
}

pub(crate) fn uniform(random: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * random.random::<f32>()
}

/// A box of 1 to 151 pixels a side, some of it perhaps outside of a picture of 400 by 400.
pub(crate) fn random_box(random: &mut ChaCha8Rng) -> BBox {
    let x = uniform(random, -20.0, 250.0);
    let y = uniform(random, -20.0, 250.0);
    BBox::new(x, y, x + uniform(random, 1.0, 151.0), y + uniform(random, 1.0, 151.0))
}

/// Boxes of which many overlap: each but the first few is near one before it.
pub(crate) fn random_boxes(random: &mut ChaCha8Rng, count: usize) -> Vec<BBox> {
    let mut boxes: Vec<BBox> = vec![];
    for index in 0..count {
        if index < 4 {
            boxes.push(random_box(random));
            continue;
        }
        let BBox { x1, y1, x2, y2 } = boxes[index % 4];
        let mut near = |corner: f32| corner + uniform(random, -0.2, 0.2) * (x2 - x1).min(y2 - y1);
        boxes.push(BBox::new(near(x1), near(y1), near(x2), near(y2)));
    }
    boxes
}
