//! `dyrep inspect`: what is in a file of weights, layer by layer.

use std::fmt;
use std::path::PathBuf;

use burn::tensor::Tensor;
use clap::Args;
use dyrep_burn::{
    BlockForm, BranchForm, ConvGeometry, Cost, Form, InputSizes, LayerStructure, StackForm,
    Structure, layers,
};
use dyrep_weights::{Input, Weights};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::data::at_least_one;
use crate::network::{DeviceArgs, Loaded, NetworkArgs};
use crate::text::{count, cut, number, short};

/// Show what a file of weights holds: the network, its layers and branches, parameters and FLOPs
///
/// Multiply-adds are counted for one picture, those of convolutions and linear layers: what the field calls FLOPs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep inspect runs/digits\n  dyrep inspect resnet18-f37072fd.pth --json\n  \
                        dyrep inspect dyrep.pth --part average"
)]
pub(crate) struct InspectArgs {
    /// Weights: a file, or a run's folder
    file: PathBuf,

    /// Side of the picture that multiply-adds are counted for [default: what the file says, else 224 or 32]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    image_size: Option<usize>,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Inspected {
    file: PathBuf,
    format: String,
    model: String,
    title: String,
    classes: usize,
    class_names: Vec<String>,
    input: Option<Input>,
    picture: [usize; 3],
    trained: Cost,
    deployed: Cost,
    blocks: usize,
    branches: usize,
    layers: Vec<Layer>,
}

/// A convolution that may be a block.
#[derive(Debug, Serialize)]
struct Layer {
    path: String,
    geometry: ConvGeometry,
    form: Form,
    trained: Cost,
    deployed: Cost,
    /// Of a block, outermost first.
    branches: Vec<Branch>,
}

#[derive(Debug, Serialize)]
struct Branch {
    name: String,
    depth: usize,
    cost: Cost,
}

impl InspectArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let device = self.device.open()?;
        match self.network.load(&self.file, &device) {
            Ok(loaded) => Answer::new(&self.inspect(loaded)?),
            // A network that is none of the zoo's has tensors all the same.
            Err(error) => match self.network.open(&self.file) {
                Ok((weights, _)) if weights.candidates(&device).is_empty() => {
                    Answer::new(&Tensors::of(&weights, error.to_string()))
                }
                _ => Err(error),
            },
        }
    }

    fn inspect(&self, loaded: Loaded) -> Result<Inspected, Failure> {
        let side = self.image_size.unwrap_or_else(|| loaded.input().side);
        loaded.check_side(side)?;
        let picture = [loaded.config.in_channels(), side, side];
        let network = &loaded.network;
        let sizes = InputSizes::measure(network, |network| {
            let [channels, height, width] = picture;
            let _logits =
                network.forward(Tensor::zeros([1, channels, height, width], &loaded.device));
        });
        let structure = Structure::of(network);
        let deployed = structure.deployed();
        let whole = Cost { params: network.params() as u64, macs: network.flops(picture) };
        let ours = sizes.cost(&structure);
        let rest = Cost { params: whole.params - ours.params, macs: whole.macs - ours.macs };
        let layer = |(path, _): (String, _)| {
            let (layer, fused) = (&structure.layers()[&path], &deployed.layers()[&path]);
            Layer {
                geometry: layer.geometry.clone(),
                form: layer.form.clone(),
                trained: sizes.layer_cost(&path, layer),
                deployed: sizes.layer_cost(&path, fused),
                branches: match &layer.form {
                    Form::Stack(stack) => in_sequence(stack, &layer.geometry),
                    form => branches(form, 1, &|form| {
                        let form = LayerStructure { geometry: layer.geometry.clone(), form };
                        sizes.layer_cost(&path, &form)
                    }),
                },
                path,
            }
        };
        let layers: Vec<Layer> = layers(network).into_iter().map(layer).collect();
        let blocks = layers.iter().filter(|layer| !layer.branches.is_empty());
        Ok(Inspected {
            format: loaded.format.to_string(),
            model: loaded.name.name().to_owned(),
            title: loaded.title(),
            classes: loaded.config.classes(),
            picture,
            trained: whole,
            deployed: sizes.cost(&deployed) + rest,
            blocks: blocks.clone().count(),
            branches: blocks.map(|layer| layer.branches.len()).sum(),
            layers,
            class_names: loaded.label.class_names,
            input: loaded.label.input,
            file: loaded.file,
        })
    }
}

/// The layers of a stack, and what is in them. What they compute is kernels, the same for any picture.
fn in_sequence(stack: &StackForm, geometry: &ConvGeometry) -> Vec<Branch> {
    let own = geometry.in_sequence().unwrap_or_default();
    let layers = stack.layers.iter().zip(&own).enumerate().map(|(number, (form, own))| {
        let cost = |form: &Form| Cost { params: form.params(own), macs: 0 };
        let layer = Branch { name: number.to_string(), depth: 1, cost: cost(form) };
        std::iter::once(layer).chain(branches(form, 2, &|form| cost(&form)))
    });
    layers.flatten().collect()
}

/// The branches of a block and of the blocks in it. `cost` is that of a layer in a form; a branch costs what the block would
/// cost less without it.
fn branches(form: &Form, depth: usize, cost: &dyn Fn(Form) -> Cost) -> Vec<Branch> {
    let Form::Block(block) = form else { return vec![] };
    let with = |branches: Vec<BranchForm>| {
        cost(Form::Block(BlockForm { branches, norm_after: block.norm_after }))
    };
    let less = |both: Cost, alone: Cost| Cost {
        params: both.params - alone.params,
        macs: both.macs - alone.macs,
    };
    let mut found = vec![];
    for branch in &block.branches {
        let rests = if branch.resting { " (rests)" } else { "" };
        let name = format!("{branch}{rests}");
        let is_main = branch.name == block.main().name;
        let main = |branch: BranchForm| match is_main {
            true => with(vec![branch]),
            false => {
                let alone = with(vec![block.main().clone()]);
                less(with(vec![block.main().clone(), branch]), alone)
            }
        };
        found.push(Branch { name, depth, cost: main(branch.clone()) });
        if let (Some(_), Some(conv)) = (branch.nested(), &branch.conv) {
            let inner =
                |conv: Form| main(BranchForm { conv: Some(Box::new(conv)), ..branch.clone() });
            found.extend(branches(conv, depth + 1, &inner));
        }
    }
    found
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [channels, height, width] = self.picture;
        writeln!(f, "{}\n{}: {}", self.title, self.file.display(), self.format)?;
        if !self.class_names.is_empty() {
            writeln!(f, "classes: {}", cut(&self.class_names.join(", "), 70))?;
        }
        writeln!(f, "{:<28}{:<24}{:>14}{:>14}", "layer", "", "parameters", "multiply-adds")?;
        let mut row = |name: &str, what: &str, cost: &Cost| {
            let (params, macs) = (count(cost.params), short(cost.macs));
            writeln!(f, "{:<28}{:<24}{params:>14}{macs:>14}", cut(name, 27), cut(what, 23))
        };
        for layer in &self.layers {
            row(&layer.path, &layer.geometry.brief(), &layer.trained)?;
            for branch in &layer.branches {
                row(&format!("{}{}", "  ".repeat(branch.depth), branch.name), "", &branch.cost)?;
            }
        }
        row("the network", &format!("{channels}×{height}×{width}"), &self.trained)?;
        row("deployed", "", &self.deployed)?;
        write!(
            f,
            "{} in {} of {}",
            number(self.branches, "branch", "branches"),
            number(self.blocks, "block", "blocks"),
            number(self.layers.len(), "convolution", "convolutions")
        )
    }
}

/// A file whose network is not known.
#[derive(Debug, Serialize)]
struct Tensors {
    file: PathBuf,
    format: String,
    /// Why the network is not known.
    unknown: String,
    params: u64,
    tensors: Vec<(String, Vec<usize>)>,
}

impl Tensors {
    fn of(weights: &Weights, unknown: String) -> Self {
        let tensors: Vec<(String, Vec<usize>)> =
            weights.shapes().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
        let size = |shape: &[usize]| {
            shape.iter().fold(1u64, |size, side| size.saturating_mul(*side as u64))
        };
        Self {
            file: weights.file().to_owned(),
            format: weights.format().to_string(),
            unknown,
            params: tensors.iter().fold(0, |sum, (_, shape)| size(shape).saturating_add(sum)),
            tensors,
        }
    }
}

impl fmt::Display for Tensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.file.display(), self.format)?;
        for (name, shape) in &self.tensors {
            writeln!(f, "{:<55} {:>24}", cut(name, 55), format!("{shape:?}"))?;
        }
        writeln!(f, "{} values in {} tensors", count(self.params), self.tensors.len())?;
        write!(f, "the network is not known: {}", self.unknown)
    }
}
