//! From a network's operations to ONNX's.
//!
//! | ours | ONNX's |
//! |---|---|
//! | convolution, ReLU, ReLU6, sigmoid | `Conv`, `Relu`, `Clip`, `Sigmoid` |
//! | GELU | `Mul`, `Erf`, `Add`, `Mul`, `Mul`: x · ½ (1 + erf(x / √2)) |
//! | addition, maps times factors | `Add`, `Mul` |
//! | max pooling, average of windows | `MaxPool`, `AveragePool` |
//! | a norm that is not folded | `BatchNormalization` |
//! | average of everything | `GlobalAveragePool` |
//! | average to a size, of a map whose sides it divides | `AveragePool`, or nothing where the map has the size |
//! | the same, of any other map | two `MatMul` by constants: it is linear, row by row and column by column |
//! | flattening, linear | `Flatten`, `Gemm` |
//!
//! All of them mean the same in the operator sets that can be chosen. A node and what it gives have the layer's path as
//! their name, initializers those of the parameters.

use std::collections::BTreeMap;

use dyrep_burn::{AxisPadding, ConvGeometry};
use dyrep_models::{Graph, Node, Op, Value};

use super::proto::{self, Attribute, Tensor, int};
use crate::export::Values;
use crate::params::transposed;

pub(crate) const INPUT: &str = "input";
pub(crate) const OUTPUT: &str = "logits";

/// A module's tensors by PyTorch's names, with their shapes.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Values)>;

/// ONNX's nodes and initializers, as they come about.
pub(crate) struct Lowering<'a> {
    graph: &'a Graph,
    /// Height and width of what each node gives, for pictures of a fixed size.
    sizes: Option<Vec<[usize; 2]>>,
    picture: Option<[usize; 2]>,
    /// What is left of the module's.
    tensors: Tensors,
    /// The name of what each node gives.
    values: Vec<String>,
    pub(crate) nodes: Vec<proto::Node>,
    pub(crate) initializers: Vec<Tensor>,
}

impl<'a> Lowering<'a> {
    /// ONNX's nodes for `graph` with the parameters in `tensors`, for pictures of `[height, width]`, or of any.
    ///
    /// # Errors
    /// What cannot be said in ONNX, or not for such pictures, with the layer; parameters that are not the graph's.
    pub(crate) fn of(
        graph: &'a Graph,
        tensors: Tensors,
        picture: Option<[usize; 2]>,
    ) -> Result<Self, String> {
        let sizes = picture.map(|picture| graph.sizes(picture));
        let (values, nodes, initializers) = (vec![], vec![], vec![]);
        let mut lowering = Self { graph, sizes, picture, tensors, values, nodes, initializers };
        for (number, node) in graph.nodes().iter().enumerate() {
            lowering.check_size(number, node)?;
            let value = lowering.node(number, node)?;
            lowering.values.push(value);
        }
        match lowering.tensors.keys().next() {
            Some(name) => Err(format!("`{name}` is a parameter of no operation")),
            None => Ok(lowering),
        }
    }

    fn check_size(&self, number: usize, node: &Node) -> Result<(), String> {
        match (&self.sizes, self.picture) {
            (Some(sizes), Some([height, width])) if sizes[number].contains(&0) => Err(format!(
                "pictures of {height}×{width} are too small: nothing is left behind `{}`",
                node.name
            )),
            _ => Ok(()),
        }
    }

    /// Height and width of a node's input, if they are fixed.
    fn input_size(&self, node: &Node) -> Option<[usize; 2]> {
        match node.inputs[0] {
            Value::Pictures => self.picture,
            Value::Node(number) => Some(self.sizes.as_ref()?[number]),
        }
    }

    /// Appends what computes a node; the name of what it gives.
    fn node(&mut self, number: usize, node: &Node) -> Result<String, String> {
        let last = number + 1 == self.graph.nodes().len();
        let output = if last { OUTPUT.to_owned() } else { node.name.clone() };
        let mut inputs: Vec<String> = node.inputs.iter().map(|input| self.value(*input)).collect();
        let (op, attributes) = match &node.op {
            Op::Conv { geometry, bias } => {
                inputs.push(self.parameter(node, "weight", &geometry.weight_shape())?);
                if *bias {
                    inputs.push(self.parameter(node, "bias", &[geometry.out_channels()])?);
                }
                ("Conv", self.conv(node, geometry)?)
            }
            Op::Norm { channels, epsilon } => {
                for name in ["weight", "bias", "running_mean", "running_var"] {
                    inputs.push(self.parameter(node, name, &[*channels])?);
                }
                ("BatchNormalization", vec![("epsilon", Attribute::Float(*epsilon as f32))])
            }
            Op::Relu => ("Relu", vec![]),
            Op::Relu6 => {
                inputs.extend(
                    [("relu6.min", 0.0), ("relu6.max", 6.0)].map(|bound| self.bound(bound)),
                );
                ("Clip", vec![])
            }
            Op::Gelu => {
                self.gelu(&node.name, inputs.remove(0), &output);
                return Ok(output);
            }
            Op::Sigmoid => ("Sigmoid", vec![]),
            Op::Add => ("Add", vec![]),
            Op::Scale => ("Mul", vec![]),
            Op::MaxPool { kernel_size, stride, padding, dilation } => {
                let mut attributes = window(*kernel_size, *stride, *padding);
                if *dilation != [1, 1] {
                    attributes.insert(0, ("dilations", ints(dilation)));
                }
                ("MaxPool", attributes)
            }
            Op::AverageWindows { kernel_size } => {
                let mut attributes = window(*kernel_size, *kernel_size, [(0, 0); 2]);
                attributes.insert(0, ("ceil_mode", Attribute::Int(1)));
                ("AveragePool", attributes)
            }
            Op::AveragePool { output: [1, 1] } => ("GlobalAveragePool", vec![]),
            Op::AveragePool { output: wanted } => {
                return self.average(node, *wanted, inputs.remove(0), output);
            }
            Op::Flatten => ("Flatten", vec![("axis", Attribute::Int(1))]),
            Op::Linear { inputs: from, outputs: to, bias } => {
                inputs.push(self.parameter(node, "weight", &[*to, *from])?);
                if *bias {
                    inputs.push(self.parameter(node, "bias", &[*to])?);
                }
                ("Gemm", vec![("transB", Attribute::Int(1))])
            }
            op => return Err(format!("`{}`: {op:?} cannot be written", node.name)),
        };
        self.push(&node.name, op, inputs, &output, attributes);
        Ok(output)
    }

    fn push(
        &mut self,
        name: &str,
        op: &'static str,
        inputs: Vec<String>,
        output: &str,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        let (name, output) = (name.to_owned(), output.to_owned());
        self.nodes.push(proto::Node { name, op, inputs, output, attributes });
    }

    fn value(&self, value: Value) -> String {
        match value {
            Value::Pictures => INPUT.to_owned(),
            Value::Node(number) => self.values[number].clone(),
        }
    }

    /// Takes a parameter of the module's as an initializer; its name.
    fn parameter(&mut self, node: &Node, which: &str, shape: &[usize]) -> Result<String, String> {
        let name = format!("{}.{which}", node.name);
        match self.tensors.remove(&name) {
            None => Err(format!("`{name}` is missing")),
            Some((found, _)) if found != shape => {
                Err(format!("`{name}` has shape {found:?}, expected {shape:?}"))
            }
            Some((shape, values)) => {
                self.initializers.push(Tensor { name: name.clone(), shape, values });
                Ok(name)
            }
        }
    }

    /// A number that all nodes share; its name.
    fn bound(&mut self, (name, value): (&str, f32)) -> String {
        if self.initializers.iter().all(|tensor| tensor.name != name) {
            let (name, shape, values) = (name.to_owned(), vec![], Values::F32(vec![value]));
            self.initializers.push(Tensor { name, shape, values });
        }
        name.to_owned()
    }

    /// x · ½ (1 + erf(x / √2)), in the operators that all versions have.
    fn gelu(&mut self, name: &str, x: String, output: &str) {
        let [root, one, half] =
            [("gelu.root", std::f32::consts::FRAC_1_SQRT_2), ("gelu.one", 1.0), ("gelu.half", 0.5)]
                .map(|bound| self.bound(bound));
        let mut step = |op, inner: &str, inputs: Vec<String>| {
            let inside = format!("{name}.{inner}");
            self.push(&inside, op, inputs, &inside, vec![]);
            inside
        };
        let scaled = step("Mul", "scaled", vec![x.clone(), root]);
        let erf = step("Erf", "erf", vec![scaled]);
        let shifted = step("Add", "shifted", vec![erf, one]);
        let share = step("Mul", "share", vec![shifted, half]);
        self.push(name, "Mul", vec![x, share], output, vec![]);
    }

    fn constant(&mut self, name: String, shape: [usize; 2], values: Vec<f32>) -> String {
        let (shape, values) = (shape.to_vec(), Values::F32(values));
        self.initializers.push(Tensor { name: name.clone(), shape, values });
        name
    }

    fn conv(
        &self,
        node: &Node,
        geometry: &ConvGeometry,
    ) -> Result<Vec<(&'static str, Attribute)>, String> {
        let padding = match (geometry.fixed_pad(0), geometry.fixed_pad(1), self.input_size(node)) {
            (Some(vertical), Some(horizontal), _) => [vertical, horizontal],
            (_, _, Some(size)) => geometry.pads(size),
            _ => {
                let name = &node.name;
                return Err(format!(
                    "the padding of `{name}` depends on the pictures' size, which must be fixed"
                ));
            }
        };
        let mut attributes = window(geometry.kernel_size(), geometry.stride(), padding);
        attributes.insert(0, ("dilations", ints(&geometry.dilation())));
        attributes.insert(1, ("group", Attribute::Int(int(geometry.groups()))));
        Ok(attributes)
    }

    /// Averages to `wanted`, height and width; the name of what comes of it.
    fn average(
        &mut self,
        node: &Node,
        wanted: [usize; 2],
        input: String,
        output: String,
    ) -> Result<String, String> {
        let Some(size) = self.input_size(node) else {
            let (name, [height, width]) = (&node.name, wanted);
            return Err(format!(
                "`{name}` averages maps to {height}×{width}, by windows that depend on the pictures' size, which must \
                 be fixed"
            ));
        };
        if size == wanted && output != OUTPUT {
            return Ok(input);
        }
        if size[0].is_multiple_of(wanted[0]) && size[1].is_multiple_of(wanted[1]) {
            let side = [size[0] / wanted[0], size[1] / wanted[1]];
            let attributes = window(side, side, [(0, 0); 2]);
            self.push(&node.name, "AveragePool", vec![input], &output, attributes);
            return Ok(output);
        }
        let ([height, width], [high, wide]) = (size, wanted);
        let across = format!("{}.across", node.name);
        let columns = transposed(&shares(width, wide), wide, width);
        let columns = self.constant(format!("{}.columns", node.name), [width, wide], columns);
        let rows =
            self.constant(format!("{}.rows", node.name), [high, height], shares(height, high));
        self.push(&across, "MatMul", vec![input, columns], &across, vec![]);
        self.push(&node.name, "MatMul", vec![rows, across], &output, vec![]);
        Ok(output)
    }
}

/// What each of `size` values counts for each of `outputs` averages, `[outputs, size]`: average i is of the values from
/// ⌊i · size / outputs⌋ up to ⌈(i + 1) · size / outputs⌉.
fn shares(size: usize, outputs: usize) -> Vec<f32> {
    let share = |i: usize, at: usize| {
        let (start, end) = (i * size / outputs, ((i + 1) * size).div_ceil(outputs));
        if (start..end).contains(&at) { 1.0 / (end - start) as f32 } else { 0.0 }
    };
    (0..outputs).flat_map(|i| (0..size).map(move |at| share(i, at))).collect()
}

/// A window's attributes, in ONNX's order: all beginnings, then all ends.
fn window(
    kernel_size: [usize; 2],
    stride: [usize; 2],
    [vertical, horizontal]: [AxisPadding; 2],
) -> Vec<(&'static str, Attribute)> {
    let pads = [vertical.0, horizontal.0, vertical.1, horizontal.1];
    vec![("kernel_shape", ints(&kernel_size)), ("pads", ints(&pads)), ("strides", ints(&stride))]
}

fn ints(sizes: &[usize]) -> Attribute {
    Attribute::Ints(sizes.iter().copied().map(int).collect())
}
