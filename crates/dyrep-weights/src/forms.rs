//! The structure of a network whose tensors are given, by their names and shapes. No tensors here.
//!
//! A branch without parameters, such as the identity of RepViT and QARepVGG that ends in nothing, is seen in no tensor.
//! Whether there is one must be known: from what a file recorded, or from the network; so must which branches rest, and
//! how the layers of a stack become one kernel, unless the published code that names the tensors tells it.

use std::collections::BTreeMap;

use dyrep_burn::{
    BlockForm, BranchForm, BranchKind, BranchName, Composition, End, Form, LayerStructure,
    StackForm, Structure, StructureError,
};

/// The names of tensors, with shapes.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// What published code tells of a layer that no tensor shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// How the layers of a stack become one kernel.
    Composition(Composition),
    /// Which branches of a block rest; all others run.
    Resting(Vec<BranchName>),
}

/// The same of all layers, by their paths.
pub(crate) type AllTold = BTreeMap<String, Told>;

impl Told {
    /// The form that was found, with what is told of it.
    fn complete(&self, mut found: Form) -> Form {
        match (self, &mut found) {
            (Self::Composition(told), Form::Stack(stack)) => stack.composition = *told,
            (Self::Resting(told), Form::Block(block)) => {
                for branch in &mut block.branches {
                    branch.resting = told.contains(&branch.name);
                }
            }
            (Self::Composition(_) | Self::Resting(_), _) => {}
        }
        found
    }
}

/// Why there is no structure.
#[derive(Debug)]
pub(crate) enum FormsError {
    /// A branch that a layer cannot have.
    Structure(StructureError),
    /// Whether this layer has an identity is not known.
    Identity { layer: String },
    /// How the layers of this stack become one kernel is not known.
    Composition { layer: String },
}

/// The structure that a network whose layers are those of `network` has when its tensors are `tensors`. A layer of which
/// there is nothing, or whose kernel has another shape, stays as it is. What no tensor shows is as in `recorded`, or else as
/// `told`, or else as in the network.
///
/// # Errors
/// A branch that a layer cannot have; a branch of which it is not known whether it is there, or a stack that may be either.
pub(crate) fn structure(
    network: &Structure,
    recorded: Option<&Structure>,
    told: &AllTold,
    tensors: &Shapes,
) -> Result<Structure, FormsError> {
    let mut layers = BTreeMap::new();
    for (path, layer) in network.layers() {
        let found = Form::found(path, &layer.geometry, tensors);
        let form = match (found, &layer.form) {
            // A convolution's own bias is a parameter; a file without it is not whole.
            (Some(Form::Plain { bias: false }), Form::Plain { .. }) | (None, _) => {
                layer.form.clone()
            }
            (Some(found), form) => {
                let recorded = recorded.and_then(|all| all.layers().get(path));
                let known = recorded.map_or(form, |layer| &layer.form);
                let told = told.get(path).filter(|_| recorded.is_none());
                let is_other = !matches!(known, Form::Stack(_));
                if matches!(found, Form::Stack(_)) && is_other && told.is_none() {
                    return Err(FormsError::Composition { layer: path.clone() });
                }
                let completed = with_unseen(found, known);
                let completed = match told {
                    Some(told) => told.complete(completed),
                    None => completed,
                };
                // The blocks of the field with a norm behind their sum have an identity where there can be one, but for OREPA's,
                // which are known by their linear branches.
                let has =
                    |is: fn(&BranchForm) -> bool, block: &BlockForm| block.branches.iter().any(is);
                let alone = matches!(&completed, Form::Block(block) if block.norm_after
                    && !has(|branch| branch.name.kind == BranchKind::IDENTITY, block)
                    && !has(|branch| branch.end == End::Linear, block));
                if alone && completed != *known && BranchKind::IDENTITY.exists(&layer.geometry) {
                    return Err(FormsError::Identity { layer: path.clone() });
                }
                completed
            }
        };
        let geometry = layer.geometry.clone();
        layers.insert(path.clone(), LayerStructure { geometry, form });
    }
    Structure::new(layers).map_err(FormsError::Structure)
}

/// The form that was found, with the branches of a known one of the same layer that have no parameters, its composition,
/// and resting where that does.
fn with_unseen(found: Form, known: &Form) -> Form {
    let (found, known) = match (found, known) {
        (Form::Block(found), Form::Block(known)) => (found, known),
        (Form::Stack(found), Form::Stack(known)) => {
            let pairs = found.layers.into_iter().zip(&known.layers);
            let layers = pairs.map(|(found, known)| with_unseen(found, known)).collect();
            let (composition, norm_after) = (known.composition, found.norm_after);
            return Form::Stack(StackForm { layers, composition, norm_after });
        }
        (found, _) => return found,
    };
    let named = |branches: &[BranchForm], wanted: &BranchForm| {
        branches.iter().find(|branch| branch.name == wanted.name).cloned()
    };
    let inside = |mut branch: BranchForm| {
        let known = named(&known.branches, &branch);
        branch.resting = known.as_ref().is_some_and(|branch| branch.resting);
        let conv = known.and_then(|branch| branch.conv);
        if let (Some(own), Some(conv)) = (&mut branch.conv, conv) {
            **own = with_unseen((**own).clone(), &conv);
        }
        branch
    };
    let mut branches: Vec<BranchForm> = found.branches.into_iter().map(inside).collect();
    for (at, branch) in known.branches.iter().enumerate() {
        let unseen =
            branch.end == End::Nothing && branch.conv.is_none() && branch.mid_channels.is_none();
        if unseen && named(&branches, branch).is_none() {
            branches.insert(at.min(branches.len()), branch.clone());
        }
    }
    Form::Block(BlockForm { branches, ..found })
}
