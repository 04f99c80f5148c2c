//! What is asked for when a file is opened: the part that is meant, other names, what no tensor tells.

use std::path::Path;

use regex::Regex;

use crate::container::Contents;
use crate::error::WeightsError;
use crate::reading::Part;
use crate::weights::Weights;

/// The longest name of a tensor, in bytes.
const LONGEST_NAME: usize = 512;

/// How a file of weights is to be read.
///
/// ```no_run
/// use dyrep_weights::{OpenOptions, Part};
///
/// let average = OpenOptions::new().part(Part::Average).rename(r"^trunk\.", "")?.open("run.ckpt")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OpenOptions {
    pub(crate) part: Part,
    pub(crate) renames: Vec<(Regex, String)>,
    pub(crate) norm_epsilon: Option<f64>,
}

impl OpenOptions {
    /// The trained weights, under the file's names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which of a file's weights are meant.
    pub fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// Replaces what `pattern` matches in every name, before anything else is made of it; `$1` stands for the first group
    /// in parentheses. Several are applied one after the other.
    ///
    /// # Errors
    /// A pattern that is no regular expression.
    pub fn rename(mut self, pattern: &str, replacement: &str) -> Result<Self, WeightsError> {
        let failed = |source| WeightsError::Pattern { pattern: pattern.to_owned(), source };
        let pattern = Regex::new(pattern).map_err(failed)?;
        self.renames.push((pattern, replacement.to_owned()));
        Ok(self)
    }

    /// The same in one text, `pattern=replacement`; the last `=` parts them.
    ///
    /// # Errors
    /// A text without `=`; as [`rename`](Self::rename).
    pub fn rename_as(self, text: &str) -> Result<Self, WeightsError> {
        match text.rsplit_once('=') {
            Some((pattern, replacement)) => self.rename(pattern, replacement),
            None => Err(WeightsError::Rename { text: text.to_owned() }),
        }
    }

    /// What the norms of the file's network add to their variances, where it is not PyTorch's 1e-5: networks that come from
    /// TensorFlow have 1e-3. No tensor tells it. Running variances are shifted by the difference to 1e-5, so that the
    /// network computes the same at inference in any code whose norms add 1e-5; batches of a further training are
    /// normalised with 1e-5.
    ///
    /// # Errors
    /// A number that is not from 1e-8 to 1.
    pub fn norm_epsilon(mut self, epsilon: f64) -> Result<Self, WeightsError> {
        if !(1e-8..=1.0).contains(&epsilon) {
            return Err(WeightsError::NormEpsilon { epsilon });
        }
        self.norm_epsilon = Some(epsilon);
        Ok(self)
    }

    /// What a recipe or a command line says of a file: the part as [`Part`] is written, changes of names as
    /// [`rename_as`](Self::rename_as) takes them, what norms add to variances. What is absent is as in [`new`](Self::new).
    ///
    /// # Errors
    /// As [`rename_as`](Self::rename_as) and [`norm_epsilon`](Self::norm_epsilon).
    pub fn told(
        part: Option<&str>,
        renames: &[String],
        norm_epsilon: Option<f64>,
    ) -> Result<Self, WeightsError> {
        let part = part.map(|part| part.parse().unwrap_or_else(|never| match never {}));
        let mut options = Self::new().part(part.unwrap_or_default());
        for text in renames {
            options = options.rename_as(text)?;
        }
        match norm_epsilon {
            Some(epsilon) => options.norm_epsilon(epsilon),
            None => Ok(options),
        }
    }

    /// Opens a file of weights, of any kind that this crate knows.
    ///
    /// # Errors
    /// A file that cannot be read, that is of no known kind, not whole, declares more than it holds, or has no weights;
    /// a part that the file does not have.
    pub fn open(&self, file: impl AsRef<Path>) -> Result<Weights, WeightsError> {
        let file = file.as_ref();
        let contents = Contents::of(file)?;
        let names = contents.tensors.keys().chain(contents.beside.keys());
        let long = names.into_iter().find(|name| name.len() > LONGEST_NAME);
        if let Some(name) = long {
            return Err(WeightsError::LongName {
                file: file.to_owned(),
                begin: name.chars().take(32).collect(),
                length: name.len(),
                limit: LONGEST_NAME,
            });
        }
        Weights::of(file, contents, self)
    }

    /// What is looked for, in words.
    pub(crate) fn wanted(&self) -> String {
        match &self.part {
            Part::Trained => "weights".to_owned(),
            Part::Average => "average of weights".to_owned(),
            Part::Key(key) => format!("`{key}`"),
        }
    }
}
