//! ONNX, written by ourselves: a deployed network of the zoo in a handful of operators (`lower.rs`), what is known of it
//! (`about.rs`), and the encoding (`proto.rs`, `wire.rs`).
//!
//! Norms are folded into the convolutions in front of them. The batch may be of any size, and so may the pictures where
//! the network takes any. Input and output are called `input` and `logits`, nodes and initializers as the layers and
//! their parameters. Equal networks are equal files.

mod about;
mod lower;
mod proto;
mod wire;

use std::fmt;
use std::path::Path;

use dyrep_burn::write_atomically;
use dyrep_models::{Graph, Model, Node, Op, fold_norms};

use crate::describe::Label;
use crate::error::WeightsError;
use crate::export::Export;
use lower::{INPUT, Lowering, OUTPUT};
use proto::{Size, ValueInfo};
use wire::Wire;

/// The most bytes that protobuf, and so an ONNX file, can have.
const LARGEST: u64 = i32::MAX as u64;

/// A version of ONNX's operators, 13 to 21.
///
/// Every operator that is written means the same in all of them. The default is the oldest: what reads ONNX reads it, and it
/// is the first in which INT8 weights may have a scale for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opset(u8);

impl Opset {
    /// The oldest that is written.
    pub const OLDEST: Self = Self(13);
    /// The newest that is written.
    pub const NEWEST: Self = Self(21);

    /// The version of that number.
    ///
    /// # Errors
    /// One that is not written.
    pub fn new(number: u64) -> Result<Self, WeightsError> {
        let written = u8::try_from(number).ok().map(Self);
        let written = written.filter(|opset| (Self::OLDEST..=Self::NEWEST).contains(opset));
        written.ok_or(WeightsError::Opset { found: number })
    }

    /// The oldest version of the file format that has it: what reads the operators reads the format.
    fn ir_version(self) -> i64 {
        match self.0 {
            ..=14 => 7,
            15..=18 => 8,
            19..=20 => 9,
            21.. => 10,
        }
    }
}

impl Default for Opset {
    fn default() -> Self {
        Self::OLDEST
    }
}

impl fmt::Display for Opset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a network is written as ONNX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct OnnxOptions {
    opset: Opset,
    size: Option<[usize; 2]>,
}

impl OnnxOptions {
    /// The oldest operators, pictures of any size.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the version of the operators.
    pub fn with_opset(mut self, opset: Opset) -> Self {
        self.opset = opset;
        self
    }

    /// Fixes the pictures' `[height, width]`, in pixels. Without it they are free, which a network that flattens maps of a
    /// fixed size cannot be (VGG but for its small form): [`Graph::fixed_output`] tells.
    pub fn with_size(mut self, size: [usize; 2]) -> Self {
        self.size = Some(size);
        self
    }
}

/// Writes the deployed network, norms folded away, as ONNX with what `label` says, to a temporary file that is then
/// renamed. The given network is left as it is.
///
/// Input `input` is `[batch, channels, height, width]`, output `logits` is `[batch, classes]`; the same network gives the
/// same bytes.
///
/// # Errors
/// Pictures of a size that the network cannot take, or of any where their size matters; a network changed by hand into
/// what its name or ONNX cannot say; a file above 2 GiB; what the system says, with the path.
pub fn write_onnx(
    network: &Model,
    label: &Label,
    options: &OnnxOptions,
    file: impl AsRef<Path>,
) -> Result<(), WeightsError> {
    let file = file.as_ref();
    let refused = |reason| WeightsError::NotOnnx { file: file.to_owned(), reason };
    let network = fold_norms(network);
    let graph = network.graph().and_then(|graph| graph.without_norms(&network));
    let graph = graph.map_err(|error| refused(error.to_string()))?;
    let export = Export::without_norms(&network).labelled(label)?;
    let model = model(&graph, export, label, options).map_err(refused)?;
    let fill = |wire: &mut Wire| model.write(wire);
    check_length(Wire::length(fill), LARGEST).map_err(refused)?;
    let failed = |source| WeightsError::Io { file: file.to_owned(), source };
    write_atomically(file, &Wire::bytes(fill)).map_err(failed)
}

fn model(
    graph: &Graph,
    export: Export,
    label: &Label,
    options: &OnnxOptions,
) -> Result<proto::Model, String> {
    let Export { tensors, description } = export;
    let op = |node: Option<&Node>| node.map(|node| node.op.clone());
    let channels = match op(graph.nodes().first()) {
        Some(Op::Conv { geometry, .. }) => geometry.in_channels(),
        Some(Op::Norm { channels, .. }) => channels,
        _ => return Err("it begins with neither a convolution nor a norm".to_owned()),
    };
    let Some(Op::Linear { outputs, .. }) = op(graph.nodes().last()) else {
        return Err("it does not end in a linear layer".to_owned());
    };
    let Lowering { nodes, initializers, .. } = Lowering::of(graph, tensors, options.size)?;
    let [height, width] = match options.size {
        Some(size) => size.map(Size::Is),
        None => [Size::Free("height"), Size::Free("width")],
    };
    let batch = Size::Free("batch");
    let input = ValueInfo {
        name: INPUT,
        doc: about::input(description.input(), channels),
        shape: vec![batch, Size::Is(channels), height, width],
    };
    let doc = "One a class, before any softmax".to_owned();
    let output = ValueInfo { name: OUTPUT, doc, shape: vec![batch, Size::Is(outputs)] };
    let name = description.model().unwrap_or("network").to_owned();
    Ok(proto::Model {
        ir_version: options.opset.ir_version(),
        opset: options.opset.0.into(),
        producer: ["dyrep", env!("CARGO_PKG_VERSION")],
        doc: about::network(label),
        graph: proto::Graph { name, nodes, initializers, input, output },
        metadata: about::metadata(&description, channels),
    })
}

fn check_length(length: u64, largest: u64) -> Result<(), String> {
    match length > largest {
        true => Err(format!(
            "it would have {length} bytes, and an ONNX file holds {largest} at most; a network of less width fits, and \
             .safetensors holds this one"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_an_opset() {
        for number in 13..=21 {
            assert_eq!(Opset::new(number).unwrap().to_string(), number.to_string());
        }
        for number in [0, 12, 22, 256 + 13] {
            let error = Opset::new(number).unwrap_err().to_string();
            assert_eq!(error, format!("no opset {number} is written: 13 to 21 are"));
        }
    }

    #[test]
    fn what_protobuf_cannot_hold_is_refused() {
        assert_eq!(check_length(LARGEST, LARGEST), Ok(()));
        let error = check_length(LARGEST + 1, LARGEST).unwrap_err();
        assert!(error.contains("2147483648 bytes") && error.contains("2147483647"), "{error}");
    }
}
