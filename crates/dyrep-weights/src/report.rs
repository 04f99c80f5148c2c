//! What loading did, or would have had to do: names and shapes, no tensors.

use std::fmt;

use crate::weights::Format;

/// Names that are shown of a long list.
const SHOWN: usize = 4;
/// Names among which a nearest one is looked for, and the longest that is compared.
const COMPARED: (usize, usize) = (2000, 128);
/// How alike a name must be to be proposed, of 1.
const ALIKE: f64 = 0.5;

/// A tensor of another shape than the parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeDifference {
    /// The parameter.
    pub name: String,
    /// Its shape, in PyTorch's layout.
    pub expected: Vec<usize>,
    /// The tensor's shape.
    pub found: Vec<usize>,
}

/// What became of a module's parameters and a file's tensors. Names are this library's: a norm's γ and β are `weight` and
/// `bias`, as in PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the file was recognised as.
    pub format: Format,
    /// Parameters and running statistics that have the file's values.
    pub applied: Vec<String>,
    /// Those of which the file has nothing.
    pub missing: Vec<String>,
    /// Tensors for which the module has no parameter.
    pub unused: Vec<String>,
    /// Tensors whose shape is not the parameter's.
    pub shapes: Vec<ShapeDifference>,
    /// Names in the file of tensors that are no parameters of any network: what lies beside the weights, and what training
    /// and its tools leave behind.
    pub passed_over: Vec<String>,
    /// What of the weights is not as it was trained, or was chosen, a sentence each: a stem of several layers that could
    /// only be loaded as one convolution, the branches that a search decided on.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether every parameter has a value and every tensor was used.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.shapes.is_empty()
    }

    /// All of it, in lines: which parts took the file's values, and every name that was missed, left or passed over.
    #[must_use]
    pub fn listing(&self) -> String {
        let names = |all: &[String]| match all {
            [] => "none".to_owned(),
            all => all.join(", "),
        };
        let mut parts: Vec<&str> = vec![];
        for name in &self.applied {
            let part = name.split('.').next().unwrap_or(name);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        let shapes: Vec<String> = self.shapes.iter().map(ToString::to_string).collect();
        let wanted = self.applied.len() + self.missing.len() + self.shapes.len();
        format!(
            "{}\ntook {} of {wanted} parameters, in {}\nmissed, and kept as they start: {}\nof another shape, and kept as \
             they start: {}\nleft in the file: {}\npassed over in the file: {}{}",
            self.format,
            self.applied.len(),
            parts.join(", "),
            names(&self.missing),
            names(&shapes),
            names(&self.unused),
            names(&self.passed_over),
            self.notes.iter().map(|note| format!("\n{note}")).collect::<String>(),
        )
    }

    /// The tensor whose name is nearest to a missing one's.
    fn nearest(&self, missing: &str) -> Option<&str> {
        let (count, length) = COMPARED;
        if missing.len() > length {
            return None;
        }
        let short = self.unused.iter().filter(|name| name.len() <= length).take(count);
        let scored = short.map(|name| (strsim::normalized_levenshtein(name, missing), name));
        let best = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
        (best.0 >= ALIKE).then_some(best.1.as_str())
    }
}

/// The first few of `all`, and how many there are.
fn some<T: fmt::Display>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(SHOWN).map(|one| format!("`{one}`")).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, applied, missing, unused, shapes, passed_over, notes } = self;
        let wanted = applied.len() + missing.len() + shapes.len();
        write!(f, "{format}; {} of {wanted} parameters fit", applied.len())?;
        if !missing.is_empty() {
            write!(f, "; {} missing: {}", missing.len(), some(missing))?;
            let near =
                missing.iter().take(SHOWN).filter_map(|name| Some((name, self.nearest(name)?)));
            for (name, near) in near {
                write!(f, "; nearest to `{name}` is `{near}`")?;
            }
        }
        if !unused.is_empty() {
            write!(f, "; {} not used: {}", unused.len(), some(unused))?;
        }
        if !shapes.is_empty() {
            write!(f, "; {} of another shape: {}", shapes.len(), some(shapes))?;
        }
        if !passed_over.is_empty() {
            write!(f, "; {} passed over: {}", passed_over.len(), some(passed_over))?;
        }
        notes.iter().try_for_each(|note| write!(f, "; {note}"))?;
        Ok(())
    }
}

impl fmt::Display for ShapeDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {:?}, found {:?}", self.name, self.expected, self.found)
    }
}
