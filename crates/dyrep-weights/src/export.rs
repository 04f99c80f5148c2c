//! Weights for others: PyTorch's names and layouts in safetensors, and burnpacks for ourselves.
//!
//! # Law
//! A bias in front of a batch norm only moves what the norm takes away: with `mean' = mean − b`, the norm behind the
//! convolution without its bias gives the same output ([`absorb_bias`]). So a deployed network, whose convolutions have
//! biases, becomes one of torchvision's form, exactly.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Bytes, Tensor};
use burn_pack::{Reader, Writer};
use dyrep_burn::fuse::absorb_bias;
use dyrep_burn::{
    Form, LayerStructure, RepConv2d, Structure, deploy, map_layers, write_atomically,
};
use dyrep_models::{
    ConvNorm, ConvNorms, MobileOne, ModelConfig, ModelName, RepVgg, RepVit, fold_norms,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::describe::{Description, KEY, Label};
use crate::error::WeightsError;
use crate::params::values;

/// A tensor's values.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    F32(Vec<f32>),
    I8(Vec<i8>),
}

impl Values {
    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::I8(_) => Dtype::I8,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I8(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
        }
    }
}

/// A module's tensors as they will be written, with their shapes.
#[derive(Clone, Debug)]
#[must_use]
pub struct Export {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Values)>,
    pub(crate) description: Description,
}

impl Export {
    /// The module as it is, in evaluation form: plain, grown or deployed.
    pub fn of<M: Module>(module: &M) -> Self {
        let module = module.valid();
        let description = Description::of_structure(Structure::of(&module));
        let tensors = values(&module).into_iter();
        let typed = |(name, (shape, values))| (name, (shape, Values::F32(values)));
        Self { tensors: tensors.map(typed).collect(), description }
    }

    /// The deployed network with the names and shapes that torchvision's own has: a bias that is none of torchvision's is
    /// in the mean of the norm behind its convolution.
    pub fn deployed<M: ConvNorms>(network: &M) -> Self {
        let network = deploy(network);
        let mut export = Self::of(&network);
        let pairs = network.conv_norms();
        for pair in pairs.iter().filter(|pair| !pair.keeps_bias) {
            let (kernel, mean) =
                absorb_bias(&pair.conv.fuse(), pair.norm.running_mean.value_sync());
            debug_assert!(kernel.bias().is_none(), "it was taken");
            export.tensors.remove(&format!("{}.bias", pair.conv_path));
            export.set(format!("{}.running_mean", pair.norm_path), mean);
        }
        export.without_biases(&pairs);
        export
    }

    /// The deployed network without norms: each is folded into the convolution in front of it, which so has a bias. For
    /// programs that know no norms. This library's networks take it by [`Weights::build`](crate::Weights::build) or
    /// [`Weights::load_folded`](crate::Weights::load_folded), torchvision's do not.
    pub fn folded<M: ConvNorms>(network: &M) -> Self {
        Self::without_norms(&fold_norms(network))
    }

    /// The deployed network under the names that timm's RepVGG has once it is re-parameterised: `reparam_conv` for each
    /// unit's one convolution, which always has a bias, and no norms. timm's network loads it with `strict=True`, and
    /// [`Weights::build`](crate::Weights::build) too.
    pub fn timm_repvgg(network: &RepVgg) -> Self {
        Self::timm_units(network)
    }

    /// The same for MobileOne.
    pub fn timm_mobileone(network: &MobileOne) -> Self {
        Self::timm_units(network)
    }

    /// The deployed network under the names that timm's RepViT has once it is fused, with one classifier: each convolution and
    /// the classifier with a bias, and no norms.
    pub fn timm_repvit(network: &RepVit) -> Self {
        Self::reparameterized(network, |name| match name.strip_prefix("head.head.l.") {
            Some(leaf) => format!("head.{leaf}"),
            None => name.replace(".c.", "."),
        })
    }

    fn timm_units<M: ConvNorms>(network: &M) -> Self {
        Self::reparameterized(network, |name| name.replace(".conv.", ".reparam_conv."))
    }

    /// The folded network, each of whose convolutions has a bias, under other names.
    fn reparameterized<M: ConvNorms>(network: &M, name: fn(&str) -> String) -> Self {
        let mut export = Self::folded(&map_layers(deploy(network), |_, layer| with_bias(layer)));
        let renamed = |(own, tensor): (String, _)| (name(&own), tensor);
        export.tensors = export.tensors.into_iter().map(renamed).collect();
        export
    }

    /// A network whose norms pass values through, without them.
    pub(crate) fn without_norms<M: ConvNorms>(network: &M) -> Self {
        let mut export = Self::of(network);
        for (norm, _) in network.folding_norms() {
            let norm = format!("{norm}.");
            export.tensors.retain(|name, _| !name.starts_with(&norm));
        }
        export.description = export.description.folded();
        export
    }

    fn set<const D: usize>(&mut self, name: String, value: Tensor<D>) {
        let shape = value.dims().to_vec();
        let values = value.into_data().iter::<f32>().collect();
        self.tensors.insert(name, (shape, Values::F32(values)));
    }

    /// Notes in the structure which convolutions have no biases any more.
    fn without_biases(&mut self, pairs: &[ConvNorm<'_>]) {
        let bare: Vec<_> = pairs.iter().filter(|pair| !pair.keeps_bias).collect();
        let layers = self.description.structure().layers().iter().map(|(path, layer)| {
            let changed = bare.iter().any(|pair| pair.conv_path == *path);
            let form = if changed { Form::Plain { bias: false } } else { layer.form.clone() };
            (path.clone(), LayerStructure { geometry: layer.geometry.clone(), form })
        });
        let structure = Structure::new(layers.collect())
            .unwrap_or_else(|error| unreachable!("plain convolutions exist: {error}"));
        self.description = Description::of_structure(structure);
    }

    /// Names the network in the file, so that [`Weights::build`](crate::Weights::build) finds it.
    ///
    /// # Errors
    /// A configuration that is not the one of that name but for classes, channels, width, stem and branches.
    pub fn named(mut self, model: ModelName, config: &ModelConfig) -> Result<Self, WeightsError> {
        self.description = self.description.named(model, config)?;
        Ok(self)
    }

    /// Puts what `label` says into the file.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub fn labelled(mut self, label: &Label) -> Result<Self, WeightsError> {
        self.description = self.description.labelled(label)?;
        Ok(self)
    }

    /// Names and shapes, in PyTorch's layout.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice()))
    }

    /// Writes safetensors, `f32` but for INT8 weights, to a temporary file that is then renamed. The metadata has one
    /// entry, `dyrep`: JSON with the network's name, classes and options, where it was [named](Self::named), and its
    /// structure. The same weights are the same bytes.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn safetensors(&self, file: impl AsRef<Path>) -> Result<(), WeightsError> {
        let file = file.as_ref();
        let bytes: BTreeMap<&str, (Dtype, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                (name.as_str(), (values.dtype(), shape.as_slice(), values.bytes()))
            })
            .collect();
        let view = |(name, (dtype, shape, bytes))| -> Result<_, safetensors::SafeTensorError> {
            Ok((name, TensorView::new(dtype, <[usize]>::to_vec(shape), bytes)?))
        };
        let views = bytes
            .iter()
            .map(|(name, (dtype, shape, bytes))| (*name, (*dtype, *shape, bytes.as_slice())));
        let written = views.map(view).collect::<Result<Vec<_>, _>>().and_then(|views| {
            let note = HashMap::from([(KEY.to_owned(), self.description.to_json())]);
            safetensors::serialize(views, Some(note))
        });
        let written = written.map_err(|error| malformed(file, "safetensors", &error))?;
        write(file, &written)
    }
}

/// Writes a burnpack: the record that Burn itself loads, with the structure and what `label` says in its metadata. The
/// same weights give the same bytes.
///
/// # Errors
/// What Burn or the system says, with the path; a configuration that is not the one of that name.
pub fn write_burnpack<M: Module>(
    module: &M,
    label: &Label,
    file: impl AsRef<Path>,
) -> Result<(), WeightsError> {
    let file = file.as_ref();
    let module = module.valid();
    let description = Description::of_structure(Structure::of(&module)).labelled(label)?;
    let failed = |error: &dyn std::fmt::Display| malformed(file, "burnpack", error);
    let record: Bytes = module.into_record().into_bytes().map_err(|e| failed(&e))?;
    let mut tensors =
        Reader::from_bytes(record).and_then(Reader::into_tensors).map_err(|e| failed(&e))?;
    // Identities are a process's own: who loads the file gets new ones, and equal weights are equal files.
    tensors.iter_mut().for_each(|tensor| tensor.param_id = None);
    let writer = Writer::new(tensors).with_metadata(KEY, &description.to_json());
    write(file, &writer.into_bytes().map_err(|e| failed(&e))?)
}

/// The plain layer with a bias: of zeros, if it has none.
fn with_bias(layer: RepConv2d) -> RepConv2d {
    match layer {
        RepConv2d::Plain(mut conv) if conv.bias.is_none() => {
            let [outputs, ..] = conv.weight.dims();
            let device = conv.weight.device();
            conv.bias = Some(Initializer::Zeros.init([outputs], &device));
            RepConv2d::Plain(conv)
        }
        layer => layer,
    }
}

fn malformed(file: &Path, container: &'static str, reason: &dyn std::fmt::Display) -> WeightsError {
    WeightsError::Malformed { file: file.to_owned(), container, reason: reason.to_string() }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    let failed = |source| WeightsError::Io { file: file.to_owned(), source };
    write_atomically(file, bytes).map_err(failed)
}
