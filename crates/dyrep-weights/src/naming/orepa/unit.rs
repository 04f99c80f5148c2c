//! A module of the published OREPA code: its tensors taken together, held against each other, and as ours.
//!
//! | row of `vector` | k×k | the same in a RepVGG block | 1×1 |
//! |---|---|---|---|
//! | 0 | `origin` | `origin` | `origin` |
//! | 1 | `avg_conv` | `avg_conv` | `l2i_conv1`, `l2i_conv2` |
//! | 2 | `pfir_conv` | `pfir_conv` | |
//! | 3 | `1x1_kxk_idconv1`, `1x1_kxk_conv2` | the same | |
//! | 4 | `1x1` | `gconv_dw`, `gconv_pw` | |
//! | 5 | `gconv_dw`, `gconv_pw` | never written, where there is an identity | |

use std::collections::BTreeMap;

use dyrep_burn::fuse::cosines;

use super::kernel::{check_filter, regrouped, row};
use super::{VECTOR, put};
use crate::naming::Unfit;
use crate::reading::Reading;
use crate::tensor::Stored;

/// Which module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Kxk,
    InRepVgg,
    Pointwise,
}

/// A row of `vector`: our branch, and its convolutions as published and as ours.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

const KXK: Row = ("kxk", &[("origin", "conv")]);
const AVERAGE: Row = ("1x1_avg", &[("avg_conv", "conv")]);
const PRIOR: Row = ("1x1_prior", &[("pfir_conv", "conv")]);
const RESIDUAL: Row = ("id1x1_kxk", &[("1x1_kxk_idconv1", "conv1"), ("1x1_kxk_conv2", "conv2")]);
const POINTWISE: Row = ("1x1", &[("1x1", "conv")]);
const DEPTHWISE: Row = ("dw_1x1", &[("gconv_dw", "conv1"), ("gconv_pw", "conv2")]);
const PRODUCT: Row = ("1x1_kxk", &[("l2i_conv1", "conv1"), ("l2i_conv2", "conv2")]);

/// Buffers: what averages, and the cosines.
const FILTERS: [&str; 2] = ["avg_avg", "prior"];
/// Channels that the depthwise convolution makes of each.
pub(super) const MULTIPLIER: usize = 8;

impl Form {
    /// The form that has a parameter of this name.
    pub(super) fn of(part: &str) -> Option<Self> {
        let forms = [Self::Kxk, Self::InRepVgg, Self::Pointwise];
        forms.into_iter().find(|form| {
            let known = part.strip_prefix(form.start());
            known.is_some_and(|part| form.parts().any(|known| known == part))
        })
    }

    fn start(self) -> &'static str {
        match self {
            Self::Kxk => "weight_orepa_",
            Self::InRepVgg => "weight_rbr_",
            Self::Pointwise => "weight_or1x1_",
        }
    }

    pub(super) fn rows(self) -> &'static [Row] {
        match self {
            Self::Kxk => &[KXK, AVERAGE, PRIOR, RESIDUAL, POINTWISE, DEPTHWISE],
            Self::InRepVgg => &[KXK, AVERAGE, PRIOR, RESIDUAL, DEPTHWISE],
            Self::Pointwise => &[KXK, PRODUCT],
        }
    }

    /// What it is made of, without what it has only while it is published.
    fn parts(self) -> impl Iterator<Item = &'static str> {
        self.rows().iter().flat_map(|(_, convs)| convs.iter().map(|(published, _)| *published))
    }
}

/// Sizes, from the shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) groups: usize,
    /// Taps along each axis.
    pub(super) kernel: usize,
    /// Channels between the two convolutions of a sequence.
    pub(super) middle: usize,
}

/// A module whose tensors have the shapes that they ask of each other.
#[derive(Clone)]
pub(super) struct Unit {
    pub(super) form: Form,
    pub(super) sizes: Sizes,
    /// By the published name without its start.
    parts: BTreeMap<&'static str, Stored>,
    pub(super) vector: Stored,
}

impl Unit {
    /// Takes the module at our `path` out of `tensors`.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape than the others ask for.
    pub(super) fn take(
        path: &str,
        form: Form,
        tensors: &mut BTreeMap<String, Stored>,
    ) -> Result<Self, Unfit> {
        let mut take = |part: &str| {
            let name = format!("{part}.weight");
            tensors.remove(&if path.is_empty() { name } else { format!("{path}.{name}") })
        };
        let names = form.parts().chain(FILTERS);
        let named = |part: &'static str| Some((part, take(&format!("{}{part}", form.start()))?));
        let parts: BTreeMap<&str, Stored> = names.filter_map(named).collect();
        let vector = take(VECTOR);
        let missing = |name: &str, beside: &Stored| {
            let origin = &beside.origin;
            let inside = origin.rsplit_once('.').map_or("", |(inside, _)| inside);
            let tensor = if inside.is_empty() { name.into() } else { format!("{inside}.{name}") };
            Unfit { tensor, reason: format!("it is missing beside `{origin}`") }
        };
        let any = parts.values().next();
        let any = any.unwrap_or_else(|| unreachable!("a form is known by one of its parts"));
        for part in form.parts() {
            if !parts.contains_key(part) {
                return Err(missing(&format!("{}{part}", form.start()), any));
            }
        }
        let vector = vector.ok_or_else(|| missing(VECTOR, any))?;
        let sizes = sizes(form, &parts)?;
        let unit = Self { form, sizes, parts, vector };
        unit.check()?;
        Ok(unit)
    }

    pub(super) fn part(&self, name: &str) -> &Stored {
        &self.parts[name]
    }

    /// A buffer, unless the file has none.
    pub(super) fn filter(&self, name: &str) -> Option<&Stored> {
        self.parts.get(name)
    }

    /// Holds all shapes against the sizes.
    fn check(&self) -> Result<(), Unfit> {
        let Sizes { inputs, outputs, groups, kernel: k, middle } = self.sizes;
        let each = inputs / groups;
        for (&name, stored) in &self.parts {
            let expected = match name {
                "origin" => vec![outputs, each, k, k],
                "1x1_kxk_conv2" => vec![outputs, middle / groups, k, k],
                "gconv_dw" => vec![MULTIPLIER * inputs, 1, k, k],
                "gconv_pw" => vec![outputs, MULTIPLIER * each, 1, 1],
                "1x1_kxk_idconv1" | "l2i_conv1" => vec![middle, each, 1, 1],
                "l2i_conv2" => vec![outputs, middle, 1, 1],
                "avg_avg" => vec![k, k],
                "prior" => vec![outputs, k, k],
                _ => vec![outputs, each, 1, 1],
            };
            if stored.shape != expected {
                return Err(shape(stored, &format!("{expected:?}")));
            }
        }
        let rows = self.form.rows().len();
        // One row more is counted where a RepVGG block has an identity, and never written.
        let spare = self.form == Form::InRepVgg && self.vector.shape == [rows + 1, outputs];
        if self.vector.shape != [rows, outputs] && !spare {
            let more = if self.form == Form::InRepVgg { ", or one row more" } else { "" };
            let expected = format!("[{rows}, {outputs}]{more}: a row for each branch");
            return Err(shape(&self.vector, &expected));
        }
        let filter = self.parts.contains_key("prior");
        if self.form != Form::Pointwise && k != 3 && !filter {
            let reason = format!(
                "the filters behind it, `{}prior`, are missing, and published for 3×3 taps alone: expected [{outputs}, {k}, {k}]",
                self.form.start()
            );
            return Err(Unfit { tensor: self.part("pfir_conv").origin.clone(), reason });
        }
        Ok(())
    }

    /// Puts our tensors of it below `path`.
    ///
    /// # Errors
    /// One that is there already.
    pub(super) fn put(self, path: &str, reading: &mut Reading) -> Result<(), Unfit> {
        let Sizes { inputs, outputs, groups, kernel, .. } = self.sizes;
        let is_depthwise = [inputs, outputs] == [groups; 2] && self.form != Form::Pointwise;
        let below =
            |name: &str| if path.is_empty() { name.into() } else { format!("{path}.{name}") };
        for (number, (branch, convs)) in self.form.rows().iter().enumerate() {
            let scale = row(&self.vector, number, outputs);
            if (*branch, is_depthwise) == (AVERAGE.0, true) {
                // Behind a depthwise 1×1 there is nothing but another scale.
                let average =
                    check_filter(self.part("avg_conv"), self.filter("avg_avg"), move || {
                        vec![1.0 / (kernel * kernel) as f64; kernel * kernel]
                    });
                let both = product(scale, average, outputs);
                put(reading, below("1x1_avg.scale"), both)?;
                reading.notes.push(format!(
                    "`{path}`: the depthwise 1×1 in front of the average and the scale behind it are loaded as one scale"
                ));
                continue;
            }
            for (published, ours) in *convs {
                let stored = self.part(published);
                let stored = match *published {
                    "avg_conv" => check_filter(stored, self.filter("avg_avg"), move || {
                        vec![1.0 / (kernel * kernel) as f64; kernel * kernel]
                    }),
                    "pfir_conv" => check_filter(stored, self.filter("prior"), move || {
                        cosines(outputs, [kernel; 2])
                    }),
                    "gconv_pw" if self.form == Form::Kxk => regrouped(stored, groups),
                    _ => stored.clone(),
                };
                put(reading, below(&format!("{branch}.{ours}.weight")), stored)?;
            }
            put(reading, below(&format!("{branch}.scale")), scale)?;
        }
        Ok(())
    }
}

/// The sizes that a module's shapes tell.
fn sizes(form: Form, parts: &BTreeMap<&str, Stored>) -> Result<Sizes, Unfit> {
    let origin = &parts["origin"];
    let wrong = |expected: &str| Err(shape(origin, expected));
    let &[outputs, each, height, width] = &origin.shape[..] else {
        return wrong("[out, in / groups, k, k]");
    };
    let pointwise = form == Form::Pointwise;
    let square = height == width && (height == 1) == pointwise;
    if outputs == 0 || each == 0 || !square {
        return wrong(if pointwise {
            "[out, in, 1, 1]"
        } else {
            "[out, in / groups, k, k], k > 1"
        });
    }
    let first = |name: &str| parts[name].shape.first().copied().unwrap_or(0);
    if pointwise {
        let middle = first("l2i_conv1");
        return Ok(Sizes { inputs: each, outputs, groups: 1, kernel: 1, middle });
    }
    let depthwise = &parts["gconv_dw"];
    let inputs = first("gconv_dw") / MULTIPLIER;
    let groups = inputs / each;
    if inputs == 0 || groups * each != inputs || !outputs.is_multiple_of(groups.max(1)) {
        let expected = format!(
            "[{MULTIPLIER} · in, 1, {height}, {width}] of `{}`, whose groups have {each} inputs each and divide {outputs} outputs",
            origin.origin
        );
        return Err(shape(depthwise, &expected));
    }
    if form == Form::InRepVgg && groups > 1 {
        let reason = format!(
            "it has {groups} groups, expected 1: the published module cannot run with more"
        );
        return Err(Unfit { tensor: origin.origin.clone(), reason });
    }
    let sequence = &parts["1x1_kxk_idconv1"];
    let middle = first("1x1_kxk_idconv1");
    if middle != inputs && middle != 2 * inputs {
        return Err(shape(sequence, &format!("[{inputs} or {}, {each}, 1, 1]", 2 * inputs)));
    }
    Ok(Sizes { inputs, outputs, groups, kernel: height, middle })
}

/// A scale times the values of a depthwise 1×1.
fn product(scale: Stored, conv: Stored, outputs: usize) -> Stored {
    let (origin, bytes) = (scale.origin.clone(), scale.bytes + conv.bytes);
    Stored::computed(origin, vec![outputs], bytes, move || {
        let (scale, conv) = (scale.values()?, conv.values()?);
        Ok(scale.iter().zip(&conv).map(|(scale, value)| scale * value).collect())
    })
}

fn shape(stored: &Stored, expected: &str) -> Unfit {
    let reason = format!("its shape is {:?}, expected {expected}", stored.shape);
    Unfit { tensor: stored.origin.clone(), reason }
}
