//! [`Weights`]: the tensors of one network in a file, under this library's names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_models::{ConvNorms, Model, ModelConfig, ModelName, silence_norms};

use crate::container::{Container, Contents};
use crate::describe::{Description, Label};
use crate::error::WeightsError;
use crate::forms::{self, AllTold, FormsError};
use crate::load::Load;
use crate::naming::{Naming, Unfit};
use crate::options::OpenOptions;
use crate::params::Layout;
use crate::reading::{Entries, Reading, ReadingError, Wanted};
use crate::report::Report;
use crate::tensor::Stored;

/// What norms add to variances, here and in PyTorch.
const EPSILON: f64 = 1e-5;
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
#[derive(Clone)]
pub struct Weights {
    pub(crate) file: PathBuf,
    pub(crate) format: Format,
    pub(crate) layout: Layout,
    pub(crate) tensors: BTreeMap<String, Stored>,
    pub(crate) passed_over: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// What the names tell of layers that no tensor shows.
    pub(crate) told: AllTold,
    pub(crate) description: Option<Description>,
    /// The file's length in bytes.
    pub(crate) length: u64,
    /// What is added to running variances.
    pub(crate) shift: f64,
    /// Where the tensors come from, unless their names are this library's for certain.
    pub(crate) entries: Option<Arc<Entries>>,
    /// The networks whose tensors these are, once somebody has asked.
    pub(crate) candidates: Arc<OnceLock<Vec<(ModelName, ModelConfig)>>>,
}

/// Opens a file of weights, of any kind that this crate knows: the trained weights in it.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open(file: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    OpenOptions::new().open(file)
}

impl Weights {
    pub(crate) fn of(
        file: &Path,
        contents: Contents,
        options: &OpenOptions,
    ) -> Result<Self, WeightsError> {
        let Contents { container, layout, tensors, beside, note, length } = contents;
        let failed = |error| reading_error(file, options.wanted(), error);
        let found = [&tensors, &beside];
        let entries = Entries::new(found, &options.part, &options.renames).map_err(failed)?;
        let Reading { tensors, naming, inside, passed_over, notes, told } =
            entries.usual().map_err(failed)?;
        if tensors.is_empty() {
            return Err(failed(ReadingError::NoPart(vec![])));
        }
        let description = match note {
            Some(note) => Some(Description::parse(&note, file)?),
            None => None,
        };
        let format = Format { container, naming, inside };
        let file = file.to_owned();
        let own = description.is_some() || container == Container::Burnpack;
        let entries = (!own).then(|| Arc::new(entries));
        let shift = options.norm_epsilon.map_or(0.0, |epsilon| epsilon - EPSILON);
        Ok(Self {
            file,
            format,
            layout,
            tensors,
            passed_over,
            notes,
            told,
            description,
            length,
            shift,
            entries,
            candidates: Arc::default(),
        })
    }

    /// The weights under the names of `module`'s parameters. A file's own names say less than a module's: what stands in
    /// front of them there, or between them, is known once it is known what they should be.
    ///
    /// # Errors
    /// Two tensors for one parameter; several networks of this kind in the file, where it is not known which is meant.
    pub fn for_module<M: Module>(&self, module: &M) -> Result<Cow<'_, Self>, WeightsError> {
        let read = match &self.entries {
            Some(_) => self.read_as(&Wanted::of(module))?,
            None => None,
        };
        Ok(read.unwrap_or(Cow::Borrowed(self)))
    }

    /// The same for known names; `None` where the file has next to none of them.
    pub(crate) fn read_as(&self, wanted: &Wanted) -> Result<Option<Cow<'_, Self>>, WeightsError> {
        let Some(entries) = &self.entries else {
            return Ok(wanted.most_of(self.tensors.keys()).then_some(Cow::Borrowed(self)));
        };
        let failed = |error| reading_error(&self.file, "weights".to_owned(), error);
        let Some(reading) = entries.of(wanted).map_err(failed)? else { return Ok(None) };
        let Reading { tensors, naming, inside, passed_over, notes, told } = reading;
        Ok(Some(Cow::Owned(Self {
            file: self.file.clone(),
            format: Format { container: self.format.container, naming, inside },
            layout: self.layout,
            tensors,
            passed_over,
            notes,
            told,
            description: self.description.clone(),
            length: self.length,
            shift: self.shift,
            // Names that were found need not be looked for again.
            entries: None,
            candidates: Arc::default(),
        })))
    }

    /// Whether values are to be read of so many tensors as the file can hold: two names may share one storage.
    pub(crate) fn check_size<'a>(
        &self,
        tensors: impl Iterator<Item = &'a Stored>,
    ) -> Result<(), WeightsError> {
        let declared = tensors.fold(0u64, |sum, one| sum.saturating_add(one.bytes));
        let limit = self.length.saturating_mul(SHARED);
        match declared > limit {
            true => {
                let (file, what) = (self.file.clone(), "its tensors".to_owned());
                Err(WeightsError::Oversized { file, what, declared, limit })
            }
            false => Ok(()),
        }
    }

    /// Names in the file of tensors that are no parameters: what lies beside the weights, and what training and its
    /// tools leave behind.
    #[must_use]
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// What of the weights is not as it was trained, or was chosen, a sentence each: [`Report::notes`].
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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
    /// bear out; a branch without parameters, where neither the file nor the module tells whether it is there.
    pub fn structure<M: Module>(&self, module: &M) -> Result<Structure, WeightsError> {
        let read = self.for_module(module)?;
        let shapes = read.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        let recorded = self.description.as_ref().map(Description::structure);
        let found =
            forms::structure(&Structure::of(module), recorded, &read.told, &shapes.collect());
        let found = found.map_err(|error| match (error, self.file.clone()) {
            (FormsError::Structure(source), file) => {
                WeightsError::Structure { file, source: Box::new(source) }
            }
            (FormsError::Identity { layer }, file) => WeightsError::Identity { file, layer },
            (FormsError::Composition { layer }, file) => WeightsError::Composition { file, layer },
        })?;
        for (path, recorded) in recorded.into_iter().flat_map(Structure::layers) {
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
            module.folding_norms().into_iter().map(|(path, _)| path + ".").collect();
        let absent = |name: &str| norms.iter().any(|norm| name.starts_with(norm));
        Load::strict().without(module, self, absent)
    }

    /// Which network this is, what it reads and what its classes are called: what the file says, or else the network of
    /// the zoo whose tensors these are, if there is exactly one.
    ///
    /// # Errors
    /// A file that names a network which cannot be followed.
    pub fn label(&self, device: &Device) -> Result<Label, WeightsError> {
        let only = || match self.candidates(device).as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        let network = self.named()?.or_else(only);
        Ok(match &self.description {
            Some(note) => Label {
                network,
                input: note.input().cloned(),
                class_names: note.class_names().to_vec(),
            },
            None => Label { network, ..Label::default() },
        })
    }

    /// The network that the file names, if it names one.
    fn named(&self) -> Result<Option<(ModelName, ModelConfig)>, WeightsError> {
        let refused = |reason| WeightsError::NotDescribed { file: self.file.clone(), reason };
        self.description.as_ref().map_or(Ok(None), Description::config).map_err(refused)
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
        let file = || self.file.clone();
        let config = match self.named()? {
            Some((_, config)) => config,
            None => {
                let candidates = self.candidates(device);
                match candidates.as_slice() {
                    [(_, only)] => only.clone(),
                    [] => {
                        let reason = "nor are its tensors those of a network of the zoo".to_owned();
                        return Err(WeightsError::NotDescribed { file: file(), reason });
                    }
                    _ => return Err(WeightsError::Ambiguous { file: file(), candidates }),
                }
            }
        };
        let failed = |source| WeightsError::Model { file: file(), source: Box::new(source) };
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

fn reading_error(file: &Path, wanted: String, error: ReadingError) -> WeightsError {
    let file = file.to_owned();
    match error {
        ReadingError::NoPart(found) => WeightsError::NoWeights {
            file,
            wanted,
            found: if found.is_empty() { "no tensors".to_owned() } else { found.join(", ") },
        },
        ReadingError::Twice { name, first, second } => {
            WeightsError::Twice { file, name, first, second }
        }
        ReadingError::Swapped { name } => WeightsError::Swapped { file, name },
        ReadingError::Unfit(Unfit { tensor, reason }) => {
            WeightsError::Tensor { file, tensor, reason }
        }
        ReadingError::Several(parts) => WeightsError::Several { file, parts: parts.join("`, `") },
    }
}
