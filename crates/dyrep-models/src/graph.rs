//! A deployed network as plain data: which operation reads what, in the order of computing, without any tensor.
//!
//! A layer with parameters is a node with the layer's path as its name, so that its parameters are `{name}.weight` and so
//! on. A graph comes from a network alone ([`Model::graph`](crate::Model::graph)), by the same code as its forward pass,
//! with the geometry of the layers themselves.
//!
//! | node | reads and gives | parameters |
//! |---|---|---|
//! | [`Op::Conv`] | maps | `weight`, perhaps `bias` |
//! | [`Op::Norm`] | maps | `gamma`, `beta`, `running_mean`, `running_var` |
//! | [`Op::Relu`], [`Op::Relu6`], [`Op::Gelu`] | anything, of the same shape | |
//! | [`Op::Sigmoid`] | anything, of the same shape | |
//! | [`Op::Add`] | two of one shape | |
//! | [`Op::Scale`] | maps, and as many of one pixel | |
//! | [`Op::MaxPool`], [`Op::AverageWindows`], [`Op::AveragePool`] | maps | |
//! | [`Op::Flatten`] | maps, rows | |
//! | [`Op::Linear`] | rows | `weight`, perhaps `bias` |

use std::collections::BTreeMap;

use dyrep_burn::{AxisPadding, ConvGeometry};

use crate::conv_norms::ConvNorms;
use crate::error::ModelError;

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// A convolution.
    Conv {
        /// Its channels, kernel, stride, dilation, groups and padding.
        geometry: ConvGeometry,
        /// Whether it has a bias.
        bias: bool,
    },
    /// `γ (x − μ) / √(σ² + ε) + β`, channel by channel, with the running statistics.
    Norm {
        /// Channels.
        channels: usize,
        /// ε.
        epsilon: f64,
    },
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x · Φ(x), Φ being the normal distribution's.
    Gelu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// The sum of both inputs.
    Add,
    /// The first input, each map times the one pixel of the second.
    Scale,
    /// The largest value of each window, of whole windows only. Padding never wins.
    MaxPool {
        /// Window `[height, width]`.
        kernel_size: [usize; 2],
        /// `[vertical, horizontal]`.
        stride: [usize; 2],
        /// `[(top, bottom), (left, right)]`.
        padding: [AxisPadding; 2],
        /// `[vertical, horizontal]`.
        dilation: [usize; 2],
    },
    /// The average of each window: of the pixels that it has in the input, where the last one of a row or a column is not
    /// whole.
    AverageWindows {
        /// Window `[height, width]`, which is its stride too.
        kernel_size: [usize; 2],
    },
    /// Averages to a map of `output`, whatever the input's size: output i of n is the average of the values from
    /// ⌊i · size / n⌋ up to ⌈(i + 1) · size / n⌉, along each axis.
    AveragePool {
        /// `[height, width]`.
        output: [usize; 2],
    },
    /// All values of a picture in a row: channels, then height, then width.
    Flatten,
    /// `x Wᵀ + b`.
    Linear {
        /// Features of the input.
        inputs: usize,
        /// Features of the output.
        outputs: usize,
        /// Whether it has a bias.
        bias: bool,
    },
}

/// What a node reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The network's input, `[batch, channels, height, width]`.
    Pictures,
    /// The output of the node of that number.
    Node(usize),
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The layer's path, if it has parameters; no two nodes have the same name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads: two values for [`Op::Add`] and [`Op::Scale`], one for all others. Nodes come after those that they read.
    pub inputs: Vec<Value>,
}

/// A network's operations. The last node gives the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// `nodes` read earlier ones only.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let earlier = |(number, node): (usize, &Node)| {
            node.inputs.iter().all(|input| !matches!(input, Value::Node(read) if *read >= number))
        };
        debug_assert!(nodes.iter().enumerate().all(earlier), "{nodes:?}");
        Self { nodes }
    }

    /// The nodes, each behind those that it reads; the last one gives the logits.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The graph of [`fold_norms`](crate::fold_norms) of `network`, whose graph this is: without the norms that it lists,
    /// the convolutions in front of which have a bias. Norms that it does not list stay.
    ///
    /// # Errors
    /// A norm listed that does not read its convolution, or not alone; one that its linear layer does not read, or not
    /// alone.
    pub fn without_norms<M: ConvNorms>(&self, network: &M) -> Result<Self, ModelError> {
        let pairs = network.conv_norms();
        let folded: BTreeMap<&str, &str> =
            pairs.iter().map(|pair| (pair.norm_path.as_str(), pair.conv_path.as_str())).collect();
        let pairs = network.norm_linears();
        let onwards: BTreeMap<&str, &str> =
            pairs.iter().map(|pair| (pair.norm_path.as_str(), pair.linear_path.as_str())).collect();
        // What each old node is in the new graph.
        let mut values: Vec<Value> = vec![];
        let mut nodes: Vec<Node> = vec![];
        let now = |value: &Value, values: &[Value]| match value {
            Value::Pictures => Value::Pictures,
            Value::Node(number) => values[*number],
        };
        for node in &self.nodes {
            let inputs: Vec<Value> = node.inputs.iter().map(|input| now(input, &values)).collect();
            if let (Op::Norm { .. }, Some(conv)) = (&node.op, folded.get(node.name.as_str())) {
                self.check_alone(node, conv)?;
                if let Value::Node(number) = inputs[0]
                    && let Op::Conv { bias, .. } = &mut nodes[number].op
                {
                    *bias = true;
                }
                values.push(inputs[0]);
            } else if let (Op::Norm { .. }, Some(linear)) =
                (&node.op, onwards.get(node.name.as_str()))
            {
                self.check_read_alone(node, linear)?;
                values.push(inputs[0]);
            } else {
                values.push(Value::Node(nodes.len()));
                nodes.push(Node { inputs, ..node.clone() });
            }
        }
        Ok(Self::new(nodes))
    }

    /// Whether the norm reads that convolution, and nobody else does.
    fn check_alone(&self, norm: &Node, conv: &str) -> Result<(), ModelError> {
        let input = norm.inputs[0];
        let readers =
            self.nodes.iter().flat_map(|node| &node.inputs).filter(|read| **read == input);
        let right = |number: usize| {
            let node = &self.nodes[number];
            node.name == conv && matches!(node.op, Op::Conv { .. })
        };
        match input {
            Value::Node(number) if right(number) && readers.count() == 1 => Ok(()),
            _ => Err(ModelError::NoGraph {
                layer: norm.name.clone(),
                reason: format!("a norm is folded into `{conv}` that does not read it alone"),
            }),
        }
    }

    /// Whether that linear layer is what reads the norm, perhaps in rows, and nobody else does.
    fn check_read_alone(&self, norm: &Node, linear: &str) -> Result<(), ModelError> {
        let mut name = norm.name.as_str();
        loop {
            let number = self.nodes.iter().position(|node| node.name == name);
            let reads = |node: &&Node| {
                number.is_some_and(|number| node.inputs.contains(&Value::Node(number)))
            };
            let readers: Vec<&Node> = self.nodes.iter().filter(reads).collect();
            match readers[..] {
                [Node { op: Op::Linear { bias: true, .. }, name, .. }] if name == linear => {
                    return Ok(());
                }
                [Node { op: Op::Flatten, name: flat, .. }] => name = flat,
                _ => break,
            }
        }
        Err(ModelError::NoGraph {
            layer: norm.name.clone(),
            reason: format!("a norm is folded into `{linear}` that does not alone read it"),
        })
    }

    /// The first node whose output has a size of its own, whatever the size of its input: such a network flattens maps
    /// of that size, and the windows of its averages depend on the picture's. An average of everything needs none.
    #[must_use]
    pub fn fixed_output(&self) -> Option<&Node> {
        let fixed =
            |node: &&Node| matches!(node.op, Op::AveragePool { output } if output != [1, 1]);
        self.nodes.iter().find(fixed)
    }

    /// Learnable parameters, without running statistics.
    #[must_use]
    pub fn params(&self) -> usize {
        self.nodes.iter().map(|node| node.op.params()).sum()
    }

    /// `[height, width]` of what each node gives, for pictures of `picture`: 1×1 for rows. Zeros where a window does not
    /// fit.
    #[must_use]
    pub fn sizes(&self, picture: [usize; 2]) -> Vec<[usize; 2]> {
        let mut sizes: Vec<[usize; 2]> = vec![];
        for node in &self.nodes {
            let input = match node.inputs.first() {
                Some(Value::Node(number)) => sizes[*number],
                _ => picture,
            };
            sizes.push(node.op.output_size(input));
        }
        sizes
    }
}

impl Op {
    /// Learnable parameters, without running statistics.
    #[must_use]
    pub fn params(&self) -> usize {
        let with_bias =
            |weights: usize, bias: bool, outputs: usize| weights + if bias { outputs } else { 0 };
        match self {
            Self::Conv { geometry, bias } => {
                with_bias(geometry.weight_shape().iter().product(), *bias, geometry.out_channels())
            }
            Self::Norm { channels, .. } => 2 * channels,
            Self::Linear { inputs, outputs, bias } => with_bias(inputs * outputs, *bias, *outputs),
            Self::Relu
            | Self::Relu6
            | Self::Gelu
            | Self::Sigmoid
            | Self::Add
            | Self::Scale
            | Self::MaxPool { .. }
            | Self::AverageWindows { .. }
            | Self::AveragePool { .. }
            | Self::Flatten => 0,
        }
    }

    /// `[height, width]` of what it gives for an input of that size: 1×1 for rows, zeros where a window does not fit.
    #[must_use]
    pub fn output_size(&self, input: [usize; 2]) -> [usize; 2] {
        match self {
            _ if input.contains(&0) => [0, 0],
            Self::Conv { geometry, .. } => geometry.output_size(input),
            Self::MaxPool { kernel_size, stride, padding, dilation } => [0, 1].map(|axis| {
                let span = dilation[axis] * (kernel_size[axis] - 1) + 1;
                let padded = input[axis] + padding[axis].0 + padding[axis].1;
                padded.checked_sub(span).map_or(0, |room| room / stride[axis] + 1)
            }),
            Self::AverageWindows { kernel_size } => {
                [0, 1].map(|axis| input[axis].div_ceil(kernel_size[axis]))
            }
            Self::AveragePool { output } => *output,
            Self::Norm { .. }
            | Self::Relu
            | Self::Relu6
            | Self::Gelu
            | Self::Sigmoid
            | Self::Add
            | Self::Scale => input,
            Self::Flatten | Self::Linear { .. } => [1, 1],
        }
    }
}
