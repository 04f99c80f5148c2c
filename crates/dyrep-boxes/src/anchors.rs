//! The boxes that a detector starts from: a few shapes, at every place of every level.
//!
//! torchvision's `AnchorGenerator` (`models/detection/anchor_utils.py`). Its peculiarities, all kept:
//!
//! - Shapes are rounded to whole pixels, halves to the even one, so an anchor's ratio is not quite what
//!   was asked for, and no anchor stands between pixels.
//! - A level's stride is the padded picture's side divided by the grid's, rounded down. Where the grid
//!   was rounded up it is less than the network's: 800 rows in 13 give 61, not 64. A picture's anchors
//!   therefore depend on what it is batched with.
//! - The first anchor's centre is the picture's corner, not the centre of the first cell.

use crate::{BBox, BoxError, Size};

/// RetinaNet's sizes, `x`, `x·2^(1/3)` and `x·2^(2/3)` for `x` from 32 to 512 (§ 4), cut to whole
/// numbers as torchvision's `_default_anchorgen` does.
const RETINANET: [[f32; 3]; 5] = [
    [32.0, 40.0, 50.0],
    [64.0, 80.0, 101.0],
    [128.0, 161.0, 203.0],
    [256.0, 322.0, 406.0],
    [512.0, 645.0, 812.0],
];

/// FCOS's sizes: the levels' strides.
const FCOS: [[f32; 1]; 5] = [[8.0], [16.0], [32.0], [64.0], [128.0]];

/// The sizes of the levels P3 to P7 that a ResNet with a feature pyramid makes of a padded picture, in
/// grid cells: each a half of the one before, rounded up, the first an eighth.
///
/// # Errors
///
/// A picture without pixels.
pub fn pyramid(padded: Size) -> Result<[Size; 5], BoxError> {
    padded.check("a padded picture")?;
    Ok([3, 4, 5, 6, 7].map(|level| Size {
        height: padded.height.div_ceil(1 << level),
        width: padded.width.div_ceil(1 << level),
    }))
}

/// The shapes of anchors, level by level.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorGenerator {
    /// For each level, its shapes around (0, 0).
    shapes: Vec<Vec<BBox>>,
}

impl AnchorGenerator {
    /// Shapes of all `sizes` (the side of a square of the same area, in pixels) with all `ratios`
    /// (height to width), one list of each a level. Ratios go slowest: a level's first shapes are all
    /// sizes with its first ratio (`generate_anchors`).
    ///
    /// # Errors
    ///
    /// No level, other numbers of lists, an empty list, a size or ratio not above 0, or a shape that
    /// rounds to nothing, as one of 1 pixel does.
    pub fn new(sizes: &[&[f32]], ratios: &[&[f32]]) -> Result<Self, BoxError> {
        if sizes.is_empty() || sizes.len() != ratios.len() {
            let (found, expected) = (ratios.len(), sizes.len().max(1));
            return Err(BoxError::Length { what: "lists of ratios", found, expected });
        }
        let levels = sizes.iter().zip(ratios).enumerate();
        let shapes = levels.map(|(level, (sizes, ratios))| {
            let shapes = shapes(sizes, ratios);
            shapes.map_err(|error| error.in_level(level))
        });
        Ok(Self { shapes: shapes.collect::<Result<_, _>>()? })
    }

    /// RetinaNet's: levels P3 to P7, three sizes of three ratios each (§ 4, "Anchors").
    #[must_use]
    pub fn retinanet() -> Self {
        Self::published(&RETINANET, &[0.5, 1.0, 2.0])
    }

    /// FCOS's: levels P3 to P7, one square as large as the level's stride, whose centre is what the
    /// paper calls a location (§ 3.1).
    ///
    /// The paper's locations are the cells' centres, `⌊s/2⌋ + x·s`; torchvision's are `x·s`.
    #[must_use]
    pub fn fcos() -> Self {
        Self::published(&FCOS, &[1.0])
    }

    fn published<const N: usize>(sizes: &[[f32; N]; 5], ratios: &[f32]) -> Self {
        let level = |sizes: &[f32; N]| shapes(sizes, ratios).expect("published sizes have sides");
        Self { shapes: sizes.iter().map(level).collect() }
    }

    /// Anchors at each place of a level, level by level (`num_anchors_per_location`).
    #[must_use]
    pub fn per_place(&self) -> Vec<usize> {
        self.shapes.iter().map(Vec::len).collect()
    }

    /// The anchors of a padded picture whose levels have the sizes `grids` (`grid_anchors`).
    ///
    /// # Errors
    ///
    /// Another number of grids than of levels, a picture or grid without pixels, a grid larger than the
    /// picture, or more anchors than memory.
    pub fn anchors(&self, padded: Size, grids: &[Size]) -> Result<Anchors, BoxError> {
        padded.check("a padded picture")?;
        if grids.len() != self.shapes.len() {
            let (found, expected) = (grids.len(), self.shapes.len());
            return Err(BoxError::Length { what: "grids", found, expected });
        }
        let mut anchors = Anchors { boxes: vec![], levels: vec![] };
        for (level, (shapes, grid)) in self.shapes.iter().zip(grids).enumerate() {
            let before = anchors.boxes.len();
            place(shapes, padded, *grid, &mut anchors.boxes)
                .map_err(|error| error.in_level(level))?;
            anchors.levels.push(anchors.boxes.len() - before);
        }
        Ok(anchors)
    }
}

/// One level's shapes around (0, 0).
fn shapes(sizes: &[f32], ratios: &[f32]) -> Result<Vec<BBox>, BoxError> {
    for (what, numbers) in [("sizes", sizes), ("ratios", ratios)] {
        if numbers.is_empty() {
            return Err(BoxError::Length { what, found: 0, expected: 1 });
        }
    }
    let mut shapes = Vec::with_capacity(sizes.len() * ratios.len());
    for &ratio in ratios {
        let vertical = ratio.sqrt();
        let horizontal = 1.0 / vertical;
        for &size in sizes {
            let [x, y] = [horizontal, vertical].map(|share| (share * size / 2.0).round_ties_even());
            let shape = BBox::new(-x, -y, x, y);
            // A ratio or size that is not above 0 makes no such shape either.
            shape.check_solid("the shape", shapes.len())?;
            shapes.push(shape);
        }
    }
    Ok(shapes)
}

/// Shapes at every place of a grid: row by row, place by place, shape by shape.
fn place(shapes: &[BBox], padded: Size, grid: Size, boxes: &mut Vec<BBox>) -> Result<(), BoxError> {
    grid.check("a grid")?;
    if grid.height > padded.height || grid.width > padded.width {
        let expected = "no more cells than pixels";
        return Err(BoxError::Size { what: "a grid", found: grid, expected });
    }
    let [down, right] = [padded.height / grid.height, padded.width / grid.width];
    let places = (grid.height as usize).checked_mul(grid.width as usize);
    let count = places.and_then(|places| places.checked_mul(shapes.len()));
    let fits = count.is_some_and(|count| boxes.try_reserve_exact(count).is_ok());
    if !fits {
        let expected = "anchors that fit into memory";
        return Err(BoxError::Size { what: "a grid", found: grid, expected });
    }
    for row in 0..grid.height {
        let y = (row * down) as f32;
        for column in 0..grid.width {
            let x = (column * right) as f32;
            let at =
                |shape: &BBox| BBox::new(x + shape.x1, y + shape.y1, x + shape.x2, y + shape.y2);
            boxes.extend(shapes.iter().map(at));
        }
    }
    Ok(())
}

/// A picture's anchors, level by level, each row by row, place by place, shape by shape: the order of a
/// head's outputs as torchvision lays them out, `[height · width · shapes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchors {
    boxes: Vec<BBox>,
    levels: Vec<usize>,
}

impl Anchors {
    /// Anchors from elsewhere, given level by level.
    ///
    /// # Errors
    ///
    /// No level, an empty one, or an anchor that is not finite or has a side not above 0.
    pub fn from_levels(levels: &[&[BBox]]) -> Result<Self, BoxError> {
        if levels.is_empty() {
            return Err(BoxError::Length { what: "levels", found: 0, expected: 1 });
        }
        for (level, boxes) in levels.iter().enumerate() {
            if boxes.is_empty() {
                let nothing = BoxError::Length { what: "anchors", found: 0, expected: 1 };
                return Err(nothing.in_level(level));
            }
            crate::bbox::check_all(boxes, "anchor", BBox::check_solid)
                .map_err(|error| error.in_level(level))?;
        }
        let lengths = levels.iter().map(|boxes| boxes.len()).collect();
        Ok(Self { boxes: levels.concat(), levels: lengths })
    }

    /// All anchors, one level after the other.
    #[must_use]
    pub fn boxes(&self) -> &[BBox] {
        &self.boxes
    }

    /// How many anchors each level has.
    #[must_use]
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// Each level's anchors.
    pub fn by_level(&self) -> impl Iterator<Item = &[BBox]> {
        let mut rest = self.boxes();
        self.levels.iter().map(move |&length| {
            let (level, after) = rest.split_at(length);
            rest = after;
            level
        })
    }
}
