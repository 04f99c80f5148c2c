//! What can be wrong with weights: each error names the file, and the tensor where it is about one.

use std::path::PathBuf;

use dyrep_models::{ModelConfig, ModelName, Stem};

use crate::onnx::Opset;
use crate::report::Report;

/// Weights that cannot be read, loaded or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The system cannot read or write the file.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of no known kind.
    #[error(
        "{}: it is {found}; weights are safetensors, PyTorch's files or burnpacks: {advice}",
        file.display()
    )]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: String,
        /// What to try.
        advice: &'static str,
    },
    /// A file of a known kind that is not whole, or contradicts itself.
    #[error("{}: not a whole {container} file: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The kind.
        container: &'static str,
        /// Where parsing stopped.
        reason: String,
    },
    /// A file that declares more than it can hold.
    #[error("{}: {what} declares {declared} bytes, where {limit} are possible", file.display())]
    Oversized {
        /// The file.
        file: PathBuf,
        /// What declares it.
        what: String,
        /// What it declares.
        declared: u64,
        /// What there is, or the most that weights need.
        limit: u64,
    },
    /// A pickle that wants something run. Nothing was.
    #[error("{}: it asks to call `{call}`, which weights never need; nothing was run", file.display())]
    Hostile {
        /// The file.
        file: PathBuf,
        /// The call.
        call: String,
    },
    /// A file without the part that was asked for, or without any weights.
    #[error("{}: no {wanted} in it; it holds {found}", file.display())]
    NoWeights {
        /// The file.
        file: PathBuf,
        /// The part.
        wanted: String,
        /// The parts there are.
        found: String,
    },
    /// A file whose averages are in the place of the weights.
    #[error(
        "{}: `{name}` is not the average: mmcv and mmengine put averages in the place of the weights before they save, so that \
         without `--part` it is the average that is read; a key of the file names what is meant all the same",
        file.display()
    )]
    Swapped {
        /// The file.
        file: PathBuf,
        /// What is called an average.
        name: String,
    },
    /// A file of several networks' weights, where it is not said which are meant.
    #[error(
        "{}: weights of this network lie in several parts of it, and they differ: `{parts}`; which of them is meant must \
         be said, with `--part` or `OpenOptions::part`",
        file.display()
    )]
    Several {
        /// The file.
        file: PathBuf,
        /// The parts.
        parts: String,
    },
    /// A pattern for names that is no regular expression.
    #[error("the pattern `{pattern}` for names: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// A renaming that is none.
    #[error("the renaming `{text}`: expected PATTERN=REPLACEMENT")]
    Rename {
        /// What was given.
        text: String,
    },
    /// What no norm adds to its variance.
    #[error(
        "norms that add {epsilon} to their variances: expected a number from 1e-8 to 1, such as 1e-3"
    )]
    NormEpsilon {
        /// What was given.
        epsilon: f64,
    },
    /// A name that no network's parameter has.
    #[error("{}: the tensor name `{begin}…` has {length} bytes, more than {limit}", file.display())]
    LongName {
        /// The file.
        file: PathBuf,
        /// How it begins.
        begin: String,
        /// Its length, in bytes.
        length: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// Two tensors for one parameter.
    #[error("{}: both `{first}` and `{second}` stand for `{name}`", file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// The parameter.
        name: String,
        /// One name in the file.
        first: String,
        /// The other.
        second: String,
    },
    /// The tensors are not the module's.
    #[error("{}: not the weights of this network: {report}", file.display())]
    Mismatch {
        /// The file.
        file: PathBuf,
        /// What differs.
        report: Box<Report>,
    },
    /// The branches in the file cannot be the module's.
    #[error("{}: {source}", file.display())]
    Structure {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: Box<dyrep_burn::StructureError>,
    },
    /// A branch without parameters that nothing tells of.
    #[error(
        "{}: `{layer}` is a block with a norm behind its sum, and whether its input is added, too, no tensor shows; build the \
         network with the branches that it was trained with, such as `qarepvgg` or `repvit`",
        file.display()
    )]
    Identity {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
    },
    /// Layers in sequence of which nothing tells how they are composed.
    #[error(
        "{}: `{layer}` is 3×3 layers in sequence, and whether their kernels are composed as OREPA's published code does it, no \
         tensor shows; build the network with the branches that it was trained with, such as `orepa_stem`",
        file.display()
    )]
    Composition {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
    },
    /// The structure that the file tells of is not that of its tensors.
    #[error("{}: layer `{layer}` is {recorded} in its structure, {found} by its tensors", file.display())]
    StructureDiffers {
        /// The file.
        file: PathBuf,
        /// The first layer that differs.
        layer: String,
        /// What the structure says.
        recorded: String,
        /// What the tensors say.
        found: String,
    },
    /// A tensor of whole numbers where a parameter has fractions.
    #[error("{}: tensor `{tensor}` holds {found}, expected f16, bf16, f32 or f64", file.display())]
    Type {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// A tensor with a value that is no number, or too large for `f32`.
    #[error(
        "{}: value {index} of tensor `{tensor}` is {value} in f32, expected a finite number",
        file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where in it, in row-major order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A tensor whose values cannot be read.
    #[error("{}: tensor `{tensor}`: {reason}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Why not.
        reason: String,
    },
    /// A file that does not say which network it is for, or not in a way that can be followed.
    #[error("{}: it does not say which network it is for: {reason}", file.display())]
    NotDescribed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that does not say which network it is for, and whose tensors are those of several that compute differently.
    #[error(
        "{}: its tensors do not tell which of these networks it is, and they compute differently: {}",
        file.display(), differences(candidates)
    )]
    Ambiguous {
        /// The file.
        file: PathBuf,
        /// The networks.
        candidates: Vec<(ModelName, ModelConfig)>,
    },
    /// A version of ONNX's operators that is not written.
    #[error("no opset {found} is written: {} to {} are", Opset::OLDEST, Opset::NEWEST)]
    Opset {
        /// The version.
        found: u64,
    },
    /// A network that cannot be written as ONNX, or not as asked for.
    #[error("{}: not written: {reason}", file.display())]
    NotOnnx {
        /// The file.
        file: PathBuf,
        /// Why not, with the layer where it is about one.
        reason: String,
    },
    /// A network that its name does not describe: its configuration was changed by hand.
    #[error("`{model}` with the options that files record is another network than the given one")]
    NotByName {
        /// The name given.
        model: String,
    },
    /// What a file says cannot be built.
    #[error("{}: {source}", file.display())]
    Model {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: Box<dyrep_models::ModelError>,
    },
    /// A file of INT8 weights, where a module was to be loaded.
    #[error(
        "{}: its weights are INT8 with scales, for a quantised network: `Weights::build_quantized` builds it, \
         `Weights::load_quantized` loads a module as one",
        file.display()
    )]
    IsQuantized {
        /// The file.
        file: PathBuf,
    },
    /// A file without INT8 weights, where a quantised network was to be loaded.
    #[error("{}: its note says nothing of INT8 weights: `Weights::build` builds its network", file.display())]
    NotQuantized {
        /// The file.
        file: PathBuf,
    },
    /// Scales that are not the network's.
    #[error("{}: {source}", file.display())]
    Scales {
        /// The file.
        file: PathBuf,
        /// What is wrong, with the layer.
        source: Box<dyrep_quant::QuantError>,
    },
}

/// What tells networks of the same tensors apart.
fn differences(candidates: &[(ModelName, ModelConfig)]) -> String {
    let one = |(name, config): &(ModelName, ModelConfig)| {
        let stem = if config.stem() == Stem::Small { "small" } else { "imagenet" };
        format!("{name} with the stem `{stem}` and the activation `{}`", config.activation())
    };
    candidates.iter().map(one).collect::<Vec<_>>().join("; ")
}
