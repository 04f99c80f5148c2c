//! [`Weights`]: the tensors of one network in a file, under this library's names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_models::{ConvNorms, Model, silence_norms};

use crate::container::{Container, Contents};
use crate::describe::{Description, Label};
use crate::error::WeightsError;
use crate::load::Load;
use crate::naming::{Dialect, Naming};
use crate::params::Layout;
use crate::report::Report;
use crate::tensor::Stored;
use crate::unwrap::{Part, is_ignored, prefix};

/// The longest name of a tensor, in bytes.
const LONGEST_NAME: usize = 512;
/// How many times a file's length its tensors may be together: two names may share one storage.
const SHARED: u64 = 2;

/// What a file was recognised as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The kind of file.
    pub container: Container,
    /// Whose names it has.
    pub naming: Naming,
    /// The keys and modules around the weights, such as `state_dict.module`; empty if there are none.
    pub inside: String,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.container, self.naming)?;
        if self.inside.is_empty() { Ok(()) } else { write!(f, ", inside `{}`", self.inside) }
    }
}

/// The weights of one network in a file. Values are read when they are loaded.
pub struct Weights {
    pub(crate) file: PathBuf,
    pub(crate) format: Format,
    pub(crate) layout: Layout,
    pub(crate) tensors: BTreeMap<String, Stored>,
    pub(crate) description: Option<Description>,
}

/// Opens a file of weights, of any kind that this crate knows: the trained weights in it.
///
/// # Errors
/// A file that cannot be read, that is of no known kind, not whole, declares more than it holds, or has no weights.
pub fn open(file: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    open_part(file, &Part::Trained)
}

/// Opens a file of weights: the `part` of it that is meant.
///
/// # Errors
/// As [`open`]; and a part that the file does not have.
pub fn open_part(file: impl AsRef<Path>, part: &Part) -> Result<Weights, WeightsError> {
    let file = file.as_ref();
    let contents = Contents::of(file)?;
    let long = contents.tensors.keys().find(|name| name.len() > LONGEST_NAME);
    if let Some(name) = long {
        return Err(WeightsError::LongName {
            file: file.to_owned(),
            begin: name.chars().take(32).collect(),
            length: name.len(),
            limit: LONGEST_NAME,
        });
    }
    let names = contents.tensors.keys().map(String::as_str);
    let inside = prefix(names, part).map_err(|found| WeightsError::NoWeights {
        file: file.to_owned(),
        wanted: match part {
            Part::Trained => "weights".to_owned(),
            Part::Average => "average of weights".to_owned(),
            Part::Key(key) => format!("`{key}`"),
        },
        found: if found.is_empty() { "no tensors".to_owned() } else { found.join(", ") },
    })?;
    Weights::of(file, contents, &inside)
}

impl Weights {
    fn of(file: &Path, contents: Contents, inside: &str) -> Result<Self, WeightsError> {
        let Contents { container, layout, tensors, note, length } = contents;
        let below = |(name, tensor): (String, Stored)| {
            Some((name.strip_prefix(inside)?.to_owned(), tensor))
        };
        let mut wanted: Vec<_> = tensors.into_iter().filter_map(below).collect();
        wanted.retain(|(name, _)| !is_ignored(name));
        let declared = wanted.iter().fold(0u64, |sum, (_, one)| sum.saturating_add(one.bytes));
        let limit = length.saturating_mul(SHARED);
        if declared > limit {
            let what = "its tensors".to_owned();
            return Err(WeightsError::Oversized { file: file.to_owned(), what, declared, limit });
        }
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let dialect = Dialect::of(&names);
        let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
        for (name, mut tensor) in wanted {
            let (name, edit) = dialect.translate(&name);
            tensor.edit = edit;
            if let Some(first) = tensors.get(&name) {
                let (first, second) = (first.origin.clone(), tensor.origin);
                return Err(WeightsError::Twice { file: file.to_owned(), name, first, second });
            }
            tensors.insert(name, tensor);
        }
        dialect.complete(&mut tensors);
        let description = match note {
            Some(note) => Some(Description::parse(&note, file)?),
            None => None,
        };
        let format = Format {
            container,
            naming: dialect.naming,
            inside: inside.trim_end_matches('.').to_owned(),
        };
        Ok(Self { file: file.to_owned(), format, layout, tensors, description })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the file was recognised as.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The tensors' names, this library's, and shapes as in the file.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()))
    }

    /// What this library wrote beside the tensors: the network's name and structure.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.description.as_ref()
    }

    /// The structure that `module` has with these weights: grown, deployed or plain, as the names say.
    ///
    /// # Errors
    /// A branch that the module's convolution cannot have; a structure recorded in the file that its tensors do not
    /// bear out.
    pub fn structure<M: Module>(&self, module: &M) -> Result<Structure, WeightsError> {
        let shapes = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        let found = crate::forms::structure(&Structure::of(module), &shapes.collect()).map_err(
            |source| WeightsError::Structure { file: self.file.clone(), source: Box::new(source) },
        )?;
        let recorded = self.description.iter().flat_map(|note| note.structure().layers());
        for (path, recorded) in recorded {
            if let Some(layer) = found.layers().get(path)
                && layer.form != recorded.form
            {
                return Err(WeightsError::StructureDiffers {
                    file: self.file.clone(),
                    layer: path.clone(),
                    recorded: recorded.form.to_string(),
                    found: layer.form.to_string(),
                });
            }
        }
        Ok(found)
    }

    /// Loads everything into `module`, grown or deployed first as the file is: [`Load::strict`].
    ///
    /// # Errors
    /// As [`Load::into`].
    pub fn load_into<M: Module>(&self, module: M) -> Result<(M, Report), WeightsError> {
        Load::strict().into(module, self)
    }

    /// Loads a file without norms ([`Export::folded`](crate::Export::folded)) into `module`, whose norms then pass values
    /// through in evaluation mode.
    ///
    /// # Errors
    /// As [`Load::into`], strictly.
    pub fn load_folded<M: ConvNorms>(&self, module: &M) -> Result<(M, Report), WeightsError> {
        if self.description.as_ref().is_some_and(Description::is_quantized) {
            return Err(WeightsError::IsQuantized { file: self.file.clone() });
        }
        let module = silence_norms(module);
        let norms: Vec<String> =
            module.conv_norms().into_iter().map(|pair| pair.norm_path + ".").collect();
        let absent = |name: &str| norms.iter().any(|norm| name.starts_with(norm));
        Load::strict().without(module, self, absent)
    }

    /// Which network this is, what it reads and what its classes are called: what the file says, or else the network of
    /// the zoo whose tensors these are.
    ///
    /// # Errors
    /// A file that names a network which cannot be followed.
    pub fn label(&self, device: &Device) -> Result<Label, WeightsError> {
        let refused = |reason| WeightsError::NotDescribed { file: self.file.clone(), reason };
        let Some(note) = &self.description else {
            let network = self.candidates(device).into_iter().next();
            return Ok(Label { network, ..Label::default() });
        };
        let named = note.config().map_err(refused)?;
        Ok(Label {
            network: named.or_else(|| self.candidates(device).into_iter().next()),
            input: note.input().cloned(),
            class_names: note.class_names().to_vec(),
        })
    }

    /// Builds the network that this is ([`label`](Self::label)), and loads it. Of a file without norms it is the network
    /// with norms that pass values through.
    ///
    /// # Errors
    /// A file that does not say what it is for and whose tensors are those of no network of the zoo; one of INT8 weights
    /// ([`build_quantized`](Self::build_quantized)); and as [`load_into`](Self::load_into).
    pub fn build(&self, device: &Device) -> Result<(Model, Report), WeightsError> {
        if self.description.as_ref().is_some_and(Description::is_quantized) {
            return Err(WeightsError::IsQuantized { file: self.file.clone() });
        }
        let network = self.network(device)?;
        match self.description.as_ref().is_some_and(Description::is_folded) {
            true => self.load_folded(&network),
            false => self.load_into(network),
        }
    }

    /// The network that this is, as it starts.
    pub(crate) fn network(&self, device: &Device) -> Result<Model, WeightsError> {
        let Some((_, config)) = self.label(device)?.network else {
            let reason = "nor are its tensors those of a network of the zoo".to_owned();
            return Err(WeightsError::NotDescribed { file: self.file.clone(), reason });
        };
        let failed =
            |source| WeightsError::Model { file: self.file.clone(), source: Box::new(source) };
        config.init(device).map_err(failed)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("file", &self.file)
            .field("format", &self.format)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}
