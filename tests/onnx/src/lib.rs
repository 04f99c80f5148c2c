//! ONNX files read and run by tract, which knows nothing of Burn: what is exported must mean the same to others.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb;
use tract_onnx::prelude::*;

/// A network from an ONNX file, with one input and one output of `f32`.
#[derive(Debug)]
pub struct Runtime(Arc<TypedRunnableModel>);

impl Runtime {
    /// Reads and types the file; an axis with a name takes any size. It is run as it stands: tract's own optimisation takes
    /// far longer than running where tract is not optimised itself, as in tests (84 s for a ResNet-152).
    ///
    /// # Errors
    /// What tract says.
    pub fn open(file: impl AsRef<Path>) -> TractResult<Self> {
        let network = onnx().model_for_path(file)?.into_typed()?;
        Ok(Self(network.into_runnable()?))
    }

    /// The output for an input of `shape`: its shape, and the values in row-major order.
    ///
    /// # Errors
    /// What tract says, an input of another shape than the file's above all.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> TractResult<(Vec<usize>, Vec<f32>)> {
        let input = Tensor::from_shape(shape, values)?;
        let outputs = self.0.run(tvec!(input.into()))?;
        let [output] = &outputs[..] else {
            let found = outputs.len();
            return Err(TractError::msg(format!("one output was expected, there are {found}")));
        };
        let view = output.to_plain_array_view::<f32>()?;
        Ok((output.shape().to_vec(), view.iter().copied().collect()))
    }
}

/// What an ONNX file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Of the format, and of the operators.
    pub versions: [i64; 2],
    /// Who wrote it: name and version.
    pub producer: [String; 2],
    /// What it says to a reader: the file, its inputs, its outputs.
    pub docs: Vec<String>,
    /// Name, operator and inputs of each node.
    pub nodes: Vec<(String, String, Vec<String>)>,
    /// Shapes by name.
    pub initializers: BTreeMap<String, Vec<i64>>,
    /// Name and shape of inputs and outputs; a free axis by its name.
    pub ends: Vec<(String, Vec<String>)>,
    /// `metadata_props`.
    pub metadata: BTreeMap<String, String>,
}

impl Contents {
    /// Reads a file.
    ///
    /// # Errors
    /// What tract says; a file without a graph.
    pub fn of(file: impl AsRef<Path>) -> TractResult<Self> {
        let model = onnx().proto_model_for_path(file)?;
        let graph = model.graph.ok_or_else(|| TractError::msg("no graph"))?;
        let ends = || graph.input.iter().chain(&graph.output);
        let docs = ends().map(|end| end.doc_string.clone());
        let node =
            |node: &pb::NodeProto| (node.name.clone(), node.op_type.clone(), node.input.clone());
        Ok(Self {
            versions: [model.ir_version, model.opset_import.iter().map(|set| set.version).sum()],
            producer: [model.producer_name, model.producer_version],
            docs: std::iter::once(model.doc_string).chain(docs).collect(),
            nodes: graph.node.iter().map(node).collect(),
            initializers: graph
                .initializer
                .iter()
                .map(|tensor| (tensor.name.clone(), tensor.dims.clone()))
                .collect(),
            ends: ends().map(|end| (end.name.clone(), shape(end))).collect(),
            metadata: model
                .metadata_props
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect(),
        })
    }
}

fn shape(end: &pb::ValueInfoProto) -> Vec<String> {
    use pb::tensor_shape_proto::dimension::Value;
    let kind = end.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let sizes = kind.and_then(|pb::type_proto::Value::TensorType(tensor)| tensor.shape.as_ref());
    let name = |value: &Option<Value>| match value {
        Some(Value::DimValue(size)) => size.to_string(),
        Some(Value::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    };
    sizes.map_or_else(Vec::new, |shape| shape.dim.iter().map(|dim| name(&dim.value)).collect())
}
