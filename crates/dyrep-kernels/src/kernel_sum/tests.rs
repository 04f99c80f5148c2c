//! Sums and their gradients against the definition, in double precision.

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Form, KernelSum, Term};
use crate::block::Window;

/// Of the largest value.
const TOLERANCE: f64 = 2e-6;

/// Channels of a group, at most: so few that each value's gradient can be looked at by itself, and so many that products
/// are products and outputs are shared out.
const SMALL: usize = 4;
const LARGE: usize = 70;

type Values = Vec<f32>;

fn random(draw: &mut ChaCha8Rng, len: usize) -> Values {
    (0..len).map(|_| draw.random_range(-1.0..1.0)).collect()
}

/// Any sum of so many channels a group at most: groups, windows with steps, products through any number of channels, with
/// scales and without.
fn any_sum(draw: &mut ChaCha8Rng, most: usize) -> KernelSum<Values> {
    let groups = draw.random_range(1..4);
    let inputs = groups * draw.random_range(most / 2..=most);
    let square = draw.random_bool(0.5);
    let outputs = if square { inputs } else { groups * draw.random_range(1..=most) };
    let kernel = match draw.random_bool(0.3) {
        true => [3, 3],
        false => [draw.random_range(1..6), draw.random_range(1..6)],
    };
    let window = |draw: &mut ChaCha8Rng| {
        let mut window = Window::whole(kernel);
        if draw.random_bool(0.3) {
            return window;
        }
        for (axis, kernel) in kernel.into_iter().enumerate() {
            let size = draw.random_range(1..=kernel);
            let most = if size == 1 { 1 } else { (kernel - 1) / (size - 1) };
            let step = draw.random_range(1..=most);
            let start = draw.random_range(0..kernel - (size - 1) * step);
            (window.start[axis], window.size[axis], window.step[axis]) = (start, size, step);
        }
        window
    };
    let each = inputs / groups;
    let terms = (0..draw.random_range(1..6)).map(|_| {
        let form = match draw.random_range(0..6) {
            0 => {
                let window = window(draw);
                Form::Kernel { window, weight: random(draw, outputs * each * window.count()) }
            }
            1 => {
                let (window, middle) = (window(draw), draw.random_range(most / 2..=most));
                let first = random(draw, groups * middle * each);
                let weight = random(draw, outputs * middle * window.count());
                Form::Product { window, first, weight }
            }
            2 => {
                let filter = random(draw, outputs * kernel[0] * kernel[1]);
                Form::Filtered { first: random(draw, outputs * each), filter }
            }
            3 => {
                let times = draw.random_range(1..11);
                let depthwise = random(draw, times * inputs * kernel[0] * kernel[1]);
                Form::Depthwise { depthwise, pointwise: random(draw, outputs * each * times) }
            }
            4 if square => Form::Identity { tap: draw.random_range(0..kernel[0] * kernel[1]) },
            _ => Form::Average { first: random(draw, outputs * each) },
        };
        let scale = draw.random_bool(0.7).then(|| random(draw, outputs));
        Term { form, scale }
    });
    let terms = terms.collect();
    KernelSum { channels: [inputs, outputs], groups, kernel, terms }
}

/// By the definition.
fn defined(sum: &KernelSum<Vec<f64>>) -> Vec<f64> {
    let KernelSum { channels: [inputs, outputs], groups, kernel, terms } = sum;
    let (each, taps) = (inputs / groups, kernel[0] * kernel[1]);
    let mut values = vec![0.0; outputs * each * taps];
    for Term { form, scale } in terms {
        for output in 0..*outputs {
            let by = scale.as_ref().map_or(1.0, |scale| scale[output]);
            let group = output / (outputs / groups);
            for input in 0..each {
                let row = &mut values[(output * each + input) * taps..][..taps];
                match form {
                    Form::Kernel { window, weight } => {
                        for (n, tap) in window.taps(kernel[1]).enumerate() {
                            row[tap] += by * weight[(output * each + input) * window.count() + n];
                        }
                    }
                    Form::Product { window, first, weight } => {
                        let middle = first.len() / each / groups;
                        for (n, tap) in window.taps(kernel[1]).enumerate() {
                            for m in 0..middle {
                                let left = weight[(output * middle + m) * window.count() + n];
                                let right = first[(group * middle + m) * each + input];
                                row[tap] += by * left * right;
                            }
                        }
                    }
                    Form::Average { first } => {
                        let value = by * first[output * each + input] / taps as f64;
                        row.iter_mut().for_each(|sum| *sum += value);
                    }
                    Form::Filtered { first, filter } => {
                        let value = by * first[output * each + input];
                        let filter = &filter[output * taps..][..taps];
                        row.iter_mut().zip(filter).for_each(|(sum, tap)| *sum += value * tap);
                    }
                    Form::Depthwise { depthwise, pointwise } => {
                        let times = pointwise.len() / outputs / each;
                        for n in 0..times {
                            let value = by * pointwise[(output * each + input) * times + n];
                            let channel = (group * each + input) * times + n;
                            let kernel = &depthwise[channel * taps..][..taps];
                            row.iter_mut().zip(kernel).for_each(|(sum, tap)| *sum += value * tap);
                        }
                    }
                    Form::Identity { tap } if output % each == input => row[*tap] += by,
                    Form::Identity { .. } => {}
                }
            }
        }
    }
    values
}

/// The sum with other values in one of its tensors.
fn replaced(sum: &KernelSum<Vec<f64>>, number: usize, by: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut count = 0;
    defined(&sum.clone().map(|values| {
        count += 1;
        if count - 1 == number { (0..values.len()).map(&by).collect() } else { values }
    }))
}

fn close(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(1e-3, |most: f64, value| most.max(value.abs()));
    for (got, want) in got.iter().zip(want) {
        let off = (f64::from(*got) - want).abs() / largest;
        assert!(off < TOLERANCE, "{what}: {got} and {want}");
    }
}

#[test]
fn sums_and_gradients_are_the_definition_s() {
    for case in 0..300 {
        let draw = &mut ChaCha8Rng::seed_from_u64(case);
        let sum = any_sum(draw, SMALL);
        let double =
            sum.clone().map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
        let slices = sum.as_ref().map(|values| &values[..]);
        close(&slices.sum().unwrap(), &defined(&double), &format!("case {case}"));

        let gradient = random(draw, sum.len());
        let wanted = sum.as_ref().map(|_| true);
        let found = slices.backward(&gradient, &wanted).unwrap();
        // The sum is linear in each of its tensors: a gradient's value is what the sum gives for that value being one, and
        // all others of the tensor zero.
        let mut tensors = vec![];
        found.map(|gradient| tensors.push(gradient.unwrap()));
        for (number, got) in tensors.iter().enumerate() {
            let value = |place: usize| -> f64 {
                let with = replaced(&double, number, |it| f64::from(u8::from(it == place)));
                let without = replaced(&double, number, |_| 0.0);
                let moved = with.iter().zip(&without).map(|(with, without)| with - without);
                moved.zip(&gradient).map(|(moved, gradient)| moved * f64::from(*gradient)).sum()
            };
            let want: Vec<f64> = (0..got.len()).map(value).collect();
            close(got, &want, &format!("case {case}, gradient {number}"));
        }
    }
}

/// The sum is linear in each of its tensors: the gradient along a direction is the sum in which that stands for the tensor,
/// and zeros for what does not depend on it.
#[test]
fn large_sums_and_gradients_are_the_definition_s() {
    for case in 0..30 {
        let draw = &mut ChaCha8Rng::seed_from_u64(case);
        let sum = any_sum(draw, LARGE);
        let double =
            sum.clone().map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
        let slices = sum.as_ref().map(|values| &values[..]);
        close(&slices.sum().unwrap(), &defined(&double), &format!("case {case}"));
        let gradient = random(draw, sum.len());
        let found = slices.backward(&gradient, &sum.as_ref().map(|_| true)).unwrap();
        let mut tensors = vec![];
        found.map(|gradient| tensors.push(gradient.unwrap()));
        for (number, got) in tensors.iter().enumerate() {
            let direction = random(draw, got.len());
            let with = replaced(&double, number, |place| f64::from(direction[place]));
            let without = replaced(&double, number, |_| 0.0);
            let moved = with.iter().zip(&without).map(|(with, without)| with - without);
            let products: Vec<f64> =
                moved.zip(&gradient).map(|(moved, by)| moved * f64::from(*by)).collect();
            let want: f64 = products.iter().sum();
            let size = products.iter().map(|it| it.abs()).sum::<f64>();
            let along = got.iter().zip(&direction);
            let got: f64 = along.map(|(got, by)| f64::from(*got) * f64::from(*by)).sum();
            assert!((got - want).abs() < TOLERANCE * size, "case {case}, gradient {number}");
        }
    }
}

#[test]
fn a_first_that_needs_no_gradient_gets_none() {
    let draw = &mut ChaCha8Rng::seed_from_u64(1);
    let term = |draw: &mut ChaCha8Rng| Term {
        form: Form::Product {
            window: Window::whole([3, 3]),
            first: random(draw, 40 * 30),
            weight: random(draw, 50 * 40 * 9),
        },
        scale: None,
    };
    let depthwise = random(draw, 2 * 30 * 9);
    let form = Form::Depthwise { depthwise, pointwise: random(draw, 50 * 2 * 30) };
    let terms = vec![term(draw), term(draw), Term { form, scale: None }];
    let sum = KernelSum { channels: [30, 50], groups: 1, kernel: [3, 3], terms };
    let gradient = random(draw, sum.len());
    let slices = sum.as_ref().map(|values| &values[..]);
    let mut count = 0;
    let wanted = sum.as_ref().map(|_| {
        count += 1;
        ![3, 5].contains(&count)
    });
    let found = slices.backward(&gradient, &wanted).unwrap();
    let firsts = found.terms.into_iter().map(|term| match term.form {
        Form::Product { first, .. } => first,
        Form::Depthwise { depthwise, .. } => depthwise,
        _ => unreachable!("there is none"),
    });
    let firsts: Vec<_> = firsts.map(|first| first.map(|first| first.len())).collect();
    assert_eq!(firsts, [Some(40 * 30), None, None]);
}

#[test]
fn threads_do_not_matter() {
    let draw = &mut ChaCha8Rng::seed_from_u64(7);
    for case in 0..20 {
        let sum = any_sum(draw, if case < 10 { SMALL } else { LARGE });
        let gradient = random(draw, sum.len());
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let slices = sum.as_ref().map(|values| &values[..]);
                let wanted = sum.as_ref().map(|_| true);
                (slices.sum().unwrap(), slices.backward(&gradient, &wanted).unwrap())
            })
        });
        assert!(one == three);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let window = Window::whole([3, 3]);
    let sum = |form, scale: Option<&'static [f32]>| KernelSum {
        channels: [2, 4],
        groups: 2,
        kernel: [3, 3],
        terms: vec![Term { form, scale }],
    };
    let weight: &[f32] = &[0.0; 36];
    assert!(sum(Form::Kernel { window, weight }, None).sum().is_ok());
    let refused = |sum: KernelSum<&[f32]>| sum.sum().unwrap_err().to_string();
    let scale: &[f32] = &[0.0; 3];
    assert!(refused(sum(Form::Kernel { window, weight }, Some(scale))).starts_with("a scale must"));
    let short = &weight[1..];
    assert!(
        refused(sum(Form::Kernel { window, weight: short }, None)).starts_with("a weight must")
    );
    let wide = Window { start: [0, 1], ..window };
    assert!(refused(sum(Form::Kernel { window: wide, weight }, None)).contains("window"));
    assert!(refused(sum(Form::Identity { tap: 4 }, None)).contains("identity"));
    let first: &[f32] = &[0.0; 3];
    assert!(refused(sum(Form::Product { window, first, weight }, None)).contains("groups"));
    assert!(refused(sum(Form::Average { first }, None)).starts_with("a 1×1 weight"));
}
