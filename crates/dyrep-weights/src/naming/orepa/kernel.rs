//! What the published OREPA code computes with a module's tensors, on plain numbers: rows of `vector`, rows of a grouped
//! 1×1, fixed filters, and the kernel of a whole module.

use dyrep_burn::fuse::cosines;

use super::unit::{MULTIPLIER, Sizes, Unit};
use crate::tensor::Stored;

/// What rounding to half or brain precision may have changed in a fixed filter: 0.004 at most.
const ROUNDING: f64 = 5e-3;

/// A row of `vector`. The others are not looked at: one may never have been written.
pub(super) fn row(vector: &Stored, number: usize, outputs: usize) -> Stored {
    let all = vector.clone();
    let origin = format!("{}[{number}]", vector.origin);
    Stored::computed(origin, vec![outputs], 4 * outputs as u64, move || {
        Ok(all.values()?[number * outputs..][..outputs].to_vec())
    })
}

/// A 1×1 with its rows in the order of its outputs: published, row `a · groups + c` is place `a` of group `c`.
pub(super) fn regrouped(stored: &Stored, groups: usize) -> Stored {
    let outputs = stored.shape[0];
    let each = outputs / groups;
    if groups == 1 || each == 1 {
        return stored.clone();
    }
    let (all, of_row) = (stored.clone(), stored.shape[1..].iter().product::<usize>());
    Stored::computed(stored.origin.clone(), stored.shape.clone(), stored.bytes, move || {
        let values = all.values()?;
        let published = |output: usize| (output % each) * groups + output / each;
        let row = |output: usize| &values[published(output) * of_row..][..of_row];
        Ok((0..outputs).flat_map(row).copied().collect())
    })
}

/// A 1×1 that a fixed filter follows, whose values are only to be had if the filter in the file is the one that ours is.
pub(super) fn check_filter(
    conv: &Stored,
    filter: Option<&Stored>,
    ours: impl Fn() -> Vec<f64> + Send + Sync + 'static,
) -> Stored {
    let Some(filter) = filter.cloned() else { return conv.clone() };
    let all = conv.clone();
    let bytes = conv.bytes;
    Stored::computed(conv.origin.clone(), conv.shape.clone(), bytes, move || {
        let found = filter.values()?;
        for (at, (found, ours)) in found.iter().zip(ours()).enumerate() {
            // Also what is no number.
            let same = (f64::from(*found) - ours).abs() <= ROUNDING;
            if !same {
                let (name, shape) = (&filter.origin, &filter.shape);
                return Err(format!(
                    "the filter behind it, `{name}` {shape:?}, is another than this library has: value {at} is {found}, \
                     expected {ours:.4}"
                ));
            }
        }
        all.values()
    })
}

/// The kernel of a k×k module of one group, `[out, in, k, k]`, with the file's own filters.
pub(super) fn of_unit(unit: &Unit) -> Result<Vec<f64>, String> {
    let Sizes { inputs, outputs, kernel, middle, .. } = unit.sizes;
    let taps = kernel * kernel;
    let part = |name: &str| unit.part(name).values();
    let filter = |name: &str| -> Result<Option<Vec<f64>>, String> {
        let values = unit.filter(name).map(Stored::values).transpose()?;
        Ok(values.map(|values| values.into_iter().map(f64::from).collect()))
    };
    let (scale, origin) = (unit.vector.values()?, part("origin")?);
    let average = filter("avg_avg")?.unwrap_or_else(|| vec![1.0 / taps as f64; taps]);
    let cosines = filter("prior")?.unwrap_or_else(|| cosines(outputs, [kernel; 2]));
    let (averaged, waved, point) = (part("avg_conv")?, part("pfir_conv")?, part("1x1")?);
    let (mut first, second) = (part("1x1_kxk_idconv1")?, part("1x1_kxk_conv2")?);
    for channel in 0..middle {
        first[channel * inputs + channel % inputs] += 1.0;
    }
    let (depthwise, pointwise) = (part("gconv_dw")?, part("gconv_pw")?);
    let mut sum = vec![0.0; outputs * inputs * taps];
    for output in 0..outputs {
        let by = |row: usize| f64::from(scale[row * outputs + output]);
        for input in 0..inputs {
            let at = output * inputs + input;
            let value = |values: &[f32]| f64::from(values[at]);
            for tap in 0..taps {
                let times = |left: f32, right: f32| f64::from(left) * f64::from(right);
                let sequence: f64 = (0..middle)
                    .map(|m| {
                        times(second[(output * middle + m) * taps + tap], first[m * inputs + input])
                    })
                    .sum();
                let channels = MULTIPLIER * input..MULTIPLIER * (input + 1);
                let separable: f64 = channels
                    .map(|m| {
                        times(
                            pointwise[output * MULTIPLIER * inputs + m],
                            depthwise[m * taps + tap],
                        )
                    })
                    .sum();
                let middle_tap = if tap == taps / 2 { value(&point) } else { 0.0 };
                sum[at * taps + tap] = by(0) * f64::from(origin[at * taps + tap])
                    + by(1) * value(&averaged) * average[tap]
                    + by(2) * value(&waved) * cosines[output * taps + tap]
                    + by(3) * sequence
                    + by(4) * middle_tap
                    + by(5) * separable;
            }
        }
    }
    Ok(sum)
}

/// The kernel `[out, in, n + k − 1, n + k − 1]` of two layers in sequence: `first` `[middle, in, n, n]`, then `second` `[out,
/// middle, k, k]`.
pub(super) fn after(
    first: (&[f64], usize),
    second: (&[f64], usize),
    [inputs, middle, outputs]: [usize; 3],
) -> Vec<f64> {
    let ((first, n), (second, k)) = (first, second);
    let size = n + k - 1;
    let mut composed = vec![0.0; outputs * inputs * size * size];
    for output in 0..outputs {
        for m in 0..middle {
            for input in 0..inputs {
                let (from, to) =
                    ((m * inputs + input) * n * n, (output * inputs + input) * size * size);
                for (tap, by) in second[(output * middle + m) * k * k..][..k * k].iter().enumerate()
                {
                    for y in 0..n {
                        let to = to + (y + tap / k) * size + tap % k;
                        for x in 0..n {
                            composed[to + x] += by * first[from + y * n + x];
                        }
                    }
                }
            }
        }
    }
    composed
}
