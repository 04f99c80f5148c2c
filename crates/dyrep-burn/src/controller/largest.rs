//! What a training may grow to, before it is trained: so that memory and time can be tried.

use super::Controller;
use crate::geometry::ConvGeometry;
use crate::look::nest::join;
use crate::structure::cost::InputSizes;
use crate::structure::{Form, Structure};

/// A plain convolution of a structure, at any depth.
struct Plain {
    path: String,
    depth: usize,
    geometry: ConvGeometry,
}

impl Controller {
    /// The largest structure that a training of so many epochs can come to from `start`: nothing is cut, and each growth is
    /// the costliest one in multiply-adds that the budget, the patterns and the depth allow. What scores choose is smaller
    /// or the same. `sizes` are the inputs of the layers, as [`InputSizes::measure`] finds them.
    #[must_use]
    pub fn largest(&self, start: &Structure, sizes: &InputSizes, epochs: usize) -> Structure {
        let due = (1..=epochs).filter(|epoch| self.is_due(*epoch)).count();
        let (mut structure, deployed) = (start.clone(), sizes.cost(&start.deployed()));
        for _growth in 0..due.saturating_mul(self.config.growths) {
            let grown = |plain: Plain| {
                let mut grown = structure.clone();
                grown.grow(&plain.path, &self.config.branches).ok()?;
                let cost = sizes.cost(&grown);
                self.config.budget.allows(cost, deployed).then_some((cost, grown))
            };
            let candidates = plain_convs(&structure).into_iter();
            let allowed = candidates.filter(|it| self.allows_at(&it.path, it.depth, &it.geometry));
            // Of equal ones the first.
            let largest = allowed.filter_map(grown).reduce(|best, other| {
                let larger = (other.0.macs, other.0.params) > (best.0.macs, best.0.params);
                if larger { other } else { best }
            });
            match largest {
                Some((_, grown)) => structure = grown,
                None => break,
            }
        }
        structure
    }
}

fn plain_convs(structure: &Structure) -> Vec<Plain> {
    let mut found = vec![];
    // Where something rests, all stays as it is.
    let changing = structure.layers().iter().filter(|(_, layer)| !layer.form.rests());
    for (path, layer) in changing {
        add(path, 0, &layer.geometry, &layer.form, &mut found);
    }
    found
}

fn add(path: &str, depth: usize, geometry: &ConvGeometry, form: &Form, found: &mut Vec<Plain>) {
    let block = match form {
        Form::Plain { .. } => {
            found.push(Plain { path: path.to_owned(), depth, geometry: geometry.clone() });
            return;
        }
        Form::Block(block) => block,
        // Its layers stay as they are.
        Form::Stack(_) => return,
    };
    for branch in block.branches.iter().filter(|branch| branch.name.kind.nests()) {
        if let Some(conv) = &branch.conv {
            let below = join(path, &branch.name.to_string());
            let path = join(&below, branch.name.kind.part_names().conv);
            add(&path, depth + 1, &branch.conv_geometry(geometry), conv, found);
        }
    }
}
