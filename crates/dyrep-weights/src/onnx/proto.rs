//! ONNX's messages as plain data, and their fields' numbers (`onnx/onnx.proto`). Only what is written is here.
//!
//! Any operator is a [`Node`], and initializers hold `f32` or `i8`: quantised networks need no other type.

use super::wire::Wire;
use crate::export::Values;

/// `AttributeProto.AttributeType`.
const FLOAT_ATTRIBUTE: i64 = 1;
const INT_ATTRIBUTE: i64 = 2;
const INTS_ATTRIBUTE: i64 = 7;
/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT8: i64 = 3;

/// `ModelProto`: the file.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) ir_version: i64,
    pub(crate) opset: i64,
    pub(crate) producer: [&'static str; 2],
    pub(crate) doc: String,
    pub(crate) graph: Graph,
    /// In the order of writing.
    pub(crate) metadata: Vec<(&'static str, String)>,
}

/// `GraphProto`.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) name: String,
    /// Each behind those whose outputs it reads.
    pub(crate) nodes: Vec<Node>,
    pub(crate) initializers: Vec<Tensor>,
    pub(crate) input: ValueInfo,
    pub(crate) output: ValueInfo,
}

/// `NodeProto`, with one output.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) op: &'static str,
    pub(crate) inputs: Vec<String>,
    pub(crate) output: String,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
}

/// `AttributeProto` but for its name.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
}

/// `TensorProto`.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// `ValueInfoProto` of `f32`.
#[derive(Clone, Debug)]
pub(crate) struct ValueInfo {
    pub(crate) name: &'static str,
    pub(crate) doc: String,
    pub(crate) shape: Vec<Size>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    Is(usize),
    /// Any, and the same wherever this name stands.
    Free(&'static str),
}

impl Model {
    pub(crate) fn write(&self, wire: &mut Wire) {
        let [producer, version] = self.producer;
        wire.int(1, self.ir_version);
        wire.text(2, producer);
        wire.text(3, version);
        wire.text(6, &self.doc);
        wire.message(7, |wire| self.graph.write(wire));
        // The operators' own domain has no name.
        wire.message(8, |wire| wire.int(2, self.opset));
        for (key, value) in &self.metadata {
            wire.message(14, |wire| {
                wire.text(1, key);
                wire.text(2, value);
            });
        }
    }
}

impl Graph {
    fn write(&self, wire: &mut Wire) {
        for node in &self.nodes {
            wire.message(1, |wire| node.write(wire));
        }
        wire.text(2, &self.name);
        for tensor in &self.initializers {
            wire.message(5, |wire| tensor.write(wire));
        }
        wire.message(11, |wire| self.input.write(wire));
        wire.message(12, |wire| self.output.write(wire));
    }
}

impl Node {
    fn write(&self, wire: &mut Wire) {
        wire.texts(1, self.inputs.iter().map(String::as_str));
        wire.text(2, &self.output);
        wire.text(3, &self.name);
        wire.text(4, self.op);
        for (name, attribute) in &self.attributes {
            wire.message(5, |wire| {
                wire.text(1, name);
                attribute.write(wire);
            });
        }
    }
}

impl Attribute {
    fn write(&self, wire: &mut Wire) {
        match self {
            Self::Float(value) => {
                wire.float(2, *value);
                wire.int(20, FLOAT_ATTRIBUTE);
            }
            Self::Int(value) => {
                wire.int(3, *value);
                wire.int(20, INT_ATTRIBUTE);
            }
            Self::Ints(values) => {
                values.iter().for_each(|value| wire.int(8, *value));
                wire.int(20, INTS_ATTRIBUTE);
            }
        }
    }
}

impl Tensor {
    fn write(&self, wire: &mut Wire) {
        self.shape.iter().for_each(|size| wire.int(1, int(*size)));
        let kind = match self.values {
            Values::F32(_) => FLOAT,
            Values::I8(_) => INT8,
        };
        wire.int(2, kind);
        wire.text(8, &self.name);
        match &self.values {
            Values::F32(values) => wire.floats(9, values),
            Values::I8(values) => wire.small_ints(9, values),
        }
    }
}

impl ValueInfo {
    fn write(&self, wire: &mut Wire) {
        wire.text(1, self.name);
        let shape = |wire: &mut Wire| {
            for size in &self.shape {
                wire.message(1, |wire| match size {
                    Size::Is(size) => wire.int(1, int(*size)),
                    Size::Free(name) => wire.text(2, name),
                });
            }
        };
        let tensor = |wire: &mut Wire| {
            wire.int(1, FLOAT);
            wire.message(2, shape);
        };
        wire.message(2, |wire| wire.message(1, tensor));
        wire.text(3, &self.doc);
    }
}

/// A size as ONNX has it.
pub(crate) fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use dyrep_onnx_tests::Runtime;

    use super::*;

    /// What INT8 networks are made of is written so that another program rounds by it.
    #[test]
    fn int8_has_a_place() {
        let tensor = |name: &str, values| Tensor { name: name.to_owned(), shape: vec![], values };
        let node = |op, input: &str, output: &str| Node {
            name: output.to_owned(),
            op,
            inputs: [input, "scale", "zero_point"].map(str::to_owned).to_vec(),
            output: output.to_owned(),
            attributes: vec![],
        };
        let end = |name| ValueInfo {
            name,
            doc: String::new(),
            shape: vec![Size::Free("batch"), Size::Is(4)],
        };
        let graph = Graph {
            name: "rounding".to_owned(),
            nodes: vec![
                node("QuantizeLinear", "input", "rounded"),
                node("DequantizeLinear", "rounded", "output"),
            ],
            initializers: vec![
                tensor("scale", Values::F32(vec![0.5])),
                tensor("zero_point", Values::I8(vec![-3])),
            ],
            input: end("input"),
            output: end("output"),
        };
        let (producer, doc, metadata) = (["", ""], String::new(), vec![]);
        let model = Model { ir_version: 7, opset: 13, producer, doc, graph, metadata };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), Wire::bytes(|wire| model.write(wire))).unwrap();
        let runtime = Runtime::open(file.path()).unwrap();
        let (_, output) = runtime.run(&[1, 4], &[0.1, 0.3, -1.2, 1000.0]).unwrap();
        // The last is the largest that 8 bits hold: (127 + 3) / 2.
        assert_eq!(output, [0.0, 0.5, -1.0, 65.0]);
    }
}
