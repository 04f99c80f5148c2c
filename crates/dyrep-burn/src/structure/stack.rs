//! The form of a stack: 3×3 layers in sequence.

use std::fmt;

use dyrep_config::Composition;
use serde::{Deserialize, Serialize};

use super::form::Form;
use crate::error::{ConfigError, StackError};
use crate::geometry::ConvGeometry;

/// What a stack consists of: in files `{"layers": [form, …], "composition": "published", "norm_after": true}`, of which what
/// is usual is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackForm {
    /// The layers, the first of which reads the input: plain, or blocks in which nothing is a norm.
    pub layers: Vec<Form>,
    /// How the layers' kernels become one.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub composition: Composition,
    /// Whether a batch norm follows the last layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub norm_after: bool,
}

fn is_usual(composition: &Composition) -> bool {
    *composition == Composition::default()
}

impl StackForm {
    /// Checks that a convolution of `geometry` can be such layers in sequence, each of which can have its branches.
    pub(super) fn check(&self, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        let own = geometry
            .in_sequence()
            .ok_or_else(|| StackError::Kernel { kernel: geometry.kernel_size() })?;
        if own.len() != self.layers.len() {
            let kernel = geometry.kernel_size();
            return Err(
                StackError::Layers { kernel, wanted: own.len(), found: self.layers.len() }.into()
            );
        }
        for (number, (form, geometry)) in self.layers.iter().zip(&own).enumerate() {
            match form {
                Form::Stack(_) => return Err(StackError::Inside.into()),
                Form::Block(block) => {
                    form.check(geometry)?;
                    if block.norm_after || !block.is_linear(geometry) {
                        return Err(StackError::Norm { layer: number }.into());
                    }
                }
                Form::Plain { .. } => {}
            }
            geometry.clone().validated()?;
        }
        Ok(())
    }
}

/// The layers, as in `(kxk:scale + 1x1:scale) then (kxk:scale + 1x1:scale), published, norm`.
impl fmt::Display for StackForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, layer) in self.layers.iter().enumerate() {
            write!(f, "{}({layer})", if number == 0 { "" } else { " then " })?;
        }
        if !is_usual(&self.composition) {
            write!(f, ", {}", self.composition)?;
        }
        if self.norm_after { f.write_str(", norm") } else { Ok(()) }
    }
}
