//! The structure of a network whose tensors are given, by their names and shapes. No tensors here.

use std::collections::BTreeMap;

use dyrep_burn::{Form, LayerStructure, Structure, StructureError};

/// The names of tensors, with shapes.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// The structure that a network whose layers are those of `network` has when its tensors are `tensors`. A layer of which
/// there is nothing, or whose kernel has another shape, stays as it is.
///
/// # Errors
/// A branch that a layer cannot have.
pub(crate) fn structure(
    network: &Structure,
    tensors: &Shapes,
) -> Result<Structure, StructureError> {
    let layers = network.layers().iter().map(|(path, layer)| {
        let found = Form::found(path, &layer.geometry, tensors);
        let form = match (found, &layer.form) {
            // A convolution's own bias is a parameter; a file without it is not whole.
            (Some(Form::Plain { bias: false }), Form::Plain { .. }) | (None, _) => {
                layer.form.clone()
            }
            (Some(found), _) => found,
        };
        (path.clone(), LayerStructure { geometry: layer.geometry.clone(), form })
    });
    Structure::new(layers.collect())
}
