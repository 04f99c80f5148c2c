//! Recording a network's forward pass as a [`Graph`].
//!
//! The recorder is an [`Interpreter`]: it is led through the network by the code that leads tensors. A layer is known by
//! the ids of its parameters, so nobody has to say its path; in the end every parameter must have been met.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
use burn::nn::{BatchNorm, Dropout, Linear, PaddingConfig2d};
use burn::tensor::Tensor;
use dyrep_burn::{RepConv2d, layers};

use crate::error::ModelError;
use crate::graph::{Graph, Node, Op, Value};
use crate::interpret::{Interpreter, Then};
use crate::parts::Activation;

/// Writes down what it is led through.
pub(crate) struct Recorder {
    /// Paths of layers by the ids of their parameters.
    paths: HashMap<ParamId, String>,
    nodes: Vec<Node>,
    /// How often each name was given.
    names: BTreeMap<String, usize>,
    /// What first was wrong.
    failed: Option<ModelError>,
}

impl Recorder {
    /// The graph of `network`, through which `pass` leads the recorder from the pictures to the logits.
    ///
    /// # Errors
    /// A block that is not deployed; a layer that no graph can describe or that is not part of the pass.
    pub(crate) fn record<M: Module>(
        network: &M,
        pass: impl FnOnce(&mut Self, Value) -> Value,
    ) -> Result<Graph, ModelError> {
        if let Some((path, _)) = layers(network).into_iter().find(|(_, layer)| !layer.is_plain()) {
            return Err(no_graph(&path, "it is a block of branches: deploy the network first"));
        }
        let paths = Paths::of(network).0;
        let all: BTreeSet<String> = paths.values().cloned().collect();
        let mut recorder = Self { paths, nodes: vec![], names: BTreeMap::new(), failed: None };
        let logits = pass(&mut recorder, Value::Pictures);
        let Self { nodes, failed, .. } = recorder;
        debug_assert_eq!(logits, Value::Node(nodes.len() - 1), "logits are what comes last");
        if let Some(error) = failed {
            return Err(error);
        }
        match all.iter().find(|path| !nodes.iter().any(|node| node.name == **path)) {
            Some(path) => Err(no_graph(path, "its parameters are not part of the forward pass")),
            None => Ok(Graph::new(nodes)),
        }
    }

    fn fail(&mut self, layer: &str, reason: &str) {
        self.failed.get_or_insert_with(|| no_graph(layer, reason));
    }

    /// The path of the layer that has this parameter.
    fn path(&mut self, parameter: ParamId) -> String {
        match self.paths.get(&parameter) {
            Some(path) => path.clone(),
            None => {
                self.fail("a layer", "it is not part of the network");
                String::new()
            }
        }
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<Value>) -> Value {
        let times = self.names.entry(name.clone()).or_default();
        *times += 1;
        let name = match *times {
            1 => name,
            times => format!("{name}.{times}"),
        };
        self.nodes.push(Node { name, op, inputs });
        Value::Node(self.nodes.len() - 1)
    }

    /// A layer with parameters, which has one place.
    fn layer(&mut self, parameter: ParamId, op: Op, input: Value) -> Value {
        let path = self.path(parameter);
        if self.names.contains_key(&path) {
            self.fail(&path, "it is used twice");
        }
        self.push(path, op, vec![input])
    }

    /// Something without parameters, named after the convolution or linear layer whose output it works on.
    fn behind(&mut self, what: &str, op: Op, inputs: Vec<Value>) -> Value {
        let mut at = inputs[0];
        let base = loop {
            let Value::Node(number) = at else { break "pictures" };
            let node = &self.nodes[number];
            match node.op {
                Op::Norm { .. } | Op::Add | Op::Scale => at = node.inputs[0],
                _ => break node.name.as_str(),
            }
        };
        let name = format!("{base}.{what}");
        self.push(name, op, inputs)
    }
}

fn no_graph(layer: &str, reason: &str) -> ModelError {
    ModelError::NoGraph { layer: layer.to_owned(), reason: reason.to_owned() }
}

impl Interpreter for Recorder {
    type Maps = Value;
    type Rows = Value;

    fn conv(&mut self, conv: &RepConv2d, x: Value) -> Value {
        let RepConv2d::Plain(plain) = conv else {
            unreachable!("blocks were looked for before");
        };
        let op = Op::Conv { geometry: conv.geometry(), bias: plain.bias.is_some() };
        self.layer(plain.weight.id, op, x)
    }

    fn conv_norm(
        &mut self,
        conv: &RepConv2d,
        norm: &BatchNorm,
        x: Value,
        then: Then<Value>,
    ) -> Value {
        let x = self.conv(conv, x);
        let x = self.norm(norm, x);
        let x = match then.residual {
            Some(residual) => self.behind("add", Op::Add, vec![x, residual]),
            None => x,
        };
        match then.activation {
            Some(Activation::Relu) => self.relu(x),
            Some(Activation::Relu6) => self.behind("relu6", Op::Relu6, vec![x]),
            Some(Activation::Gelu) => self.behind("gelu", Op::Gelu, vec![x]),
            None => x,
        }
    }

    fn norm(&mut self, norm: &BatchNorm, x: Value) -> Value {
        let [channels] = norm.gamma.lazy_shape().dims();
        self.layer(norm.gamma.id, Op::Norm { channels, epsilon: norm.epsilon }, x)
    }

    fn relu(&mut self, x: Value) -> Value {
        self.behind("relu", Op::Relu, vec![x])
    }

    fn sigmoid(&mut self, x: Value) -> Value {
        self.behind("sigmoid", Op::Sigmoid, vec![x])
    }

    fn mean(&mut self, x: Value) -> Value {
        self.behind("mean", Op::AveragePool { output: [1, 1] }, vec![x])
    }

    fn scale(&mut self, x: Value, factors: Value) -> Value {
        self.behind("scale", Op::Scale, vec![x, factors])
    }

    fn average_pool(&mut self, pool: &AvgPool2d, x: Value) -> Value {
        let AvgPool2d { kernel_size, stride, padding, ceil_mode, .. } = pool;
        if stride != kernel_size || *padding != PaddingConfig2d::Valid || !ceil_mode {
            self.fail("an average pooling", "its windows overlap, are padded or left out");
        }
        self.behind("average", Op::AverageWindows { kernel_size: *kernel_size }, vec![x])
    }

    fn max_pool(&mut self, name: &str, pool: &MaxPool2d, x: Value) -> Value {
        let padding = match pool.padding {
            PaddingConfig2d::Valid => [(0, 0); 2],
            PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
            PaddingConfig2d::Same => {
                self.fail(name, "its padding depends on the size of the map");
                [(0, 0); 2]
            }
        };
        if pool.ceil_mode {
            self.fail(name, "it takes windows that are not whole");
        }
        let (kernel_size, stride, dilation) = (pool.kernel_size, pool.stride, pool.dilation);
        let op = Op::MaxPool { kernel_size, stride, padding, dilation };
        self.push(name.to_owned(), op, vec![x])
    }

    fn average(&mut self, name: &str, pool: &AdaptiveAvgPool2d, x: Value) -> Value {
        let x = self.push(name.to_owned(), Op::AveragePool { output: pool.output_size }, vec![x]);
        self.rows(x)
    }

    fn rows(&mut self, x: Value) -> Value {
        self.push("flatten".to_owned(), Op::Flatten, vec![x])
    }

    fn linear(&mut self, linear: &Linear, x: Value) -> Value {
        let [inputs, outputs] = linear.weight.lazy_shape().dims();
        let op = Op::Linear { inputs, outputs, bias: linear.bias.is_some() };
        self.layer(linear.weight.id, op, x)
    }

    fn relu_of_rows(&mut self, x: Value) -> Value {
        self.relu(x)
    }

    /// Nothing is left out of a deployed network.
    fn dropout(&mut self, _dropout: &Dropout, x: Value) -> Value {
        x
    }
}

/// The path of the module around each float parameter and running statistic.
struct Paths(HashMap<ParamId, String>, Vec<String>);

impl Paths {
    fn of<M: Module>(network: &M) -> Self {
        let mut paths = Self(HashMap::new(), vec![]);
        network.visit(&mut paths);
        paths
    }
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.1.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.1.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let around = self.1.split_last().map_or(String::new(), |(_, around)| around.join("."));
        self.0.insert(param.id, around);
    }
}
