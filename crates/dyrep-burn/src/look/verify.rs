//! Measuring that a deployed model does what the model it came from does.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::layer::RepConv2d;
use crate::look::layers;
use crate::look::tap;

/// How far two tensors are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The largest absolute difference.
    #[serde(with = "crate::number")]
    pub absolute: f64,
    /// The largest absolute difference, over the largest absolute value of the first tensor.
    #[serde(with = "crate::number")]
    pub relative: f64,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The whole model's outputs, over all inputs.
    pub model: Difference,
    /// Each block by path: its output against its convolution's, on the inputs that it gets inside the
    /// model. Layers that the forward pass never reached are missing, and those that are others in the second model.
    pub blocks: Vec<(String, Difference)>,
    /// What makes the figures mean something else than one may think.
    pub warnings: Vec<Warning>,
}

/// Something that a reader of a [`Report`] should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Warning {
    /// The first model still trains: the comparison was made with `model.valid()`. Compared by hand its
    /// outputs would differ, since batch norms that train use the batch's statistics.
    StillTrains,
    /// The second model still has blocks at these paths: it was not deployed.
    NotDeployed(Vec<String>),
    /// No input was given, or none produced a value: nothing was compared.
    NothingCompared,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StillTrains => f.write_str(
                "the model still trains: compared in evaluation mode; call `.valid()` before comparing \
                 its outputs yourself",
            ),
            Self::NotDeployed(paths) => {
                write!(f, "the deployed model still has blocks: {}", paths.join(", "))
            }
            Self::NothingCompared => f.write_str("nothing was compared: no input gave an output"),
        }
    }
}

/// Passes `inputs` through `model` and `deployed` by `forward`, and reports the largest differences.
///
/// `forward` gets each model in evaluation mode, off the graph.
pub fn verify<M: Module, I: Clone, const D: usize>(
    model: &M,
    deployed: &M,
    inputs: impl IntoIterator<Item = I>,
    forward: impl Fn(&M, I) -> Tensor<D>,
) -> Report {
    let mut report = Report::default();
    if trains(model) {
        report.warnings.push(Warning::StillTrains);
    }
    let (model, deployed) = (model.valid(), deployed.valid());
    let (blocks, convs) = (layers(&model), layers(&deployed));
    let left = convs.iter().filter(|(_, layer)| !layer.is_plain());
    let left: Vec<String> = left.map(|(path, _)| path.clone()).collect();
    if !left.is_empty() {
        report.warnings.push(Warning::NotDeployed(left));
    }
    let mut whole = Spread::default();
    let mut spreads: Vec<Spread> = vec![Spread::default(); blocks.len()];
    for input in inputs {
        let (output, flows) = tap::listen(None, || forward(&model, input.clone()));
        whole.add(output, forward(&deployed, input));
        for flow in flows {
            let Some(i) = blocks.iter().position(|(_, layer)| layer.id() == flow.layer) else {
                continue;
            };
            let (path, layer) = &blocks[i];
            let same = |(other, conv): &&(String, RepConv2d)| {
                other == path && conv.geometry() == layer.geometry()
            };
            if let (false, Some((_, conv))) = (layer.is_plain(), convs.iter().find(same)) {
                spreads[i].add(flow.output, conv.forward(flow.input));
            }
        }
    }
    if !whole.seen {
        report.warnings.push(Warning::NothingCompared);
    }
    report.model = whole.difference();
    let found = blocks.into_iter().zip(spreads).filter(|(_, spread)| spread.seen);
    report.blocks = found.map(|((path, _), spread)| (path, spread.difference())).collect();
    report
}

/// Whether any parameter is tracked by autodiff: then batch norms use the batch's statistics.
fn trains<M: Module>(model: &M) -> bool {
    struct Any(bool);
    impl ModuleVisitor for Any {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.lazy_device().is_autodiff();
        }
    }
    let mut any = Any(false);
    model.visit(&mut any);
    any.0
}

/// The largest value and the largest difference so far.
#[derive(Clone, Default)]
struct Spread {
    largest: f64,
    difference: f64,
    seen: bool,
}

impl Spread {
    fn add<const D: usize>(&mut self, want: Tensor<D>, got: Tensor<D>) {
        assert_eq!(want.dims(), got.dims(), "the two models' outputs have different shapes");
        let most = |tensor: Tensor<D>| {
            let values = tensor.abs().into_data();
            // Not `max`: a NaN must come out as one.
            values.iter::<f64>().fold(0.0, |most: f64, value| {
                if value.is_nan() || value > most { value } else { most }
            })
        };
        self.seen |= want.shape().num_elements() > 0;
        self.difference = larger(self.difference, most(got - want.clone()));
        self.largest = larger(self.largest, most(want));
    }

    fn difference(&self) -> Difference {
        let relative = match self.difference {
            0.0 => 0.0,
            difference => difference / self.largest,
        };
        Difference { absolute: self.difference, relative }
    }
}

fn larger(left: f64, right: f64) -> f64 {
    if left.is_nan() || left > right { left } else { right }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let line = |difference: &Difference| {
            format!("{:.2e} absolute, {:.2e} relative", difference.absolute, difference.relative)
        };
        for (path, difference) in &self.blocks {
            writeln!(f, "{path}: {}", line(difference))?;
        }
        write!(f, "model: {}", line(&self.model))
    }
}
