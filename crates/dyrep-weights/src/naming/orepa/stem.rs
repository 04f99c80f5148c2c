//! The stem of the published OREPA code: several 3×3 modules, composed into one kernel while they train.
//!
//! The published composition is that of the layers in sequence, strides 1, 1, …, s on an input padded once, in which every
//! layer but the first is turned by 180°: a stack of [`Composition::Published`]. Layers between which there are other
//! channels than behind the last are no stack; they are read as the one convolution that they compute.

use std::collections::BTreeMap;

use dyrep_burn::Composition;

use super::kernel::{after, of_unit};
use super::put;
use super::unit::{Form, Unit};
use crate::forms::Told;
use crate::naming::Unfit;
use crate::reading::Reading;
use crate::tensor::Stored;

/// What its layers are called: `weight0`, `weight1`, ….
const LAYER: &str = "weight";

/// Takes the layers of stems out of `units`, and puts a stack of each in their place, or one convolution.
///
/// # Errors
/// A layer that is missing, of other channels or of another size.
pub(super) fn take(units: &mut Vec<(Unit, String)>, reading: &mut Reading) -> Result<(), Unfit> {
    let mut stems: BTreeMap<String, BTreeMap<usize, Unit>> = BTreeMap::new();
    units.retain(|(unit, path)| match place(path) {
        Some((stem, number)) => {
            stems.entry(stem.to_owned()).or_default().insert(number, unit.clone());
            false
        }
        None => true,
    });
    for (path, layers) in stems {
        let count = layers.len();
        for (wanted, (number, layer)) in layers.iter().enumerate() {
            check(wanted, *number, layer, layers.get(&wanted.wrapping_sub(1)))?;
        }
        let layers: Vec<Unit> = layers.into_values().collect();
        let outputs = layers[count - 1].sizes.outputs;
        if count == 1 || layers.iter().any(|layer| layer.sizes.outputs != outputs) {
            put_one(&path, layers, reading)?;
            continue;
        }
        for (number, layer) in layers.into_iter().enumerate() {
            layer.put(&format!("{path}.{number}"), reading)?;
        }
        reading.told.insert(path, Told::Composition(Composition::Published));
    }
    Ok(())
}

/// Puts the one convolution that `layers` compute at `path`.
fn put_one(path: &str, layers: Vec<Unit>, reading: &mut Reading) -> Result<(), Unfit> {
    let count = layers.len();
    let (first, last) = (layers[0].sizes, layers[count - 1].sizes);
    let size = 2 * count + 1;
    let shape = vec![last.outputs, first.inputs, size, size];
    let bytes = 4 * shape.iter().fold(1u64, |all, one| all.saturating_mul(*one as u64));
    let origin = layers[0].part("origin").origin.clone();
    let stored = Stored::computed(origin, shape, bytes, move || composed(&layers));
    // A norm behind a convolution is a block's in a network that has none of its own there.
    let own = reading.tensors.contains_key(&format!("{path}.bn.weight"));
    let name = if own { "kxk.conv.weight" } else { "weight" };
    put(reading, format!("{path}.{name}"), stored)?;
    reading.notes.push(format!(
        "`{path}`: the {count} layers of the published stem are loaded as the one {size}×{size} convolution that they \
         compute, without branches: they are no stack of several with {} channels behind each",
        last.outputs
    ));
    Ok(())
}

/// The stem that a layer is of, and its number.
fn place(path: &str) -> Option<(&str, usize)> {
    let (stem, layer) = path.rsplit_once('.')?;
    let number = layer.strip_prefix(LAYER)?;
    Some((stem, number.parse().ok()?))
}

fn check(wanted: usize, found: usize, layer: &Unit, before: Option<&Unit>) -> Result<(), Unfit> {
    let sizes = layer.sizes;
    let refused = |reason: String| {
        let tensor = layer.part("origin").origin.clone();
        Err(Unfit { tensor, reason })
    };
    if wanted != found {
        return refused(format!("it is of layer {found} of a stem, and layer {wanted} is missing"));
    }
    if (layer.form, sizes.kernel, sizes.groups) != (Form::Kxk, 3, 1) {
        let reason = "it is a stem's layer, expected 3×3 taps in one group";
        return refused(reason.to_owned());
    }
    match before {
        Some(before) if before.sizes.outputs != sizes.inputs => refused(format!(
            "it reads {} channels, and the layer before it has {} outputs",
            sizes.inputs, before.sizes.outputs
        )),
        _ => Ok(()),
    }
}

/// The kernel of all layers, in row-major order.
pub(super) fn composed(layers: &[Unit]) -> Result<Vec<f32>, String> {
    let inputs = layers[0].sizes.inputs;
    let (mut all, mut size) = (of_unit(&layers[0])?, 3);
    for layer in &layers[1..] {
        let mut kernel = of_unit(layer)?;
        kernel.chunks_exact_mut(9).for_each(<[f64]>::reverse);
        let channels = [inputs, layer.sizes.inputs, layer.sizes.outputs];
        all = after((&all, size), (&kernel, 3), channels);
        size += 2;
    }
    Ok(all.into_iter().map(|value| value as f32).collect())
}
